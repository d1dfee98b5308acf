"""one pair of connections to a shadow, on which file after file is looked at"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine.analysis.changes import PREPARE_AFTER, PREPARE_STATES
from qb_engine.analysis.examine import FLUSH, LISTEN, Examiner, examined_of
from qb_engine.database.connect import lost
from qb_engine.database.message import ask
from qb_engine.execution import Block, Executor, Observation
from qb_engine.execution.failure import StepFailed
from qb_engine.execution.observer import PREPARE_LOOK, PREPARE_NOW
from qb_engine.execution.stage import Policy

if TYPE_CHECKING:
    from qb_engine.analysis.facts import Examined
    from qb_engine.database.connect import Connection
    from qb_engine.execution.blocks import Step
    from qb_engine.shadow import Shadow
    from qb_engine.sql import Statement

STATEMENT_S = 10.0  # on an empty shadow nothing honest takes longer
GRACE_S = 2.0  # after which a statement is cancelled that has set its own limit
POLICY = Policy(
    commit=False,
    lock_timeout=5.0,
    lock_deadline=10.0,
    statement_timeout=STATEMENT_S,
    debug=True,
    stepped=True,
    going_on=True,
)
LASTING = ("variable_set", "select", "do", "call", "discard", "unknown")  # may set what stays set
FORGETTING = ("deallocate", "discard")  # of what a session has prepared, even when taken back


class Examination:
    """Looks at files on a shadow, one after the other; close it at the end.

    What a file does is taken back, unless it is to be kept for those after it. With `claiming` it
    is also learned what statements require of the rows that a target has.
    """

    def __init__(self, shadow: Shadow, *, claiming: bool = False, policy: Policy = POLICY) -> None:
        self.shadow = shadow
        self._policy = policy
        self._claiming = claiming
        self._pair: tuple[Connection, Connection] | None = None
        self._spare: list[Connection] = []  # sessions that hold tables for a while
        self._began = 0.0  # when the running statement began, monotonic; 0 when none runs
        self._ended = threading.Event()
        self._guard: threading.Thread | None = None

    def __enter__(self) -> Examination:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def acting(self) -> Connection:
        """The connection that statements run on."""
        return self._connections()[0]

    def run(
        self,
        arranged: Sequence[Block],
        *,
        commit: bool,
        unless: Callable[[Sequence[Examined]], bool] | None = None,
    ) -> tuple[Examined, ...]:
        """Each step with its facts, in order; a statement that fails is noted.

        Those after it are run, too, unless the policy says to end there: they have no facts then.
        Without `commit` nothing stays, and what refuses a transaction is not run. What one
        transaction did is taken back if `unless` says so of what was seen.
        """
        kinds = {step.statement.kind for block in arranged for step in block.steps}
        prepared = kinds.isdisjoint(FORGETTING)
        acting, watching = self._connections()
        examiner = Examiner(acting, watching, claiming=self._claiming, prepared=prepared)

        def on_step(step: Step, state: str, seen: Observation | None) -> None:
            self._began = time.monotonic() if state == "running" else 0.0
            examiner.on_step(step, state, seen)

        executor = Executor(
            acting,
            watching,
            replace(self._policy, commit=commit and unless is None),
            opener=self.shadow.connect,
            on_step=on_step,
            pid=acting.info.backend_pid,
            spare=self._spare,
        )
        executor.observer.look_prepared = True
        executor.observer.now_prepared = prepared
        seen: dict[int, Observation] = {}
        refused = False
        try:
            for block in arranged:
                for observations in _tried(executor, block, examiner):
                    seen.update({o.number: o for o in observations})
                if not self._policy.going_on and any(o.error for o in seen.values()):
                    break
            found = examined_of(examiner, arranged, seen.values())
            if commit and unless is not None and not unless(found):
                refused = not executor.keep()
        finally:
            self._began = 0.0
            executor.close()
            if not prepared or (commit and not kinds.isdisjoint(LASTING)):
                self._forget()
        if not commit:
            self.settle()
        return found if not refused else self.run(arranged, commit=commit)

    def settle(self) -> None:
        """Have what was read until now not be counted with what comes."""
        self.acting.execute(FLUSH)

    def plainly(self, statements: Iterable[Statement]) -> None:
        """Run statements one by one for those after them; what fails was said elsewhere."""
        acting = self.acting
        acting.execute(f"SET statement_timeout = '{self._policy.statement_timeout:g}s'")
        for statement in statements:
            self._began = time.monotonic()
            try:
                acting.execute(statement.sql.encode())
            except psycopg.Error as error:
                if lost(error):
                    raise
        self._began = 0.0
        self._forget()

    def close(self) -> None:
        """Close the connections."""
        self._ended.set()
        self._forget()
        for conn in self._spare:
            conn.close()

    def _forget(self) -> None:
        """Close the pair: the next file begins with sessions in which nothing was set."""
        for conn in self._pair or ():
            conn.close()
        self._pair = None

    def _connections(self) -> tuple[Connection, Connection]:
        if self._pair is None or any(conn.closed for conn in self._pair):
            self._forget()
            acting, watching = self._pair = (self.shadow.connect(), self.shadow.connect())
            ask(acting, [PREPARE_NOW, PREPARE_AFTER, LISTEN])
            ask(watching, [PREPARE_LOOK, PREPARE_STATES])
            watching.prepare_threshold = 1  # it asks the same of each statement
            self._watch()
        return self._pair

    # -- what never ends -----------------------------------------------------------------------

    def _watch(self) -> None:
        """Have somebody cancel a statement that has lifted its own limit."""
        if self._guard is None:
            self._guard = threading.Thread(target=self._patrol, daemon=True)
            self._guard.start()

    def _patrol(self) -> None:
        while not self._ended.wait(GRACE_S / 2):
            began, pair = self._began, self._pair
            limit = self._policy.statement_timeout + GRACE_S
            if began and pair and time.monotonic() - began > limit:
                with suppress(psycopg.Error):  # it has ended meanwhile
                    pair[0].cancel_safe()


def _tried(
    executor: Executor, block: Block, examiner: Examiner
) -> Iterator[tuple[Observation, ...]]:
    """What was seen of a block; of one that fails as a whole, without the step that failed, too.

    Where no savepoint may stand between two statements, one that fails takes all of them back.
    """
    while True:
        before = examiner.mark()
        try:
            yield executor.run(block)
            return
        except StepFailed as failed:
            if lost(failed.cause):
                raise failed.cause from None
            yield failed.observations
            rest = tuple(s for s in block.steps if s.number != failed.step.number)
            again = executor.policy.going_on and block.transactional and not block.savepoints
            if not again or not rest or rest == block.steps:
                return
            examiner.back_to(before)
            block = replace(block, steps=rest)


def examine(
    shadow: Shadow, arranged: Sequence[Block], policy: Policy = POLICY
) -> tuple[Examined, ...]:
    """Look at blocks once: each of their steps with its facts."""
    with Examination(shadow, policy=policy) as examination:
        return examination.run(arranged, commit=policy.commit)
