"""one statement that runs outside a transaction: its session's limits, its locks, its remains"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine.errors import RefusedError
from qb_engine.execution.observation import Observation, strongest
from qb_engine.execution.outside import (
    clean_up_invalid,
    invalid_indexes,
    old_snapshots,
    sampled,
    stepped,
)
from qb_engine.execution.stage import milliseconds

if TYPE_CHECKING:
    from qb_engine.execution.blocks import Step
    from qb_engine.execution.stage import Stage

LIMITS = ("lock_timeout", "statement_timeout")


def concurrently(step: Step) -> bool:
    """True for a statement that waits for others by itself, in several transactions."""
    return step.outside.startswith("CONCURRENTLY")


def run_alone(stage: Stage, step: Step, attempt: int) -> tuple[Observation, ...]:
    """Run a step outside any transaction. Raise StepFailed, its invalid remains dropped."""
    policy = stage.policy
    blank = Observation(
        step.number, step.statement.sql, str(step.statement.source), step.part, None
    )
    if not policy.commit:
        return (replace(blank, skipped=f"not run: {step.outside}"),)
    if concurrently(step):
        for sentence in old_snapshots(stage.watching, stage.ask_pid()):
            stage.tell(sentence)
    before = invalid_indexes(stage.watching, step.statement)
    start, wal = stage.start(step), stage.wal_now()
    free = concurrently(step) and not policy.stepped
    lock = "0" if concurrently(step) else milliseconds(policy.lock_timeout)
    limit = "0" if free else milliseconds(policy.statement_timeout)
    try:
        with _session_limits(stage, step, lock, limit):
            stage.pid = stage.ask_pid()
            stage.watch.begin(stage.pid)
            if policy.stepped and stage.opener is not None:
                locks = stepped(stage.acting, stage.watching, stage.opener, step.statement)
            else:
                with sampled(stage.acting, stage.watching) as held:
                    stage.acting.execute(step.statement.sql.encode())
                locks = strongest(held)
    except psycopg.Error as error:
        failed = stage.failed(step, error, time.monotonic() - start, None)
        said = clean_up_invalid(stage.watching, step.statement, before)
        failed.why = "\n".join([failed.why, *said])
        raise failed from error
    except BaseException:
        for sentence in clean_up_invalid(stage.watching, step.statement, before):
            stage.tell(sentence)
        raise
    finally:
        stage.watch.end()
    seconds = time.monotonic() - start
    stage.wal = stage.wal_now()
    seen = replace(
        blank,
        seconds=seconds,
        start=start - stage.origin,
        held_until=start - stage.origin + seconds,
        locks=locks,
        wal_bytes=max(stage.wal - wal, 0),
        attempts=attempt,
        messages=stage.heard(),
    )
    stage.on_step(step, "done", seen)
    return (seen,)


@contextmanager
def _session_limits(stage: Stage, step: Step, lock: str, statement: str) -> Iterator[None]:
    """Set both timeouts for the session, and give it back what it had.

    Through a pooler that changes sessions there is no session to set them for: they have to be
    right already.
    """
    acting = stage.acting
    row = acting.execute(
        "SELECT (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'),"
        " (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'statement_timeout')"
    ).fetchone()
    assert row is not None
    if stage.policy.pooled:
        if row[0] != "0" or not concurrently(step):
            raise RefusedError(
                "this statement cannot run through a pooler that changes sessions",
                where=f"{step.statement.source}, statement {step.number}: "
                f"{step.statement.first_line}",
                why="it runs outside a transaction, and its timeouts belong to a session",
                todo="connect to the server directly, past the pooler",
            )
        yield
        return
    for name, value in zip(LIMITS, (lock, statement)):
        acting.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):  # the session may be gone
            for name, value in zip(LIMITS, row):
                acting.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])
