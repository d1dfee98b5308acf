"""blocks run and recorded: each block's steps commit together with what they did"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import psycopg

from qb_engine import ledger
from qb_engine.database.connect import lost, server_error
from qb_engine.errors import InterruptedRun
from qb_engine.execution import Block, Executor, Observation
from qb_engine.execution.failure import StepFailed, server_gone
from qb_engine.runner.lock import mark_working
from qb_engine.runner.resume import settings_of

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Step
    from qb_engine.execution.place import Place
    from qb_engine.migrations import LoadedMigration

ENDED = ("applied", "expanded", "rolled back")

Also = Callable[["Connection"], None]


class Recording:
    """One run of a migration on its way: what it runs, under which number, and how it shall end."""

    def __init__(
        self,
        place: Place,
        control: Connection,
        migration: LoadedMigration,
        number: int,
        status: str,
        counts: tuple[int, int],
        also: Also | None = None,
    ) -> None:
        self._place = place
        self._control = control
        self._migration = migration
        self._number = number
        self._status = status  # what the run becomes with its last block
        self._base, self._total = counts  # statements that an earlier run kept, and all
        self._also = also or (lambda conn: None)  # more to write when it has ended

    @property
    def _again(self) -> str:
        """The command that goes on with this run."""
        return "qb rollback" if self._status == "rolled back" else "qb run"

    def run(self, arranged: Sequence[Block], kept: Sequence[Step] = ()) -> tuple[Observation, ...]:
        """Run blocks in order. `kept` are steps of an earlier try, whose settings are made again.

        Raise StepFailed, InterruptedRun or ServerError, with what was kept.
        """
        seen: list[Observation] = []
        with self._place.connected("qb run") as acting:
            mark_working(acting)
            executor = Executor(
                acting,
                self._control,
                self._place.policy(),
                tell=self._place.tell,
                on_step=lambda step, what, seen: self._place.on_step(self._migration, step, what),
                opener=lambda: self._place.opener("qb watch"),
                stop=self._place.stop,
            )
            try:
                for sql in settings_of(kept):
                    acting.execute(sql.encode())
                for block in arranged:
                    seen += self._block(acting, executor, block, last=block is arranged[-1])
                if not arranged:
                    self._end(self._control)
            except StepFailed as failed:
                if wants_to_be_alone(failed):
                    raise  # the caller runs that step outside a transaction, in the same run
                if error := self._stopped(failed):
                    raise error from failed.cause
            except KeyboardInterrupt:
                kept_now, cut_off = self._record_end("stopped", "interrupted")
                raise InterruptedRun(
                    f"{self._migration.id} was interrupted",
                    why=self._fate(kept_now, cut_off),
                    todo=f"{self._again} continues",
                ) from None
            except psycopg.Error as error:
                if not self._control.closed:
                    self._record_end("failed", str(error))
                if lost(error):
                    raise server_gone(error, f"running {self._migration.id}") from error
                raise server_error(f"recording {self._migration.id}", error) from error
            finally:
                executor.close()
                if not acting.closed:
                    acting.execute("DISCARD ALL")  # what a migration SET must not reach the next
        return tuple(seen)

    def _block(
        self, acting: Connection, executor: Executor, block: Block, *, last: bool
    ) -> tuple[Observation, ...]:
        def inside(observations: tuple[Observation, ...]) -> None:
            # the ledger is written as who connected; the migration's own role returns afterwards
            acting.execute("SET LOCAL SESSION AUTHORIZATION DEFAULT")
            acting.execute("SET LOCAL ROLE NONE")
            ledger.record_steps(acting, self._number, observations)
            if last:
                self._end(acting)

        if block.transactional:
            return executor.run(block, inside)
        step = block.steps[0]
        blank = Observation(
            step.number, step.statement.sql, str(step.statement.source), step.part, None
        )
        ledger.record_steps(self._control, self._number, [blank], "running")
        seen = executor.run(block)
        with self._control.transaction():
            ledger.record_steps(self._control, self._number, seen)
            if last:
                self._end(self._control)
        return seen

    def _end(self, conn: Connection) -> None:
        ledger.finish(conn, self._number, self._status)
        self._also(conn)

    def _stopped(self, failed: StepFailed) -> Exception | None:
        """Record a failed step; the error to raise, or None when the commit got through after all.

        The answer to COMMIT may be lost with the connection; then the ledger knows.
        """
        cancelled = isinstance(failed.cause, psycopg.errors.QueryCanceled)
        gone = lost(failed.cause)
        if self._control.closed or (gone and not _alive(self._control)):
            return server_gone(failed.cause, f"running {self._migration.id}")
        ledger.record_steps(self._control, self._number, failed.observations[-1:], "failed")
        said = failed.cause.diag.message_primary or str(failed.cause)
        error = f"{failed.what}: {said}"
        kept, cut_off = self._record_end("stopped" if cancelled else "failed", error)
        if ledger.status_of(self._control, self._number) in ENDED:
            self._place.tell("the connection was lost after the commit, which got through")
            return None
        failed.why += f"\n{self._fate(kept, cut_off)}"
        failed.todo = failed.todo or f"mend {self._migration.path.name}, then: {self._again}"
        return failed

    def _record_end(self, status: str, error: str) -> tuple[int, int]:
        """Record how the run ended; how many steps were kept, and how many were cut off."""
        ledger.finish(self._control, self._number, status, error)
        steps = ledger.steps(self._control, self._number)
        cut_off = [s for s in steps if s.status == "running" and not s.transactional]
        return len([s for s in steps if s.status == "done"]), len(cut_off)

    def _fate(self, kept: int, cut_off: int) -> str:
        if not kept and not cut_off:
            whole = "nothing of it was kept"
            return f"rolled back: {whole if not self._base else whole + ' beyond what was'}"
        text = f"{kept + self._base} of {self._total} statements are committed, and recorded"
        if cut_off:
            text += ", and one outside a transaction was cut off"
        return f"{text}; {self._again} continues after them"


def wants_to_be_alone(failed: StepFailed) -> bool:
    """True when the server refused a step because it stood in a transaction."""
    refused = isinstance(failed.cause, psycopg.errors.ActiveSqlTransaction)
    return refused and not failed.step.outside


def _alive(conn: Connection) -> bool:
    try:
        conn.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
