"""a backfill run through the ledger in this process, without Temporal"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine.backfill import records
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import failures, segment
from qb_engine.backfill.before import checks
from qb_engine.backfill.driving.payloads import ENDED
from qb_engine.backfill.reporting.measure import Progress, progress
from qb_engine.backfill.spec import describe
from qb_engine.backfill.throttle import settings
from qb_engine.backfill.walk import split

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration

WORKER = "rehearsal"


def fill(conn: Connection, migration: LoadedMigration, stop: threading.Event) -> Progress | None:
    """Run a migration's backfill to its end, lane after lane; how it ended, None when stopped.

    The ledger is written as by the workers: every batch with its cursor, every segment once.
    """
    checks.expanded(conn, migration)
    spec = describe(conn, migration)
    spec = replace(spec, options=settings.unthrottled(spec.options))  # nobody else is here
    checks.writable(conn, spec)
    with conn.transaction():
        conn.execute("DELETE FROM qb.backfill WHERE id = %s", [spec.id])
        records.make(conn, spec, split.estimate(conn, spec), "", "")

    def wait(seconds: float) -> bool:
        return not stop.wait(seconds)

    declared = migration.backfill
    assert declared is not None  # describe says so
    means = segment.Means(WORKER, wait, code=declared)
    try:
        while not stop.is_set():
            step = advance(conn, spec.id, lambda: not stop.is_set(), code=lambda _: declared)
            if step is None or step.state in ENDED:
                break
            for lane in range(step.lanes):
                segment.run_lane(conn, spec.id, lane, means)
    except segment.Stopped as stopped:
        records.fail(conn, spec.id, str(stopped), stopped.sqlstate)
    except psycopg.Error as error:
        if conn.closed:
            raise
        records.fail(conn, spec.id, failures.told(error), failures.code(error))
    return progress(conn, spec.id)
