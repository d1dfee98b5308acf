"""every statement without an operation of its own"""

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
    operation,
)
from qb_engine.sql import deparse, read_one

# what leaves the schema and the rows as they are, so that there is nothing to undo
HARMLESS = (
    "variable_set", "variable_show", "vacuum", "reindex", "refresh_mat_view", "lock",
    "check_point", "discard", "listen", "unlisten", "notify", "explain", "cluster", "load",
)  # fmt: skip

REASONS = {
    "insert": "the rows that an INSERT made are not remembered",
    "update": "an UPDATE overwrites values, and the old ones are not kept",
    "delete": "a DELETE removes rows, and they are not kept",
    "merge": "a MERGE changes rows, and the old ones are not kept",
    "truncate": "a TRUNCATE removes rows, and they are not kept",
    "do": "what a DO block did cannot be read from it",
    "select": "what the functions in a SELECT did cannot be read from it",
    "call": "what a procedure did cannot be read from its CALL",
}


@operation
class Generic(Operation):
    """Any statement; its way back is not known.

    >>> Generic("GRANT SELECT ON users TO reader").write()
    'GRANT SELECT ON users TO reader'
    """

    sql: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        yield cls(deparse(node))

    def write(self) -> str:
        return self.sql

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        statement = read_one(self.sql)
        if statement.kind in HARMLESS:
            return Inverse(())
        return Irreversible(
            REASONS.get(statement.kind, f"qb knows no way back from {statement.first_line}")
        )

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return relied_on(schema, read_one(self.sql).node)
