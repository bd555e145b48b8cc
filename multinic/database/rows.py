"""Rows into values: everything is parsed here, once, and a row that cannot be is a value too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from multinic.database import columns
from multinic.database.columns import BadColumn, as_flag, as_text
from multinic.database.merge import with_options
from multinic.database.statement import Answer
from multinic.database.subnets import is_desired, with_one_subnet
from multinic.decide.contradictions import between
from multinic.values.addresses import IPAddress, Mac
from multinic.values.desired import Desired, DesiredLink, InvalidRow, RowElsewhere, RowFlag
from multinic.values.errors import ConfigError, SourceRejected
from multinic.values.text import shown

Row = Mapping[str, Any]

DESIRED_MAX = 1000  # rows that are desired of one node; as many as max_interfaces can be


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
    name = match_node(node, [as_text(row.get("attached_node_name")) for row, _ in found])
    of_node = [
        (row, subnet)
        for row, subnet in found
        if name and as_text(row.get("attached_node_name")).casefold() == name.casefold()
    ]
    read = with_one_subnet(of_node)
    mine = [found for found in read if is_desired(found[0], ignore_deleted_at=ignore_deleted_at)]
    if len(mine) > DESIRED_MAX:
        raise SourceRejected(
            f"the database has {len(mine)} rows for node {shown(name)}; "
            f"more than {DESIRED_MAX} cannot be meant",
            "look at what writes them",
        )
    checked = _without_conflicts(_without_duplicates([parse(*found) for found in mine]))
    return Desired(
        node=name or node,
        links=tuple(link for link in checked if isinstance(link, DesiredLink)),
        invalid=tuple(row for row in checked if isinstance(row, InvalidRow)),
        flags=tuple(
            RowFlag(row["id"], as_flag(row["netplan_success"]))
            for row, _, _ in mine
            if isinstance(row["id"], int)
        ),
        rows_read=len(read),
        elsewhere=tuple(
            _elsewhere(row)
            for row, _ in found
            if _is_other_spelling(as_text(row.get("attached_node_name")), name or node)
            and is_desired(row, ignore_deleted_at=ignore_deleted_at)
        ),
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
        spelled = " and ".join(shown(candidate) for candidate in candidates)
        raise ConfigError(
            f"node name {node!r} is ambiguous: the database has rows of {spelled}",
            "set `node` in /etc/multinic/multinic.toml (or --node) to the full name",
        )
    return candidates[0] if candidates else ""


def _is_other_spelling(name: str, node: str) -> bool:
    """Return whether two different names may be of one node: the short name of both, one without a domain."""
    (short, _, domain), (other, _, other_domain) = (text.casefold().partition(".") for text in (name, node))
    return short == other and bool(domain) is not bool(other_domain)


def _elsewhere(row: Row) -> RowElsewhere:
    parsed = parse(row, {})
    return RowElsewhere(parsed.row_id, as_text(row.get("attached_node_name")), parsed.mac, parsed.port_id)


def parse(row: Row, subnet: Row, problem: BadColumn | None = None) -> DesiredLink | InvalidRow:
    """Return what a row asks for, or why it cannot be had; `problem`: why its subnet is not certain."""
    try:
        mac = columns.mac(row["macaddress"])
    except BadColumn as e:
        return _invalid(row, None, e)
    if problem:
        return _invalid(row, mac, problem)
    try:
        addresses = columns.addresses(row.get("address"), subnet.get("cidr"))
        mtu = columns.mtu(row.get("mtu"))
        if mtu is not None and mtu < 1280 and any(address.version == 6 for address in addresses):
            raise BadColumn("mtu", row.get("mtu"), "is below 1280, the least that IPv6 works with (RFC 8200)")
        link = DesiredLink(mac, columns.port_id(row["port_id"]), columns.row_id(row["id"]), addresses, mtu)
        return with_options(link, row, subnet)
    except BadColumn as e:
        return _invalid(row, mac, e)


def _invalid(row: Row, mac: Mac | None, problem: BadColumn) -> InvalidRow:
    row_id = row["id"] if isinstance(row["id"], int) else None
    port_id = as_text(row["port_id"])
    return InvalidRow(
        row_id=row_id,
        mac=mac,
        mac_text=str(mac) if mac else shown(row["macaddress"]),
        port_id=port_id if columns.PORT_ID.fullmatch(port_id) else "",
        reason=problem.reason,
        message=f"row {shown(row['id'])}: {problem.column} {problem.seen} {problem.problem}",
    )


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


def _without_conflicts(parsed: Sequence[DesiredLink | InvalidRow]) -> list[DesiredLink | InvalidRow]:
    """Replace every row whose options want what another row of the node wants too."""
    wrong = between([row for row in parsed if isinstance(row, DesiredLink)])
    return [
        InvalidRow(
            row_id=row.row_id,
            mac=row.mac,
            mac_text=str(row.mac),
            port_id=row.port_id,
            reason="bad-options",
            message=f"row {row.row_id}: options.{wrong[row.mac]}",
        )
        if isinstance(row, DesiredLink) and row.mac in wrong
        else row
        for row in parsed
    ]
