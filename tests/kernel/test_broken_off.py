"""A pass that a refusal or the host ends.

Status, health and doctor say so. The log says it once, and shortly again where systemd has a failed unit.
"""

from __future__ import annotations

import pytest

OF_ANOTHER = "etc/netplan/95-multinic5.yaml"
RECORD = "var/lib/multinic/record.json"


@pytest.fixture(params=["a refusal", "an error of the host"])
def trouble(request, node):
    """Return a function that makes passes end early, one that lets them be, the exit status and a word."""
    if request.param == "a refusal":
        found, status, word = node.root / OF_ANOTHER, 5, "is a file of backend netplan"
    else:  # a file in the place of the directory where the memory of an idle pass belongs
        found, status, word = node.root / "etc/multinic/templates", 1, "templates"

    def begin():
        found.parent.mkdir(parents=True, exist_ok=True)
        if status == 5:
            found.write_text("# Managed by multinic.\nnetwork: {version: 2}\n", encoding="utf-8")
            found.chmod(0o600)
        else:
            found.symlink_to("templates")

    return begin, found.unlink, status, word


@pytest.mark.parametrize("passes", [0, 1], ids=["before any other pass", "after another pass"])
def test_a_pass_that_was_not_finished_is_what_all_reports_say(node, trouble, passes):
    begin, end, status, word = trouble
    node.provide(1)
    for _ in range(passes):
        node.reconcile()
    begin()
    said = node.reconcile(expect=status)
    assert (word in said, "as before" in said) == (True, False)
    for _ in range(2):  # systemd logs it each time that a unit fails: the cause must not be far above
        again = node.reconcile(expect=status).splitlines()
        assert [(line[:17], word in line) for line in again] == [("error: as before:", True)] * (status == 1)
    shown = node.document("status")
    assert (shown["exit"], word in shown["error"]) == (status, True)
    assert word in node.multinic("status").stdout
    assert node.document("health", expect=4)["status"] == "unhealthy"
    found = [f for f in node.document("doctor", expect=4)["findings"] if f["check"] == "state"]
    assert [f["level"] for f in found] == ["problem"]
    assert word in found[0]["message"]
    end()
    assert "passes are finished again" in node.reconcile()
    assert node.document("status")["error"] == ""
    assert node.document("health")["status"] == "healthy"
    assert node.reconcile() == ""
