"""ALTER TYPE ADD VALUE"""

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
from qb_engine.operations.safely import Safely, Seen, Step
from qb_engine.sql import literal, qualified
from qb_engine.sql.tree import pb, relation


@operation
class AddEnumValue(Operation):
    """Add a value to an enum type, at the end or beside a neighbour.

    >>> AddEnumValue("mood", "fine", before="happy").write()
    "ALTER TYPE mood ADD VALUE 'fine' BEFORE 'happy'"
    """

    name: str
    value: str
    schema: str | None = field(default=None, kw_only=True)
    before: str | None = field(default=None, kw_only=True)
    after: str | None = field(default=None, kw_only=True)
    if_not_exists: bool = field(default=False, kw_only=True)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if not isinstance(node, pb.AlterEnumStmt) or node.old_val:
            return
        schema, name = relation(node.type_name)
        beside = {"after" if node.new_val_is_after else "before": node.new_val_neighbor}
        yield cls(
            name,
            node.new_val,
            schema=schema,
            if_not_exists=node.skip_if_new_val_exists,
            **(beside if node.new_val_neighbor else {}),
        )

    def write(self) -> str:
        clause = "IF NOT EXISTS " if self.if_not_exists else ""
        text = f"ALTER TYPE {qualified(self.schema, self.name)} ADD VALUE {clause}"
        text += literal(self.value)
        if self.before is not None:
            return f"{text} BEFORE {literal(self.before)}"
        return f"{text} AFTER {literal(self.after)}" if self.after is not None else text

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        return Irreversible("PostgreSQL cannot remove a value from an enum type")

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return ()

    def safely(self, schema: Schema, seen: Seen) -> Safely | None:
        if seen.alone or not seen.failed:
            return None
        return Safely(expand=(Step(self, "a new value can be used once it is there", apart=True),))
