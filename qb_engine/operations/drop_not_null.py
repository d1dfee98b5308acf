"""ALTER COLUMN DROP NOT NULL"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from qb_engine.operations.on_table import TableOperation, commands
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    operation,
)
from qb_engine.sql import ident


@operation
class DropNotNull(TableOperation):
    """Let a column hold NULL.

    >>> DropNotNull("users", "email").write()
    'ALTER TABLE users ALTER COLUMN email DROP NOT NULL'
    """

    column: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "DropNotNull"):
            yield cls(column=command.name, **at)

    def write(self) -> str:
        return f"{self.alter} ALTER COLUMN {ident(self.column)} DROP NOT NULL"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        from qb_engine.operations.set_not_null import SetNotNull

        table = self.before(schema)
        if (
            table is not None
            and self.column in table.columns
            and table.columns[self.column].nullable
        ):
            return Inverse(())
        return Inverse((SetNotNull(self.table, self.column, only=self.only, **self.place()),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        yield self.column_as_is(schema, self.column, strict=True)
