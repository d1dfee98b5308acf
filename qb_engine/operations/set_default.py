"""ALTER COLUMN SET DEFAULT"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from qb_engine.operations.on_table import TableOperation, commands
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    normalise,
    operation,
)
from qb_engine.sql import ident
from qb_engine.sql.tree import expression, expression_of


@operation
class SetDefault(TableOperation):
    """Give a column a default, an SQL expression, for rows to come.

    >>> SetDefault("users", "created_at", "now()").write()
    'ALTER TABLE users ALTER COLUMN created_at SET DEFAULT now()'
    """

    column: str
    default: str

    def __post_init__(self) -> None:
        normalise(self, "default", expression)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "ColumnDefault"):
            if command.HasField("def"):
                default = expression_of(getattr(command, "def"))
                yield cls(column=command.name, default=default, **at)

    def write(self) -> str:
        return f"{self.alter} ALTER COLUMN {ident(self.column)} SET DEFAULT {self.default}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        return default_before(self, schema)

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        yield self.column_as_is(schema, self.column)


def default_before(changed: TableOperation, schema: Schema) -> Inverse | Irreversible:
    """The way back to the default that a column had: another one, or none."""
    from qb_engine.operations.drop_default import DropDefault

    column: str = changed.column  # type: ignore[attr-defined]
    table = changed.before(schema)
    found = table.columns.get(column) if table else None
    at = {"only": changed.only, **changed.place()}
    if found is None or found.default is None:
        return Inverse((DropDefault(changed.table, column, **at),))
    return Inverse((SetDefault(changed.table, column, found.default, **at),))
