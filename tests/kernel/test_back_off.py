"""What cannot be done is not tried on every pass: less and less often, and at once when something is new."""

from __future__ import annotations

import json
import time

import pytest

from multinic.decide.restraint import BACK_OFF, BACK_OFF_MAX, JITTER
from tests.kernel.node import mac_of

RECORD = "var/lib/multinic/record.json"


@pytest.fixture
def failing(converged):
    """Two ports that are configured and a third that cannot be: its link takes no IPv6 address."""
    node = converged(2)
    node.attach(3, "fd00::3/64", 1403)
    node.namespace.plug("eth3", mac_of(3))
    allow(node, False)
    node.reconcile(expect=4)
    return node


def allow(node, allowed):
    """Let the third port take IPv6 addresses, or not."""
    name = node.link(3)[0]
    node.namespace.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6={int(not allowed)}")


def failure(node):
    """Return what is remembered of the third port's failures."""
    return node.record()[mac_of(3)]["failure"]


def time_passes(node):
    """Let it be later than the time of the next attempt."""
    path = node.root / RECORD
    document = json.loads(path.read_bytes())
    document["links"][mac_of(3)]["failure"]["retry_at"] = 1.0
    path.write_text(json.dumps(document))


def besides_the_reason(node):
    """Return the files of the host, without those that say why the port is not as desired."""
    return {
        name: file for name, file in node.files().items() if not name.endswith(("state.json", "told.json"))
    }


def waits(node):
    """Whether a pass leaves the failing port alone, in silence, and says why when it is asked."""
    before, remembered = node.link(3), failure(node)
    files = besides_the_reason(node)
    with node.events() as events:
        assert node.reconcile(expect=4) == ""
    assert (events, node.link(3), failure(node)) == ([], before, remembered)
    assert besides_the_reason(node) == files
    (item,) = [item for item in node.document("status")["interfaces"] if item["mac"] == mac_of(3)]
    assert (item["state"], item["reason"]) == ("failed", "backing-off")
    assert "cannot add fd00::3/64" in item["message"]
    assert "tried again at" in item["message"]
    return True


def test_a_failed_attempt_is_not_repeated_before_its_time(failing):
    node = failing
    assert node.link(3) == ("eth3", False, 1500, ())
    assert failure(node)["count"] == 1
    assert waits(node)
    assert waits(node)
    assert node.flags() == {mac_of(1): 1, mac_of(2): 1, mac_of(3): 0}


def test_every_wait_is_twice_the_one_before_up_to_an_hour(failing):
    node = failing
    for count in range(2, 11):
        time_passes(node)
        before = time.time()
        node.reconcile(expect=4)
        after = time.time()
        remembered = failure(node)
        usual = min(BACK_OFF * 2 ** (count - 1), BACK_OFF_MAX)
        assert remembered["count"] == count
        assert before + usual * (1 - JITTER) - 1 <= remembered["retry_at"] <= after + usual * (1 + JITTER) + 1
    assert usual == BACK_OFF_MAX
    assert waits(node)


def test_neighbours_do_not_wait_with_it(failing):
    node = failing
    node.sql("UPDATE multi_interface SET mtu = 1310 WHERE id = 1")
    node.ip("link", "set", "multinic1", "down")
    node.attach(4, "10.0.0.14")
    node.namespace.plug("eth4", mac_of(4))
    node.reconcile(expect=4)
    assert [node.link(n)[:3] for n in (1, 2, 4)] == [
        ("multinic0", True, 1310),
        ("multinic1", True, 1402),
        ("multinic3", True, 1500),
    ]
    assert waits(node)


@pytest.mark.parametrize(
    ("change", "address"),
    [
        pytest.param(
            "UPDATE multi_interface SET address = '10.0.0.13' WHERE id = 3", "10.0.0.13/24", id="row"
        ),
        pytest.param("DELETE FROM multi_interface WHERE id = 3", None, id="row removed"),
    ],
)
def test_another_wish_is_carried_out_at_once(failing, change, address):
    node = failing
    node.sql(change)
    node.reconcile()
    assert node.link(3)[3] == ((address,) if address else ())


def test_a_replaced_row_with_the_same_wish_waits_on(failing):
    node = failing
    node.sql("DELETE FROM multi_interface WHERE id = 3")
    node.attach(3, "fd00::3/64", 1403, port_id="another")
    node.reconcile(expect=4)
    assert failure(node)["count"] == 1
    assert waits(node)


def test_another_link_is_tried_at_once(failing):
    node = failing
    node.unplug(3)
    node.reconcile()
    node.namespace.plug("eth9", mac_of(3))
    node.reconcile()
    assert node.link(3) == ("multinic2", True, 1403, ("fd00::3/64",))


def test_a_person_need_not_wait(failing):
    node = failing
    node.multinic("apply", "--yes", expect=4)
    assert failure(node)["count"] == 2
    allow(node, True)
    assert waits(node)
    node.multinic("apply", "--yes")
    assert node.link(3) == ("multinic2", True, 1403, ("fd00::3/64",))


def test_success_begins_anew(failing):
    node = failing
    allow(node, True)
    time_passes(node)
    node.reconcile()
    assert failure(node) is None
    assert node.flags()[mac_of(3)] == 1
    node.reconcile()
    allow(node, False)  # which takes its address away
    node.reconcile(expect=4)
    assert failure(node)["count"] == 1


def test_a_plan_says_when_it_is_tried_again(failing):
    item = failing.plan(expect=None)[mac_of(3)]
    assert item["state"] == "create"  # a person's apply would try it now


def test_back_off_outlives_a_reboot(failing):
    node = failing
    for name in ("state.json", "converged"):
        (node.root / "run/multinic" / name).unlink(missing_ok=True)
    with node.events() as events:
        node.reconcile(expect=4)
    assert events == []
