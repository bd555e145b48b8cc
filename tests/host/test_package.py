"""The packages in the life of a host: installed, configured, upgraded, removed, installed again.

On hosts that lack every library that the program uses: the package brings its own.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.kinds import BOOKWORM, NETPLAN, Kind
from tests.host.node import Node
from tests.host.nspawn import Box
from tests.host.test_commands import UDEVADM, instead_of
from tests.hosts import eventually, run
from tests.mariadb import PrivateMariaDB
from tests.node import database_server, mac_of
from tests.packages import OLDER, apt, build, configure, older
from tests.passes import do_pass

# But python3-rich: some netplan.io needs that itself.
LIBRARIES = tuple(f"python3-{name}" for name in ("click", "coverage", "jinja2", "pymysql", "pyroute2"))
WANTED = "/etc/systemd/system/timers.target.wants/multinic.timer"
TEXTFILE = "/var/lib/prometheus/node-exporter/multinic.prom"
# What only an older version has, and an upgrade therefore takes away.
GONE = "usr/share/multinic/multinic/gone.py"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The package of this checkout, and one of a version before it, which had a module more."""
    directory = tmp_path_factory.mktemp("packages")
    new = build("deb", directory)
    return older(new, directory, GONE), new


def test_a_second_build_of_the_deb_is_identical(packages: tuple[Path, Path], tmp_path: Path) -> None:
    _, package = packages
    assert build("deb", tmp_path).read_bytes() == package.read_bytes()


@pytest.fixture(scope="module", params=[NETPLAN, BOOKWORM], ids=["trixie", "bookworm"])
def bare(request: pytest.FixtureRequest) -> Iterator[Box]:
    """A host of its own: without the checkout's program, and without the libraries of the distribution."""
    kind: Kind = request.param
    with Box(dataclasses.replace(kind, without=(*kind.without, *LIBRARIES))) as box:
        box.remove("/usr/local/bin/multinic", "/etc/multinic-coverage.ini")
        assert box.run("python3", "-c", "import click", check=False).returncode
        yield box


@pytest.fixture(scope="module")
def database(bare: Box) -> Iterator[PrivateMariaDB]:
    """A database server in the cloud around that host."""
    with database_server(bare.cloud_prefix, bare.gateway) as server:
        yield server


@pytest.fixture
def node(bare: Box, database: PrivateMariaDB, packages: tuple[Path, Path]) -> Node:
    """That host without anything of ours, and both packages at hand."""
    for name, package in zip(("old", "new"), packages, strict=True):
        shutil.copy(package, bare.shared / f"{name}.deb")
    node = Node(bare, database)
    bare.remove("/etc/multinic")
    return node


def active(box: Box, unit: str = "multinic.timer") -> bool:
    return box.run("systemctl", "is-active", unit, check=False).stdout == "active\n"


def left(box: Box) -> list[str]:
    """Return what is on the host of the package, whoever wrote it."""
    places = ("/etc", "/usr", "/var/lib", "/run")
    found = box.run("find", *places, "-xdev", "-name", "*multinic*").stdout.splitlines()
    ours = (
        "/etc/systemd/network/10-",
        "/var/lib/dpkg/",
        "/var/lib/systemd/timers/",
    )  # veth; dpkg's list; stamps
    return [path for path in found if not path.startswith(ours)]


def answers_as_itself(box: Box) -> bool:
    """Return whether no library, directory or variable of others has a say in what is run."""
    installed = box.run("python3", "-c", "import site; print(site.getsitepackages()[0])").stdout.strip()
    places = ("/tmp/evil", installed)
    for place in places:
        for library in ("click", "multinic", "sitecustomize", "json"):
            box.write(f"{place}/{library}.py", "raise SystemExit('injected')\n")
    environment = dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE"), "/tmp/evil")
    done = box.run("sh", "-c", "cd /tmp/evil && multinic --version", env=environment, check=False)
    for place in places:
        box.remove(*(f"{place}/{library}.py" for library in ("click", "multinic", "sitecustomize", "json")))
    return done.stdout.startswith("multinic ")


def test_the_life_of_a_host_with_the_package(node: Node) -> None:
    box = node.box
    links = ("multinic0", "multinic1")

    said = apt(box, "install", "/srv/shared/old.deb")
    assert "multinic: nothing is configured yet" in said
    assert box.multinic("--version").stdout == f"multinic {OLDER}\n"
    assert (active(box), box.exists(WANTED)) == (False, False)
    settings = box.stat("/etc/multinic/multinic.toml")
    assert (settings.mode, settings.owner, settings.group) == (0o640, "root", "root")
    assert answers_as_itself(box)
    assert box.glob("/usr/share/multinic/multinic/host/__pycache__/config.*.pyc")

    configure(node)
    for slot in range(2):
        node.attach(slot, link=f"ens{slot + 3}")
    box.run("systemctl", "enable", "--now", "multinic.timer", "multinic-health.socket")
    eventually(lambda: node.flags() == {"port-0": 1, "port-1": 1}, timeout=60)
    eventually(lambda: all(box.settled(name) for name in links), timeout=60)

    with box.monitor("eth0", *links) as events:
        apt(box, "install", "/srv/shared/new.deb")
        eventually(lambda: OLDER not in box.read("/run/multinic/state.json"), timeout=60)
    assert events == []
    assert active(box)
    assert not box.exists(f"/{GONE}")
    node.run("doctor")

    with box.monitor("eth0", *links) as events:
        said = apt(box, "remove", "multinic")
    assert "'multinic purge'" in said
    assert events == []
    assert not box.exists("/usr/share/multinic"), "nor byte code"
    box.reboot()
    eventually(lambda: all(box.settled(name) for name in links), timeout=60)
    assert box.addresses("multinic1") == ["10.5.0.11/24"]

    with box.monitor("eth0", *links) as events:
        apt(box, "install", "/srv/shared/new.deb")
        eventually(lambda: box.exists("/run/multinic/state.json"), timeout=60)
    assert events == []
    assert active(box)
    assert active(box, "multinic-health.socket")

    # As Debian's node_exporter makes it, whose user owns the directory above.
    box.run("install", "-d", "-o", "nobody", "/var/lib/prometheus")
    box.run("install", "-d", "/var/lib/prometheus/node-exporter")
    said = box.read("/etc/multinic/multinic.toml")
    node.configure(said.replace('#textfile = ""', f'textfile = "{TEXTFILE}"'))
    box.remove("/run/multinic/converged")
    do_pass(box)
    eventually(lambda: box.exists(TEXTFILE), timeout=60)  # it may have begun before
    read = box.run("setpriv", "--reuid=nobody", "--clear-groups", "cat", TEXTFILE).stdout
    assert 'multinic_interfaces{reason="converged",state="converged"} 2.0\n' in read

    box.run("systemctl", "stop", "multinic.timer")
    node.run("purge", "--yes")
    apt(box, "purge", "multinic")
    assert left(box) == []
    assert box.link_of(mac_of(0))["ifname"] == "ens3"  # type: ignore[index]


def test_a_database_that_is_configured_beforehand_is_enough(node: Node) -> None:
    box = node.box
    node.configure(f'[database]\nurl = "mysql://multinic@{box.gateway}:{node.server.port}/{node.database}"\n')
    box.write("/etc/multinic/password", "hush-hush\n", 0o600)  # the unit's credential
    node.attach(7, link="ens7")

    said = apt(box, "install", "/srv/shared/new.deb")

    assert "names a database" in said
    eventually(lambda: node.flags() == {"port-7": 1}, timeout=60)
    assert active(box)
    node.run("purge", "--yes")
    apt(box, "purge", "multinic")
    assert left(box) == []


def test_the_timer_stays_as_the_administrator_has_it(node: Node) -> None:
    box = node.box
    node.configure(
        f'database = {{url = "mysql://multinic@{box.gateway}:{node.server.port}/{node.database}"}}\n'
    )
    box.write("/etc/multinic/password", "hush-hush\n", 0o600)
    box.run("systemctl", "mask", "multinic.timer")
    assert "multinic.timer is masked" in apt(box, "install", "/srv/shared/old.deb")
    box.run("systemctl", "unmask", "multinic.timer")
    box.run("systemctl", "enable", "--now", "multinic.timer")

    box.run("dpkg", "--unpack", "/srv/shared/new.deb")
    assert not active(box)
    box.run("dpkg", "--configure", "--pending")  # as after an update that was interrupted
    assert active(box)

    # As dpkg calls them where another package objects to the removal.
    box.run("systemctl", "disable", "multinic.timer")
    box.run("/var/lib/dpkg/info/multinic.prerm", "remove")
    assert not active(box)
    box.run("/var/lib/dpkg/info/multinic.postinst", "abort-remove")
    assert active(box)

    box.run("systemctl", "stop", "multinic.timer")
    apt(box, "install", "--reinstall", "/srv/shared/new.deb")
    assert (active(box), box.exists(WANTED)) == (False, False)
    assert not box.exists("/run/multinic.upgrade")

    node.configure("[")
    assert box.run("systemctl", "start", "multinic.service", check=False).returncode
    apt(box, "purge", "multinic")
    assert left(box) == []
    assert "multinic" not in box.run("systemctl", "list-units", "--all", "--plain", "--state=failed").stdout


def test_an_update_waits_for_a_pass_that_is_under_way(node: Node) -> None:
    box = node.box
    apt(box, "install", "/srv/shared/old.deb")
    configure(node)
    node.attach(6, link="ens9")
    with instead_of(box, UDEVADM, '#!/bin/sh\ntouch /run/multinic/slow\nsleep 3\nexec $0.real "$@"\n'):
        box.run("systemctl", "start", "--no-block", "multinic.timer")
        eventually(lambda: box.exists("/run/multinic/slow"), timeout=60)
        apt(box, "install", "/srv/shared/new.deb")
    assert node.flags() == {"port-6": 1}
    assert (
        box.run("systemctl", "show", "--property=Result", "--value", "multinic.service").stdout == "success\n"
    )
    assert active(box)
    box.run("systemctl", "stop", "multinic.timer")
    node.run("purge", "--yes")
    apt(box, "purge", "multinic")


@pytest.fixture(scope="module")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The package of this checkout, and a later release of the same version."""
    directory = tmp_path_factory.mktemp("rpms")
    old, new = build("rpm", directory, "1"), build("rpm", directory, "2")
    assert old != new
    return old, new


def test_a_second_build_of_the_rpm_is_identical(rpms: tuple[Path, Path], tmp_path: Path) -> None:
    assert build("rpm", tmp_path, "2").read_bytes() == rpms[1].read_bytes()


# The Python of this one is what SLES 15 and RHEL 9 have beside their own.
@pytest.mark.parametrize("bare", [BOOKWORM], ids=["bookworm"], indirect=True)
def test_the_life_of_a_host_with_the_rpm(node: Node, rpms: tuple[Path, Path]) -> None:
    box = node.box
    old, new = rpms

    def rpm(*arguments: str | Path) -> str:
        # This machine's program, on the host as it runs; left to itself it would take a database at our home.
        options = ("--nodeps", "--dbpath=/var/lib/rpm")
        where = ("nsenter", f"--target={box.leader}", "--pid", "--net", "--uts", "--ipc", "--")
        done = run(*where, "rpm", f"--root=/proc/{box.leader}/root", *options, *arguments, timeout=300)
        assert "ailed" not in done.stderr
        return done.stdout

    said = rpm("--install", old)
    assert "multinic: nothing is configured yet" in said
    assert (active(box), box.exists(WANTED)) == (False, False)
    assert box.stat("/etc/multinic/multinic.toml").mode == 0o640
    assert answers_as_itself(box)
    assert box.glob("/usr/share/multinic/multinic/host/__pycache__/config.*.pyc")

    configure(node)
    node.attach(5, link="ens8")
    box.run("systemctl", "enable", "--now", "multinic.timer")
    eventually(lambda: node.flags() == {"port-5": 1} and box.settled("multinic0"), timeout=60)

    with box.monitor("eth0", "multinic0") as events:
        rpm("--upgrade", new)
        assert active(box)
        said = rpm("--erase", "multinic")
    assert events == []
    assert "'multinic purge'" in said
    assert (active(box), box.exists(WANTED)) == (False, False)
    assert not box.exists("/usr/share/multinic"), "nor byte code"
    assert box.addresses("multinic0") == ["10.5.0.15/24"]

    said = rpm("--install", new)
    assert "nothing is configured yet" in said  # changed settings are kept beside the new ones
    assert box.exists("/etc/multinic/multinic.toml.rpmsave")
    rpm("--erase", "multinic")
