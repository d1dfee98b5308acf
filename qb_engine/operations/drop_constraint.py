"""DROP CONSTRAINT"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations import rebuild
from qb_engine.operations.on_table import TableOperation, commands
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    operation,
)
from qb_engine.sql import ident
from qb_engine.sql.tree import pb


@operation
class DropConstraint(TableOperation):
    """Drop a constraint by its name.

    >>> DropConstraint("users", "users_age_check").write()
    'ALTER TABLE users DROP CONSTRAINT users_age_check'
    """

    name: str
    cascade: bool = field(default=False, kw_only=True)
    if_constraint_exists: bool = field(default=False, kw_only=True)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "DropConstraint"):
            yield cls(
                name=command.name,
                cascade=command.behavior == pb.DROP_CASCADE,
                if_constraint_exists=command.missing_ok,
                **at,
            )

    def write(self) -> str:
        clause = "IF EXISTS " if self.if_constraint_exists else ""
        cascade = " CASCADE" if self.cascade else ""
        return f"{self.alter} DROP CONSTRAINT {clause}{ident(self.name)}{cascade}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        table = self.before(schema)
        found = table.constraints.get(self.name) if table else None
        if table is None or found is None:
            if self.if_constraint_exists or self.if_exists:
                return Inverse(())
            return Irreversible(f"what the constraint {self.name} was like is not known")
        if self.cascade:
            return Irreversible(f"CASCADE drops what depends on {self.name}, whatever that is")
        return Inverse(tuple(rebuild.constraint(table, found)))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        table = self.before(schema)
        found = table.constraints.get(self.name) if table else None
        for column in found.columns if found else ():
            yield self.column_as_is(schema, column)
