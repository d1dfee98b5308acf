"""are the constraints of a migration met by this target, and the rules for before it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine.constraints import Check, type_names
from qb_engine.constraints import verify as check
from qb_engine.schema import snapshot

if TYPE_CHECKING:
    from qb_engine.constraints.rules import DeclaredRule, Limits, Outcome
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration
    from qb_engine.schema import Snapshot


@dataclass(frozen=True, slots=True)
class Verified:
    """A migration and what was found of each of its constraints, and of rules that were asked."""

    migration: str
    checks: tuple[Check, ...]
    rules: tuple[Outcome, ...] = ()

    @property
    def ok(self) -> bool:
        return all(c.ok for c in self.checks) and all(rule.ok for rule in self.rules)


def verify(
    conn: Connection,
    migration: LoadedMigration,
    schema: Snapshot | None = None,
    *,
    rules: Sequence[DeclaredRule] = (),
    limits: Limits | None = None,
) -> Verified:
    """Compare a migration's constraints with the schema of the target; changes nothing.

    Those of `rules` that must hold before it are asked, too, each under `limits`. A run leaves them
    out here: it asks them in the migration's own transaction.
    """
    from qb_engine.constraints.rules import asked

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
        asked(conn, rules, limits),
    )
