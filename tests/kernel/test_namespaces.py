"""The harness itself: a namespace that is never the machine's, and links that come and go as in a cloud."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.mariadb import PrivateMariaDB
from tests.mariadb import missing as mariadb_missing
from tests.namespaces import refuse_the_machine
from tests.prepared import ROOT

MAC = "fa:16:3e:00:00:01"


def test_the_machines_own_namespace_is_refused():
    with pytest.raises(RuntimeError, match="machine's own"):
        refuse_the_machine(os.getpid())


def test_a_closed_namespace_runs_nothing(namespace):
    namespace.close()
    with pytest.raises(RuntimeError, match="closed"):
        namespace.run("true")


def test_a_run_of_the_program_is_inside_also_where_proc_has_other_processes(namespace):
    """As in a chroot whose processes have numbers of their own: these would be others' there."""
    namespace.run("mount", "-t", "tmpfs", "tmpfs", "/proc")
    done = namespace.run_program([sys.executable, "-m", "multinic", "--version"], {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "")


def test_only_lo_is_there_at_first_and_sys_shows_no_link_of_the_machine(namespace):
    assert list(namespace.links()) == ["lo"]
    assert namespace.run("ls", "/sys/class/net").stdout.split() == ["lo"]


def test_a_plugged_link_appears_at_once_under_its_name_down(namespace):
    with namespace.monitor() as events:
        namespace.plug("ens7", MAC, mtu=1450)
    link = namespace.links()["ens7"]
    assert (link["address"], link["mtu"], "UP" in link["flags"]) == (MAC, 1450, False)
    assert {event.link for event in events} == {"ens7"}
    assert events[0].kind == "RTM_NEWLINK"
    namespace.unplug("ens7")
    assert list(namespace.links()) == ["lo"]
    assert list(namespace.cloud.links()) == ["lo"]


def test_the_monitor_sees_addresses_routes_and_rules_and_nothing_else(namespace):
    namespace.plug("ens7", MAC, up=True)
    with namespace.monitor() as quiet:
        pass
    with namespace.monitor() as events:
        namespace.run("ip", "address", "add", "10.0.0.5/24", "dev", "ens7")
        namespace.run("ip", "route", "add", "10.9.0.0/16", "via", "10.0.0.1", "table", "1001")
        namespace.run("ip", "rule", "add", "from", "10.0.0.5", "table", "1001")
    assert quiet == []
    said = [str(event) for event in events]
    assert "RTM_NEWADDR ens7 10.0.0.5/24" in said
    assert "RTM_NEWROUTE ens7 10.9.0.0/16 table 1001" in said
    assert [event.kind for event in events if event.link == ""] == ["RTM_NEWRULE"]
    assert namespace.addresses("ens7") == ["10.0.0.5/24"]
    assert namespace.routes("table", "1001")[0]["dst"] == "10.9.0.0/16"


def test_bridges_and_macvlans_can_carry_the_mac_of_another_link(namespace):
    namespace.plug("ens7", MAC)
    namespace.plug("ens8")
    namespace.bridge("br0", "ens7")
    namespace.macvlan("copy", "ens8", MAC)
    links = namespace.links()
    assert links["ens7"]["master"] == "br0"
    assert links["br0"]["address"] == links["copy"]["address"] == MAC


def test_a_program_inside_keeps_its_directory_input_and_environment(namespace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = namespace.run("sh", "-c", "pwd; cat; echo $WORD", input="in\n", env={"WORD": "word"})
    assert done.stdout == f"{tmp_path}\nin\nword\n"


def test_a_namespace_ends_with_the_tests_even_when_they_are_killed():
    killed = (
        "import os; from tests.namespaces import Namespace; print(Namespace().pid, flush=True); os.abort()"
    )
    done = subprocess.run([sys.executable, "-c", killed], check=False, capture_output=True, text=True)
    pid = int(done.stdout)
    ended = ["tail", f"--pid={pid}", "-f", "/dev/null"]  # returns when that process is gone
    subprocess.run(ended, timeout=30, check=True)


@pytest.mark.skipif(bool(mariadb_missing()), reason=str(mariadb_missing()))
def test_a_database_can_run_inside_where_only_the_namespace_reaches_it(namespace):
    with PrivateMariaDB() as server:
        server.start(namespace.prefix, port=3306)
        assert "127.0.0.1:3306" in namespace.run("ss", "--no-header", "-ltn").stdout
        assert server.execute("SELECT 1 AS one") == [{"one": 1}]
