"""An outage of the database is in `status` for as long as it lasts, whoever met it first."""

from __future__ import annotations

import contextlib
import json

import pytest

OF_ANOTHER = "etc/netplan/95-multinic5.yaml"
GONE = "sqlite:////nowhere/at/all"


@contextlib.contextmanager
def outage(node):
    """During the block there is no database."""
    url, node.url = node.url, GONE
    try:
        yield
    finally:
        node.url = url


@pytest.fixture
def refused(node):
    """Return a function that makes passes end in a refusal, and one that lets them be."""
    found = node.root / OF_ANOTHER

    def begin():
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text("# Managed by multinic.\nnetwork: {version: 2}\n", encoding="utf-8")
        found.chmod(0o600)

    return begin, found.unlink


def shown(node):
    """Return what status says was wrong."""
    error = node.document("status")["error"]
    assert error in " ".join(node.multinic("status").stdout.split("\n"))
    return error


@pytest.mark.parametrize("first", [("reconcile",), ("apply", "--yes"), ("plan",)], ids=lambda words: words[0])
def test_an_outage_is_in_status_for_as_long_as_it_lasts(converged, first):
    node = converged(1)
    with outage(node):
        node.multinic(*first, expect=75)
        assert "/nowhere/at/all" in shown(node)
        for command in (("plan",), ("apply", "--yes")):
            node.multinic(*command, expect=75)
            assert "/nowhere/at/all" in shown(node)
        said = node.reconcile(expect=75)
        assert ("/nowhere/at/all" in said) == (first != ("reconcile",))  # once in the log of the timer
        assert node.reconcile(expect=75) == ""
        assert "/nowhere/at/all" in shown(node)
        assert node.document("health", expect=4)["database_connected"] is False
    assert "the database can be read again" in node.reconcile()
    assert shown(node) == ""
    assert node.reconcile() == ""


@pytest.mark.parametrize("command", [("apply", "--yes"), ("plan",)], ids=lambda words: words[0])
def test_an_outage_that_a_person_met_alone_ends_with_the_next_pass(converged, command):
    node = converged(1)
    with outage(node):
        node.multinic(*command, expect=75)
    assert "the database can be read again" in node.reconcile()
    assert shown(node) == ""


def test_a_plan_on_a_host_without_passes_writes_nothing(node):
    with outage(node):
        node.multinic("plan", expect=75)
    assert node.files() == {}


def test_nothing_is_as_desired_while_nobody_knows_what_is(converged):
    node = converged(1)
    with outage(node):
        node.reconcile(expect=75)
        (item,) = node.document("status")["interfaces"]
        assert (item["state"], item["message"]) == ("converged", "as it was configured last")
    node.reconcile()
    assert node.document("status")["interfaces"][0]["message"] == "as desired"


def test_an_outage_and_a_refusal_are_both_in_status_and_each_end_is_said_once(converged, refused):
    node = converged(1)
    begin, end = refused
    begin()
    with outage(node):
        said = node.reconcile(expect=5)
        assert "/nowhere/at/all" in said
        assert "is a file of backend netplan" in said
        assert node.reconcile(expect=5) == ""
        assert "/nowhere/at/all" in shown(node)
        assert "is a file of backend netplan" in shown(node)
    node.reconcile(expect=5)
    assert "is a file of backend netplan" in shown(node)
    end()
    with outage(node):
        said = node.reconcile(expect=75)
        assert "passes are finished again" in said
        assert "is a file of backend" not in shown(node)
    assert "the database can be read again" in node.reconcile()
    begin()
    node.reconcile(expect=5)
    assert node.reconcile(expect=5) == ""
    end()
    assert "passes are finished again" in node.reconcile()
    assert shown(node) == ""


def test_where_the_database_is_and_what_it_said_only_root_reads(converged):
    node = converged(1)
    with outage(node):
        node.reconcile(expect=75)
        assert "nowhere/at/all" in shown(node)
        public = (node.root / "run/multinic/state.json").read_text()
        assert "nowhere" not in public
        assert json.loads(public)["database_error"] == "root can read why, with `multinic status`"
        details = node.root / "run/multinic/details.json"
        assert (details.stat().st_mode & 0o777, "nowhere/at/all" in details.read_text()) == (0o600, True)
        details.unlink()
        assert shown(node)
    node.reconcile()
    assert not details.exists()
