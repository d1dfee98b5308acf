"""DROP SEQUENCE"""

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
class DropSequence(DropOperation):
    """Drop a sequence.

    >>> DropSequence("invoice_numbers").write()
    'DROP SEQUENCE invoice_numbers'
    """

    KIND = "SEQUENCE"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        return Irreversible(f"the position of the sequence {self.name} is gone")

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return ()
