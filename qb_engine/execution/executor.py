"""the one executor: runs blocks on a connection, in their transactions, and says what they did"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.database.connect import lost
from qb_engine.database.message import ask, told, value
from qb_engine.execution.ahead import Ahead, may_go_ahead
from qb_engine.execution.alone import concurrently, run_alone
from qb_engine.execution.blockers import sentence, terminate
from qb_engine.execution.blocks import MAY_COMMIT, Block, Step
from qb_engine.execution.explain import explained
from qb_engine.execution.failure import StepFailed
from qb_engine.execution.observation import Lock, Observation, strength
from qb_engine.execution.observer import FLUSH, WAL, Observer
from qb_engine.execution.stage import OnStep, Policy, Stage, Tell, milliseconds
from qb_engine.sql import qualified

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from qb_engine.database.connect import Connection
    from qb_engine.execution.sample import Sample
    from qb_engine.execution.watch import OnSample

RETRIED = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
NOT_FROM_HERE = (  # a lock that is taken first
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
)
FIRST_PAUSE_S = 0.25  # between the first and the second try for a lock; doubles, with jitter
LONGEST_PAUSE_S = 15.0
CONCURRENT_TRIES = 3  # of a concurrent build that fails for others' sake

Inside = Callable[[tuple[Observation, ...]], None]
Closing = Callable[[tuple[Observation, ...]], Sequence[str]]
Closed = Callable[[tuple[Observation, ...], Sequence["PGresult"]], None]

AT_END = "the end, where deferred constraints are checked"


@dataclass(frozen=True, slots=True)
class Unit:
    """A block with what goes with it in its transaction: `first` before it, `inside` after it.

    `closing` gives statements that end it, one command each: they are sent together with the
    COMMIT. `closed` hears what they answered, once that is done.
    """

    block: Block
    inside: Inside | None = None
    first: Callable[[], None] | None = None
    closing: Closing | None = None
    closed: Closed | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """A try that others were in the way of; the next one follows after `pause` seconds."""

    failed: StepFailed
    attempt: int
    pause: float
    reason: str
    blockers: str


class Executor:
    """Runs blocks on `acting`, watched through `watching`.

    `tell` hears sentences on the way (a lock that is waited for). With `policy.commit` False all
    transactional blocks run in one transaction, which `close` rolls back; statements that cannot
    run in a transaction are skipped, and say so. With `opener` the run is also watched while a
    statement works. `pid` is the server's process that works for `acting`, where nothing stands in
    between; `spare` keeps sessions that were opened for one statement for the next.
    """

    def __init__(
        self,
        acting: Connection,
        watching: Connection,
        policy: Policy,
        *,
        opener: Callable[[], Connection] | None = None,
        tell: Tell | None = None,
        on_step: OnStep | None = None,
        stop: threading.Event | None = None,
        on_sample: OnSample | None = None,
        on_retry: Callable[[Retry], None] | None = None,
        pid: int = 0,
        spare: list[Connection] | None = None,
    ) -> None:
        self.policy = policy
        self._stage = Stage(
            acting,
            watching,
            policy,
            opener=opener,
            tell=tell,
            on_step=on_step,
            stop=stop,
            on_sample=on_sample,
            pid=pid,
            spare=spare,
        )
        self._on_retry = on_retry or (lambda retry: None)
        self.observer = Observer(watching)
        self._open = False
        self._unsettled: tuple[str, ...] = ()
        self._ahead = 0
        self._first_locks: dict[tuple[str, str], str] = {}  # taken first at the next try

    def run(
        self,
        block: Block,
        inside: Inside | None = None,
        first: Callable[[], None] | None = None,
    ) -> tuple[Observation, ...]:
        """Run a block; in its transaction `first` is called before it, and `inside` after it.

        Lock waits are retried, the transaction rolled back first, until the deadline. Raise
        StepFailed with the observations so far; nothing of a transactional block is kept then.
        """
        return self.run_together([Unit(block, inside, first)])

    def run_together(self, units: Sequence[Unit]) -> tuple[Observation, ...]:
        """Run several blocks in one transaction: all of them are kept, or none."""
        started, attempt = time.monotonic(), 1
        self._first_locks = {}
        while True:
            try:
                if not units[0].block.transactional:
                    self.settle()
                    return self._alone(units[0].block.steps[0], attempt)
                return self._transaction(units, attempt)
            except StepFailed as failed:
                waited = time.monotonic() - started
                if not self._worth_it(failed):
                    raise
                tries = attempt if concurrently(failed.step) else 0
                if waited > self.policy.lock_deadline or tries >= CONCURRENT_TRIES:
                    raise failed.given_up(waited, self._blockers(), tries) from None
                self._learn_order(failed, units[0].block)
                self._pause(failed, attempt)
                attempt += 1

    def giving_way(self) -> AbstractContextManager[None]:
        """Inside, a query of the caller's may be cancelled for the sake of those who wait.

        Without it nothing of what `first` and `inside` send is: the ledger's rows are not.
        """
        return self._stage.watch.cancellable()

    def let_wait(self, table: str) -> None:
        """Nothing is cancelled for the sake of those who wait for this table (`schema.name`)."""
        self._stage.watch.let_wait = table

    def settle_later(self, statements: Sequence[str]) -> None:
        """Have these, one command each, sent before anything else is, in their own transaction."""
        self._unsettled += tuple(statements)

    def settle(self) -> None:
        """Send them now, if they were not."""
        if self._unsettled and not self._open:
            ask(self._stage.acting, ["BEGIN", *self._unsettled, "COMMIT"])
            self._unsettled = ()

    def clock(self) -> float:
        """Seconds since the first statement began; 0 before it."""
        return time.monotonic() - self._stage.origin if self._stage.origin else 0.0

    def samples(self) -> tuple[Sample, ...]:
        """What was seen from outside since the last call."""
        return self._stage.watch.taken()

    def keep(self) -> bool:
        """Commit what is open, although the policy says not to; False when the server refuses."""
        if self._open:
            answers = told(self._stage.acting, [FLUSH, "COMMIT"])
            self._open = answers.error is not None
            return answers.error is None
        return True

    def close(self) -> None:
        """Roll back what is open and take the listener off."""
        if self._open and not self._stage.acting.closed:
            self._stage.acting.rollback()
        self._open = False
        self._stage.close()

    # -- inside a transaction ------------------------------------------------------------------

    def _transaction(self, units: Sequence[Unit], attempt: int) -> tuple[Observation, ...]:
        done: tuple[Observation, ...] = ()
        found: list[Observation] = []
        begun = self._begin(units[0].block)
        try:
            for unit in units:
                block, found = unit.block, []
                if self.policy.commit and unit.first is not None:
                    with self.beside(block.steps[0], block, "what is asked before it"):
                        unit.first()
                if may_go_ahead(block, self.policy):
                    Ahead(self._stage, self.observer, block, attempt, found).run(begun=begun)
                else:
                    self._one_by_one(block, attempt, found, begun=begun)
                begun = False
                found = self._close(unit, found, last=unit is units[-1])
                done += tuple(found)
            return done
        except StepFailed as failed:
            failed.observations = (*found, *failed.observations)
            self._rollback()
            raise
        except BaseException:
            self._rollback()
            raise

    def _alone(self, step: Step, attempt: int) -> tuple[Observation, ...]:
        try:
            return run_alone(self._stage, step, attempt)
        finally:
            if self.policy.commit and not (self.policy.pooled or self._stage.acting.closed):
                ask(self._stage.acting, [FLUSH])

    def _one_by_one(
        self, block: Block, attempt: int, found: list[Observation], *, begun: bool
    ) -> None:
        before: Step | None = None
        for step in block.steps:
            try:
                self._step(block, step, before, attempt, found, begun=begun)
            except StepFailed as failed:
                self._go_on(block, failed)
                found += failed.observations
            before, begun = step, False

    def _go_on(self, block: Block, failed: StepFailed) -> None:
        """Take one statement back and leave the rest, where the policy says so; else raise it."""
        acting = self._stage.acting
        if not (self.policy.going_on and block.savepoints) or acting.closed:
            raise failed
        ask(acting, [f"ROLLBACK TO SAVEPOINT qb_{failed.step.number}"])

    @contextmanager
    def beside(self, step: Step, block: Block, at: str) -> Iterator[None]:
        """What the caller asks in the transaction is tried again for the same reasons as a step."""
        try:
            yield
        except psycopg.Error as error:
            cancelled = isinstance(error, psycopg.errors.QueryCanceled) and self._stage.watch.over
            if not cancelled and not isinstance(error, RETRIED):
                raise
            raise self._stage.failed(step, error, 0.0, block.number, at) from error

    def _close(self, unit: Unit, found: list[Observation], *, last: bool) -> list[Observation]:
        """End a block: deferred constraints, what is asked and recorded, and COMMIT after the last.

        All of it is one message, unless something is to be asked in between. Between two migrations
        of one transaction deferred constraints are asked, and stay deferred.
        """
        block, stage, commit = unit.block, self._stage, self.policy.commit
        check = "SET CONSTRAINTS ALL IMMEDIATE"
        asks = [check] if last else [
            "SAVEPOINT qb_ask", check, "ROLLBACK TO SAVEPOINT qb_ask", "RELEASE SAVEPOINT qb_ask"
        ]  # fmt: skip
        question = self.observer.question()
        script = [("", each) for each in question] + [(AT_END, each) for each in asks]
        closing: Sequence[str] = ()
        if commit and unit.inside is not None:
            found = self._ended(found, self._send(block, script)[: len(question)])
            script, question = [], ()
            with self.beside(block.steps[-1], block, "what is asked after it"):
                unit.inside(tuple(found))
        if commit and unit.closing is not None:
            closing = unit.closing(tuple(found))
            script += [("", each) for each in closing]
        first = len(script) - len(closing)
        if commit:
            script += (
                [("", FLUSH), ("COMMIT", "COMMIT")]
                if last
                else [("", each) for each in self._anew()]
            )
        answers = self._send(block, script)
        if commit and last:
            self._open = False
            stage.watch.end()
        found = self._ended(found, answers[: len(question)])
        if commit and unit.closed is not None:
            unit.closed(tuple(found), answers[first : first + len(closing)])
        return found

    def _answered(self, found: list[Observation], answers: Sequence[PGresult]) -> None:
        """Complete the last observation by what the transaction itself has answered, if it did."""
        for each in answers:
            inside = self.observer.answer(each)
            if inside.scans or inside.rewrites or inside.rebuilds:
                found[-1] = replace(
                    found[-1],
                    rewrites=inside.rewrites,
                    rebuilds=inside.rebuilds,
                    scans=inside.scans,
                )

    def _ended(self, found: list[Observation], answers: Sequence[PGresult]) -> list[Observation]:
        """The observations of a block, complete, that has held its locks until now."""
        self._answered(found, answers)
        ended = time.monotonic() - self._stage.origin
        return [replace(o, held_until=ended) for o in found]

    def _send(self, block: Block, script: Sequence[tuple[str, str]]) -> Sequence[PGresult]:
        """Send statements at once, each with the place that is named when it fails.

        What has no place is the caller's.
        """
        stage, step = self._stage, block.steps[-1]
        if not script:
            return ()
        try:
            with stage.watch.cancellable():
                answers = told(stage.acting, [each for _, each in script])
        except psycopg.Error as error:  # nobody knows how far it came
            raise stage.failed(step, error, 0.0, block.number, script[-1][0]) from error
        if answers.error is None:
            return answers.given
        at = script[min(len(answers.given), len(script) - 1)][0]
        if at:
            raise stage.failed(step, answers.error, 0.0, block.number, at) from answers.error
        with self.beside(step, block, "what is recorded after it"):
            raise answers.error

    def _begin(self, block: Block) -> bool:
        """Open the transaction, with the savepoint of the first statement of a block if it did."""
        if self._open:  # a dry run goes on in the transaction that it rolls back at the end
            return False
        stage = self._stage
        # SET takes no snapshot, so a migration may still choose its isolation level
        opening = ["BEGIN", *self._limits()]
        if block.savepoints:
            opening.append(f"SAVEPOINT qb_{block.steps[0].number}")
        if self.policy.pooled:
            stage.acting.execute(";".join([*opening, self.policy.opening]).encode())
            self._open = True
            stage.pid = stage.ask_pid()
            stage.wal = stage.wal_now()
        else:
            stage.pid = stage.pid or stage.ask_pid()
            asks = [] if may_go_ahead(block, self.policy) else [WAL]  # else it says so itself
            before = [*self._unsettled, *asks]
            before = ["BEGIN", *before, "COMMIT"] if before else []
            try:
                answers = ask(stage.acting, [*before, *opening])
            except psycopg.Error:
                self._rollback()
                raise
            self._open, self._unsettled = True, ()
            if asks:
                stage.wal = int(value(answers[len(before) - 2]) or 0)
        self.observer.begin(stage.pid)
        stage.watch.begin(stage.pid)
        self._lock_first(block)
        return True

    def _learn_order(self, failed: StepFailed, block: Block) -> None:
        """Have the next try begin with the table lock that this one waited for in the end.

        It is then waited for while nothing is held, and several are taken in one order, by name:
        nobody waits behind the run for a table that it has long, and no circle comes about twice.
        """
        wanted = self._stage.watch.wanted
        if wanted is None or failed.step.outside or failed.step is block.steps[0]:
            return
        schema, table, mode = wanted
        known = self._first_locks.get((schema, table), "")
        self._first_locks[schema, table] = max(mode, known, key=strength)

    def _lock_first(self, block: Block) -> None:
        """Take the locks that an earlier try waited for, by the names of their tables.

        One that cannot be taken from here is left to the step that needs it: the migration may
        become another role first, or need less of a right than LOCK does.
        """
        if not block.savepoints:
            return  # such as SET TRANSACTION, before which nothing may stand
        acting = self._stage.acting
        for (schema, table), mode in sorted(self._first_locks.items()):
            words = Lock(table, mode).sql_mode
            text = f"LOCK TABLE ONLY {qualified(schema, table)} IN {words} MODE"
            try:
                acting.execute("SAVEPOINT qb_first")
                with self._stage.watch.cancellable():
                    acting.execute(text.encode())
                acting.execute("RELEASE SAVEPOINT qb_first")
            except NOT_FROM_HERE:
                acting.execute("ROLLBACK TO SAVEPOINT qb_first; RELEASE SAVEPOINT qb_first")
                del self._first_locks[schema, table]
            except psycopg.Error as error:
                step = block.steps[0]
                at = f"the lock on {schema}.{table}, which it takes first"
                failed = self._stage.failed(step, error, 0.0, block.number, at)
                self._rollback()
                raise failed from error

    def _anew(self) -> Sequence[str]:
        """What the next migration in the same transaction begins with."""
        return ["RESET ALL", *self._limits()]

    def _limits(self) -> Sequence[str]:
        policy = self.policy
        return (
            f"SET LOCAL lock_timeout = {milliseconds(policy.lock_timeout)}",
            f"SET LOCAL statement_timeout = {milliseconds(policy.statement_timeout)}",
            f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds(policy.idle)}",
            f"SET LOCAL client_min_messages = {'debug1' if policy.debug else 'notice'}",
        )

    def _step(
        self,
        block: Block,
        step: Step,
        before: Step | None,
        attempt: int,
        found: list[Observation],
        *,
        begun: bool,
    ) -> None:
        """Run a statement; what only its transaction knows of it is asked with what follows."""
        stage = self._stage
        start = stage.start(step)
        self._ahead = 0  # characters that are sent before the statement itself
        try:
            script = list(question := self.observer.question())
            if block.savepoints and not begun:
                script += [f"RELEASE SAVEPOINT qb_{before.number}"] if before else []
                script.append(f"SAVEPOINT qb_{step.number}")
            if script:
                self._answered(found, ask(stage.acting, script)[: len(question)])
            if stage.watch.over:
                raise psycopg.errors.QueryCanceled("others waited for too long")
            start = time.monotonic()
            with stage.watch.cancellable():
                tree, rows, wal, buffers = self._execute(step)
            seconds = time.monotonic() - start
            seen = self.observer.look()
        except psycopg.Error as error:
            seconds = time.monotonic() - start
            raise stage.failed(step, error, seconds, block.number, ahead=self._ahead) from error
        waited, waiters = stage.watch.kept_waiting()
        written, stage.wal = max(seen.wal - stage.wal, 0), seen.wal
        observation = Observation(
            number=step.number,
            sql=step.statement.sql,
            place=str(step.statement.source),
            part=step.part,
            transaction=block.number,
            seconds=seconds,
            start=start - stage.origin,
            rows=rows,
            locks=seen.locks,
            wal_bytes=wal if wal is not None else written,
            buffers=buffers,
            attempts=attempt,
            messages=stage.heard(),
            blocked_s=waited,
            waiters=waiters,
            explain=tree,
        )
        stage.on_step(step, "done", observation)
        found.append(observation)

    def _execute(self, step: Step) -> tuple[Any, int | None, int | None, int | None]:
        sql, acting = step.statement.sql, self._stage.acting
        if self.policy.explain and step.statement.is_dml:
            options = b"EXPLAIN (ANALYZE, BUFFERS, WAL, FORMAT JSON) "
            self._ahead = len(options)
            row = acting.execute(options + sql.encode()).fetchone()
            assert row is not None
            found = explained(row[0], ran=True)
            return found.tree, found.rows, found.wal_bytes, found.buffers
        tree = None
        if self.policy.explain and step.statement.has_plan:
            options = b"EXPLAIN (FORMAT JSON) "
            self._ahead = len(options)
            row = acting.execute(options + sql.encode()).fetchone()
            tree = explained(row[0], ran=False).tree if row else None
            self._ahead = 0
        answer = ask(acting, [sql])[0]
        return tree, answer.command_tuples if step.statement.is_dml else None, None, None

    def _rollback(self) -> None:
        self._open = False
        self._stage.watch.end()
        if not self._stage.acting.closed:
            try:
                ask(self._stage.acting, ["ROLLBACK", FLUSH])
            except psycopg.Error as error:
                if not (lost(error) or self._stage.acting.closed):
                    raise

    # -- waiting ---------------------------------------------------------------------------------

    def _worth_it(self, failed: StepFailed) -> bool:
        """True when another try may get through, and would do nothing twice."""
        if failed.step.outside and failed.step.statement.kind in MAY_COMMIT:
            return False  # what it has committed itself stays
        others = isinstance(failed.cause, RETRIED) or bool(failed.blocked)
        return self.policy.commit and others

    def _blockers(self) -> str:
        return "; ".join(sentence(each) for each in self._stage.watch.blockers)

    def _pause(self, failed: StepFailed, attempt: int) -> None:
        growth = 2.0 ** min(attempt - 1, 30)
        pause = min(FIRST_PAUSE_S * growth, LONGEST_PAUSE_S) * random.uniform(0.7, 1.3)
        if failed.blocked:  # the others come first: left in peace at least as long as they waited
            longest = max(self.policy.max_blocked, LONGEST_PAUSE_S)
            pause = max(pause, min(self.policy.max_blocked * growth, longest))
        blockers = self._blockers()
        number = failed.step.number
        if failed.blocked:
            said = f"step {number} was cancelled: {failed.blocked}"
        elif isinstance(failed.cause, psycopg.errors.LockNotAvailable):
            said = f"step {number} waited {self.policy.lock_timeout:g} s for a lock" + (
                f" held by {blockers}" if blockers else ""
            )
        else:
            said = f"step {number}: {failed.cause.diag.message_primary}"
        self._stage.tell(f"{said}; rolled back, trying again in {pause:.1f} s")
        self._on_retry(Retry(failed, attempt, pause, said, blockers))
        if self.policy.terminate and isinstance(failed.cause, psycopg.errors.LockNotAvailable):
            stage = self._stage
            terminate(stage.watching, stage.watch.blockers, self.policy.terminate, stage.tell)
        if self._stage.stopped.wait(pause):
            raise failed
