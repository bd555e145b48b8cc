"""Metrics: what a pass adds to them, and a text that Prometheus can read, whatever there is to tell."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from multinic.agent.counted import Counted
from multinic.doctor import remembered
from multinic.doctor.finding import Examination
from multinic.flow import counted
from multinic.flow.course import Course
from multinic.host import config
from multinic.host.host import Host
from multinic.host.log import Log
from multinic.host.textfile import publish, withdraw
from multinic.report import counting, metrics
from multinic.report.passes import Passes
from multinic.report.report import Report, deliver, with_asked
from multinic.state.counts import load_counts, save_counts
from multinic.values import counts
from multinic.values.asked import Requests, request
from multinic.values.counts import OUTCOMES, REASONS, STATES, TOTALS, Counts
from multinic.values.errors import ConfigError, Exit, HostError, Refused, SourceError
from multinic.values.passed import Passed
from multinic.values.paths import COUNTS
from multinic.values.plan import Change, FileChange, Interface, Result, State
from multinic.values.settings import BACKENDS, KEYS

NOTHING = Counts()
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/observability.md").read_text(encoding="utf-8")
FOR_NODE_EXPORTER = "/var/lib/prometheus/node-exporter"
DIFFERENCES = (Change("mtu", 1400, 1500), Change("address", None, None), Change("address", None, None))
FILE = FileChange("/etc/netplan/90-multinic0.yaml", "a", "b", 0o600)


def result(
    state: State, reason: str = "", *, of: State = State.UPDATE, why: str = "drift", **more: Any
) -> Result:
    """Return what became of an interface that was to be changed."""
    interface = Interface("multinic0", None, "", "", 1, of, why, "", DIFFERENCES, (FILE,))
    return Result(interface, state, reason or why, "", **more)


def report(*results: Result, **more: Any) -> Report:
    return Report("1.2.3", "node1", "netplan", 1000.0, results, **more)


def after(*passes: Report | Exception, before: Counts = NOTHING) -> Counts:
    """Return the counts after passes of 0.02 s with these ends, at 100, 200, ... seconds after 1970."""
    for number, end in enumerate(passes, start=1):
        told, error = (end, None) if isinstance(end, Report) else (None, end)
        now = 100.0 * number
        before = counting.after_pass(before, told, error, recovered=0, now=now, seconds=0.02)
    return before


def told(name: str, found: Counts) -> dict[str, float]:
    """Return what was counted at all."""
    return {label: number for label, number in found.totals[name].items() if number}


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Parse an exposition as Prometheus does."""
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(text: bytes, name: str, **labels: str) -> float:
    return samples(text)[(name, frozenset(labels.items()))]


# What a pass adds.


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        pytest.param(report(result(State.CONVERGED)), "ok", id="converged"),
        pytest.param(report(result(State.WAITING, "no-carrier")), "ok", id="waiting"),
        pytest.param(report(result(State.FAILED, "not-converged")), "partial", id="failed"),
        pytest.param(report(result(State.BLOCKED, "in-use")), "refused", id="blocked"),
        pytest.param(Refused("two backends"), "refused", id="the pass itself is refused"),
        pytest.param(report(report_error="read-only"), "not_reported", id="the result is not written"),
        pytest.param(report(database_error="gone", database_exit=Exit.USAGE), "no_database", id="repair"),
        pytest.param(SourceError("gone"), "no_database", id="no database, and a person"),
        pytest.param(HostError("no space"), "error", id="the host refuses"),
        pytest.param(ZeroDivisionError(), "error", id="a bug"),
    ],
)
def test_each_end_of_a_pass_is_one_outcome(end, outcome):
    found = after(end)
    assert told("passes", found) == {outcome: 1}
    assert told("durations", found) == {"0.025": 1, "sum": 0.02}


def test_the_times_say_when_a_pass_last_ended_looked_and_succeeded():
    ends = report(), report(result(State.FAILED, "witness")), SourceError("gone"), Refused("two backends")
    assert [after(*ends[:number]).times for number in (1, 2, 3, 4)] == [
        {"pass": 100.0, "look": 100.0, "success": 100.0},
        {"pass": 200.0, "look": 200.0, "success": 100.0},
        {"pass": 300.0, "look": 200.0, "success": 100.0},
        {"pass": 400.0, "look": 200.0, "success": 100.0},
    ]


def test_what_was_changed_what_drifted_and_what_failed_is_counted_apart():
    found = after(
        report(
            result(State.CONVERGED),
            result(State.CONVERGED, of=State.CREATE, why="new"),
            result(State.DELETE, of=State.DELETE, why="orphan"),
            result(State.WAITING, of=State.WAITING, why="not-plugged-in"),
            result(State.FAILED, "not-converged", restored=True),
            result(State.FAILED, "refused-by-backend", why="changed"),
            result(State.FAILED, "duplicate-address", why="changed"),  # found out before anything was done
            given_back=("address", "address", "rule"),
        )
    )
    assert told("changes", found) == {"create": 1, "update": 1, "delete": 1, "prepare": 1}
    assert told("drift", found) == {"mtu": 2, "address": 2, "file": 2}  # once for each interface
    assert told("failures", found) == {
        "not-converged": 1,
        "refused-by-backend": 1,
        "duplicate-address": 1,
    }
    assert told("rollbacks", found) == {"not-converged": 1}
    assert told("given_back", found) == {"address": 2, "rule": 1}


def test_an_interface_with_nothing_to_do_counts_for_nothing():
    unchanged = Interface("multinic0", None, "", "", 1, State.UNCHANGED, "converged", "")
    found = after(report(Result(unchanged, State.UNCHANGED, "converged", "")))
    assert {name for name in TOTALS if told(name, found)} == {"passes", "durations"}


def test_hosts_that_have_left_the_url_are_forgotten_and_an_outage_forgets_none():
    first = after(report(asked={"db1:3306": Requests(0, 0.5, {"0.25": 2}), "db2:3306": Requests()}))
    error = SourceError("gone")
    error.asked = {"db1:3306": request(3.0, failed=True), "db2:3306": request(2.0, failed=True)}
    second = after(error, before=first)
    assert told("request_durations", second) == {"0.25 db1:3306": 2, "5 db1:3306": 1, "5 db2:3306": 1}
    assert second.totals["request_errors"] == {"db1:3306": 1, "db2:3306": 1}
    assert second.totals["request_seconds"] == {"db1:3306": 3.5, "db2:3306": 2.0}
    later = after(HostError("no space"), before=second).totals
    assert later["request_durations"] == second.totals["request_durations"]
    third = after(report(asked={"db2:3306": request(0.1, failed=False)}), before=second)
    assert told("request_durations", third) == {"0.1 db2:3306": 1, "5 db2:3306": 1}


def test_what_was_asked_in_vain_when_the_result_was_written_counts_too():
    def refuse(_: Report) -> None:
        error = SourceError("read-only")
        error.asked = {"db1:3306": Requests(1, 0.5, {"0.25": 3})}
        raise error

    found = deliver(report(), [refuse])
    both = Requests(1, 0.75, {"0.25": 4})
    assert with_asked(found, {"db1:3306": request(0.25, failed=False)}).asked == {"db1:3306": both}


# The text.


def test_every_metric_is_in_the_documentation_and_no_other():
    table = re.findall(r"^\| `(multinic_\w+)` \| (\w+) \|(.*?)\| (.+) \|$", PAGE, re.MULTILINE)
    assert [(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in table] == [
        (metric.name, metric.type, metric.labels) for metric in metrics.METRICS
    ]


def test_every_outcome_is_in_the_documentation_and_no_other():
    table = PAGE.partition("### Outcomes")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(OUTCOMES)


def test_the_text_has_every_metric_with_its_help_and_type_before_anything_was_counted():
    text = metrics.exposition({}, Counts()).decode()
    for metric in metrics.METRICS:
        assert f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n" in text
    # Counters are there from the start, or their first step would not be seen.
    for label, words in (("outcome", TOTALS["passes"]), ("reason", TOTALS["rollbacks"])):
        for word in words or ():
            assert re.search(rf'_total{{.*{label}="{word}"}} 0.0\n', text)


def document(*interfaces: Any, **more: Any) -> dict[str, Any]:
    return {"backend": "netplan", "interfaces": list(interfaces), "database_error": "", **more}


def test_interfaces_are_told_by_state_and_reason():
    blocked = {"state": "blocked", "reason": "deletion-fuse"}
    text = metrics.exposition(document(blocked, blocked, {"state": "failed", "reason": "witness"}), Counts())
    assert value(text, "multinic_interfaces", state="blocked", reason="deletion-fuse") == 2
    assert value(text, "multinic_interfaces", state="failed", reason="witness") == 1
    assert value(text, "multinic_interfaces", state="invalid", reason="none") == 0
    assert value(text, "multinic_deletion_fuse_tripped") == 1
    assert value(text, "multinic_database_up") == 1
    gone = metrics.exposition(document(database_error="gone"), Counts())
    assert (value(gone, "multinic_deletion_fuse_tripped"), value(gone, "multinic_database_up")) == (0, 0)


def test_buckets_add_up_and_idle_passes_are_told_beside_full_ones():
    idle = Passes()
    for seconds in (0.001, 0.3, 500.0):
        idle.observe_pass("ok", seconds)
    idle.observe_pass("of no kind", 0.001)
    text = metrics.exposition(document(), after(report(), report()), idle)
    name = "multinic_pass_duration_seconds"
    assert [value(text, f"{name}_bucket", kind="idle", le=le) for le in ("0.005", "0.5", "60", "+Inf")] == [
        *(2, 3, 3, 4)
    ]
    assert value(text, f"{name}_sum", kind="idle") == pytest.approx(500.302)
    assert (value(text, f"{name}_count", kind="idle"), value(text, f"{name}_count", kind="full")) == (4, 2)
    assert value(text, "multinic_passes_total", kind="idle", outcome="ok") == 3
    assert value(text, "multinic_passes_total", kind="idle", outcome="error") == 1
    assert value(text, "multinic_last_success_timestamp_seconds") > 1e9  # of the idle ones: it is later


ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text(), max_size=2))
HOSTILE = st.sampled_from(
    ['"', "\\", "\n", '"} 1\nmultinic_up 1\n', "\0", "\ud800", "é", "fa:16:3e:00:00:01"]
)
WORD = st.one_of(st.text(), HOSTILE, st.sampled_from(sorted(REASONS)), st.sampled_from(STATES))


LIMITS = ("0.1", "0.25", "5", "+Inf")


@settings(max_examples=30)
@given(
    interfaces=st.lists(
        st.one_of(ANYTHING, st.fixed_dictionaries({"state": WORD, "reason": WORD})), max_size=4
    ),
    backend=st.one_of(ANYTHING, WORD),
    error=WORD,
    host=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_whatever_a_row_an_error_or_a_file_says_the_text_stays_readable_and_bounded(
    interfaces, backend, error, host
):
    asked = {host: Requests(1, 0.5, {"0.25": 3})}
    found = after(report(asked=asked), HostError(error))
    text = metrics.exposition(document(*interfaces, backend=backend, database_error=error), found)
    parsed = samples(text)
    allowed = {
        "state": {*STATES, "other"},
        "reason": {*REASONS, "none", "other", counts.INTERRUPTED},
        "backend": {*BACKENDS, "none"},
        "host": {host},
    }
    for name, labels in parsed:
        assert re.sub("_(bucket|count|sum)$", "", name) in {metric.name for metric in metrics.METRICS}
        for label, word in labels:
            assert word in allowed.get(label, {word})
    assert parsed[("multinic_database_errors_total", frozenset({("host", host)}))] == 1
    durations = "multinic_database_request_duration_seconds"
    buckets = [parsed[(f"{durations}_bucket", frozenset({("host", host), ("le", le)}))] for le in LIMITS]
    assert buckets == [0, 3, 3, parsed[(f"{durations}_count", frozenset({("host", host)}))]]
    assert sum(n for (name, _), n in parsed.items() if name == "multinic_interfaces") == len(interfaces)


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match="prometheus_client") as raised:
        metrics.exposition({}, Counts())
    assert "multinic[metrics]" in raised.value.hint


# What is kept.


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(str(tmp_path))


def test_what_was_counted_is_read_as_it_was_written(host):
    written = replace(
        after(report(result(State.CONVERGED), asked={"db1:3306": request(0.1, failed=False)})), trouble="full"
    )
    save_counts(host, written)
    read = load_counts(host)
    assert {name: found for name, found in read.totals.items() if found} == {
        name: found for name, found in written.totals.items() if found
    }
    assert (read.times, read.trouble) == (written.times, "full")
    assert os.stat(host.path(COUNTS)).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut"),
        pytest.param("[]", id="a list"),
        pytest.param('{"version": 2, "totals": {}, "times": {}}', id="another version"),
        pytest.param('{"version": 1}', id="nothing in it"),
        pytest.param('{"version": 1, "totals": 7, "times": null}', id="wrong kinds"),
        pytest.param("[" * 200_000, id="too deep"),
        pytest.param("\udc80", id="odd bytes"),
    ],
)
def test_a_damaged_file_begins_anew(host, damaged):
    host.write(COUNTS, damaged.encode("utf-8", "surrogateescape"), 0o600)
    assert after(report(), before=load_counts(host)) == after(report())


def test_a_number_that_cannot_be_true_and_a_label_that_no_version_has_are_dropped(host):
    passes = {"ok": 3, "partial": -1, "refused": 1e300, "error": True, "no_database": "7", "bad\n": 1}
    text = json.dumps(
        {"version": 1, "totals": {"passes": passes, "new": {"ok": 1}}, "times": {"pass": 1e999}}
    )
    host.write(COUNTS, text, 0o600)
    found = load_counts(host)
    assert (found.totals["passes"], found.times, set(found.totals)) == ({"ok": 3}, {}, set(TOTALS))


# The textfile.


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / FOR_NODE_EXPORTER.strip("/")
    made.mkdir(parents=True)
    return made


TEXTFILE = f"{FOR_NODE_EXPORTER}/multinic.prom"


def test_everybody_may_read_the_textfile_whatever_the_umask_is(host, directory):
    before = os.umask(0o077)
    try:
        publish(host, TEXTFILE, b"one\n")
        publish(host, TEXTFILE, b"two\n")
    finally:
        os.umask(before)
    (found,) = directory.iterdir()
    assert (found.name, found.read_bytes(), found.stat().st_mode & 0o7777) == (
        "multinic.prom",
        b"two\n",
        0o644,
    )


def test_what_another_user_put_in_the_place_of_the_file_is_not_written_to(host, directory, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (directory / "multinic.prom").symlink_to(victim)
    (directory / ".multinic.prom.multinic-tmp").symlink_to(victim)
    publish(host, TEXTFILE, b"one\n")
    assert victim.read_text() == "mine"
    assert not (directory / "multinic.prom").is_symlink()
    assert (directory / "multinic.prom").read_bytes() == b"one\n"


def test_no_symlink_on_the_way_is_followed(host, directory, tmp_path):
    directory.rmdir()
    (tmp_path / "etc").mkdir()
    directory.symlink_to(tmp_path / "etc")
    with pytest.raises(HostError, match=f"{FOR_NODE_EXPORTER} is no directory, or a symlink"):
        publish(host, TEXTFILE, b"one\n")
    with pytest.raises(HostError):
        withdraw(host, TEXTFILE)
    assert list((tmp_path / "etc").iterdir()) == []


def test_a_directory_that_is_missing_is_named_and_not_made(host, tmp_path):
    with pytest.raises(HostError, match="its directory does not exist"):
        publish(host, TEXTFILE, b"one\n")
    withdraw(host, TEXTFILE)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_the_place_of_the_file_is_an_error_that_names_it(host, directory):
    (directory / "multinic.prom").mkdir()
    with pytest.raises(HostError, match=f"cannot write {TEXTFILE}"):
        publish(host, TEXTFILE, b"one\n")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("", True),
        ("/var/lib/node_exporter/multinic.prom", True),
        ("multinic.prom", False),
        ("/var/lib/node_exporter/multinic.txt", False),
        ("/var/lib/node_exporter/.prom", False),
        ("/var/lib/node_exporter/", False),
    ],
)
def test_a_textfile_that_node_exporter_would_not_read_is_refused(text, good):
    (key,) = (key for key in KEYS if key.name == "metrics.textfile")
    if good:
        assert key.parse(text) == text
    else:
        with pytest.raises(ValueError, match=r"\.prom"):
            key.parse(text)


# Rules and dashboard.

SUFFIXES = {
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
    "counter": ("",),
    "gauge": ("",),
}
SERIES = {metric.name + suffix: metric for metric in metrics.METRICS for suffix in SUFFIXES[metric.type]}


def expressions(path: str) -> list[str]:
    """Return all PromQL in a file."""
    found = yaml.safe_load((ROOT / "docs/observability" / path).read_text(encoding="utf-8"))
    if path.endswith(".json"):
        variables = [item["definition"] for item in found["templating"]["list"] if "definition" in item]
        return [*variables, *(one["expr"] for panel in found["panels"] for one in panel.get("targets", ()))]
    if "groups" in found:
        return [rule["expr"] for group in found["groups"] for rule in group["rules"]]
    return [
        one["series"] for test in found["tests"] for one in test["input_series"] if one["series"][:3] != "up{"
    ]


@pytest.mark.parametrize("path", ["alerts.yml", "alerts_test.yml", "dashboard.json"])
def test_rules_and_dashboard_name_only_series_and_labels_that_exist(path):
    found = expressions(path)
    assert found
    for expression in found:
        names = re.findall(r"\bmultinic_\w+", expression)
        assert names, expression
        assert set(names) <= set(SERIES), expression
        labels = {label for name in names for label in SERIES[name].labels} | {"job", "instance", "le"}
        selected = re.findall(r'(\w+)\s*=~?\s*"', expression)
        grouped = re.findall(r"(?:by|on|without)\s*\(([^)]*)\)", expression)
        assert {*selected, *(word.strip() for group in grouped for word in group.split(","))} <= labels


def test_every_alert_is_in_the_documentation_and_is_tested():
    rules = yaml.safe_load((ROOT / "docs/observability/alerts.yml").read_text(encoding="utf-8"))
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert re.findall(r"^\| `(Multinic\w+)` \|", PAGE, re.MULTILINE) == names
    tests = yaml.safe_load((ROOT / "docs/observability/alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert fired == set(names)


def test_every_panel_has_a_place_of_its_own_and_a_source():
    panels = json.loads((ROOT / "docs/observability/dashboard.json").read_text(encoding="utf-8"))["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["targets"]
    assert len({panel["id"] for panel in panels}) == len(panels)


# At the end of a pass.


def test_a_process_that_serves_the_metrics_itself_needs_no_textfile(host):
    """It counts idle passes in its memory, and reads the rest from where full passes keep it."""
    settings = config.load(None, {}, {}, default=host.path("/none"))
    course = Course()
    course.report = report(result(State.CONVERGED))
    counted.write(settings, host, Log(stream=io.StringIO()), course)
    agent = Counted(host)
    agent.after_pass(Passed(Exit.PARTIAL, "interfaces-failed", 0.001, idle=True))
    text = agent.exposition({})
    assert value(text, "multinic_passes_total", kind="full", outcome="ok") == 1
    assert value(text, "multinic_passes_total", kind="idle", outcome="partial") == 1


@pytest.mark.parametrize("broken", ["the textfile", "the library"])
def test_what_goes_wrong_is_logged_when_it_begins_and_when_it_ends(host, directory, monkeypatch, broken):
    settings = config.load(None, {"metrics.textfile": TEXTFILE}, {}, default=host.path("/none"))
    course, stream = Course(), io.StringIO()
    course.report = report()
    with monkeypatch.context() as while_broken:
        if broken == "the library":
            while_broken.setitem(sys.modules, "prometheus_client", None)
        else:
            (directory / "multinic.prom").mkdir()
        for _ in range(2):
            counted.write(settings, host, Log(stream=stream), course)
    (line, *_) = stream.getvalue().splitlines()
    assert line.startswith("warning: metrics: ")
    assert stream.getvalue().count("warning") == 1
    if broken == "the textfile":
        (directory / "multinic.prom").rmdir()
    counted.write(settings, host, Log(stream=stream), course)
    assert stream.getvalue().endswith("metrics are written again\n")
    assert (
        value((directory / "multinic.prom").read_bytes(), "multinic_passes_total", kind="full", outcome="ok")
        == 3
    )


@pytest.mark.parametrize(
    ("age", "trouble", "level", "words"),
    [
        pytest.param(None, "", "note", "does not exist yet", id="not written yet"),
        pytest.param(10, "", "ok", "is up to date", id="fresh"),
        pytest.param(1800, "", "warning", "is 30 minutes old", id="old"),
        pytest.param(10, "no space", "warning", "could not write the metrics: no space", id="not written"),
    ],
)
def test_the_doctor_says_how_the_textfile_is(host, directory, age, trouble, level, words):
    if age is not None:
        publish(host, TEXTFILE, b"")
        os.utime(directory / "multinic.prom", (time.time() - age,) * 2)
    save_counts(host, Counts(trouble=trouble))
    settings = config.load(None, {"metrics.textfile": TEXTFILE}, {}, default=host.path("/none"))
    (finding,) = remembered.metrics(Examination(settings, host))
    assert (str(finding.level), words in finding.message) == (level, True)


def test_the_doctor_misses_the_library_only_where_metrics_are_wanted(host, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    off, on = (
        config.load(None, options, {}, default=host.path("/none"))
        for options in ({}, {"metrics.textfile": TEXTFILE})
    )
    assert list(remembered.metrics(Examination(off, host))) == []
    (finding,) = remembered.metrics(Examination(on, host))
    assert "multinic[metrics]" in finding.hint
