"""Rows into values: everything is parsed here, once, and a row that cannot be is a value too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

from multinic.errors import ConfigError, SourceRejected
from multinic.model import (
    MTU_MAX,
    MTU_MIN,
    Desired,
    DesiredLink,
    InvalidRow,
    IPAddress,
    IPInterface,
    IPNetwork,
    Mac,
    RowFlag,
)
from multinic.source.database import Answer
from multinic.text import shown

Row = Mapping[str, Any]

# What the controller writes into `status` of a row that is on its way out; every other word is desired.
NOT_DESIRED = frozenset({"deleted", "deleting", "inactive"})
ADDRESSES_MAX = 64  # per interface; far above any port of Neutron, far below what netlink minds
TEXT_MAX = 4096  # characters of a column: 64 addresses of IPv6 fit
ROWS_MAX = 1000  # that are desired of one node; as many as max_interfaces can be

_PORT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


class _Bad(ValueError):
    """One column of a row cannot be carried out."""

    def __init__(self, column: str, value: object, problem: str, reason: str = "bad-value") -> None:
        super().__init__(problem)
        self.column, self.value, self.problem, self.reason = column, value, problem, reason


def desired(node: str, answer: Answer, *, ignore_deleted_at: bool, database: str) -> Desired:
    """Return the desired state of `node` from what the database answered.

    `database` is the address that answered, "" for none. Raises ConfigError when two nodes of
    the table could be meant, SourceRejected when there are absurdly many rows.
    """
    marker = answer.columns.index("_subnet")
    of_row, of_subnet = answer.columns[:marker], answer.columns[marker + 1 :]
    found = [
        (dict(zip(of_row, row[:marker], strict=True)), dict(zip(of_subnet, row[marker + 1 :], strict=True)))
        for row in answer.rows
    ]
    name = match_node(node, [_text(row.get("attached_node_name")) for row, _ in found])
    read = [
        (row, subnet)
        for row, subnet in found
        if name and _text(row.get("attached_node_name")).casefold() == name.casefold()
    ]
    mine = [(row, subnet) for row, subnet in read if _is_desired(row, ignore_deleted_at=ignore_deleted_at)]
    if len(mine) > ROWS_MAX:
        raise SourceRejected(
            f"the database has {len(mine)} rows for node {shown(name)}; more than {ROWS_MAX} cannot be meant",
            "look at what writes them",
        )
    checked = _without_duplicates([parse(row, subnet) for row, subnet in mine])
    return Desired(
        node=name or node,
        links=tuple(link for link in checked if isinstance(link, DesiredLink)),
        invalid=tuple(row for row in checked if isinstance(row, InvalidRow)),
        flags=tuple(
            RowFlag(row["id"], _flag(row["netplan_success"])) for row, _ in mine if isinstance(row["id"], int)
        ),
        rows_read=len(read),
        database_address=ip_address(database) if database else None,
    )


def match_node(node: str, names: Sequence[str]) -> str:
    """Return which of the table's node names is this node; "" when none is.

    Exactly first, else by short name where one side is short: two full names of different
    domains are two hosts. Raises ConfigError when several could be meant.
    """
    by_folded = {name.casefold(): name for name in names}
    if (exact := by_folded.get(node.casefold())) is not None:
        return exact
    short, _, domain = node.casefold().partition(".")
    candidates = [
        by_folded[folded]
        for folded in sorted(by_folded)
        if folded == short or (not domain and folded.partition(".")[0] == short)
    ]
    if len(candidates) > 1:
        raise ConfigError(
            f"node name {node!r} is ambiguous: the database has rows of "
            + " and ".join(shown(candidate) for candidate in candidates),
            "set `node` in /etc/multinic/multinic.toml (or --node) to the full name",
        )
    return candidates[0] if candidates else ""


def _is_desired(row: Row, *, ignore_deleted_at: bool) -> bool:
    deleted_at = _text(row.get("deleted_at"))
    # MySQL's zero date means "never"; PyMySQL hands it over as text.
    deleted = bool(deleted_at) and not deleted_at.startswith("0000-00-00")
    if deleted and not ignore_deleted_at:
        return False
    return _text(row.get("status")).strip().lower() not in NOT_DESIRED


def parse(row: Row, subnet: Row) -> DesiredLink | InvalidRow:
    """Return what a row asks for, or why it cannot be had."""
    try:
        mac = _mac(row["macaddress"])
    except _Bad as e:
        return _invalid(row, None, e)
    try:
        addresses = _addresses(row.get("address"), subnet.get("cidr"))
        mtu = _mtu(row.get("mtu"))
        if mtu is not None and mtu < 1280 and any(address.version == 6 for address in addresses):
            raise _Bad("mtu", row.get("mtu"), "is below 1280, the least that IPv6 works with (RFC 8200)")
        return DesiredLink(mac, _port_id(row["port_id"]), _row_id(row["id"]), addresses, mtu)
    except _Bad as e:
        return _invalid(row, mac, e)


def _invalid(row: Row, mac: Mac | None, problem: _Bad) -> InvalidRow:
    row_id = row["id"] if isinstance(row["id"], int) else None
    port_id = _text(row["port_id"])
    return InvalidRow(
        row_id=row_id,
        mac=mac,
        mac_text=str(mac) if mac else shown(row["macaddress"]),
        port_id=port_id if _PORT_ID.fullmatch(port_id) else "",
        reason=problem.reason,
        message=f"row {shown(row['id'])}: {problem.column} {shown(problem.value)} {problem.problem}",
    )


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def _word(column: str, value: Any) -> str:
    """Return what a column holds as text, without the blanks around it; nothing looks into an endless one."""
    text = _text(value)
    if len(text) > TEXT_MAX:
        raise _Bad(column, value, f"is longer than {TEXT_MAX} characters")
    return text.strip()


def _flag(value: Any) -> bool | None:
    if value is None or isinstance(value, int | float):
        return None if value is None else bool(value)
    return _text(value).strip("\0 ") not in ("", "0")  # a BIT column gives bytes, a careless one text


def _row_id(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _Bad("id", value, "is not a number that counts up")
    return value


def _port_id(value: Any) -> str:
    text = _word("port_id", value)
    if not _PORT_ID.fullmatch(text):
        raise _Bad("port_id", value, "is not an identifier of 1 to 64 letters, digits and ._:-")
    return text


def _mac(value: Any) -> Mac:
    try:
        return Mac(_word("macaddress", value))
    except _Bad:
        raise
    except ValueError as e:
        raise _Bad("macaddress", value, f"is {e}") from None


def _mtu(value: Any) -> int | None:
    text = _word("mtu", value)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", text):
        raise _Bad("mtu", value, "is not a whole number")
    mtu = int(text.partition(".")[0])
    if not MTU_MIN <= mtu <= MTU_MAX:
        raise _Bad("mtu", value, f"is outside {MTU_MIN}..{MTU_MAX}")
    return mtu


def _addresses(value: Any, cidr: Any) -> tuple[IPInterface, ...]:
    words = re.split(r"[\s,;]+", _word("address", value))
    words = [word for word in words if word]
    if not words:
        return ()
    if len(words) > ADDRESSES_MAX:
        raise _Bad("address", value, f"has more than {ADDRESSES_MAX} addresses")
    network = _cidr(cidr)
    found: list[IPInterface] = []
    for word in words:
        address = _address(word, network)
        if address not in found:
            found.append(address)
    return tuple(found)


def _cidr(value: Any) -> IPNetwork | None:
    text = _word("multi_subnet.cidr", value)
    if not text:
        return None
    try:
        if "%" in text:
            raise ValueError("a zone is no part of a network")
        return ip_network(text, strict=False)  # host bits are tolerated: 10.0.0.1/24 means 10.0.0.0/24
    except ValueError:
        raise _Bad("multi_subnet.cidr", value, "is not a network like 10.0.0.0/24", "bad-cidr") from None


def _address(word: str, network: IPNetwork | None) -> IPInterface:
    if "%" in word:  # Python takes any text for a zone, also one that a shell would run
        raise _Bad("address", word, "has a zone; leave out the % part")
    try:
        if "/" in word:
            address = ip_interface(word)
            if not word.partition("/")[2].isdecimal():
                raise ValueError("a netmask is not a prefix length")
            plain: IPAddress = address.ip
        else:
            plain = ip_address(word)
    except ValueError:
        raise _Bad("address", word, "is not an IP address") from None
    if "/" not in word:
        if network is None or network.version != plain.version:
            raise _Bad("address", word, "has no prefix length, and the subnet's cidr gives none")
        address = ip_interface(f"{plain}/{network.prefixlen}")
    if network is not None and network.version == plain.version and plain not in network:
        raise _Bad("address", word, f"is outside the subnet's cidr {network}", "address-outside-cidr")
    _usable(word, plain, address.network)
    return address


def _usable(word: str, plain: IPAddress, network: IPNetwork) -> None:
    """Raise _Bad for an address that no link can have."""
    wrong = {
        "is a multicast address": plain.is_multicast,
        "is the unspecified address": plain.is_unspecified,
        "is a loopback address": plain.is_loopback,
        "is a reserved address": plain.version == 4 and plain.is_reserved,
        # RFC 3021: with /31 and /32 every address is a host's.
        "is the broadcast address of its subnet": network.version == 4
        and network.prefixlen < 31
        and plain == network.broadcast_address,
        "is the network address of its subnet": network.version == 4
        and network.prefixlen < 31
        and plain == network.network_address,
        "has prefix length 0": network.prefixlen == 0,
    }
    for problem, found in wrong.items():
        if found:
            raise _Bad("address", word, problem, "unusable-address")


def _without_duplicates(parsed: Sequence[DesiredLink | InvalidRow]) -> list[DesiredLink | InvalidRow]:
    """Replace every row that shares its MAC or an address with another row of the node.

    Which of them is right cannot be known here, so none is carried out, and what is configured stays.
    """
    by_mac: dict[Mac, list[DesiredLink | InvalidRow]] = {}
    by_address: dict[IPAddress, list[DesiredLink | InvalidRow]] = {}
    for row in parsed:
        if row.mac is not None:
            by_mac.setdefault(row.mac, []).append(row)
        for address in row.addresses if isinstance(row, DesiredLink) else ():
            by_address.setdefault(address.ip, []).append(row)
    checked: list[DesiredLink | InvalidRow] = []
    for row in parsed:
        if row.mac is not None and len(same := by_mac[row.mac]) > 1:
            checked.append(_duplicate(row, "duplicate-mac", "macaddress", str(row.mac), _others(row, same)))
            continue
        addresses = row.addresses if isinstance(row, DesiredLink) else ()
        twice = next((address.ip for address in addresses if len(by_address[address.ip]) > 1), None)
        if twice is not None:
            others = _others(row, by_address[twice])
            checked.append(_duplicate(row, "duplicate-address", "address", str(twice), others))
            continue
        checked.append(row)
    return checked


def _others(row: DesiredLink | InvalidRow, sharing: Sequence[DesiredLink | InvalidRow]) -> str:
    ids = [str(other.row_id) for other in sharing if other is not row]
    if not ids:
        return "in this row twice"
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"also in row{'s' if len(ids) > 1 else ''} {', '.join(ids[:5])}{more}"


def _duplicate(
    row: DesiredLink | InvalidRow, reason: str, column: str, value: str, others: str
) -> InvalidRow:
    return InvalidRow(
        row_id=row.row_id,
        mac=row.mac,
        mac_text=str(row.mac),
        port_id=row.port_id,
        reason=reason,
        message=f"row {row.row_id}: {column} {value!r} is {others}; correct the database",
    )
