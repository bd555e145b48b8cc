"""The one statement of a pass: all rows that may be of one node, on every product and schema alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

# What is deleted may stay in the table, marked as such. An answer that was cut is not looked at: a row that
# is not in it would look like one that was removed.
ROWS_MAX = 10_000

# One statement a pass. `i.*` rather than names: a column that an older database lacks is simply not there,
# and one that is added later is seen at once, without asking for the schema. LIKE, because MySQL's and
# SQLite's `=` differ in case, and a node name has none. The marker column parts the columns of the two
# tables, many of which share their names.
_OF_NAME = "SELECT i.*, NULL AS _node, NULL AS _subnet{columns} FROM multi_interface i{join} WHERE {names}"
# Rows that name their node by its id alone: the first controller's own migration leaves every row so. Two
# statements joined rather than one with OR: each of them uses the index that it needs.
_OF_ID = (
    "SELECT i.*, n.attached_node_name AS _node, NULL AS _subnet{columns} FROM node_table n "
    "JOIN multi_interface i ON {same_node}{join} "
    "WHERE ({names}) AND (i.attached_node_name IS NULL OR i.attached_node_name = '')"
)
_AS_TEXT = "CONVERT({} USING utf8mb4) COLLATE utf8mb4_general_ci"


class Answer(NamedTuple):
    """What the database says of one node, as it came; `columns` has the marker `_subnet` in it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Shape(NamedTuple):
    """What is believed of the tables; what the statement asks follows from it."""

    subnets: bool = True
    """There is a table multi_subnet, and `subnet_id` joins it."""
    nodes: bool = True
    """There is a table node_table that may be read, and `attached_node_id` joins it."""
    case: bool | None = None
    """The collations of node names tell upper from lower case, so they are not used. None: not known yet."""
    collations: bool = False
    """The collations of the tables differ, so that they cannot be joined as they are."""

    def word(self) -> str:
        """Return it as one word for a file."""
        return "".join("?" if belief is None else str(int(belief)) for belief in self)


def shape_of(word: str) -> Shape:
    """Return the shape that `word` stands for. Raises ValueError."""
    if len(word) != len(Shape()):
        raise ValueError(f"not a shape: {word!r}")
    subnets, nodes, case, collations = ({"0": False, "1": True, "?": None}[letter] for letter in word)
    return Shape(bool(subnets), bool(nodes), case, bool(collations))


def select(shape: Shape, mark: str) -> str:
    """Return the statement; its parameters are `parameters` of the node."""
    columns = ", s.*" if shape.subnets else ""
    join = f" LEFT JOIN multi_subnet s ON {of_subnet('i', shape)}" if shape.subnets else ""
    text = _OF_NAME.format(columns=columns, join=join, names=_names("i.attached_node_name", shape, mark))
    if shape.nodes:
        text += "\nUNION ALL\n" + _OF_ID.format(
            columns=columns,
            join=join,
            names=_names("n.attached_node_name", shape, mark),
            same_node=_same("i.attached_node_id", "n.attached_node_id", shape),
        )
    return f"{text}\nLIMIT {ROWS_MAX + 1}"


def page(shape: Shape, mark: str, rows: int, *, first: bool) -> str:
    """Return the statement for some rows of all nodes, by id; its parameter is the id that they follow."""
    columns = ", s.*" if shape.subnets else ""
    join = f" LEFT JOIN multi_subnet s ON {of_subnet('i', shape)}" if shape.subnets else ""
    node = "NULL"
    if shape.nodes:
        node = "n.attached_node_name"
        same = _same("i.attached_node_id", "n.attached_node_id", shape)
        nameless = "(i.attached_node_name IS NULL OR i.attached_node_name = '')"
        join = f" LEFT JOIN node_table n ON {nameless} AND {same}{join}"
    after = "" if first else f" WHERE id > {mark}"
    some = f"SELECT * FROM multi_interface{after} ORDER BY id LIMIT {rows}"  # noqa: S608
    return f"SELECT i.*, {node} AS _node, NULL AS _subnet{columns} FROM ({some}) i{join} ORDER BY i.id"  # noqa: S608


def of_subnet(interface: str, shape: Shape) -> str:
    """Return the condition that a row `s` of multi_subnet is the subnet of a row of multi_interface."""
    return _same("s.subnet_id", f"{interface}.subnet_id", shape)


def collations(shape: Shape) -> str:
    """Return the statement that asks MySQL for the collations of the columns with node names."""
    tables = ["multi_interface", "node_table"] if shape.nodes else ["multi_interface"]
    asked = "(SELECT COLLATION(attached_node_name) FROM {} LIMIT 1)"
    return " UNION ALL ".join(map(asked.format, tables))


def parameters(shape: Shape, node: str) -> tuple[str, ...]:
    """Return the LIKE patterns that find a node's rows: full name, short name, short name with a domain."""
    full, short = (
        name.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        for name in (node, node.partition(".")[0])
    )
    return (full, short, f"{short}.%") * (2 if shape.nodes else 1)


def answer(found: Sequence[str], rows: Iterable[Sequence[Any]]) -> Answer:
    """Return what came, ordered by row id, with the node's name in every row that has only its id."""
    columns = [name.lower() for name in found]
    marker, name = columns.index("_node"), columns.index("attached_node_name")
    put_in_order = sorted(rows, key=lambda row: _order(row[columns.index("id")] if "id" in columns else 0))
    filled = []
    for row in put_in_order:
        values = list(row)
        if (of_node := values.pop(marker)) is not None:
            values[name] = of_node
        filled.append(tuple(values))
    del columns[marker]
    return Answer(tuple(columns), tuple(filled))


def _order(row_id: Any) -> tuple[bool, int, str]:
    return (False, row_id, "") if isinstance(row_id, int) else (True, 0, repr(row_id))


def _names(column: str, shape: Shape, mark: str) -> str:
    text = _AS_TEXT.format(column) if shape.case else column
    return " OR ".join([f"{text} LIKE {mark} ESCAPE '!'"] * 3)


def _same(one: str, other: str, shape: Shape) -> str:
    if shape.collations:
        one, other = _AS_TEXT.format(one), _AS_TEXT.format(other)
    return f"{one} = {other}"
