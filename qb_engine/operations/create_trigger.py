"""CREATE TRIGGER"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from qb_engine.operations.drop_trigger import DropTrigger
from qb_engine.operations.mentions import as_is, columns_below
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
from qb_engine.sql.tree import parse, pb, printed, relation, strings


@operation
class CreateTrigger(Operation):
    """Make or replace a trigger, given as SQL.

    >>> CreateTrigger("create trigger t after insert on users execute function f()").write()
    'CREATE TRIGGER t AFTER INSERT ON users EXECUTE FUNCTION f()'
    """

    sql: str

    def __post_init__(self) -> None:
        normalise(self, "sql", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.CreateTrigStmt):
            yield cls(deparse(node))

    def write(self) -> str:
        return self.sql

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        node = parse(self.sql)
        space, table = relation(node.relation)
        drop = DropTrigger(table, node.trigname, schema=space)
        found = schema.table(table, space or "public") if node.replace else None
        before = found.triggers.get(node.trigname) if found else None
        return Inverse((drop,) if before is None else (drop, before.definition))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        node = parse(self.sql)
        space, table = relation(node.relation)
        yield Requirement(table, space)
        watched = strings(node.columns)
        compared = columns_below(node.when_clause) if node.HasField("when_clause") else ()
        for column in dict.fromkeys((*watched, *compared)):
            yield as_is(schema, table, space, column)
