"""what `plan`, `verify` and `dryrun` say of a migration that was named and is applied here"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qb_engine.commands._session import Session
from qb_engine.errors import QbError
from qb_engine.report import Report, format_value, jsonable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from qb_engine.migrations import LoadedMigration
    from qb_engine.runner import Status

WAITING = ("expanded", "backfilling")


@dataclass(frozen=True)
class AppliedHere(Report):
    """A migration of which no statement is left to run: since when, and what can be asked of it.

    `verb` is what there was to do with it: plan, verify, dry-run.
    """

    name: ClassVar[str] = "applied"
    target: str
    verb: str
    standing: Status
    unwritten: str = ""  # a file that was to hold its plan

    def headline(self) -> str:
        one = self.standing
        how = " up to its backfill" if one.state in WAITING else ""
        since = f", since {format_value(one.applied_at, 'time')}" if one.applied_at else ""
        who = f" by {one.who}" if one.who else ""
        return (
            f"{one.migration} is applied on {self.target} already{how}{since}{who}: "
            f"there is nothing to {self.verb}"
        )

    def notes(self) -> Sequence[str]:
        one = self.standing
        found = [f"{one.migration}: {one.note}"] if one.note else []
        if one.state in WAITING:
            found.append(f"how far its backfill is, and what to do next: qb status {one.migration}")
        else:
            found.append(
                "ask whether the schema is what the migrations make: qb validate; "
                f"how this one stands: qb status {one.migration}"
            )
        if self.unwritten:
            found.append(f"{self.unwritten} was not written: there is no plan to keep")
        return found

    def as_dict(self) -> dict[str, Any]:
        one = self.standing
        return {
            "target": self.target,
            "migration": one.migration,
            "state": one.state,
            "applied_at": jsonable(one.applied_at),
            "by": one.who or None,
            "note": one.note or None,
        }


def applied_here(
    session: Session, migration: LoadedMigration, verb: str, *, unwritten: str = ""
) -> AppliedHere | None:
    """The report on a migration that was named and is applied; None where something is left to run.

    Raise RefusedError for one that was edited after it was applied, or is half rolled back.
    """
    from qb_engine.runner import refuse
    from qb_engine.runner.findings import SETTLED

    standing = standing_here(session, migration)
    if standing is None:
        return None
    refuse(standing, str(migration.path))
    open_still = standing.state in WAITING and migration.after_backfill()
    if open_still or standing.state not in (*SETTLED, *WAITING):
        return None
    return AppliedHere(session.target.name, verb, standing, unwritten)


def standing_here(session: Session, migration: LoadedMigration) -> Status | None:
    """How a migration stands on the target; None for a file that is none of the project's."""
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import status

    try:
        migrations = session.migrations()
    except QbError:  # a file that is named by its path needs no folder of migrations
        return None
    path = migration.path.resolve()
    own = {
        entry.id
        for entry in migrations.entries
        if path in (each.resolve() for each in (entry.path, *entry.files))
    }
    if migration.id not in own:
        return None
    with session.connect() as conn, server_errors("reading the ledger", session.target):
        return next((s for s in status(conn, migrations) if s.migration == migration.id), None)
