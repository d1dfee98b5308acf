"""what a run works with: the connection that holds the lock, the one that acts, the executor"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from qb_engine import ledger
from qb_engine.database.message import ask
from qb_engine.database.pooler import DIRECT, Sessions, as_found, sessions
from qb_engine.execution import Executor, Policy, observer
from qb_engine.ledger.install import reading
from qb_engine.ledger.typeorm import History, appending, create, history_of, relations, there
from qb_engine.runner.lock import Held, marked_working, only_runner, working
from qb_engine.schema import probe, snapshot

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Observation, Step
    from qb_engine.execution.executor import Retry
    from qb_engine.execution.place import Place
    from qb_engine.execution.sample import Sample
    from qb_engine.migrations import LoadedMigration
    from qb_engine.runner.events import Kind
    from qb_engine.schema import Snapshot

# what a migration SET, opened, listened to or locked must not reach the next one
TIDY = (
    "RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL", "CLOSE ALL", "UNLISTEN *",
    "DISCARD TEMP", "DISCARD SEQUENCES",
    marked_working().replace("SELECT ", "SELECT pg_catalog.pg_advisory_unlock_all(), ", 1),
)  # fmt: skip
# what the session of the statements is asked again and again is planned once
PREPARE = (observer.PREPARE_NOW, observer.PREPARE_OWN, *ledger.PREPARE)
PREPARING = ("prepare", "discard", "deallocate")  # words of who may touch prepared statements

# What it says is on disk no later than what it is about: the server's log is written in order. So
# the ledger's own commits need not be waited for.
CONTROL = "SET synchronous_commit = off"
NOT_WAITED_FOR = "SET LOCAL synchronous_commit = off"

WHOLE = ("applied", "expanded", "contracted")  # of what is applied as far as it goes now


class Baseline:
    """A schema that is read as SQL while other things are done."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self._found = ""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="qb baseline", daemon=True)
        self._thread.start()

    def sql(self) -> str:
        """What was read, once it is. Raise what that raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found

    def close(self) -> None:
        """Wait until nothing is read any more."""
        self._thread.join()

    def _work(self) -> None:
        try:
            self._found = self._read()
        except BaseException as error:  # noqa: BLE001 - raised by `sql`, whatever it is
            self._error = error


class Crew:
    """The connections of a run, opened once for all its migrations.

    `control` holds the runner's lock and writes the ledger. The schema is read when somebody needs
    it and nothing ran since.
    """

    def __init__(
        self, place: Place, control: Connection, held: Held, sessions: Sessions = DIRECT
    ) -> None:
        self.place = place
        self.control = control
        self.held = held
        self.sessions = sessions
        self.migration: LoadedMigration | None = None  # whose steps are told
        self.run = 0
        self.terminate = 0.0  # how old a blocker's transaction is that is ended, in seconds
        self.decides = False  # who has this crew records himself why a run goes on
        self.leaving: tuple[str, ...] = ()  # ends a transaction where sessions are not kept
        self.ahead = 0  # migrations that follow in this run; their commits take this one's to disk
        self._numbers: list[int] = []  # of runs that are reserved, the next one last
        self._flushed = True
        self._prepares = False
        self._history: History | None = None
        self._relations: frozenset[int] = frozenset()
        self._ledger = False
        self._baseline: Baseline | None = None
        self._acting: Connection | None = None
        self._executor: Executor | None = None
        self._schema: Snapshot | None = None
        self._fingerprint: str | None = None

    @property
    def acting(self) -> Connection:
        """The connection that runs statements, opened anew when it is gone."""
        self._be_ready()
        assert self._acting is not None
        assert self._executor is not None
        self._executor.settle()
        return self._acting

    def samples(self) -> tuple[Sample, ...]:
        """What was seen from outside since the last time, also of a session that is gone."""
        return self._executor.samples() if self._executor is not None else ()

    @property
    def executor(self) -> Executor:
        """The executor on that connection."""
        self._be_ready()
        assert self._executor is not None
        return self._executor

    def expect_ledger(self) -> None:
        """Begin to read what a ledger keeps of the schema before it, where there is none yet.

        Not beside others through a pooler: pg_dump leaves its settings behind in their sessions.
        """
        if self.sessions.kept and self._baseline is None and not ledger.exists(self.control):
            self._baseline = Baseline(reading(self.control, self.place.target))

    def ensure_ledger(self) -> None:
        """Make the ledger, once."""
        if not self._ledger:
            known = self._baseline.sql if self._baseline is not None else None
            ledger.ensure(self.control, self.place.target, known)
            self._ledger = True

    def history(self, names: Sequence[str]) -> History | None:
        """TypeORM's table, made if it is not there, for names that stand in it; None without any.

        A new one begins with what the ledger has as applied.
        """
        if not names:
            return None
        if self._history is None:
            found = history_of(self.control, self.place.project.config.typeorm)
            if not there(self.control, found):
                create(self.control, found)
                self._fill(found)
                self._schema = self._fingerprint = None
            self._history = found
        return self._history

    def overlook(self, history: History) -> None:
        """What is done to TypeORM's table is done beside the statements, and may keep it waiting"""
        if not self._relations:
            self._relations = relations(self.control, history)
        self.executor.observer.overlooked = self._relations
        self.executor.let_wait(str(history))

    def _fill(self, history: History) -> None:
        """Tell a history that was just made of the migrations that are applied."""
        known = ledger.standing(self.control) if ledger.exists(self.control) else {}
        applied = sorted(
            (s for s in known.values() if s.status in WHOLE), key=lambda each: each.last.run
        )
        entries = {entry.id: entry for entry in self.place.migrations.entries}
        for each in applied:
            if each.migration not in entries:
                continue
            names = self.place.migrations.names_in_history(entries[each.migration])
            for file, name in names.items():
                if each.status != "expanded" or not file.startswith("post"):
                    self.control.execute(appending(history, name).encode())

    def begin(self, migration: LoadedMigration) -> int:
        """Record that a run starts, committed before its first statement; its number.

        It goes ahead of that in the same message.
        """
        fingerprint = self.fingerprint()
        if self.sessions.kept and not self._numbers:
            self._numbers = ledger.reserve(self.control, self.ahead + 1)[::-1]
        if not self._numbers:
            return ledger.begin(self.control, migration, "up", fingerprint)
        run = self._numbers.pop()
        record = ledger.beginning(self.control, run, migration, "up", fingerprint, prepared=True)
        self.executor.settle_later((NOT_WAITED_FOR, record))
        return run

    def moved(self) -> None:
        """Others have changed the schema and the ledger: what was known, or reserved, is not."""
        self._numbers = []  # runs are in the order of their numbers
        self._schema = self._fingerprint = None

    def schema(self) -> Snapshot:
        """The schema of the target as it is now."""
        if self._schema is None:
            self._schema = snapshot(self.control)
            self._fingerprint = self._schema.fingerprint
        return self._schema

    def fingerprint(self) -> str | None:
        """The fingerprint of the schema, where it is known without reading all of it again."""
        if self._fingerprint is None and self._schema is None:
            known = ledger.last_fingerprint(self.control)
            if known is not None and known[0] == probe(self.control):
                self._fingerprint = known[1]
            else:
                self.schema()
        return self._fingerprint

    def take_up(self, migration: LoadedMigration, run: int) -> None:
        """The statements of this migration come next, recorded under the number of a run."""
        self.migration, self.run = migration, run
        self._schema = None
        self._fingerprint = ""  # not known in between: only the first and the last are read
        text = "\n".join(s.sql for part in migration.parts for s in (*part.up, *part.down)).lower()
        self._prepares = any(word in text for word in PREPARING)
        self.executor.observer.now_prepared = self.prepared

    @property
    def prepared(self) -> bool:
        """True when the session of the statements has what PREPARE makes."""
        return self.sessions.kept and not self._prepares

    def committed(self, *, flushed: bool) -> None:
        """A migration is committed; `flushed` says that it is on disk, and all before it."""
        self._flushed = flushed

    def flush(self) -> None:
        """Have on disk what is committed; say when that fails, for it is done all the same."""
        if self._flushed or self.control.closed:
            return
        try:
            ledger.flush(self.control)
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            self.place.tell(f"nobody knows whether the last commit is on disk already: {said}")
            return
        self._flushed = True

    def keep_schema(self, run: int) -> None:
        """Record what the schema became with a run, the last one of several."""
        before = probe(self.control)
        self._schema = None
        ledger.snapshot_after(self.control, run, self.schema(), before)

    def tidy(self) -> None:
        """Have the acting session made as good as new before the next migration begins."""
        if self.sessions.kept and self._executor is not None:
            again = ("DEALLOCATE ALL", *PREPARE) if self._prepares else ()
            self._executor.settle_later((*TIDY, *again))

    def close(self) -> None:
        """Let go of everything but the lock."""
        if self._baseline is not None:
            self._baseline.close()
        if self._executor is not None:
            self._executor.close()
        if self._acting is not None:
            self._acting.close()
        self._acting, self._executor = None, None

    def _be_ready(self) -> None:
        if self._acting is not None and not self._acting.closed:
            return
        self.close()
        place = self.place
        self._acting = place.opener("qb run")
        if self.sessions.kept:
            self._acting.execute(marked_working())
        else:
            self.leaving = as_found(self._acting)
        self._executor = Executor(
            self._acting,
            self.control,
            self._policy(),
            opener=lambda: place.opener("qb watch"),
            tell=place.tell,
            on_step=self._on_step,
            stop=place.stop,
            on_retry=self._on_retry,
            on_sample=place.on_sample,
        )
        if self.sessions.kept:
            self._executor.settle_later(PREPARE)
            self._executor.observer.look_prepared = True

    def _policy(self) -> Policy:
        if self.sessions.kept:
            return self.place.policy(terminate=self.terminate)
        return self.place.policy(pooled=True, opening=working(), terminate=self.terminate)

    def _on_step(self, step: Step, what: str, seen: Observation | None) -> None:
        assert self.migration is not None, "a run says whose steps it runs"
        self.place.on_step(self.migration, step, what)
        whose: dict[str, object] = {
            "migration": self.migration.id, "run": self.run, "number": step.number,
        }  # fmt: skip
        if seen is None:
            place = str(step.statement.source)
            self.place.emit("statement_started", **whose, sql=step.statement.sql, place=place)
            return
        self.place.emit(
            "statement_ended",
            **whose,
            seconds=seen.seconds,
            rows=seen.rows,
            locks=seen.table_locks,
            wal_bytes=seen.wal_bytes,
            attempts=seen.attempts,
            messages=list(seen.messages),
            error=seen.error,
        )

    def _on_retry(self, retry: Retry) -> None:
        failed = retry.failed
        number = failed.step.number
        if failed.blocked or isinstance(failed.cause, psycopg.errors.LockNotAvailable):
            kind: Kind = "blocked" if failed.blocked else "lock_waiting"
            self.place.emit(kind, number=number, blockers=retry.blockers, why=failed.blocked)
        self.place.emit(
            "retry",
            number=number,
            attempt=retry.attempt,
            pause=round(retry.pause, 3),
            reason=retry.reason,
        )


@contextmanager
def at_work(place: Place, patience: float | None = None) -> Iterator[Crew]:
    """A crew that holds the runner's lock, for the length of a block.

    Raise RefusedError when another runner has it for longer than `patience` seconds.
    """
    patience = place.patience if patience is None else patience
    with place.connected("qb runner") as control:
        pooled = _sessions(place, control)
        with only_runner(
            control,
            patience,
            place.tell,
            place.stop,
            sessions=pooled,
            apart=lambda: place.opener("qb runner"),
        ) as held:
            crew = Crew(place, control, held, pooled)
            if pooled.kept:
                ask(control, [CONTROL, observer.PREPARE_LOOK, observer.PREPARE_KNOWN])
            if ledger.exists(control):
                ledger.close_stale(control)
            try:
                yield crew
            finally:
                crew.close()
                crew.flush()


def _sessions(place: Place, control: Connection) -> Sessions:
    """What the target's connections are; a second one is opened only behind a pooler."""
    row = control.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    if row is not None and row[0] == control.info.backend_pid:
        return DIRECT
    with place.connected("qb runner") as other:
        return sessions(control, other)
