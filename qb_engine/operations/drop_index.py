"""DROP INDEX"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from qb_engine.operations import rebuild
from qb_engine.operations.on_object import DropOperation
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    operation,
)
from qb_engine.operations.safely import Safely, Seen, Step, Uncovered


@operation
class DropIndex(DropOperation):
    """Drop an index; `concurrently` waits for its users instead of blocking them.

    >>> DropIndex("users_email_idx", concurrently=True).write()
    'DROP INDEX CONCURRENTLY users_email_idx'
    """

    KIND = "INDEX"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        found = rebuild.index(schema, self.name, self.schema)
        if found is None:
            if self.if_exists:
                return Inverse(())
            return Irreversible(f"what the index {self.name} was like is not known")
        if self.cascade:
            return Irreversible(f"CASCADE drops what depends on {self.name}, whatever that is")
        table, index = found
        steps = rebuild.index_steps(schema, table, index, concurrently=self.concurrently)
        return Inverse(steps)

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        found = rebuild.index(schema, self.name, self.schema)
        if found is not None and not self.if_exists:
            table, index = found
            space = None if table.schema == "public" else table.schema
            yield Requirement(table.name, space)
            yield Requirement(table.name, space, index=index.name)

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        found = rebuild.index(schema, self.name, self.schema)
        if self.concurrently or found is None or not seen.big(found[0].qualified):
            return None
        if found[1].constraint is not None:
            return None  # the server refuses it
        if found[0].kind == "partitioned" or self.cascade:
            what = "CASCADE" if self.cascade else "an index of a partitioned table"
            return Uncovered(
                f"{self.name} cannot be dropped concurrently: PostgreSQL does not allow it for "
                f"{what}",
                "it only waits for a lock; qb's lock_timeout keeps the queue short",
            )
        why = "drop the index without a lock that keeps writers waiting"
        return Safely(contract=(Step(replace(self, concurrently=True), why),))
