"""segments from where their cursors stand to their ends, batch after batch"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg

from qb_engine.backfill import batch, failures, pace, poison, records
from qb_engine.backfill.batch import Fenced, Halted, Limits
from qb_engine.backfill.failures import Verdict
from qb_engine.backfill.spec import Spec
from qb_engine.errors import QbError

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 5.0
TRIES = 30  # of one batch on one connection: some two minutes; then the activity starts over

Connection = psycopg.Connection[Any]
Wait = Callable[[float], bool]
"""Waits some seconds, less when told to stop; True when the segment shall go on."""


class Stopped(Exception):
    """A batch failed in a way that trying again cannot mend; `row` says on which row, if known."""

    def __init__(self, error: psycopg.Error, row: str) -> None:
        super().__init__(failures.told(error))
        self.error = error
        self.row = row


def run_lane(
    conn: Connection, backfill: str, lane: int, *, worker: str, limits: Limits, wait: Wait
) -> str:
    """Work through segments, one after the other; return why that ended.

    `done` (no segment is left); `stopped` (by `wait`); or what the ledger wants instead: `pause`,
    `cancel`, or a state in which nothing runs. Raise Stopped or psycopg's error when it cannot go
    on.
    """
    row = records.read(conn, backfill)
    while row is not None and wait(0):
        claimed = _claim(conn, backfill, lane, worker, limits)
        if claimed is None:
            return "done"
        held, size = claimed
        size = pace.bounded(size or pace.FIRST, row.spec.batch_limit)
        ended = run(conn, row.spec, held, size, limits, wait)
        if ended not in ("done", "fenced"):
            return ended
    return "stopped" if row else "cancelled"


def run(
    conn: Connection, spec: Spec, held: batch.Held, size: int, limits: Limits, wait: Wait
) -> str:
    """Work through one claimed segment; return why that ended, as `run_lane`, or `fenced`."""
    tries = 0
    while wait(0):
        try:
            did = batch.run(conn, spec, held, size, limits)
        except Fenced:
            return "fenced"
        except Halted as halted:
            return str(halted)
        except (psycopg.Error, QbError) as error:
            tries += 1
            verdict = failures.judge(error)
            if verdict is Verdict.STOP and isinstance(error, psycopg.Error) and not conn.closed:
                raise Stopped(error, poison.find(conn, spec, held, size, limits, error)) from None
            if verdict not in (Verdict.AGAIN, Verdict.FEWER) or tries > TRIES or conn.closed:
                raise
            size, limits = _gentler(size, limits, verdict)
            _tell(conn, held, failures.told(error))
            wait(backoff(tries))
            continue
        if did.last:
            return "done"
        tries = 0
        size = pace.next_size(size, did.ms, largest=spec.batch_limit, seen=did.seen)
        held = replace(held, cursor=did.cursor)
    return "stopped"


def backoff(tries: int) -> float:
    """Seconds to wait before the next try, with jitter so that two do not meet again."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**tries) * random.uniform(0.5, 1.0))


def _claim(
    conn: Connection, backfill: str, lane: int, worker: str, limits: Limits
) -> tuple[batch.Held, int] | None:
    with conn.transaction():  # a zombie's batch may hold the row: it is waited for, not for ever
        conn.execute("SELECT set_config('lock_timeout', %s, true)", [str(limits.lock_ms)])
        return records.claim(conn, backfill, lane, worker)


def _gentler(size: int, limits: Limits, verdict: Verdict) -> tuple[int, Limits]:
    """Fewer rows after a timeout; more time when it is one row already."""
    if verdict is not Verdict.FEWER:
        return size, limits
    if size == pace.SMALLEST:
        return size, Limits(limits.lock_ms, limits.statement_ms * 2)
    return pace.smaller(size), limits


def _tell(conn: Connection, held: batch.Held, text: str) -> None:
    """Say in the ledger why a batch is tried again."""
    conn.execute(
        "UPDATE qb.segment SET note = %s WHERE backfill = %s AND number = %s AND epoch = %s",
        [text, held.backfill, held.segment, held.epoch],
    )
