"""DROP SCHEMA"""

from __future__ import annotations

from collections.abc import Iterable

from qb_engine.operations.on_object import DropOperation
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    operation,
)


@operation
class DropSchema(DropOperation):
    """Drop a schema.

    >>> DropSchema("reporting").write()
    'DROP SCHEMA reporting'
    """

    KIND = "SCHEMA"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        from qb_engine.operations.create_schema import CreateSchema

        if self.cascade:
            return Irreversible(f"CASCADE drops all that is in {self.name}, whatever that is")
        return Inverse((CreateSchema(self.name),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return ()
