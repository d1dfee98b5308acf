"""DROP TYPE"""

from __future__ import annotations

from collections.abc import Iterable

from qb_engine.operations import rebuild
from qb_engine.operations.on_object import DropOperation
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    operation,
)


@operation
class DropType(DropOperation):
    """Drop a type.

    >>> DropType("mood").write()
    'DROP TYPE mood'
    """

    KIND = "TYPE"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        if self.cascade:
            return Irreversible(f"CASCADE drops what depends on {self.name}, whatever that is")
        steps = rebuild.enum(schema, self.name, self.schema)
        if steps is None:
            if self.if_exists:
                return Inverse(())
            return Irreversible(f"the type {self.name} is not an enum that the snapshot knows")
        return Inverse(steps)

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return ()
