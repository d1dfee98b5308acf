"""how each migration stands: what the folder holds joined with what the ledger says"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from qb_engine import ledger
from qb_engine.runner import lock

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.ledger import Standing
    from qb_engine.migrations import LoadedMigration, Migrations

State = Literal["pending", "applied", "expanded", "partial", "edited", "broken", "missing"]


@dataclass(frozen=True, slots=True)
class Status:
    """One migration: its state, when it was applied and by whom, and what stands out.

    `pending`: not applied here. `expanded`: applied up to its backfill. `partial`: stopped after
    statements that were committed. `edited`: applied, and the file says something else now.
    `broken`: the file cannot be read. `missing`: applied, and its file is gone.
    """

    migration: str
    state: State
    applied_at: datetime | None = None
    who: str = ""
    seconds: float | None = None
    backfill: str = ""
    note: str = ""
    down: bool = False  # a partial one that stopped on its way back


def status(conn: Connection, migrations: Migrations) -> tuple[Status, ...]:
    """How every migration stands, in order."""
    known = ledger.standing(conn) if ledger.exists(conn) else {}
    fills = backfill_states(conn)
    found = [one(m, known.get(m.id), fills.get(m.id, "")) for m in migrations.all]
    found += [
        Status(b.id, "broken", note=f"{b.error.what} [{b.error.where}]") for b in migrations.broken
    ]
    present = {s.migration for s in found}
    for name, standing in known.items():
        if name not in present and standing.status != "rolled back":
            found.append(
                Status(
                    name, "missing", standing.last.started_at, standing.last.who,
                    note="applied here, and its file is gone",
                )
            )  # fmt: skip
    return tuple(sorted(found, key=lambda s: s.migration))


def one(migration: LoadedMigration, standing: Standing | None, fill: str) -> Status:
    """How one migration stands."""
    needed = fill or ("not started" if migration.backfill else "")
    if standing is None or standing.status == "rolled back":
        return Status(migration.id, "pending", backfill="needed" if migration.backfill else "")
    last = standing.last
    state: State
    note = ""
    if standing.status.startswith("partial"):
        down = standing.status == "partial down"
        state = "partial"
        again = "qb rollback" if down else "qb run"
        total = len(migration.down if down else migration.up)
        kept = last.kept
        if last.first_part in {part.file for part in migration.after_backfill()} and not down:
            kept += sum(len(part.up) for part in migration.before_backfill())
        word = "undone" if down else "applied"
        note = f"{kept} of {total} statements are {word}; {again} continues"
        if last.cut_off:
            note = f"one statement was cut off, {note}"
        return Status(
            migration.id, state, last.started_at, last.who, last.seconds, needed, note, down
        )
    state = "applied"
    if standing.checksum != migration.checksum:
        state = "edited"
        note = "the file was edited after it was applied"
    elif standing.status == "expanded" and not finished(migration, fill):
        state = "expanded"
        note = "waits for its backfill" if fill != "completed" else "qb run finishes it"
    return Status(migration.id, state, last.started_at, last.who, last.seconds, needed, note)


def finished(migration: LoadedMigration, fill: str) -> bool:
    """True when nothing is left to do after the backfill."""
    return fill == "completed" and not migration.after_backfill()


def backfill_states(conn: Connection) -> dict[str, str]:
    """The state of each backfill by the migration it belongs to."""
    row = conn.execute("SELECT to_regclass('qb.backfill') IS NOT NULL").fetchone()
    if not row or not row[0]:
        return {}
    return dict(conn.execute("SELECT id, state FROM qb.backfill").fetchall())


def runner(conn: Connection) -> str:
    """Who is running migrations right now; empty when nobody is."""
    return lock.holder(conn)
