"""RENAME TABLE"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from qb_engine.operations.on_table import TableOperation, renamed
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Requirement,
    Schema,
    operation,
)
from qb_engine.operations.safely import Safely, Seen, Step, place
from qb_engine.sql import ident, qualified


@operation
class RenameTable(TableOperation):
    """Give a table another name.

    >>> RenameTable("users", "people").write()
    'ALTER TABLE users RENAME TO people'
    """

    to: str

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for at in renamed(node, "OBJECT_TABLE"):
            yield cls(to=node.newname, **at)

    def write(self) -> str:
        return f"{self.alter} RENAME TO {ident(self.to)}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        return Inverse((RenameTable(self.to, self.table, only=self.only, **self.place()),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield from self.must_exist()
        yield Requirement(self.to, self.schema, must_exist=False)

    def safely(self, schema: Schema, seen: Seen) -> Safely | None:
        if not seen.big(place(self.schema, self.table)):
            return None
        old, new = qualified(self.schema, self.table), qualified(self.schema, self.to)
        group = f"{old} {new}"
        reason = f"{self.table} goes on as a view, through which rows can be read and written"
        return Safely(
            expand=(
                Step(
                    self, "the new name", together=group, accepts={"rename-table": reason},
                    down=(f"DROP VIEW IF EXISTS {old}", *self._back(schema)),
                ),
                Step(
                    f"CREATE VIEW {old} WITH (security_invoker = true) AS SELECT * FROM {new}",
                    "the old name, for who still uses it",
                    together=group,
                    down=(),
                ),
            ),
            adds={self.table: reason},
            notes=(
                f"the view {self.table} keeps the old name alive: GRANT on it what roles need, and "
                "drop it in a migration of its own when nobody uses it any more",
            ),
        )  # fmt: skip

    def _back(self, schema: Schema) -> tuple[str, ...]:
        back = self.inverse(schema)
        assert isinstance(back, Inverse)
        return tuple(s if isinstance(s, str) else s.write() for s in back.steps)
