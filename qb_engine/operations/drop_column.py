"""DROP COLUMN"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations import rebuild
from qb_engine.operations.on_table import TableOperation, commands
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    operation,
)
from qb_engine.sql import ident
from qb_engine.sql.tree import pb


@operation
class DropColumn(TableOperation):
    """Drop a column, and with it its values, indexes and constraints.

    >>> DropColumn("users", "email").write()
    'ALTER TABLE users DROP COLUMN email'
    """

    column: str
    cascade: bool = field(default=False, kw_only=True)
    if_column_exists: bool = field(default=False, kw_only=True)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "DropColumn"):
            yield cls(
                column=command.name,
                cascade=command.behavior == pb.DROP_CASCADE,
                if_column_exists=command.missing_ok,
                **at,
            )

    def write(self) -> str:
        clause = "IF EXISTS " if self.if_column_exists else ""
        cascade = " CASCADE" if self.cascade else ""
        return f"{self.alter} DROP COLUMN {clause}{ident(self.column)}{cascade}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        table = self.before(schema)
        found = table.columns.get(self.column) if table else None
        if table is None or found is None:
            if self.if_column_exists or self.if_exists:
                return Inverse(())
            return Irreversible(f"what {self.table}.{self.column} was like is not known")
        if self.cascade:
            return Irreversible(
                f"CASCADE drops what depends on {self.table}.{self.column}, whatever that is"
            )
        if not found.nullable and found.default is None and not (found.identity or found.generated):
            return Irreversible(
                f"the values of {self.table}.{self.column} are gone, and it can hold neither NULL "
                "nor a default in their place"
            )
        steps = rebuild.column(schema, table, self.column)
        if isinstance(steps, Irreversible):
            return steps
        return Inverse(
            steps,
            loses=f"the values of {self.table}.{self.column}, and its place among the columns",
        )

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        if not self.if_column_exists:
            yield self.column_as_is(schema, self.column, strict=True)
