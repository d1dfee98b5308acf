"""ALTER COLUMN DROP DEFAULT"""

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
from qb_engine.operations.set_default import default_before
from qb_engine.sql import ident


@operation
class DropDefault(TableOperation):
    """Take a column's default away.

    >>> DropDefault("users", "created_at").write()
    'ALTER TABLE users ALTER COLUMN created_at DROP DEFAULT'
    """

    column: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "ColumnDefault"):
            if not command.HasField("def"):
                yield cls(column=command.name, **at)

    def write(self) -> str:
        return f"{self.alter} ALTER COLUMN {ident(self.column)} DROP DEFAULT"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        table = self.before(schema)
        found = table.columns.get(self.column) if table else None
        if found is not None and found.default is None:
            return Inverse(())
        return default_before(self, schema)

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        yield self.column_as_is(schema, self.column)
