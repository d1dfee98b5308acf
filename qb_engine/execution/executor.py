"""the one executor: runs blocks on a connection, in their transactions, and says what they did"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.database.connect import lost
from qb_engine.errors import ServerError, StatementError
from qb_engine.execution.blocks import Block, Step
from qb_engine.execution.explain import explained
from qb_engine.execution.observation import Observation, strongest
from qb_engine.execution.observer import Observer
from qb_engine.execution.outside import (
    clean_up_invalid,
    invalid_indexes,
    old_snapshots,
    sampled,
    stepped,
)
from qb_engine.sql import Source

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

RETRIED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
FIRST_PAUSE_S = 0.25  # between the first and the second try for a lock; doubles, with jitter
LONGEST_PAUSE_S = 15.0

BLOCKERS = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), '?'),
       extract(epoch FROM clock_timestamp() - a.xact_start)::int, left(a.query, 80)
  FROM pg_catalog.pg_stat_activity a
 WHERE a.pid = ANY (pg_catalog.pg_blocking_pids(%s)) ORDER BY a.xact_start
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """How an execution differs from another: everything else is the same. Times in seconds."""

    commit: bool = True
    lock_timeout: float = 2.0
    lock_deadline: float = 300.0
    statement_timeout: float = 3600.0
    explain: bool = False  # run DML under EXPLAIN ANALYZE
    debug: bool = False  # listen to the server's DEBUG1 messages about its work
    stepped: bool = False  # learn the locks of statements outside a transaction one by one


Inside = Callable[[tuple[Observation, ...]], None]
Tell = Callable[[str], None]


class Executor:
    """Runs blocks on `acting`, watched through `watching`.

    `tell` hears sentences on the way (a lock that is waited for). With `policy.commit` False all
    transactional blocks run in one transaction, which `close` rolls back; statements that cannot
    run in a transaction are skipped, and say so.
    """

    def __init__(
        self,
        acting: Connection,
        watching: Connection,
        policy: Policy,
        *,
        opener: Callable[[], Connection] | None = None,
        tell: Tell | None = None,
        on_step: Callable[[Step, str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.acting = acting
        self.watching = watching
        self.policy = policy
        self._opener = opener
        self._tell = tell or (lambda text: None)
        self._on_step = on_step or (lambda step, state: None)
        self._observer = Observer(acting, watching)
        self._origin = 0.0  # when the first step began
        self._stopped = stop or threading.Event()
        self._blockers: list[tuple[Any, ...]] = []
        self._messages: list[str] = []
        self._open = False
        self._hearing = True
        acting.add_notice_handler(self._hear)

    def run(self, block: Block, inside: Inside | None = None) -> tuple[Observation, ...]:
        """Run a block; `inside` is called in its transaction before the commit.

        Lock waits are retried, the transaction rolled back first, until the deadline. Raise
        StepFailed with the observations so far; nothing of a transactional block is kept then.
        """
        started, attempt = time.monotonic(), 1
        self._origin = self._origin or started
        while True:
            try:
                if not block.transactional:
                    return self._outside(block.steps[0], attempt)
                return self._transaction(block, inside, attempt)
            except StepFailed as failed:
                waited = time.monotonic() - started
                if not isinstance(failed.cause, RETRIED) or not self.policy.commit:
                    raise
                if _concurrently(failed.step):
                    raise
                if waited > self.policy.lock_deadline:
                    raise failed.given_up(waited, self._blocked_by()) from None
                self._pause(failed, attempt)
                attempt += 1

    def close(self) -> None:
        """Roll back what is open and take the listener off."""
        if self._open and not self.acting.closed:
            self.acting.rollback()
        self._open = False
        if self._hearing:
            self.acting.remove_notice_handler(self._hear)
            self._hearing = False

    # -- inside a transaction ------------------------------------------------------------------

    def _transaction(
        self, block: Block, inside: Inside | None, attempt: int
    ) -> tuple[Observation, ...]:
        found: list[Observation] = []
        self._begin()
        try:
            for step in block.steps:
                found.append(self._step(block, step, attempt))
            ended = time.monotonic() - self._origin
            done = tuple(replace(o, held_until=ended) for o in found)
            if self.policy.commit:
                if inside is not None:
                    inside(done)
                self._commit(block)
                self._open = False
            return done
        except StepFailed as failed:
            failed.observations = (*found, *failed.observations)
            self._rollback()
            raise
        except BaseException:
            self._rollback()
            raise

    def _begin(self) -> None:
        if self._open:  # a dry run goes on in the transaction that it rolls back at the end
            return
        self._observer.begin()
        policy = self.policy
        level = "debug1" if policy.debug else "notice"
        # SET takes no snapshot, so a migration may still choose its isolation level
        self.acting.execute(
            f"BEGIN; SET LOCAL lock_timeout = {_ms(policy.lock_timeout)};"
            f" SET LOCAL statement_timeout = {_ms(policy.statement_timeout)};"
            f" SET LOCAL client_min_messages = {level}".encode()
        )
        self._open = True

    def _step(self, block: Block, step: Step, attempt: int) -> Observation:
        name = f"qb_{step.number}".encode()
        self._on_step(step, "running")
        self._messages.clear()
        before = self._wal()
        start = time.monotonic()
        self._origin = self._origin or start
        try:
            if block.savepoints:
                self.acting.execute(b"SAVEPOINT " + name)
            with self._noticing_blockers():
                tree, rows, wal, buffers = self._execute(step)
            if block.savepoints:
                self.acting.execute(b"RELEASE SAVEPOINT " + name)
            seconds = time.monotonic() - start
            after = self._wal()
            seen = self._observer.look()
        except psycopg.Error as error:
            self._on_step(step, "failed")
            raise self._failed(step, error, time.monotonic() - start, block.number) from error
        self._on_step(step, "done")
        return Observation(
            number=step.number,
            sql=step.statement.sql,
            place=str(step.statement.source),
            part=step.part,
            transaction=block.number,
            seconds=seconds,
            start=start - self._origin,
            rows=rows,
            locks=seen.locks,
            rewrites=seen.rewrites,
            rebuilds=seen.rebuilds,
            scans=seen.scans,
            wal_bytes=wal if wal is not None else max(after - before, 0),
            buffers=buffers,
            attempts=attempt,
            messages=tuple(self._messages),
            explain=tree,
        )

    def _execute(self, step: Step) -> tuple[Any, int | None, int | None, int | None]:
        sql = step.statement.sql
        if self.policy.explain and step.statement.is_dml:
            options = b"EXPLAIN (ANALYZE, BUFFERS, WAL, FORMAT JSON) "
            row = self.acting.execute(options + sql.encode()).fetchone()
            assert row is not None
            found = explained(row[0], ran=True)
            return found.tree, found.rows, found.wal_bytes, found.buffers
        tree = None
        if self.policy.explain and step.statement.has_plan:
            row = self.acting.execute(b"EXPLAIN (FORMAT JSON) " + sql.encode()).fetchone()
            tree = explained(row[0], ran=False).tree if row else None
        cursor = self.acting.execute(sql.encode())
        rows = cursor.rowcount if step.statement.is_dml and cursor.rowcount >= 0 else None
        return tree, rows, None, None

    def _commit(self, block: Block) -> None:
        try:
            self.acting.execute("COMMIT")
        except psycopg.Error as error:
            # deferred constraints speak up here, and no statement of the file is at fault alone
            raise self._failed(block.steps[-1], error, 0.0, block.number, at="COMMIT") from error

    def _rollback(self) -> None:
        self._open = False
        if not self.acting.closed:
            try:
                self.acting.execute("ROLLBACK")
            except psycopg.Error as error:
                if not lost(error):
                    raise

    # -- outside a transaction -----------------------------------------------------------------

    def _outside(self, step: Step, attempt: int) -> tuple[Observation, ...]:
        blank = Observation(
            step.number, step.statement.sql, str(step.statement.source), step.part, None
        )
        if not self.policy.commit:
            return (replace(blank, skipped=f"not run: {step.outside}"),)
        concurrently = _concurrently(step)
        if concurrently:
            for sentence in old_snapshots(self.watching, self.acting.info.backend_pid):
                self._tell(sentence)
        before = invalid_indexes(self.watching, step.statement)
        self._on_step(step, "running")
        self._messages.clear()
        start, wal = time.monotonic(), self._wal()
        free = concurrently and not self.policy.stepped
        lock = "0" if concurrently else _ms(self.policy.lock_timeout)
        limit = "0" if free else _ms(self.policy.statement_timeout)
        try:
            with self._session_limits(lock, limit):
                if self.policy.stepped and self._opener is not None:
                    locks = stepped(self.acting, self.watching, self._opener, step.statement)
                else:
                    with (
                        sampled(self.acting, self.watching) as held,
                        self._noticing_blockers(),
                    ):
                        self.acting.execute(step.statement.sql.encode())
                    locks = strongest(held)
        except psycopg.Error as error:
            self._on_step(step, "failed")
            failed = self._failed(step, error, time.monotonic() - start, None)
            said = clean_up_invalid(self.watching, step.statement, before)
            failed.why = "\n".join([failed.why, *said])
            raise failed from error
        except BaseException:
            for sentence in clean_up_invalid(self.watching, step.statement, before):
                self._tell(sentence)
            raise
        self._on_step(step, "done")
        seconds = time.monotonic() - start
        return (
            replace(
                blank,
                seconds=seconds,
                start=start - self._origin,
                held_until=start - self._origin + seconds,
                locks=locks,
                wal_bytes=max(self._wal() - wal, 0),
                attempts=attempt,
                messages=tuple(self._messages),
            ),
        )

    @contextmanager
    def _session_limits(self, lock: str, statement: str) -> Iterator[None]:
        """Set both timeouts for the session, and give it back what it had."""
        names = ("lock_timeout", "statement_timeout")
        row = self.acting.execute(
            "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
        ).fetchone()
        assert row is not None
        for name, value in zip(names, (lock, statement)):
            self.acting.execute("SELECT set_config(%s, %s, false)", [name, value])
        try:
            yield
        finally:
            with suppress(psycopg.OperationalError):  # the session may be gone
                for name, value in zip(names, row):
                    self.acting.execute("SELECT set_config(%s, %s, false)", [name, value])

    # -- waiting and failing -------------------------------------------------------------------

    @contextmanager
    def _noticing_blockers(self) -> Iterator[None]:
        """Look who blocks shortly before the lock timeout strikes: afterwards nobody does."""
        pid = self.acting.info.backend_pid

        def look() -> None:
            with suppress(psycopg.Error):  # the wait itself will say what is wrong
                self._blockers = self.watching.execute(BLOCKERS, [pid]).fetchall()

        timer = threading.Timer(max(self.policy.lock_timeout * 0.7, 0.02), look)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _blocked_by(self) -> str:
        return "; ".join(
            f"pid {pid} ({application}) whose transaction is {age} s old: {query}"
            for pid, application, age, query in self._blockers
        )

    def _pause(self, failed: StepFailed, attempt: int) -> None:
        pause = min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)
        pause *= random.uniform(0.7, 1.3)
        blocked = self._blocked_by()
        self._tell(
            f"step {failed.step.number} waited {self.policy.lock_timeout:g} s for a lock"
            + (f" held by {blocked}" if blocked else "")
            + f"; rolled back, trying again in {pause:.1f} s"
        )
        if self._stopped.wait(pause):
            raise failed

    def _failed(
        self, step: Step, error: psycopg.Error, seconds: float, block: int | None, at: str = ""
    ) -> StepFailed:
        observation = Observation(
            step.number,
            step.statement.sql,
            str(step.statement.source),
            step.part,
            block,
            seconds=seconds,
            messages=tuple(self._messages),
            error=error.diag.message_primary or " ".join(str(error).split()),
        )
        return StepFailed(step, error, (observation,), at=at)

    def _wal(self) -> int:
        row = self.watching.execute(
            "SELECT CASE WHEN pg_is_in_recovery() THEN 0"
            " ELSE pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') END::bigint"
        ).fetchone()
        return int(row[0]) if row else 0

    def _hear(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        text = diagnostic.message_primary or ""
        if diagnostic.severity_nonlocalized == "DEBUG" and not text.startswith(WORK):
            return
        said = "" if diagnostic.severity_nonlocalized == "DEBUG" else f"{diagnostic.severity}: "
        self._messages.append(f"{said}{text}")


def _ms(seconds: float) -> str:
    """Seconds as PostgreSQL takes them: whole milliseconds; 0 is no limit."""
    return str(max(int(seconds * 1000), 1) if seconds else 0)


def _concurrently(step: Step) -> bool:
    return step.outside.startswith("CONCURRENTLY")


# how the server's DEBUG1 messages about real work begin
WORK = (
    "rewriting table",
    "verifying table",
    "building index",
    "validating foreign key",
    "existing",
)


class StepFailed(StatementError):
    """A step failed: which one, why, and what was observed until then."""

    def __init__(
        self,
        step: Step,
        cause: psycopg.Error,
        observations: tuple[Observation, ...],
        *,
        at: str = "",
        what: str = "",
        todo: str = "",
    ) -> None:
        self.step = step
        self.cause = cause
        self.observations = observations
        diagnostic = cause.diag
        place = step.statement.source
        why = [f"{diagnostic.severity or 'ERROR'}: {diagnostic.message_primary or cause}"]
        if diagnostic.message_detail:
            why.append(f"DETAIL: {diagnostic.message_detail}")
        if diagnostic.context:
            why.append(f"CONTEXT: {diagnostic.context}")
        why += drawn(step, diagnostic.statement_position)
        super().__init__(
            what or f"statement {step.number} failed" + (f" at {at}" if at else ""),
            sqlstate=cause.sqlstate or "",
            where=f"{place}, statement {step.number}: {step.statement.first_line}",
            why="\n".join(why),
            todo=todo or diagnostic.message_hint or "",
        )

    def given_up(self, waited: float, blockers: str) -> StepFailed:
        """The same after the deadline for locks has passed."""
        return StepFailed(
            self.step,
            self.cause,
            self.observations,
            what=f"no lock for statement {self.step.number} within {waited:.0f} s",
            todo=(f"held by {blockers}; " if blockers else "")
            + "end that transaction or wait for it, then run again",
        )


def drawn(step: Step, position: str | None) -> list[str]:
    """The line of the statement that the server points at, with a caret below."""
    if not position:
        return []
    sql = step.statement.sql
    at = int(position) - 1
    start = sql.rfind("\n", 0, at) + 1
    line = sql[start:].split("\n", 1)[0]
    number = step.statement.source.line + sql.count("\n", 0, at)
    place = Source(step.statement.source.file, number)
    return [f"{place}: {line}", " " * (len(f"{place}: ") + at - start) + "^"]


def server_gone(error: BaseException, doing: str) -> ServerError:
    """The connection broke: nothing is known about the last statement but what the ledger says."""
    return ServerError(
        f"the connection was lost while {doing}",
        why=" ".join(str(error).split()),
        todo="see that the server runs, then: qb status",
    )
