"""VALIDATE CONSTRAINT"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from qb_engine.operations.safely import Safely, Seen, Step, place
from qb_engine.sql import ident


@operation
class ValidateConstraint(TableOperation):
    """Prove that a NOT VALID constraint holds for the rows that are there.

    >>> ValidateConstraint("users", "users_age_check").write()
    'ALTER TABLE users VALIDATE CONSTRAINT users_age_check'
    """

    name: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "ValidateConstraint"):
            yield cls(name=command.name, **at)

    def write(self) -> str:
        return f"{self.alter} VALIDATE CONSTRAINT {ident(self.name)}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        from qb_engine.operations.drop_constraint import DropConstraint

        table = self.before(schema)
        found = table.constraints.get(self.name) if table else None
        if table is None or found is None:
            return Irreversible(f"what the constraint {self.name} was like is not known")
        if found.valid:
            return Inverse(())
        if found.inherited:
            return Irreversible(f"the constraint {self.name} is that of a table above")
        drop = DropConstraint(self.table, self.name, only=self.only, **self.place())
        return Inverse((drop, *rebuild.constraint(table, found)))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        table = self.before(schema)
        found = table.constraints.get(self.name) if table else None
        for column in found.columns if found else ():
            yield self.column_as_is(schema, column)

    def safely(self, schema: Schema, seen: Seen) -> Safely | None:
        if seen.alone or place(self.schema, self.table) not in seen.scans:
            return None
        why = "read the rows in a transaction of its own, where no other lock is held meanwhile"
        return Safely(contract=(Step(self, why, apart=True),))
