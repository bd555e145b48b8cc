"""Bad rows, odd links: each ends in a state with a reason, and the good ones beside it converge."""

from __future__ import annotations

from dataclasses import replace

from tests.kernel.node import Node, mac_of
from tests.schemas import BASE


def with_a_good_neighbour(node):
    """Two ports with links and good rows, as numbers 1 and 2."""
    node.provide(2)
    return node


def neighbours_are_fine(node):
    return (
        node.link(1) == ("multinic0", True, 1401, ("10.0.0.11/24",))
        and node.link(2) == ("multinic1", True, 1402, ("10.0.0.12/24",))
        and node.flags()[mac_of(1)] == node.flags()[mac_of(2)] == 1
    )


# What the row says instead of what it should, the reason that the plan gives, and what its message must name.
BAD = [
    ({"macaddress": "zz:"}, "bad-value", ["macaddress", "'zz:'"]),
    ({"macaddress": ""}, "bad-value", ["macaddress", "''"]),
    ({"macaddress": "fa163e.000005"}, "bad-value", ["macaddress", "'fa163e.000005'"]),
    ({"macaddress": "01:00:5e:00:00:06"}, "bad-value", ["macaddress", "multicast"]),
    ({"macaddress": "00:00:00:00:00:00"}, "bad-value", ["macaddress", "zero"]),
    ({"macaddress": "ff:ff:ff:ff:ff:ff"}, "bad-value", ["macaddress", "broadcast"]),
    ({"address": "not-an-ip"}, "bad-value", ["address", "'not-an-ip'"]),
    ({"address": "10.9.9.9"}, "address-outside-cidr", ["address", "'10.9.9.9'", "10.0.0.0/24"]),
    ({"address": "10.0.0.255"}, "unusable-address", ["address", "'10.0.0.255'", "broadcast"]),
    ({"address": "10.0.0.0"}, "unusable-address", ["address", "'10.0.0.0'", "network address"]),
    ({"address": "10.0.0.5/99"}, "bad-value", ["address", "'10.0.0.5/99'"]),
    ({"address": "10.2.0.5", "cidr": "10.2.0.0/99"}, "bad-cidr", ["cidr", "'10.2.0.0/99'"]),
    ({"address": "10.3.0.5", "cidr": "garbage"}, "bad-cidr", ["cidr", "'garbage'"]),
    ({"mtu": 0}, "bad-value", ["mtu 0", "68..65535"]),
    ({"mtu": 99999999}, "bad-value", ["mtu 99999999"]),
    ({"mtu": "fast"}, "bad-value", ["mtu 'fast'"]),
    ({"mtu": 70, "address": "fd00::3/64"}, "bad-value", ["mtu 70", "IPv6"]),
    ({"port_id": "a b"}, "bad-value", ["port_id", "'a b'"]),
]


def test_bad_rows_are_invalid_each_with_its_reason_and_their_neighbours_converge(node):
    with_a_good_neighbour(node)
    for number, (values, _, _) in enumerate(BAD, 3):
        node.namespace.plug(f"eth{number}", mac_of(number))
        subnet = f"subnet-{number}" if "cidr" in values else "subnet-1"
        node.attach(number, **({"subnet_id": subnet} | values))
    links = node.links()
    lines = node.reconcile(expect=4).splitlines()
    assert neighbours_are_fine(node)
    assert {mac: link for mac, link in node.links().items() if link[0].startswith("eth")} == {
        mac: link for mac, link in links.items() if mac not in (mac_of(1), mac_of(2))
    }
    plan = {item["row_id"]: item for item in node.document("plan", expect=4)["interfaces"]}
    for row_id, (values, reason, words) in enumerate(BAD, 3):
        (line,) = [line for line in lines if f"row {row_id}:" in line]
        assert line.startswith("error: "), values
        assert [word for word in words if word not in line] == []
        assert (plan[row_id]["state"], plan[row_id]["reason"]) == ("invalid", reason), values
    assert [row["id"] for row in node.sql("SELECT id FROM multi_interface WHERE netplan_success <> 0")] == [
        1,
        2,
    ]
    with node.events() as events:
        assert node.reconcile(expect=4) == ""  # told once, not on every pass
    assert events == []


def test_a_mac_is_understood_in_every_spelling(node):
    for number, mac in enumerate(["FA:16:3E:00:00:01", "fa-16-3e-00-00-02", " Fa:16:3e:00-00-03 "], 1):
        node.namespace.plug(f"eth{number}", mac_of(number))
        node.attach(number, f"10.0.0.{number}", macaddress=mac, port_id=f"p{number}")
    node.reconcile()
    assert [node.link(n) for n in (1, 2, 3)] == [
        (f"multinic{n - 1}", True, 1500, (f"10.0.0.{n}/24",)) for n in (1, 2, 3)
    ]
    assert set(node.flags().values()) == {1}
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []


def test_other_spellings_of_an_address_settle_or_are_refused_but_never_flap(node):
    spellings = [
        "FD00:1:0::3/64",
        "fd00:2:0:0:0:0:0:3/64",
        "10.0.0.013",
        "::ffff:10.0.0.3/120",
        "10.7.0.3/255.0.0.0",
    ]
    for number, address in enumerate(spellings, 1):
        node.namespace.plug(f"eth{number}", mac_of(number))
        node.attach(number, address)
    node.reconcile(expect=4)
    assert node.link(1)[3] == ("fd00:1::3/64",)
    assert node.link(2)[3] == ("fd00:2::3/64",)
    assert [node.link(number)[3] for number in (3, 5)] == [(), ()]
    with node.events() as events:
        assert node.reconcile(expect=4) == ""
    assert events == []


def test_a_cidr_with_host_bits_is_tolerated(node):
    node.namespace.plug("eth1", mac_of(1))
    node.attach(1, "10.0.0.11", cidr="10.0.0.1/24")
    node.reconcile()
    assert node.link(1) == ("multinic0", True, 1500, ("10.0.0.11/24",))


def test_eleven_rows_ten_links(node):
    node.provide(11)
    said = node.reconcile(expect=4)
    assert [
        line for line in said.splitlines() if "no slot" in line and mac_of(11) in line and "11 rows" in line
    ]
    assert node.link(11) == ("eth11", False, 1500, ())
    assert node.flags() == {mac_of(n): 1 if n < 11 else 0 for n in range(1, 12)}
    before = node.links()
    with node.events() as events:
        assert node.reconcile(expect=4) == ""
    assert (events, node.links()) == ([], before)
    node.detach(5)
    node.reconcile()
    assert node.link(11)[0] == "multinic4"


def test_a_mac_in_two_rows_touches_nothing_new_and_undoes_nothing(converged):
    node = converged(3)
    before = node.links()
    node.attach(2, "10.0.0.77", port_id="other")
    node.namespace.plug("eth5", mac_of(5))
    node.attach(5, port_id="first")
    node.attach(5, port_id="second")
    with node.events() as events:
        said = node.reconcile(expect=4)
    assert events == []
    assert {mac: link for mac, link in node.links().items() if mac != mac_of(5)} == before
    assert "row 2" in said
    assert "row 4" in said
    rows = {row["id"]: row["netplan_success"] for row in node.sql("SELECT * FROM multi_interface")}
    assert rows == {1: 1, 2: 0, 3: 1, 4: 0, 5: 0, 6: 0}


def test_an_address_in_two_rows_undoes_nothing(converged):
    node = converged(3)
    before = node.links()
    node.sql("UPDATE multi_interface SET address = '10.0.0.11' WHERE id = 3")
    with node.events() as events:
        said = node.reconcile(expect=4)
    assert events == []
    assert node.links() == before
    assert "'10.0.0.11'" in said
    assert node.flags() == {mac_of(1): 0, mac_of(2): 1, mac_of(3): 0}


def test_a_row_that_turned_bad_leaves_its_link_as_it_is(converged):
    node = converged(3)
    node.sql("UPDATE multi_interface SET address = 'oops' WHERE id = 2")
    with node.events() as events:
        node.reconcile(expect=4)
    assert events == []
    assert node.flags()[mac_of(2)] == 0
    node.sql("UPDATE multi_interface SET address = '10.0.0.12' WHERE id = 2")
    with node.events() as events:
        node.reconcile()
    assert events == []
    assert node.flags()[mac_of(2)] == 1


def test_while_a_row_cannot_be_attributed_nothing_is_removed(converged):
    node = converged(4)
    before = node.links()
    node.detach(2)
    node.attach(9, macaddress="zz:")
    with node.events() as events:
        said = node.reconcile(expect=4)
    assert events == []
    assert node.links() == before
    assert "row 5" in said
    assert node.plan(expect=4)[mac_of(2)]["reason"] == "incomplete-read"
    node.sql("DELETE FROM multi_interface WHERE id = 5")
    node.reconcile()
    assert node.link(2)[0] == "eth2"


def test_a_bad_mac_on_a_known_port_is_attributed_to_that_port(converged):
    node = converged(4)
    node.detach(2)
    node.sql("UPDATE multi_interface SET macaddress = 'zz:' WHERE id = 3")
    node.reconcile(expect=4)
    assert node.link(2)[0] == "eth2"
    assert node.link(3) == ("multinic2", True, 1403, ("10.0.0.13/24",))


def test_more_than_the_link_can_do_is_invalid(node):
    with_a_good_neighbour(node)
    node.namespace.plug("eth3", mac_of(3))
    node.attach(3, "10.0.0.13", 65535)  # veth: exactly its limit
    node.ip("link", "add", "link", "eth3", "name", "low", "address", mac_of(4), "type", "macvlan")
    node.attach(4, "10.0.0.14", 9000)
    said = node.reconcile(expect=None)
    assert neighbours_are_fine(node)
    assert "Traceback" not in said


def test_a_database_of_the_first_agent_without_the_later_columns(namespace, tmp_path):
    node = Node(namespace, tmp_path, replace(BASE, address=False, mtu=False))
    namespace.plug("eth1", mac_of(1))
    node.schema.attach(node.connection, mac_of(1))
    node.reconcile()
    assert node.link(1) == ("multinic0", True, 1500, ())
    assert node.flags() == {mac_of(1): 1}
    with node.events() as events:
        assert node.reconcile() == ""
    assert events == []


HOSTILE = "\x1b[31mred\x07\r\n$(touch /tmp/pwned)`id`'\";--\u202e\u0085"
COLUMNS = ["macaddress", "address", "mtu", "port_id", "subnet_id", "cidr", "status", "netplan_success"]


def test_hostile_text_reaches_no_terminal_and_no_file(node):
    with_a_good_neighbour(node)
    for number, column in enumerate(COLUMNS, 3):
        values = {"port_id": f"p{number}", "subnet_id": f"subnet-{number}", "address": "10.0.0.99"}
        node.namespace.plug(f"eth{number}", mac_of(number))
        node.attach(number, **(values | {column: HOSTILE}))
    for command in (
        ["plan"],
        ["reconcile"],
        ["status"],
        ["render"],
        ["--output", "json", "plan"],
        ["apply", "--yes"],
    ):
        done = node.multinic(*command, expect=None)
        assert done.returncode in (0, 4)
        assert [c for c in "\x1b\x07\r\u202e\u0085" if c in done.stdout + done.stderr] == []
    assert neighbours_are_fine(node)
    assert b"\x1b" not in b"".join(content for _, _, content in node.files().values())
