"""blocks run and recorded: each block's steps commit together with what they did"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine import ledger
from qb_engine.constraints.rules import NOT_ROLLED_BACK, Limits, Memo, after, before, insist
from qb_engine.database.connect import lost, server_error
from qb_engine.database.message import value
from qb_engine.errors import InterruptedRun, RefusedError, ServerError
from qb_engine.execution import Block, Observation, StepFailed
from qb_engine.execution.blocks import MAY_COMMIT
from qb_engine.execution.executor import Unit
from qb_engine.execution.failure import server_gone
from qb_engine.execution.pooled import refuse_settings
from qb_engine.ledger import PartRow, in_sync
from qb_engine.runner import beside, evidence
from qb_engine.runner.crew import NOT_WAITED_FOR
from qb_engine.runner.resume import settings_of

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from qb_engine.constraints.rules import DeclaredRule
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Step
    from qb_engine.execution.sample import Sample
    from qb_engine.migrations import LoadedMigration, Part
    from qb_engine.runner.beside import Keeping
    from qb_engine.runner.crew import Crew

ENDED = ("applied", "expanded", "contracted", "rolled back")

# the ledger is written as who connected; the migration's own role returns afterwards
AS_CONNECTED = ("SET LOCAL SESSION AUTHORIZATION DEFAULT", "SET LOCAL ROLE NONE")

# The server refuses with the same code what comes too late in its transaction (SET TRANSACTION),
# and what it does in no function: alone they would not mean the same, or be refused again.
NEVER_ALONE = ("variable_set", "do")

LAST_ROLLED_BACK = "rolled back: the last transaction; what was committed before it stays"

Also = Callable[["Connection"], None]


class Recording:
    """One run of a migration on its way: what it runs, under which number, and how it shall end.

    `status` is what the run becomes with its last block; `counts` the statements that an earlier
    run kept, and all; `also` writes more when it has ended; `rules` are what it must
    keep; `all_or_none` says that its transaction holds other migrations, too.
    """

    def __init__(
        self,
        crew: Crew,
        migration: LoadedMigration,
        number: int,
        status: str,
        counts: tuple[int, int] = (0, 0),
        also: Also | None = None,
        rules: tuple[DeclaredRule, ...] = (),
        *,
        all_or_none: bool = False,
    ) -> None:
        self._crew = crew
        self._control = crew.control
        self._migration = migration
        self.number = number
        self._status = status
        self._base, self._total = counts
        self._also = also
        self._rules = rules
        self.memo = Memo()
        self._begins = True  # nothing of the migration is kept yet
        self._all_or_none = all_or_none  # with other migrations in one transaction
        self.seen: list[Observation] = []
        self.samples: tuple[Sample, ...] = ()
        self._arranged: Sequence[Block] = ()
        self._keeping: Keeping | None = None  # TypeORM's own history
        self._names: tuple[str, ...] = ()  # in it, of what is to run
        self._since = 0.0  # on the executor's clock
        self.seconds = 0.0  # of the whole run, once it has ended

    @property
    def _again(self) -> str:
        """The command that goes on with this run."""
        return "qb rollback" if self._status == "rolled back" else "qb run"

    def run(
        self, arranged: Sequence[Block], parts: Sequence[Part], kept: Sequence[Step] = ()
    ) -> tuple[Observation, ...]:
        """Run blocks of `parts` in order. Of `kept`, steps of an earlier try, settings are made.

        Raise StepFailed, InterruptedRun or ServerError, with what was kept.
        """
        crew = self._crew
        crew.take_up(self._migration, self.number)
        self._arranged = arranged
        self._begins = not kept
        self._keep_history(arranged, parts)
        self._since = crew.executor.clock()
        whole = whole_parts(arranged, parts, down=self._status == "rolled back", kept=kept)
        with self.recorded():
            if not crew.sessions.kept:
                refuse_settings(arranged, kept)
            for sql in settings_of(kept):
                crew.acting.execute(sql.encode())
            for block in arranged:
                crew.held.check()
                self._block(block, whole[block.number])
            if not arranged:
                self._insist(crew.acting, kept=NOT_ROLLED_BACK)
                self._end((), (), last=True, told=self._told(None))
            crew.tidy()
        return tuple(self.seen)

    def units(self, arranged: Sequence[Block], parts: Sequence[Part]) -> list[Unit]:
        """The same blocks as part of a transaction that holds more than this run."""
        self._arranged = arranged
        self._keep_history(arranged, parts)
        whole = whole_parts(arranged, parts, down=False)
        return [self._unit(block, whole[block.number]) for block in arranged]

    def _keep_history(self, arranged: Sequence[Block], parts: Sequence[Part]) -> None:
        """Have TypeORM's own history kept true, where it knows the migration."""
        history = self._crew.history(beside.names_of(parts))
        if history is not None:
            down = self._status == "rolled back"
            self._keeping = beside.keeping(history, arranged, parts, down=down)
            left = {step.part for block in arranged for step in block.steps}
            coming = [part for part in parts if self._begins or part.file in left]
            self._names = () if down else beside.names_of(coming)
            self._crew.overlook(history)

    def _shut_out(self, block: Block) -> None:
        """Keep TypeORM's own runner out for the length of a transaction."""
        if self._keeping is not None:
            first = block is self._arranged[0]
            beside.shut_out(
                self._crew.acting,
                self._control,
                self._keeping.history,
                block,
                self._names if first else (),
                self._migration,
                begun=not (self._begins and first),
            )

    def _told(self, block: Block | None) -> tuple[str, ...]:
        """What TypeORM's history is told with a block; None is the end of a run without any."""
        return self._keeping.statements(block.number if block else 0) if self._keeping else ()

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record how the run ends that this block makes, and say what was kept.

        Raise StepFailed, RefusedError, InterruptedRun or ServerError.
        """
        try:
            yield
        except StepFailed as failed:
            if wants_to_be_alone(failed):
                raise  # the caller runs that step outside a transaction, in the same run
            if error := self._stopped(failed):
                raise error from failed.cause
        except RefusedError as error:
            if not self._control.closed:
                self._record_end("failed", error.what)
            raise
        except KeyboardInterrupt:
            kept_now, cut_off = self._record_end("stopped", "interrupted")
            fate, todo = self._fate(kept_now, cut_off), f"{self._again} continues"
            if (now := ledger.status_of(self._control, self.number)) in ENDED:
                fate, todo = f"its commit got through: it is {now}", "see it with: qb status"
            raise InterruptedRun(
                f"{self._migration.id} was interrupted", why=fate, todo=todo
            ) from None
        except psycopg.Error as error:
            if ledger.fenced_off(error):
                raise self._ended_by_another() from error
            if not self._control.closed:
                self._record_end("failed", str(error))
            if lost(error):
                raise server_gone(error, f"running {self._migration.id}") from error
            where = self._crew.place.target.display
            raise server_error(f"recording {self._migration.id}", error, where=where) from error

    def _unit(self, block: Block, parts: Sequence[PartRow]) -> Unit:
        """A transactional block, with the rules and the record that belong to its transaction."""
        crew = self._crew
        last = block is self._arranged[-1]
        alone = last and block is self._arranged[0]
        ahead = self._arranged[: self._arranged.index(block)]
        before = sum(len(each.steps) for each in ahead)
        # That commit need not be waited for: that of the next migration, or the end of the run,
        # takes it to disk. The server's log is written in order, so what is lost in a crash is the
        # last of it, each migration together with its record.
        waits = not (last and crew.ahead)

        def first() -> None:
            self._since = self._since or crew.executor.clock()
            del self.seen[before:]  # an earlier try was rolled back
            self._shut_out(block)
            if block is self._arranged[0]:
                self._remember(crew.acting)

        def inside(seen: tuple[Observation, ...]) -> None:
            self.seen[before:] = seen
            self._insist(crew.acting, kept="" if alone else LAST_ROLLED_BACK)
            if self._also is not None:
                crew.acting.execute(";".join(AS_CONNECTED).encode())
                self._also(crew.acting)

        def closing(seen: tuple[Observation, ...]) -> Sequence[str]:
            # the session is somebody else's after this, where sessions are not kept
            ends = (*AS_CONNECTED, *crew.leaving, *(() if waits else (NOT_WAITED_FOR,)))
            status = self._status if last else ""
            keep = ledger.keeping(
                self._control, self.number, seen, parts, status, prepared=crew.prepared
            )
            return (*ends, *self._told(block), keep)

        def closed(seen: tuple[Observation, ...], answers: Sequence[PGresult]) -> None:
            self.seen[before:] = seen
            crew.committed(flushed=waits)
            self.seconds = float(value(answers[-1]) or self.seconds)

        asks = last and (self._rules or self._also is not None)
        return Unit(block, inside if asks else None, first, closing, closed)

    def _block(self, block: Block, parts: Sequence[PartRow]) -> None:
        """Run a block and record it; its samples, too."""
        executor, last = self._crew.executor, block is self._arranged[-1]
        try:
            if block.transactional:
                executor.run_together([self._unit(block, parts)])
                return
            step = block.steps[0]
            blank = Observation(
                step.number, step.statement.sql, str(step.statement.source), step.part, None
            )
            if block is self._arranged[0]:
                if self._keeping is not None:
                    history, names, begun = self._keeping.history, self._names, not self._begins
                    beside.refuse_applied(
                        self._control, history, names, self._migration, begun=begun
                    )
                self._remember(self._crew.acting)
            there = evidence.before(self._crew.acting, step.statement)
            ledger.record_steps(self._control, self.number, [blank], "running", there)
            try:
                seen = executor.run(block)
            except RefusedError as error:  # it was not sent
                blank = replace(blank, error=error.what)
                ledger.record_steps(self._control, self.number, [blank], "failed")
                raise
            self.seen += seen
            self._end(seen, parts, last=False, told=self._told(block))
            if last:
                self._insist(self._crew.acting, kept=NOT_ROLLED_BACK)
                self._end((), (), last=True)
        finally:
            self.keep_samples()

    def _remember(self, conn: Connection) -> None:
        """Ask the rules that hold before, and what others compare with afterwards.

        Not in the middle of a migration, whose own first half has changed what they speak of.
        """
        if self._rules and self._begins:
            with self._crew.executor.giving_way():
                self.memo = before(conn, self._rules, self._limits)
            self._crew.executor.observer.rebase(conn)
            insist(self.memo.outcomes, self._migration.id)

    def _insist(self, conn: Connection, *, kept: str) -> None:
        """Ask the rules that hold after; raise RuleBroken when one does not."""
        if self._rules:
            with self._crew.executor.giving_way():
                outcomes = after(conn, self._rules, self.memo, self.seen, self._limits)
            insist(outcomes, self._migration.id, kept=kept)

    @property
    def _limits(self) -> Limits:
        """How long a rule may wait, and take, that is asked outside a transaction."""
        policy = self._crew.executor.policy
        return Limits(policy.lock_deadline, policy.statement_timeout)

    def keep_samples(self) -> None:
        """Take what was seen from outside since the last time for this run's."""
        samples = self._crew.samples()
        self.samples += samples
        if samples and not self._control.closed:
            ledger.record_samples(self._control, self.number, samples, self._since)

    def _end(
        self,
        seen: Sequence[Observation],
        parts: Sequence[PartRow],
        *,
        last: bool,
        told: Sequence[str] = (),
    ) -> None:
        """Record what ran outside a transaction, and the end of the run with the last of it.

        `told` is SQL for TypeORM's own history.
        """
        with _durably(self._control):
            for sql in told:
                self._control.execute(sql.encode())
            status = self._status if last else ""
            seconds = ledger.keep(self._control, self.number, seen, parts, status)
            if last and self._also is not None:
                self._also(self._control)
        self._crew.committed(flushed=True)
        self.seconds = seconds or self.seconds

    def _stopped(self, failed: StepFailed) -> Exception | None:
        """Record a failed step; the error to raise, or None when the commit got through after all.

        The answer to COMMIT may be lost with the connection; then the ledger knows.
        """
        cancelled = isinstance(failed.cause, psycopg.errors.QueryCanceled) and not failed.blocked
        gone = lost(failed.cause)
        if self._control.closed or (gone and not _alive(self._control)):
            return server_gone(failed.cause, f"running {self._migration.id}")
        # nobody saw the end of what runs outside a transaction, or it may have committed before
        unseen = failed.step.outside and (gone or failed.step.statement.kind in MAY_COMMIT)
        how = "running" if unseen else "failed"
        ledger.record_steps(self._control, self.number, failed.observations[-1:], how)
        said = failed.cause.diag.message_primary or str(failed.cause)
        error = f"{failed.what}: {said}"
        kept, cut_off = self._record_end("stopped" if cancelled else "failed", error)
        if ledger.status_of(self._control, self.number) in ENDED:
            self._crew.place.tell("the connection was lost after the commit, which got through")
            return None
        failed.why += f"\n{self._fate(kept, cut_off)}"
        failed.then(self._again, self._migration.path.name)
        return failed

    def _ended_by_another(self) -> ServerError:
        """The error for a run that another runner took for dead; its last block is not kept."""
        return ServerError(
            f"the run of {self._migration.id} was ended by another runner",
            why=f"this one had lost the runner's lock, and the ledger says that run {self.number} "
            "is not running any more\nrolled back: what it had not recorded by then",
            todo="see how it stands with: qb status",
            code="lock-lost",
        )

    def _record_end(self, status: str, error: str) -> tuple[int, int]:
        """Record how the run ended; how many steps were kept, and how many were cut off."""
        ledger.finish(self._control, self.number, status, error)
        steps = ledger.steps(self._control, self.number)
        cut_off = [s for s in steps if s.status == "running" and not s.transactional]
        return len([s for s in steps if s.status == "done"]), len(cut_off)

    def _fate(self, kept: int, cut_off: int) -> str:
        name = self._migration.id
        if self._all_or_none:
            return "rolled back: nothing of any migration of this run was kept"
        if not kept and not cut_off:
            beyond = " beyond what was before" if self._base else ""
            return f"rolled back: nothing of {name} was kept{beyond}"
        text = f"{kept + self._base} of {self._total} statements are committed, and recorded"
        if cut_off:
            text += ", and one outside a transaction was cut off"
        return f"{text}; {self._again} continues after them"


@contextmanager
def _durably(conn: Connection) -> Iterator[None]:
    """A transaction that is on disk when it is over."""
    with conn.transaction():
        conn.execute("SET LOCAL synchronous_commit TO DEFAULT")
        yield


def whole_parts(
    arranged: Sequence[Block], parts: Iterable[Part], *, down: bool, kept: Sequence[Step] = ()
) -> dict[int, list[PartRow]]:
    """By the number of a block: the files of which it runs the last statement.

    `kept` are steps that an earlier try has committed, in transactions of its own.
    """
    found: dict[int, list[PartRow]] = {block.number: [] for block in arranged}
    for part in parts:
        mine = [b for b in arranged if any(step.part == part.file for step in b.steps)]
        if not mine:
            continue
        earlier = [step for step in kept if step.part == part.file]
        alone = any(not b.transactional for b in mine) or any(step.outside for step in earlier)
        once = len(mine) == 1 and not earlier
        how = "mixed" if alone else "one" if once else "each statement"
        row = PartRow(part.file, part.kind, "undone" if down else "applied", how)
        found[mine[-1].number].append(row)
    return found


def wants_to_be_alone(failed: StepFailed) -> bool:
    """True when the server refused a step because it stood in a transaction."""
    refused = isinstance(failed.cause, psycopg.errors.ActiveSqlTransaction)
    step = failed.step
    return refused and not step.outside and step.statement.kind not in NEVER_ALONE


def forget_backfill(conn: Connection, migration: LoadedMigration) -> None:
    """Drop what the ledger knows of a backfill whose column is gone or made anew."""
    row = conn.execute("SELECT pg_catalog.to_regclass('qb.backfill') IS NOT NULL").fetchone()
    if row and row[0]:
        in_sync.drop(conn, migration.id)
        conn.execute("DELETE FROM qb.backfill WHERE id = %s", [migration.id])


def _alive(conn: Connection) -> bool:
    try:
        conn.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
