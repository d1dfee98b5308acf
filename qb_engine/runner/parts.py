"""the parts of one migration, each with its own state in the ledger"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.migrations.listing import BACKFILLS
from qb_engine.runner.status import backfill_states

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.ledger import Standing
    from qb_engine.migrations import LoadedMigration, Part

# what the last run that finished a file, or undid it, says of it
PARTS = """
SELECT DISTINCT ON (p.file) p.file, p.kind, p.state, p.transaction, p.at, p.run
  FROM qb.part p JOIN qb.history h ON h.run = p.run
 WHERE h.migration = %s ORDER BY p.file, p.run DESC
"""

STEPS = """
SELECT s.run, s.part, pg_catalog.count(*) FILTER (WHERE s.status = 'done'),
       pg_catalog.sum(s.seconds)
  FROM qb.step s JOIN qb.history h ON h.run = s.run
 WHERE h.migration = %s GROUP BY s.run, s.part
"""


@dataclass(frozen=True, slots=True)
class PartState:
    """One file of a migration: how it stands, and what of it is done.

    `state` is pending, partial, applied or undone; of a backfill it is the backfill's. `statements`
    is None when the file is gone, `done` counts those that are committed.
    """

    file: str
    kind: str
    state: str
    transaction: str = ""
    statements: int | None = None
    done: int | None = None
    at: datetime | None = None
    seconds: float | None = None


def parts(
    conn: Connection, id: str, migration: LoadedMigration | None, standing: Standing | None
) -> tuple[PartState, ...]:
    """How the parts of a migration stand, in the order they run."""
    if not ledger.exists(conn):
        recorded, steps, fill = {}, {}, ""
    else:
        recorded = {row[0]: row for row in conn.execute(PARTS, [id]).fetchall()}
        steps = {(row[0], row[1]): row[2:] for row in conn.execute(STEPS, [id]).fetchall()}
        fill = backfill_states(conn).get(id, "")
    if migration is None:
        return tuple(_gone(row, steps.get((row[5], row[0]))) for row in recorded.values())
    run = standing.last.run if standing else 0
    found = []
    for part in _in_order(migration):
        if part is None:
            unstarted = "not started" if standing else "needed"
            file = next((n for n in BACKFILLS if (migration.path / n).is_file()), BACKFILLS[0])
            found.append(PartState(file, "backfill", fill or unstarted))
            continue
        row = recorded.get(part.file)
        of = row[5] if row else run
        done, seconds = steps.get((of, part.file), (0, None))
        whole = standing is not None and part in _whole(migration, standing)
        state = "applied" if whole else "pending"
        if row is not None:
            state = row[2]
        current = steps.get((run, part.file))
        if current and current[0] and (row is None or row[5] < run):
            state, (done, seconds) = "partial", current
        elif state != "applied":
            done = 0
        found.append(
            PartState(
                part.file,
                part.kind,
                state,
                row[3] if row else "one" if part.in_transaction() else "each statement",
                len(part.up),
                len(part.up) if whole and row is None else done,
                row[4] if row else None,
                seconds,
            )
        )
    return tuple(found)


def _in_order(migration: LoadedMigration) -> Iterator[Part | None]:
    """The parts as they run, None where the backfill stands."""
    yield from migration.before_backfill()
    if migration.backfill is not None:
        yield None
    yield from migration.after_backfill()


def _whole(migration: LoadedMigration, standing: Standing) -> tuple[Part, ...]:
    """The parts that must have run for a migration to stand as it does."""
    if standing.status in ("applied", "contracted"):
        return migration.parts
    return migration.before_backfill() if standing.status == "expanded" else ()


def _gone(row: tuple, step: tuple | None) -> PartState:  # type: ignore[type-arg]
    """A part of which only the ledger knows."""
    file, kind, state, transaction, at, _ = row
    done, seconds = step or (None, None)
    return PartState(file, kind, state, transaction, None, done, at, seconds)
