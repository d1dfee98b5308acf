"""CREATE FUNCTION and CREATE PROCEDURE"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from qb_engine.operations.mentions import relied_on
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    normalise,
    operation,
)
from qb_engine.sql import deparse
from qb_engine.sql.tree import drop_of, parse, pb, printed, relation


@operation
class CreateFunction(Operation):
    """Make or replace a function or procedure, given as SQL.

    >>> CreateFunction("create function one() returns int language sql return 1").write()
    'CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1'
    """

    sql: str

    def __post_init__(self) -> None:
        normalise(self, "sql", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.CreateFunctionStmt):
            yield cls(deparse(node))

    def write(self) -> str:
        return self.sql

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        node = parse(self.sql)
        space, name = relation(node.funcname)
        before = [
            payload
            for id, payload in schema.facts.items()
            if id.kind == "function" and (id.schema, id.name) == (space or "public", name)
        ]
        if not node.replace or not before:
            return Inverse((drop_of(self.sql),))
        if len(before) > 1 or "definition" not in before[0]:
            return Irreversible(f"which of the functions {name} is replaced is not known")
        definition = str(before[0]["definition"])
        if len(parse(definition).parameters) != len(node.parameters):
            return Inverse((drop_of(self.sql),))
        return Inverse((definition,))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return relied_on(schema, parse(self.sql))
