"""segments from where their cursors stand to their ends, batch after batch"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill import records
from qb_engine.backfill.batches import batch, quarantine
from qb_engine.backfill.batches.batch import Around, Fenced, Halted, Limits
from qb_engine.backfill.batches.guard import Guard
from qb_engine.backfill.batches.mending import ERRORS, Link, Mending, Stopped
from qb_engine.backfill.limits import limit
from qb_engine.backfill.spec import Spec
from qb_engine.backfill.throttle import Throttle

if TYPE_CHECKING:
    from qb_engine.migrations.declaration import Backfill

__all__ = ["Means", "Stopped", "run", "run_lane"]

Connection = psycopg.Connection[Any]
Wait = Callable[[float], bool]
"""Waits some seconds, less when told to stop; True when the segment shall go on."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a lane works with: who it is, how long it may wait, and the user's Python if needed."""

    worker: str
    wait: Wait
    limits: Limits = field(default_factory=Limits)
    code: Backfill | None = None
    reconnect: Callable[[], Connection] | None = None  # in place of a lost one
    told: Callable[[batch.Batch, Around], None] = lambda did, around: None  # of each batch
    aside: Callable[[], None] = lambda: None  # a row was set aside


def run_lane(conn: Connection, backfill: str, lane: int, means: Means) -> str:
    """Work through segments, one after the other; return why that ended.

    `done` (no segment is left for it); `stopped` (by `wait`); `surplus` (fewer lanes are wanted);
    `fenced` (another claim took its segment); or what the ledger wants instead: `pause`, `cancel`,
    or a state in which nothing runs. Raise Stopped when it cannot go on, or the error itself when
    a lane that starts over may.
    """
    row = records.read(conn, backfill)
    link = Link(conn, means.reconnect)
    if row is None:
        return "cancelled"
    throttle, guard = Throttle(row.spec), Guard()
    try:
        while row is not None and means.wait(0):
            if lane >= row.spec.parallel:
                return "surplus"
            mending = Mending(link, row.spec, means)
            claimed = mending.asked(lambda db: _claim(db, backfill, lane, means))
            if claimed is None:
                return "done"
            held, size = claimed
            ended = run(link, row, held, size, means, lane, throttle, guard)
            if ended == "surplus":
                records.release(link.conn, held)
            if ended != "done":
                return ended
            row = mending.asked(lambda db: records.read(db, backfill))
        return "stopped" if row else "cancelled"
    finally:
        guard.close(link.conn)
        throttle.close(link.conn)
        link.close()


def run(
    link: Link,
    row: records.Row,
    held: batch.Held,
    size: int,
    means: Means,
    lane: int,
    throttle: Throttle,
    guard: Guard,
) -> str:
    """Work through one claimed segment; return why that ended, as `run_lane`."""
    mending, tuned = Mending(link, row.spec, means), row.tuned
    mending.begin(held)
    spec = mending.asked(lambda db: _without_quarantine(db, row.spec, held))
    throttle.begin(spec, size, tuned)
    while True:
        keys = throttle.size
        try:
            if not throttle.before(link.conn, held, means.wait):
                return "stopped"
            keys = mending.size(spec, held, throttle.size)
            guard.before(link.conn, spec, held, keys)
            around = Around(
                mending.recovery.failed + 1, throttle.waited_ms, throttle.held_by, throttle.lag_s,
                means.worker,
            )  # fmt: skip
            did = batch.run(
                *(link.conn, spec, held, keys, mending.limits),
                next_size=throttle.size,
                code=means.code,
                around=around,
            )
        except Fenced:
            return "fenced"
        except Halted as halted:
            return str(halted)
        except ERRORS as error:
            if throttle.gave_way(error):
                continue
            after = mending.after(error, spec, held, keys, throttle)
            if isinstance(after, str):
                return after
            held = after
            continue
        means.told(did, around)
        throttle.after(did)
        guard.after(spec, did)
        if did.last:
            return "done"
        mending.passed(keys)
        if did.tuned != tuned and (now := mending.asked(partial(_tuned, held=held))):
            spec, tuned = now
            throttle.tuned(spec)
            mending.recovery.tuned(spec)
            if lane >= spec.parallel:
                return "surplus"
        held = replace(held, cursor=did.cursor)


def _claim(
    conn: Connection, backfill: str, lane: int, means: Means
) -> tuple[batch.Held, int] | None:
    with conn.transaction():  # a zombie's batch may hold the row: it is waited for, not for ever
        limit(conn, means.limits.lock_ms)
        return records.claim(conn, backfill, lane, means.worker)


def _tuned(conn: Connection, held: batch.Held) -> tuple[Spec, int] | None:
    """How it goes on from now on, and how often that was changed."""
    now = records.read(conn, held.backfill)
    return (_without_quarantine(conn, now.spec, held), now.tuned) if now else None


def _without_quarantine(conn: Connection, spec: Spec, held: batch.Held) -> Spec:
    """A sweep leaves alone the rows that are in quarantine."""
    if not held.sweep:
        return spec
    return replace(spec, without=quarantine.keys(conn, spec.part(*held.part)))
