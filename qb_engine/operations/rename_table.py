"""RENAME TABLE"""

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
from qb_engine.sql import ident


@operation
class RenameTable(TableOperation):
    """Give a table another name.

    >>> RenameTable("users", "people").write()
    'ALTER TABLE users RENAME TO people'
    """

    to: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at in renamed(node, "OBJECT_TABLE"):
            yield cls(to=node.newname, **at)

    def write(self) -> str:
        return f"{self.alter} RENAME TO {ident(self.to)}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        return Inverse((RenameTable(self.to, self.table, only=self.only, **self.place()),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        yield Requirement(self.to, self.schema, must_exist=False)
