"""are the constraints of a migration met by this target?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine.constraints import Check, type_names
from qb_engine.constraints import verify as check
from qb_engine.schema import snapshot

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration
    from qb_engine.schema import Snapshot


@dataclass(frozen=True, slots=True)
class Verified:
    """A migration and what was found of each of its constraints."""

    migration: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def verify(
    conn: Connection, migration: LoadedMigration, schema: Snapshot | None = None
) -> Verified:
    """Compare a migration's constraints with the schema of the target; changes nothing."""
    if schema is None:
        schema = snapshot(conn)
    return Verified(
        migration.id,
        tuple(
            check(
                migration.constraints,
                schema,
                lambda name: type_names(conn, [name])[name],
                str(migration.path),
            )
        ),
    )
