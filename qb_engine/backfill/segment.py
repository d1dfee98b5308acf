"""segments from where their cursors stand to their ends, batch after batch"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill import batch, failures, pace, poison, records
from qb_engine.backfill.batch import Around, Fenced, Halted, Limits
from qb_engine.backfill.failures import Verdict
from qb_engine.backfill.recovery import Recovery
from qb_engine.backfill.throttle import Throttle
from qb_engine.errors import QbError

if TYPE_CHECKING:
    from qb_engine.migrations.declaration import Backfill

Connection = psycopg.Connection[Any]
Wait = Callable[[float], bool]
"""Waits some seconds, less when told to stop; True when the segment shall go on."""


class Stopped(Exception):
    """A batch failed in a way that trying again cannot mend; `row` says on which row, if known."""

    def __init__(self, error: psycopg.Error, row: str) -> None:
        super().__init__(failures.told(error))
        self.error = error
        self.row = row


@dataclass(frozen=True, slots=True)
class Means:
    """What a lane works with: who it is, how long it may wait, and the user's Python if needed."""

    worker: str
    wait: Wait
    limits: Limits = field(default_factory=Limits)
    code: Backfill | None = None
    told: Callable[[batch.Batch, Around], None] = lambda did, around: None  # of each batch


def run_lane(conn: Connection, backfill: str, lane: int, means: Means) -> str:
    """Work through segments, one after the other; return why that ended.

    `done` (no segment is left for it); `stopped` (by `wait`); `surplus` (fewer lanes are wanted);
    `fenced` (another claim took its segment); or what the ledger wants instead: `pause`, `cancel`,
    or a state in which nothing runs. Raise Stopped or psycopg's error when it cannot go on.
    """
    row = records.read(conn, backfill)
    while row is not None and means.wait(0):
        if lane >= row.spec.parallel:
            return "surplus"
        claimed = _claim(conn, backfill, lane, means)
        if claimed is None:
            return "done"
        held, size = claimed
        ended = run(conn, row, held, size, means, lane)
        if ended == "surplus":
            records.release(conn, held)
        if ended != "done":
            return ended
        row = records.read(conn, backfill)
    return "stopped" if row else "cancelled"


def run(
    conn: Connection, row: records.Row, held: batch.Held, size: int, means: Means, lane: int = 0
) -> str:
    """Work through one claimed segment; return why that ended, as `run_lane`."""
    spec, tuned, limits = row.spec, row.tuned, means.limits
    throttle, recovery = Throttle(spec, size), Recovery(spec, means.code)
    while throttle.before(conn, held, means.wait):
        around = Around(
            recovery.tries + 1, throttle.waited_ms, throttle.held_by, throttle.lag_s, means.worker
        )
        try:
            did = batch.run(conn, spec, held, throttle.size, limits, code=means.code, around=around)
        except Fenced:
            return "fenced"
        except Halted as halted:
            return str(halted)
        except (psycopg.Error, QbError) as error:
            action = None if conn.closed else recovery.decide(error)
            if action is None or action.verdict is Verdict.LATER:
                raise
            if action.verdict is Verdict.STOP:
                if not isinstance(error, psycopg.Error):
                    raise
                at = poison.find(conn, spec.part(*held.part), held, throttle.size, limits, error)
                raise Stopped(error, at) from None
            if action.verdict is Verdict.FEWER:
                limits = _gentler(throttle, limits)
            _tell(conn, held, failures.told(error))
            means.wait(action.wait_s)
            continue
        means.told(did, around)
        if did.last:
            return "done"
        recovery.succeeded()
        if did.tuned != tuned and (now := records.read(conn, held.backfill)):
            spec, tuned = now.spec, now.tuned
            throttle.tuned(spec)
            if lane >= spec.parallel:
                return "surplus"
        throttle.after(did)
        held = replace(held, cursor=did.cursor)
    return "stopped"


def _claim(
    conn: Connection, backfill: str, lane: int, means: Means
) -> tuple[batch.Held, int] | None:
    with conn.transaction():  # a zombie's batch may hold the row: it is waited for, not for ever
        conn.execute("SELECT set_config('lock_timeout', %s, true)", [str(means.limits.lock_ms)])
        return records.claim(conn, backfill, lane, means.worker)


def _gentler(throttle: Throttle, limits: Limits) -> Limits:
    """Fewer rows after a timeout; more time when it is one row already."""
    if throttle.size == pace.SMALLEST:
        return Limits(limits.lock_ms, limits.statement_ms * 2)
    throttle.fewer()
    return limits


def _tell(conn: Connection, held: batch.Held, text: str) -> None:
    """Say in the ledger why a batch is tried again."""
    conn.execute(
        "UPDATE qb.segment SET note = %s WHERE backfill = %s AND number = %s AND epoch = %s",
        [text, held.backfill, held.segment, held.epoch],
    )
