"""Rows of the database into values: every bad one becomes a sentence, and none harms its neighbours."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multinic.database.rows import desired, match_node, parse
from multinic.database.statement import Answer
from multinic.values.addresses import Mac
from multinic.values.desired import Desired, DesiredLink, InvalidRow
from multinic.values.errors import ConfigError
from tests.unit.making import mac, row

CIDR = {"cidr": "10.0.0.0/24"}
HOSTILE = "x'; DROP TABLE t; --\n$(reboot)`id`\x1b[2J\x07\u202e\x85"


def good(found: DesiredLink | InvalidRow) -> DesiredLink:
    assert isinstance(found, DesiredLink), found
    return found


def bad(found: DesiredLink | InvalidRow) -> InvalidRow:
    assert isinstance(found, InvalidRow), found
    return found


def answer(*rows: dict[str, Any], cidr: object = None) -> Answer:
    columns = sorted({name for one in rows for name in one} | set(row()))
    values = tuple((*(one.get(name) for name in columns), None, cidr) for one in rows)
    return Answer((*columns, "_subnet", "cidr"), values)


def read(*rows: dict[str, Any], node: str = "node1", ignored: bool = False, cidr: object = None) -> Desired:
    return desired(node, answer(*rows, cidr=cidr), ignore_deleted_at=ignored, database="")


@pytest.mark.parametrize(
    ("text", "cidr", "addresses"),
    [
        pytest.param(None, None, [], id="no address"),
        pytest.param("", "/99", [], id="no address, so the cidr does not matter"),
        pytest.param("10.0.0.5", "10.0.0.0/24", ["10.0.0.5/24"], id="prefix length from the subnet"),
        pytest.param("10.0.0.5", "10.0.0.1/24", ["10.0.0.5/24"], id="cidr with host bits"),
        pytest.param("10.0.0.5/16", None, ["10.0.0.5/16"], id="prefix length of its own"),
        pytest.param(" 10.0.0.5/24 ", "", ["10.0.0.5/24"], id="spaces around it"),
        pytest.param("10.0.0.5, 10.0.0.6;10.0.0.7", "10.0.0.0/24", 3, id="several, any separator"),
        pytest.param("10.0.0.5 10.0.0.5", "10.0.0.0/24", ["10.0.0.5/24"], id="one written twice"),
        pytest.param("2001:DB8:0::5", "2001:db8::/64", ["2001:db8::5/64"], id="IPv6, in any spelling"),
        pytest.param("10.0.0.5 2001:db8::5/64", "10.0.0.0/24", 2, id="both families, one subnet"),
        pytest.param("10.0.0.0/31", None, ["10.0.0.0/31"], id="the first of a point-to-point pair"),
        pytest.param("10.0.0.1/31", None, ["10.0.0.1/31"], id="the second of such a pair"),
        pytest.param("10.0.0.255/32", None, ["10.0.0.255/32"], id="a host route"),
        pytest.param("fe80::5/64", None, ["fe80::5/64"], id="link-local"),
        pytest.param(b"10.0.0.5/24", None, ["10.0.0.5/24"], id="bytes, as a BLOB column gives them"),
    ],
)
def test_addresses_are_read_in_every_usual_form(text: object, cidr: object, addresses: Any) -> None:
    found = good(parse(row(address=text), {"cidr": cidr})).addresses
    if isinstance(addresses, int):
        assert len(found) == addresses
    else:
        assert found == tuple(map(ip_interface, addresses))


@pytest.mark.parametrize(
    ("columns", "cidr", "reason", "words"),
    [
        pytest.param({"macaddress": "zz:"}, None, "bad-value", "macaddress 'zz:' is not a MAC", id="mac zz:"),
        pytest.param({"macaddress": ""}, None, "bad-value", "macaddress '' is not a MAC", id="mac empty"),
        pytest.param({"macaddress": None}, None, "bad-value", "macaddress NULL is not a MAC", id="mac NULL"),
        pytest.param(
            {"macaddress": "fa16.3e00.0001"}, None, "bad-value", "'fa16.3e00.0001' is not", id="mac with dots"
        ),
        pytest.param(
            {"macaddress": "00:00:00:00:00:00"}, None, "bad-value", "00:00' is the zero MAC", id="mac zero"
        ),
        pytest.param(
            {"macaddress": "ff:ff:ff:ff:ff:ff"}, None, "bad-value", "ff' is a multicast", id="mac broadcast"
        ),
        pytest.param({"address": "not-an-ip"}, None, "bad-value", "address 'not-an-ip'", id="not an ip"),
        pytest.param({"address": "10.0.0.999/24"}, None, "bad-value", "'10.0.0.999/24'", id="octet 999"),
        pytest.param({"address": "10.0.0.5/33"}, None, "bad-value", "'10.0.0.5/33'", id="prefix length 33"),
        pytest.param({"address": "10.0.0.5/255.255.255.0"}, None, "bad-value", "address", id="netmask"),
        pytest.param({"address": "10.0.0.5/"}, None, "bad-value", "'10.0.0.5/'", id="slash and nothing"),
        pytest.param({"address": "010.0.0.5/24"}, None, "bad-value", "'010.0.0.5/24'", id="leading zero"),
        pytest.param({"address": "10.0.0.5"}, None, "bad-value", "no prefix length", id="no prefix length"),
        pytest.param({"address": "2001:db8::5"}, "10.0.0.0/24", "bad-value", "no prefix", id="other family"),
        pytest.param({"address": "fe80::1%eth0"}, "fe80::/64", "bad-value", "zone", id="zone"),
        pytest.param({"address": "fe80::1%eth0/64"}, None, "bad-value", "zone", id="zone, with prefix"),
        pytest.param({"address": "fe80::1%$(x)/64"}, None, "bad-value", "zone", id="zone for a shell"),
        pytest.param({"address": "fe80::1%\x1b[2J/64"}, None, "bad-value", "zone", id="zone for a terminal"),
        pytest.param(
            {"address": "10.0.1.5"},
            "10.0.0.0/24",
            "address-outside-cidr",
            "address '10.0.1.5' is outside the subnet's cidr 10.0.0.0/24",
            id="outside its cidr",
        ),
        pytest.param(
            {"address": "10.0.1.5/24"}, "10.0.0.0/24", "address-outside-cidr", "'10.0.1.5/24'", id="outside 2"
        ),
        pytest.param(
            {"address": "10.0.0.255"}, "10.0.0.0/24", "unusable-address", "broadcast", id="broadcast"
        ),
        pytest.param({"address": "10.0.0.0/24"}, None, "unusable-address", "network address", id="network"),
        pytest.param({"address": "224.0.0.5/24"}, None, "unusable-address", "multicast", id="multicast"),
        pytest.param({"address": "ff02::1/64"}, None, "unusable-address", "multicast", id="IPv6 multicast"),
        pytest.param({"address": "127.0.0.5/8"}, None, "unusable-address", "loopback", id="loopback"),
        pytest.param({"address": "::1/64"}, None, "unusable-address", "loopback", id="IPv6 loopback"),
        pytest.param({"address": "0.0.0.0/8"}, None, "unusable-address", "unspecified", id="unspecified"),
        pytest.param({"address": "250.0.0.5/8"}, None, "unusable-address", "reserved", id="reserved"),
        pytest.param({"address": "10.0.0.5/0"}, None, "unusable-address", "length 0", id="prefix length 0"),
        pytest.param({"address": "1.2.3.4/24 " * 65}, None, "bad-value", "more than 64", id="65 addresses"),
        pytest.param({"address": "10.0.0.5"}, "/99", "bad-cidr", "multi_subnet.cidr '/99'", id="cidr /99"),
        pytest.param({"address": "10.0.0.5"}, "rubbish", "bad-cidr", "cidr 'rubbish'", id="cidr garbage"),
        pytest.param({"address": "10.0.0.5"}, "10.0.0.0/99", "bad-cidr", "10.0.0.0/99", id="cidr prefix 99"),
        pytest.param({"address": "fe80::5"}, "fe80::%x/64", "bad-cidr", "fe80::%x/64", id="cidr with a zone"),
        pytest.param({"mtu": 0}, None, "bad-value", "mtu 0 is outside 68..65535", id="mtu 0"),
        pytest.param({"mtu": 67}, None, "bad-value", "mtu 67 is outside", id="mtu 67"),
        pytest.param({"mtu": 65536}, None, "bad-value", "mtu 65536 is outside", id="mtu 65536"),
        pytest.param({"mtu": 99999999}, None, "bad-value", "mtu 99999999 is outside", id="mtu 99999999"),
        pytest.param({"mtu": -1}, None, "bad-value", "mtu -1 is not a whole number", id="mtu negative"),
        pytest.param({"mtu": "big"}, None, "bad-value", "mtu 'big' is not a whole number", id="mtu text"),
        pytest.param({"mtu": 1500.5}, None, "bad-value", "mtu '1500.5'", id="mtu with a fraction"),
        pytest.param({"mtu": float("nan")}, None, "bad-value", "mtu 'nan'", id="mtu not a number"),
        pytest.param(
            {"mtu": 1000, "address": "2001:db8::5/64"}, None, "bad-value", "below 1280", id="mtu and IPv6"
        ),
        pytest.param({"port_id": ""}, None, "bad-value", "port_id '' is not", id="port_id empty"),
        pytest.param({"port_id": None}, None, "bad-value", "port_id NULL is not", id="port_id NULL"),
        pytest.param({"port_id": "a/../b"}, None, "bad-value", "port_id 'a/../b'", id="port_id a path"),
        pytest.param({"port_id": "p" * 65}, None, "bad-value", "port_id 'ppp", id="port_id too long"),
        pytest.param({"id": "7"}, None, "bad-value", "id '7' is not a number", id="id text"),
    ],
)
def test_a_bad_value_is_named_with_its_row_and_column(
    columns: dict[str, Any], cidr: object, reason: str, words: str
) -> None:
    found = bad(parse(row(1, **columns), {"cidr": cidr}))
    assert found.reason == reason
    assert words in found.message
    assert found.message.startswith(f"row {columns.get('id', 1)!r}: ")
    assert found.message.isprintable()
    assert found.mac == (None if "macaddress" in columns else mac(1))


@pytest.mark.parametrize(
    ("value", "mtu"),
    [
        pytest.param(None, None, id="NULL"),
        pytest.param("", None, id="empty"),
        pytest.param(68, 68, id="the least"),
        pytest.param(65535, 65535, id="the most"),
        pytest.param("1450", 1450, id="text"),
        pytest.param(" 1450 ", 1450, id="text with spaces"),
        pytest.param(1450.0, 1450, id="a whole float, as SQLite stores it"),
        pytest.param(Decimal(1450), 1450, id="a decimal"),
    ],
)
def test_an_mtu_is_read_in_every_usual_form(value: object, mtu: int | None) -> None:
    assert good(parse(row(mtu=value), {})).mtu == mtu


def test_a_row_of_the_base_table_alone_is_a_link_without_address_and_mtu() -> None:
    assert parse(row(3), {}) == DesiredLink(mac(3), "port-3", 3)


def test_a_mac_in_upper_case_with_spaces_is_the_same_link() -> None:
    assert good(parse(row(macaddress=" FA-16-3E-00-00-01 "), {})).mac == mac(1)


@pytest.mark.parametrize("column", [*row(), "address", "mtu", "status", "deleted_at"])
def test_hostile_text_in_a_column_reaches_no_message_unescaped(column: str) -> None:
    found = parse(row(**{"address": "10.0.0.5", column: HOSTILE}), CIDR)
    if isinstance(found, InvalidRow):
        assert found.message.isprintable()
        assert found.mac_text.isprintable()
        assert len(found.message) < 250
    else:
        assert HOSTILE not in repr(found)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.decimals(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.sampled_from(["10.0.0.5/24", "::5/64", "10.0.0.5%0", "::%/64", "fa:16:3e:00:00:01", "10.0.0.0/24"]),
    st.ip_addresses().map(str),
    st.builds("{}%{}/64".format, st.ip_addresses(v=6), st.text(max_size=3)),
    st.builds("{}/{}".format, st.ip_addresses(), st.text(max_size=3)),
)
_COLUMNS = ["id", "port_id", "macaddress", "address", "mtu", "netplan_success", "status", "deleted_at"]


@given(st.fixed_dictionaries(dict.fromkeys(_COLUMNS, _VALUES)), _VALUES)
def test_whatever_a_row_holds_it_becomes_a_link_or_a_sentence(columns: dict[str, Any], cidr: object) -> None:
    found = parse(row(**columns), {"cidr": cidr})
    if isinstance(found, InvalidRow):
        assert found.message.isprintable()
        assert found.mac_text.isprintable()
        assert re.fullmatch(r"[A-Za-z0-9._:-]*", found.port_id)
    else:
        assert Mac(found.mac.text) == found.mac
        assert found.mtu is None or 68 <= found.mtu <= 65535
        for address in found.addresses:
            assert re.fullmatch(r"[0-9a-f.:]+/\d+", str(address))
            assert not address.is_multicast


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(_COLUMNS, _VALUES)), max_size=3), _VALUES)
def test_bad_rows_never_take_a_good_one_with_them(rows: list[dict[str, Any]], cidr: object) -> None:
    neighbour = row(5, macaddress="fa:16:3e:ff:ff:05", address="192.0.2.5/24")
    cidr = None if isinstance(cidr, str | bytes) else cidr
    found = read(*(row(**one) for one in rows), neighbour, cidr=cidr)
    assert Mac("fa:16:3e:ff:ff:05") in {link.mac for link in found.links} or found.invalid
    assert len(found.links) + len(found.invalid) <= len(rows) + 1


def test_a_good_row_beside_a_bad_one_is_carried_out() -> None:
    found = read(row(1, macaddress="zz:"), row(2))
    assert [link.row_id for link in found.links] == [2]
    assert [one.row_id for one in found.invalid] == [1]


def test_two_rows_with_one_mac_are_both_refused_and_name_each_other() -> None:
    found = read(row(1), row(2, macaddress="FA-16-3E-00-00-01"), row(3))
    assert [link.row_id for link in found.links] == [3]
    assert [(one.row_id, one.reason, one.mac) for one in found.invalid] == [
        (1, "duplicate-mac", mac(1)),
        (2, "duplicate-mac", mac(1)),
    ]
    assert "row 1: macaddress 'fa:16:3e:00:00:01' is also in row 2" in found.invalid[0].message
    assert "row 2: macaddress 'fa:16:3e:00:00:01' is also in row 1" in found.invalid[1].message


def test_a_mac_that_a_bad_row_has_too_is_not_carried_out() -> None:
    found = read(row(1), row(2, macaddress=str(mac(1)), mtu=0))
    assert not found.links
    assert [one.reason for one in found.invalid] == ["duplicate-mac"] * 2


def test_an_address_that_two_rows_have_is_refused_in_both() -> None:
    found = read(row(1, address="10.0.0.5/24"), row(2, address="10.0.0.6/24 10.0.0.5/16"), row(3))
    assert [link.row_id for link in found.links] == [3]
    assert [one.reason for one in found.invalid] == ["duplicate-address"] * 2
    assert "row 2: address '10.0.0.5' is also in row 1" in found.invalid[1].message


def test_three_rows_with_one_address_name_all_others() -> None:
    found = read(*(row(number, address="2001:db8::5/64") for number in (1, 2, 3)))
    assert "is also in rows 2, 3" in found.invalid[0].message


def test_one_address_with_two_prefix_lengths_in_one_row_is_refused() -> None:
    found = read(row(1, address="10.0.0.5/24 10.0.0.5/16"))
    assert "row 1: address '10.0.0.5' is in this row twice" in found.invalid[0].message


@pytest.mark.parametrize(
    ("deleted_at", "gone"),
    [
        pytest.param(None, False, id="NULL"),
        pytest.param("", False, id="empty"),
        pytest.param("0000-00-00 00:00:00", False, id="MySQL's zero date"),
        pytest.param(b"0000-00-00 00:00:00", False, id="the zero date as bytes"),
        pytest.param(datetime(2026, 1, 2, 3, 4, 5), True, id="a time"),
        pytest.param("2026-01-02 03:04:05", True, id="a time as text"),
    ],
)
def test_a_deleted_row_is_not_desired(deleted_at: object, gone: bool) -> None:
    found = read(row(1, deleted_at=deleted_at), row(2))
    assert [link.row_id for link in found.links] == ([2] if gone else [1, 2])
    assert [flag.row_id for flag in found.flags] == ([2] if gone else [1, 2])


def test_deleted_at_can_be_ignored() -> None:
    assert len(read(row(1, deleted_at="2026-01-02 03:04:05"), ignored=True).links) == 1


@pytest.mark.parametrize(
    ("status", "wanted"),
    [("active", 1), (None, 1), ("", 1), ("whatever", 1), ("deleted", 0), (" Deleting ", 0), (b"INACTIVE", 0)],
)
def test_a_row_on_its_way_out_is_not_desired(status: object, wanted: int) -> None:
    assert len(read(row(status=status)).links) == wanted


@pytest.mark.parametrize(
    ("node", "names", "found"),
    [
        pytest.param("node1", ["node1"], "node1", id="exactly"),
        pytest.param("node1", ["NODE1"], "NODE1", id="in another case"),
        pytest.param("node1.example.org", ["node1"], "node1", id="full here, short there"),
        pytest.param("node1", ["node1.example.org"], "node1.example.org", id="short here, full there"),
        pytest.param("node1.a.org", ["node1.b.org"], "", id="another domain is another host"),
        pytest.param("node1", ["node11", "node", "xnode1"], "", id="a longer or shorter name"),
        pytest.param("node1", ["node1", "node1.a.org"], "node1", id="exactly before short"),
        pytest.param("node1.a.org", ["node1", "node1.b.org"], "node1", id="short before a foreign full"),
        pytest.param("node1", ["node1.a.org", "NODE1.A.ORG"], "NODE1.A.ORG", id="one name in two cases"),
        pytest.param("node1", [], "", id="an empty table"),
        pytest.param("node1", [""], "", id="rows of nobody"),
    ],
)
def test_node_names_match_exactly_or_by_their_short_form(node: str, names: list[str], found: str) -> None:
    assert match_node(node, names) == found


def test_a_short_name_that_two_hosts_have_is_refused_with_both() -> None:
    with pytest.raises(ConfigError) as refused:
        match_node("node1", ["node1.a.org", "node1.b.org"])
    assert "'node1.a.org' and 'node1.b.org'" in str(refused.value)


def test_an_ambiguous_name_with_escape_sequences_is_shown_without_them() -> None:
    with pytest.raises(ConfigError) as refused:
        match_node("node1", ["node1.\x1b[2J", "node1.b"])
    assert str(refused.value).isprintable()


def test_rows_of_other_nodes_are_nothing_to_us() -> None:
    found = read(row(1), row(2, attached_node_name="node1.other"), row(3, attached_node_name=None))
    assert [link.row_id for link in found.links] == [1]


def test_rows_of_nobody_are_not_ours_when_we_have_none() -> None:
    found = read(row(1, attached_node_name=None), row(2, attached_node_name=""))
    assert (found.links, found.invalid, found.flags) == ((), (), ())


@pytest.mark.parametrize(
    ("value", "success"),
    [(0, False), (1, True), (None, None), ("0", False), ("1", True), (b"\0", False), (b"\1", True)],
)
def test_the_flag_of_a_row_is_read_in_every_usual_form(value: object, success: bool | None) -> None:
    (flag,) = read(row(netplan_success=value)).flags
    assert flag.success is success


def test_where_the_database_answered_is_part_of_what_is_desired() -> None:
    assert desired("node1", answer(), ignore_deleted_at=False, database="10.0.0.1").database_address == (
        ip_address("10.0.0.1")
    )
