"""RENAME COLUMN"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from qb_engine.operations.on_table import TableOperation, renamed
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    operation,
)
from qb_engine.operations.safely import Seen, Uncovered, place
from qb_engine.sql import ident


@operation
class RenameColumn(TableOperation):
    """Give a column of a table another name.

    >>> RenameColumn("users", "mail", "email").write()
    'ALTER TABLE users RENAME COLUMN mail TO email'
    """

    column: str
    to: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at in renamed(node, "OBJECT_COLUMN"):
            yield cls(column=node.subname, to=node.newname, **at)

    def write(self) -> str:
        return f"{self.alter} RENAME COLUMN {ident(self.column)} TO {ident(self.to)}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        back = RenameColumn(self.table, self.to, self.column, only=self.only, **self.place())
        return Inverse((back,))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        yield self.column_as_is(schema, self.column)
        yield Requirement(self.table, self.schema, self.to, must_exist=False)

    def safely(self, schema: Schema, seen: Seen) -> Uncovered | None:
        if not seen.big(place(self.schema, self.table)):
            return None
        return Uncovered(
            f"{self.column} cannot have two names at once, so old or new application code fails",
            f"add {self.to}, keep the two equal by triggers, move the application, then drop "
            f"{self.column}; or have the application read a view",
        )
