"""CREATE TYPE AS ENUM"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations.drop_type import DropType
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    names,
    normalise,
    operation,
)
from qb_engine.sql import literal, qualified
from qb_engine.sql.tree import pb, relation, strings


@operation
class CreateEnum(Operation):
    """Make an enum type with its values in order.

    >>> CreateEnum("mood", ["sad", "ok", "happy"]).write()
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')"
    """

    name: str
    values: tuple[str, ...]
    schema: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        normalise(self, "values", names)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.CreateEnumStmt):
            schema, name = relation(node.type_name)
            yield cls(name, strings(node.vals), schema=schema)

    def write(self) -> str:
        values = ", ".join(literal(v) for v in self.values)
        return f"CREATE TYPE {qualified(self.schema, self.name)} AS ENUM ({values})"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        return Inverse((DropType(self.name, schema=self.schema),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return ()
