"""are the constraints of a migration met by this target, and the rules for before it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine.constraints import Check, check_shape, type_names
from qb_engine.constraints import verify as check
from qb_engine.schema.look import look

if TYPE_CHECKING:
    from qb_engine.constraints.rules import DeclaredRule, Limits, Outcome
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration


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
    *,
    rules: Sequence[DeclaredRule] = (),
    limits: Limits | None = None,
) -> Verified:
    """Compare a migration's constraints with the schema of the target; changes nothing.

    Those of `rules` that must hold before it are asked, too, each under `limits`. A run leaves them
    out here: it asks them in the migration's own transaction.
    """
    from qb_engine.constraints.rules import asked

    wanted = check_shape(migration.constraints, str(migration.path))
    checks: tuple[Check, ...] = ()
    if wanted:
        indexes = [name for table in wanted.values() for name in table.get("indexes", ())]
        checks = check(
            wanted,
            look(conn, wanted, indexes),
            lambda name: type_names(conn, [name])[name],
            str(migration.path),
        )
    return Verified(migration.id, checks, asked(conn, rules, limits))
