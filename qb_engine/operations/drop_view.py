"""DROP VIEW"""

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
class DropView(DropOperation):
    """Drop a view.

    >>> DropView("active_users").write()
    'DROP VIEW active_users'
    """

    KIND = "VIEW"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        table = schema.table(self.name, self.schema or "public")
        if table is None:
            if self.if_exists:
                return Inverse(())
            return Irreversible(f"what {self.name} was like is not known")
        if self.cascade:
            return Irreversible(f"CASCADE drops what depends on {self.name}, whatever that is")
        steps = rebuild.view(schema, table)
        return steps if isinstance(steps, Irreversible) else Inverse(steps)

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        if not self.if_exists:
            yield Requirement(self.name, self.schema)
