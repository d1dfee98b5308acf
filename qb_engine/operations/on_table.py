"""operations that are one command of an ALTER TABLE"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Any

from qb_engine.operations.mentions import as_is, columns_in
from qb_engine.operations.operation import Operation, Requirement, Schema, operation
from qb_engine.schema import Table
from qb_engine.sql import qualified
from qb_engine.sql.tree import only, pb, relation


@operation
class TableOperation(Operation):
    """A command of ALTER TABLE: the table, and how the statement names it."""

    table: str
    schema: str | None = field(default=None, kw_only=True)
    only: bool = field(default=False, kw_only=True)
    if_exists: bool = field(default=False, kw_only=True)

    @property
    def alter(self) -> str:
        """`ALTER TABLE [IF EXISTS] [ONLY] name`."""
        return (
            "ALTER TABLE "
            + ("IF EXISTS " if self.if_exists else "")
            + ("ONLY " if self.only else "")
            + qualified(self.schema, self.table)
        )

    def place(self) -> dict[str, Any]:
        """The keyword arguments with which another operation is on the same table."""
        return {"schema": self.schema}

    def before(self, schema: Schema) -> Table | None:
        """The table before the operation."""
        return schema.table(self.table, self.schema or "public")

    def must_exist(self) -> Iterator[Requirement]:
        """The table itself, unless the statement says IF EXISTS."""
        if not self.if_exists:
            yield Requirement(self.table, self.schema)

    def column_as_is(self, schema: Schema, column: str, *, strict: bool = False) -> Requirement:
        """A column, with the type that it has and the nullability that is relied on."""
        return as_is(schema, self.table, self.schema, column, strict=strict)

    def columns_of(self, schema: Schema, expression: str) -> Iterator[Requirement]:
        """The columns of this table that an expression names."""
        for name in columns_in(expression):
            yield self.column_as_is(schema, name)


def commands(node: Any, subtype: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """The commands of one subtype in an ALTER TABLE, with the arguments that name the table."""
    if not isinstance(node, pb.AlterTableStmt) or node.objtype != pb.OBJECT_TABLE:
        return
    schema, table = relation(node.relation)
    at = {
        "table": table,
        "schema": schema,
        "only": not node.relation.inh,
        "if_exists": node.missing_ok,
    }
    for each in node.cmds:
        command = only(each)
        if command.subtype == getattr(pb, f"AT_{subtype}"):
            yield at, command


def renamed(node: Any, kind: str) -> Iterator[dict[str, Any]]:
    """The arguments that name the table of a RENAME of one kind of thing."""
    if not isinstance(node, pb.RenameStmt) or node.rename_type != getattr(pb, kind):
        return
    if kind == "OBJECT_COLUMN" and node.relation_type != pb.OBJECT_TABLE:
        return
    schema, table = relation(node.relation)
    yield {
        "table": table,
        "schema": schema,
        "only": not node.relation.inh,
        "if_exists": node.missing_ok,
    }
