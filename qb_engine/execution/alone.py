"""one statement that runs outside a transaction: its session's limits, its locks, its remains"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine.errors import RefusedError
from qb_engine.execution.blockers import Blocker, sentence, terminate
from qb_engine.execution.concurrently import CLEAN_UP_S, Concurrent
from qb_engine.execution.observation import Observation, strongest
from qb_engine.execution.outside import sampled, stepped
from qb_engine.execution.progress import pid_of
from qb_engine.execution.stage import milliseconds

if TYPE_CHECKING:
    from qb_engine.execution.blocks import Step
    from qb_engine.execution.stage import Stage

LIMITS = ("lock_timeout", "statement_timeout")
STOPPED_S = 3.0  # who stopped the run wants it to end; the next one drops what is left


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
    alone = Concurrent(
        stage.acting, stage.watching, step.statement, stage.tell, kept=not policy.pooled
    )
    sql = step.statement.sql
    if concurrently(step) and not policy.stepped:
        if left := alone.wait(policy.lock_deadline, stage.stopped, _ending(stage)):
            error = psycopg.errors.LockNotAvailable(
                "not started: it would wait for " + "; ".join(map(sentence, left))
            )
            raise stage.failed(step, error, 0.0, None)
        try:
            sql = alone.sql()
        except psycopg.Error as error:
            raise stage.failed(step, error, 0.0, None) from error
    start, wal = stage.start(step), stage.wal_now()
    free = concurrently(step) and not policy.stepped
    lock = "0" if concurrently(step) else milliseconds(policy.lock_timeout)
    limit = "0" if free else milliseconds(policy.statement_timeout)
    try:
        with _session_limits(stage, step, lock, limit):
            stage.pid = stage.ask_pid()
            if not policy.pooled:  # else it may be another session that runs it
                stage.watch.begin(stage.pid)
            if policy.stepped and stage.opener is not None:
                locks = stepped(
                    stage.acting, stage.watching, stage.opener, step.statement, stage.spare
                )
            else:
                with (
                    sampled(stage.watching, _process(stage, sql)) as held,
                    stage.watch.cancellable(),
                ):
                    stage.acting.execute(sql.encode())
                locks = strongest(held)
                if why := alone.unfinished():
                    raise psycopg.errors.ObjectNotInPrerequisiteState(why)
    except psycopg.Error as error:
        failed = stage.failed(step, error, time.monotonic() - start, None)
        within = STOPPED_S if stage.stopped.is_set() else CLEAN_UP_S
        failed.why = "\n".join([failed.why, *alone.clean_up(within)])
        raise failed from error
    except BaseException:
        for said in alone.clean_up(STOPPED_S):
            stage.tell(said)
        raise
    finally:
        stage.watch.end()
    seconds = time.monotonic() - start
    waited, waiters = stage.watch.kept_waiting()
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
        blocked_s=waited,
        waiters=waiters,
    )
    stage.on_step(step, "done", seen)
    return (seen,)


def _process(stage: Stage, sql: str) -> Callable[[], int | None]:
    """Who runs the statement; through a pooler only the statement itself tells."""
    if not stage.policy.pooled:
        return lambda: stage.pid
    name = stage.acting.info.parameter_status("application_name") or ""

    def process() -> int | None:
        found = pid_of(stage.watching, sql, name)
        if found and found != stage.pid:
            stage.pid = found
            stage.watch.begin(found)
        return found

    stage.pid = 0
    return process


def _ending(stage: Stage) -> Callable[[tuple[Blocker, ...]], object]:
    """What is done about transactions that are in the way of a statement with CONCURRENTLY."""
    older = stage.policy.terminate
    if not older:
        return lambda found: None
    return lambda found: terminate(stage.watching, found, older, stage.tell)


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
                code="pooled-connection",
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
