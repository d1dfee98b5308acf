"""RENAME CONSTRAINT"""

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
class RenameConstraint(TableOperation):
    """Give a constraint of a table another name.

    >>> RenameConstraint("users", "age_check", "grown").write()
    'ALTER TABLE users RENAME CONSTRAINT age_check TO grown'
    """

    name: str
    to: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at in renamed(node, "OBJECT_TABCONSTRAINT"):
            yield cls(name=node.subname, to=node.newname, **at)

    def write(self) -> str:
        return f"{self.alter} RENAME CONSTRAINT {ident(self.name)} TO {ident(self.to)}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        back = RenameConstraint(self.table, self.to, self.name, only=self.only, **self.place())
        return Inverse((back,))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
