"""ALTER TYPE RENAME VALUE"""

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
from qb_engine.sql import literal, qualified
from qb_engine.sql.tree import pb, relation


@operation
class RenameEnumValue(Operation):
    """Give a value of an enum type another name.

    >>> RenameEnumValue("mood", "ok", "fine").write()
    "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"
    """

    name: str
    value: str
    to: str
    schema: str | None = field(default=None, kw_only=True)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.AlterEnumStmt) and node.old_val:
            schema, name = relation(node.type_name)
            yield cls(name, node.old_val, node.new_val, schema=schema)

    def write(self) -> str:
        name = qualified(self.schema, self.name)
        return f"ALTER TYPE {name} RENAME VALUE {literal(self.value)} TO {literal(self.to)}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        return Inverse((RenameEnumValue(self.name, self.to, self.value, schema=self.schema),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return ()
