"""ALTER COLUMN SET NOT NULL"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from qb_engine.operations import chosen
from qb_engine.operations.on_table import TableOperation, commands
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    operation,
)
from qb_engine.operations.safely import Safely, Seen, Step, named, place
from qb_engine.sql import ident, qualified
from qb_engine.sql.tree import element_nodes

NOT_VALID_SINCE = 180000  # the version from which NOT NULL may be NOT VALID


@operation
class SetNotNull(TableOperation):
    """Refuse NULL in a column from now on.

    >>> SetNotNull("users", "email").write()
    'ALTER TABLE users ALTER COLUMN email SET NOT NULL'
    """

    column: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at, command in commands(node, "SetNotNull"):
            yield cls(column=command.name, **at)

    def write(self) -> str:
        return f"{self.alter} ALTER COLUMN {ident(self.column)} SET NOT NULL"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        from qb_engine.operations.drop_not_null import DropNotNull

        table = self.before(schema)
        found = table.columns.get(self.column) if table else None
        if found is not None and not found.nullable:
            return Inverse(())
        return Inverse((DropNotNull(self.table, self.column, only=self.only, **self.place()),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        yield self.column_as_is(schema, self.column, strict=True)

    def safely(self, schema: Schema, seen: Seen) -> Safely | None:
        if place(self.schema, self.table) not in seen.scans:
            return None
        first, *others = not_null(self, self.column, schema, seen.version)
        return Safely(expand=(first,), contract=tuple(others))


def not_null(
    on: TableOperation, column: str, schema: Schema, version: int, *, new: bool = False
) -> tuple[Step, ...]:
    """Refuse NULL in a column without reading the table under a lock that keeps others out.

    From PostgreSQL 18 on NOT NULL itself can be added without a look at the rows. Before, a CHECK
    stands in: what it has proved, SET NOT NULL need not look for again. `new` is for a column that
    its own migration makes, so that taking back means nothing.
    """
    table, shown = qualified(on.schema, on.table), ident(column)
    alter = f"ALTER TABLE {'ONLY ' if on.only else ''}{table}"
    if version >= NOT_VALID_SINCE:
        node = element_nodes(f"CONSTRAINT c NOT NULL {shown}")[0]
        name = chosen.constraint(schema, on.table, on.schema, node)
        return (
            Step(
                f"{alter} ADD CONSTRAINT {ident(name)} NOT NULL {shown} NOT VALID",
                f"new rows must have a value in {column}; those that are there are not read yet",
                down=() if new else (f"{alter} ALTER COLUMN {shown} DROP NOT NULL",),
            ),
            Step(
                f"{alter} VALIDATE CONSTRAINT {ident(name)}",
                "read the rows, while others read and write",
                apart=True,
                down=(),
            ),
        )
    name = named("not_null", on.table, column)
    drop = f"{alter} DROP CONSTRAINT IF EXISTS {ident(name)}"
    return (
        Step(
            f"{alter} ADD CONSTRAINT {ident(name)} CHECK ({shown} IS NOT NULL) NOT VALID",
            f"new rows must have a value in {column}; those that are there are not read yet",
            down=(drop,),
        ),
        Step(
            f"{alter} VALIDATE CONSTRAINT {ident(name)}",
            "read the rows, while others read and write",
            apart=True,
            down=(),
        ),
        Step(
            f"{alter} ALTER COLUMN {shown} SET NOT NULL",
            "the CHECK has proved it: no row is read",
            down=() if new else None,
        ),
        Step(
            f"{alter} DROP CONSTRAINT {ident(name)}",
            "the CHECK has done its work",
            down=(),
        ),
    )
