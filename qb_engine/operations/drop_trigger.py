"""DROP TRIGGER"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    operation,
)
from qb_engine.sql import ident, qualified
from qb_engine.sql.tree import only, pb, strings


@operation
class DropTrigger(Operation):
    """Drop a trigger of a table.

    >>> DropTrigger("users", "touched").write()
    'DROP TRIGGER touched ON users'
    """

    table: str
    name: str
    schema: str | None = field(default=None, kw_only=True)
    if_exists: bool = field(default=False, kw_only=True)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.DropStmt) and node.remove_type == pb.OBJECT_TRIGGER:
            for each in node.objects:
                *space, table, name = strings(only(each).items)
                at = space[-1] if space else None
                yield cls(table, name, schema=at, if_exists=node.missing_ok)

    def write(self) -> str:
        clause = "IF EXISTS " if self.if_exists else ""
        table = qualified(self.schema, self.table)
        return f"DROP TRIGGER {clause}{ident(self.name)} ON {table}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        table = schema.table(self.table, self.schema or "public")
        found = table.triggers.get(self.name) if table else None
        if found is None:
            if self.if_exists:
                return Inverse(())
            return Irreversible(f"what the trigger {self.name} was like is not known")
        if found.enabled != "origin" or found.comment:
            return Irreversible(f"the trigger {self.name} has a state of its own")
        return Inverse((found.definition,))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        if not self.if_exists:
            yield Requirement(self.table, self.schema)
