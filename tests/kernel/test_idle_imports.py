"""The pass over a converged host is cheap: it imports little, starts no process and writes nothing."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.kernel.node import ROOT, mac_of

HEAVY = (
    "rich",
    "jinja2",
    "pyroute2",
    "subprocess",
    "asyncio",
    "logging",
    "prometheus_client",
    "multinic.flow.full",
    "multinic.flow.view",
    "multinic.host.language",
    "multinic.cli.words",
)

# Python imports this by itself before the program begins, and it writes its report when the program ends.
WATCHER = """\
import json, os, sys

processes, written = [], []

def hook(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"):
        processes.append(event)
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        if not isinstance(arguments[0], int):  # standard output, for one, is open already
            written.append(str(arguments[0]))

def report(status):
    found = {"modules": sorted(sys.modules), "processes": processes, "written": list(written)}
    with open(os.environ["WATCHED"], "w") as file:
        json.dump(found, file)
    leave(status)

leave, os._exit = os._exit, report
sys.addaudithook(hook)
"""


@pytest.fixture
def watched(node, tmp_path):
    """Return a function that runs one pass and says what it imported, started and opened for writing."""
    (tmp_path / "watcher").mkdir()
    (tmp_path / "watcher/sitecustomize.py").write_text(WATCHER, encoding="utf-8")
    report = tmp_path / "watched.json"
    environment = {
        "PYTHONPATH": f"{tmp_path / 'watcher'}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "WATCHED": str(report),
        "LC_ALL": "ko_KR.UTF-8",  # no pass speaks to a person
        # Measuring coverage would import and write for itself.
        "COVERAGE_PROCESS_START": "",
        "COVERAGE_PROCESS_CONFIG": "",
    }

    def run():
        report.unlink(missing_ok=True)
        node.reconcile(env=environment)
        return json.loads(report.read_text(encoding="utf-8"))

    return run


@pytest.mark.parametrize("metrics", [False, True], ids=["without metrics", "with metrics"])
def test_a_pass_over_a_converged_host_imports_little_and_starts_nothing(node, watched, metrics):
    node.provide(10)
    if metrics:
        (node.root / "srv").mkdir()
        node.settings.write_text('[metrics]\ntextfile = "/srv/multinic.prom"\n')
    busy = watched()
    assert set(busy["modules"]) >= {"pyroute2", "multinic.flow.full"}  # the watcher sees what there is to see
    assert ("prometheus_client" in busy["modules"]) is metrics
    before = node.files()
    idle = watched()
    assert {name for name in idle["modules"] if name.partition(".")[0] in HEAVY or name in HEAVY} == set()
    assert idle["processes"] == []
    assert idle["written"] == [str(node.root / "run/multinic/lock")]
    assert node.files() == before


def test_no_process_is_started_to_configure_links_either(node, watched):
    node.provide(2)
    assert watched()["processes"] == []


def test_a_row_that_is_deleted_softly_costs_no_more_passes(node, watched):
    node.provide(2)
    node.sql("UPDATE multi_interface SET deleted_at = CURRENT_TIMESTAMP WHERE macaddress = %s", mac_of(2))
    watched()
    node.reconcile()
    assert "multinic.flow.full" not in watched()["modules"]


def test_a_template_that_is_edited_in_place_makes_a_full_pass(node, watched):
    template = node.root / "etc/multinic/templates/wicked/ifcfg.j2"
    template.parent.mkdir(parents=True)
    template.write_text("one")
    node.provide(1)
    watched()
    node.reconcile()
    assert "multinic.flow.full" not in watched()["modules"]
    template.write_text("two")
    assert "multinic.flow.full" in watched()["modules"]


def is_full(done):
    """Return whether a pass looked at everything."""
    return "multinic.flow.full" in done["modules"]


def test_a_kernel_variable_of_all_links_makes_a_full_pass_where_a_row_depends_on_it(node, watched):
    node.provide(1)
    node.namespace.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")
    node.sql("UPDATE multi_interface SET options = '{\"rp_filter\": 1}'")
    watched()
    node.reconcile()
    assert not is_full(watched())
    node.namespace.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=2")
    assert "net.ipv4.conf.all.rp_filter is 2" in node.reconcile(expect=4)
    node.namespace.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")
    assert is_full(watched())
    assert node.flags() == {mac_of(1): 1}

    node.sql("UPDATE multi_interface SET options = NULL")
    node.reconcile()
    (node.root / "run/multinic/converged").unlink()  # the memory of a pass that set it back
    node.reconcile()
    node.namespace.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=2")
    assert not is_full(watched())  # no row depends on it any more


MAKE_ADDRESS = """\
from pyroute2 import IPRoute
with IPRoute() as ip:
    (index,) = ip.link_lookup(ifname="multinic0")
    ip.addr("add", index=index, address="fd00:ad::1", prefixlen=64, proto=2)
"""


def make_address(node):
    """Add an address to the first port, as one that the kernel made of an advertisement."""
    node.namespace.run(sys.executable, "-c", MAKE_ADDRESS)


def test_what_a_router_brings_is_seen_by_the_next_pass_and_costs_no_more_passes(node, watched):
    node.provide(1)
    watched()
    node.reconcile()
    assert not is_full(watched())
    # As if a router had been believed for a moment, before somebody corrected that.
    route = ("fd00:be::/48", "dev", "multinic0", "proto", "ra")
    for add in (lambda: make_address(node), lambda: node.ip("-6", "route", "add", *route)):
        add()
        assert is_full(watched())
        assert node.link(1)[3] == ("10.0.0.11/24",)
        assert "fd00:be" not in node.namespace.run("ip", "-6", "route").stdout
        node.reconcile()
        assert not is_full(watched())


def test_what_comes_with_advertisements_that_a_row_accepts_costs_one_pass(node, watched):
    node.provide(1)
    node.sql('UPDATE multi_interface SET options = \'{"accept_ra": true, "default_route": true}\'')
    watched()
    make_address(node)
    node.ip("-6", "route", "add", "default", "via", "fd00:ad::2", "dev", "multinic0", "proto", "ra")
    node.reconcile()
    assert not is_full(watched())
    # Advertised again, with another lifetime.
    lifetime = ("valid_lft", "5000", "preferred_lft", "5000")
    node.ip("address", "change", "fd00:ad::1/64", "dev", "multinic0", *lifetime)
    node.reconcile()
    assert not is_full(watched())


def test_a_carrier_that_comes_and_goes_costs_one_pass_each_time(node, watched):
    node.provide(1)
    watched()
    for state in ("down", "up"):
        node.namespace.cloud.run("ip", "link", "set", "port1", state)
        assert is_full(watched())
        assert not is_full(watched())
