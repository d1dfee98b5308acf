"""ALTER COLUMN SET NOT NULL"""

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
class SetNotNull(TableOperation):
    """Refuse NULL in a column from now on.

    >>> SetNotNull("users", "email").write()
    'ALTER TABLE users ALTER COLUMN email SET NOT NULL'
    """

    column: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "SetNotNull"):
            yield cls(column=command.name, **at)

    def write(self) -> str:
        return f"{self.alter} ALTER COLUMN {ident(self.column)} SET NOT NULL"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        from qb_engine.operations.drop_not_null import DropNotNull

        table = self.before(schema)
        found = table.columns.get(self.column) if table else None
        if found is not None and not found.nullable:
            return Inverse(())
        return Inverse((DropNotNull(self.table, self.column, only=self.only, **self.place()),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        yield self.column_as_is(schema, self.column, strict=True)
