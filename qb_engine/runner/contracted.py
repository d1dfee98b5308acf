"""what is seen to when the last part of a migration has run, after its backfill"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import psycopg

from qb_engine.ledger import in_sync

if TYPE_CHECKING:
    from qb_engine.migrations import LoadedMigration
    from qb_engine.runner.crew import Crew

LOCK_MS = 1_000  # readers queue behind us for no longer
TRIES = 10


# a worker that was asked to run it finds it done
DONE = """
UPDATE qb.backfill SET post_state = 'done', post_error = '', note = '' WHERE id = %s AND then_post
"""


def settle(crew: Crew, migration: LoadedMigration) -> str:
    """See to what hangs on a migration that is done; say what is left to do."""
    control = crew.control
    there = control.execute("SELECT pg_catalog.to_regclass('qb.backfill') IS NOT NULL").fetchone()
    if not there or not there[0]:
        return ""
    control.execute(DONE, [migration.id])
    return out_of_sync(crew, migration)


def out_of_sync(crew: Crew, migration: LoadedMigration) -> str:
    """Take away the trigger that kept rows in sync during the backfill; say what is left to do.

    The migration is done, whether that succeeds or not: the trigger does no harm while it stays.
    """
    control = crew.control
    for tried in range(1, TRIES + 1):
        try:
            with control.transaction():
                control.execute("SELECT set_config('lock_timeout', %s, true)", [str(LOCK_MS)])
                gone = in_sync.drop(control, migration.id)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            time.sleep(random.uniform(0.05, 0.1) * tried)
        except psycopg.Error as error:
            return _stays(migration, " ".join(str(error).split()))
        else:
            return f"trigger {gone} is gone: rows need it no more" if gone else ""
    return _stays(migration, "the table was busy")


def _stays(migration: LoadedMigration, why: str) -> str:
    return f"its trigger is still there ({why}): qb backfill sync {migration.name} --drop"
