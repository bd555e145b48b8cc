"""Metrics of real passes, as the real Prometheus reads them."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import prometheus
from tests.hosts import eventually
from tests.kernel.test_failing import LONG, in_the_middle
from tests.kernel.test_fuse import a_minute_passes
from tests.kernel.test_guards import hook, two_and_a_foreign_one
from tests.kernel.test_outage import outage

DIRECTORY = "/var/lib/prometheus/node-exporter"
ON = {"MULTINIC_METRICS_TEXTFILE": f"{DIRECTORY}/multinic.prom"}


class Measured:
    """A node with metrics."""

    def __init__(self, node):
        self.node = node
        self.file = node.root / DIRECTORY.strip("/") / "multinic.prom"
        self.file.parent.mkdir(parents=True)

    def a_pass(self, expect=0):
        """Run a pass and return what it logged."""
        return self.node.reconcile(expect=expect, env=ON)

    def value(self, name, **labels):
        """Return a sample in the textfile."""
        families = text_string_to_metric_families(self.file.read_text(encoding="utf-8"))
        found = [s for family in families for s in family.samples if s.name == f"multinic_{name}"]
        (value,) = [sample.value for sample in found if sample.labels == labels]
        return value


@pytest.fixture
def measured(node):
    """A node with metrics, and one port."""
    made = Measured(node)
    node.provide(1)
    return made


def test_drift_and_its_repair_an_outage_and_its_end_are_counted(measured):
    node = measured.node
    measured.a_pass()
    assert measured.value("changes_total", kind="create") == 1
    assert measured.value("drift_total", field="mtu") == 0
    node.ip("link", "set", "multinic0", "mtu", "1300")
    with outage(node):
        measured.a_pass(expect=75)
    assert measured.value("drift_total", field="mtu") == 1
    assert measured.value("changes_total", kind="update") == 1
    assert measured.value("passes_total", kind="full", outcome="no_database") == 1
    assert measured.value("database_errors_total", host="sqlite") == 1
    assert measured.value("database_up") == 0
    look, last = (measured.value(f"last_{which}_timestamp_seconds") for which in ("look", "pass"))
    assert look < last
    node.ip("address", "delete", "10.0.0.11/24", "dev", "multinic0")
    measured.a_pass()
    assert measured.value("drift_total", field="address") == 1
    assert measured.value("drift_total", field="mtu") == 1
    assert measured.value("database_up") == 1
    assert measured.value("last_look_timestamp_seconds") > last
    assert measured.value("interfaces", state="converged", reason="converged") == 1


def test_what_fails_is_told_by_its_reason_and_so_is_what_was_restored(measured):
    node = measured.node
    node.take_address(1)
    measured.a_pass(expect=4)
    measured.a_pass(expect=4)
    assert measured.value("failures_total", reason="duplicate-address") == 1
    assert measured.value("rollbacks_total", reason="duplicate-address") == 1
    assert measured.value("interfaces", state="failed", reason="backing-off") == 1
    assert measured.value("passes_total", kind="full", outcome="partial") == 2
    assert measured.value("last_success_timestamp_seconds") == 0


def test_what_others_lost_and_got_back_is_counted(node):
    measured = Measured(node)
    two_and_a_foreign_one(node)
    with hook(node, "once", "link set own mtu 1400"):
        said = measured.a_pass()
    assert "it is given back" in said
    assert measured.value("given_back_total", kind="mtu") == 1
    assert measured.value("rollbacks_total", reason="witness") == 0


def test_a_run_that_was_killed_is_a_rollback_of_the_next_pass(measured):
    node = measured.node
    measured.a_pass()
    process = in_the_middle(node, 1, env=LONG | ON)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    node.sql("UPDATE multi_interface SET address = '10.0.0.12'")
    measured.a_pass()
    assert measured.value("rollbacks_total", reason="interrupted") == 1
    assert measured.value("changes_total", kind="update") == 1


def test_the_fuse_is_told_while_it_holds_something_back(converged):
    node = converged(3)
    measured = Measured(node)
    node.sql("DELETE FROM multi_interface")
    for tripped in (1, 1, 0):
        measured.a_pass(expect=None)
        assert measured.value("deletion_fuse_tripped") == tripped
        if tripped:
            assert measured.value("interfaces", state="blocked", reason="deletion-fuse") == 3
            a_minute_passes(node)
    assert measured.value("changes_total", kind="delete") == 3


def test_counters_outlive_a_reboot_and_begin_anew_when_they_are_damaged(measured):
    node = measured.node
    measured.a_pass()
    shutil.rmtree(node.root / "run")
    measured.a_pass()
    assert measured.value("passes_total", kind="full", outcome="ok") == 2
    shutil.rmtree(node.root / "run")
    (node.root / "var/lib/multinic/metrics.json").write_bytes(b'{"version": 1, "totals": \xff')
    assert measured.a_pass() == ""
    assert measured.value("passes_total", kind="full", outcome="ok") == 1


def test_an_idle_pass_writes_nothing_and_a_sign_of_life_does(measured):
    node = measured.node
    measured.a_pass()
    measured.a_pass()
    before = node.files()
    measured.a_pass()
    assert node.files() == before
    memory = node.root / "run/multinic/converged"
    os.utime(memory, (memory.stat().st_atime, memory.stat().st_mtime - 301))
    last = measured.value("last_pass_timestamp_seconds")
    measured.a_pass()
    assert measured.value("last_pass_timestamp_seconds") > last


def test_a_textfile_that_cannot_be_written_is_told_once_and_ends_no_pass(measured):
    node = measured.node
    measured.file.parent.rmdir()
    said = measured.a_pass()
    assert f"warning: metrics: cannot write {DIRECTORY}/multinic.prom: its directory does not exist" in said
    assert node.link(1)[0] == "multinic0"
    node.ip("link", "set", "multinic0", "mtu", "1300")
    assert "metrics" not in measured.a_pass()
    (finding,) = [
        item
        for item in json.loads(node.multinic("--output", "json", "doctor", expect=None, env=ON).stdout)[
            "findings"
        ]
        if item["check"] == "metrics"
    ]
    assert (finding["level"], "its directory does not exist" in finding["message"]) == ("warning", True)
    measured.file.parent.mkdir()
    node.ip("link", "set", "multinic0", "mtu", "1300")
    assert "metrics are written again" in measured.a_pass()
    assert measured.value("drift_total", field="mtu") == 2


def test_a_purge_leaves_no_metrics(measured):
    node = measured.node
    measured.a_pass()
    assert measured.file.exists()
    node.multinic("purge", "--yes", env=ON)
    assert list(measured.file.parent.iterdir()) == []
    assert not (node.root / "var/lib/multinic").exists()


def test_prometheus_itself_reads_the_metrics_and_has_no_complaint(measured):
    node = measured.node
    measured.a_pass()
    with prometheus.serving(measured.file) as server:
        node.ip("link", "set", "multinic0", "mtu", "1300")
        measured.a_pass()
        drift = 'multinic_drift_total{field="mtu"}'
        eventually(lambda: 1.0 in server.query(drift).values(), timeout=30)
        assert server.target()["lastError"] == ""
        (build,) = server.query("multinic_build_info")
        assert ("backend", "netlink") in build
        assert list(server.query('sum(multinic_interfaces{state="converged"})').values()) == [1.0]
        name = "multinic_pass_duration_seconds"
        assert list(server.query(f"{name}_count").values()) == [2.0]
        assert list(server.query(f"histogram_quantile(1, sum by (le) ({name}_bucket)) > 0").values())
        eventually(lambda: set(server.rules().values()) == {"ok"}, timeout=30)
        assert server.query("ALERTS") == {}
        for expression in prometheus.of_dashboard():
            server.query(expression)  # an error of it is an exception
        (nodes,) = (one for one in prometheus.of_dashboard() if one.startswith("count(multinic_build_info"))
        assert list(server.query(nodes).values()) == [1.0]


def test_promtool_has_no_complaint_about_names_and_types(measured):
    measured.a_pass()
    assert prometheus.promtool("check", "metrics", stdin=measured.file.read_text()) == ""


def test_the_alerts_are_raised_when_they_should_be():
    assert "12 rules found" in prometheus.promtool("check", "rules", prometheus.RULES)
    assert "SUCCESS" in prometheus.promtool("test", "rules", prometheus.RULES.with_name("alerts_test.yml"))
