"""what a statement makes and drops, by name: read from its tree, and of no more than is asked"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from qb_engine.sql.tree import pb

if TYPE_CHECKING:
    from qb_engine.sql import Statement


class Made(NamedTuple):
    """Something with a name, and the table that it goes with when that is dropped."""

    kind: str
    table: str
    name: str

    def __str__(self) -> str:
        of = f"{self.table}." if self.kind == "column" else ""
        return f"{self.kind} {of}{self.name}"


def made(statement: Statement) -> Iterator[Made]:
    """Tables, columns, types and indexes that a statement makes."""
    node = statement.node
    if isinstance(node, pb.CreateStmt):
        yield Made("table", node.relation.relname, node.relation.relname)
    elif isinstance(node, pb.CreateEnumStmt):
        yield Made("type", "", node.type_name[-1].string.sval)
    elif isinstance(node, pb.IndexStmt) and node.idxname:
        yield Made("index", node.relation.relname, node.idxname)
    else:
        for table, column in columns(statement, pb.AlterTableType.AT_AddColumn):
            yield Made("column", table, column)


def columns(statement: Statement, what: int) -> Iterator[tuple[str, str]]:
    """The columns that ALTER TABLE adds or drops (AT_AddColumn, AT_DropColumn), with the table."""
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt):
        return
    for each in node.cmds:
        command = each.alter_table_cmd
        if command.subtype == what:
            added = getattr(command, "def").column_def.colname
            yield node.relation.relname, added or command.name
