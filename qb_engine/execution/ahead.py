"""the statements of a transaction sent at once, and their answers heard one by one

Nothing waits for this process between two statements: the session looks at itself after each, and
what only others can see (the catalog as it was before) is asked beside it, while it works on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine.database.message import Command, Stream, can_stream, rows
from qb_engine.execution.observation import Observation
from qb_engine.execution.observer import START, Own, own

if TYPE_CHECKING:
    from qb_engine.execution.blocks import Block, Step
    from qb_engine.execution.observer import Observer
    from qb_engine.execution.stage import Policy, Stage

MOST_TEXT = 256 * 1024  # characters that are on their way at once
MOST_STEPS = 200
PATIENCE_S = 0.01  # for the next answer, before those that are there are told
PARAMETER = re.compile(r"\$[0-9]")
WITH_PARAMETERS = ("create_function", "do")  # in their bodies, which are texts


@dataclass(frozen=True, slots=True)
class _Done:
    """A step that has ended, as far as its own session knows."""

    step: Step
    start: float  # on the clock of this process
    seconds: float
    rows: int | None
    look: Own
    messages: tuple[str, ...]
    blocked_s: float
    waiters: int


def may_go_ahead(block: Block, policy: Policy) -> bool:
    """True when nobody wants to step in between two statements of a block."""
    if policy.stepped or policy.explain or policy.pooled or policy.going_on:
        return False
    return block.savepoints and can_stream() and all(map(_plain, block.steps))


def _plain(step: Step) -> bool:
    """True for a statement that means the same wherever it is sent from."""
    statement = step.statement
    if statement.node is None:
        return False
    return not PARAMETER.search(statement.sql) or statement.kind in WITH_PARAMETERS


class Ahead:
    """Runs the statements of one block; what they did is appended to `found`, one by one."""

    def __init__(
        self,
        stage: Stage,
        observer: Observer,
        block: Block,
        attempt: int,
        found: list[Observation],
    ) -> None:
        self._stage = stage
        self._observer = observer
        self._block = block
        self._attempt = attempt
        self._found = found
        self._done: list[_Done] = []  # not told yet
        self._running: Step | None = None
        self._told: Step | None = None  # the last one of which is told that it runs
        self._since = 0.0

    def run(self, *, begun: bool) -> None:
        """Run all of them; with `begun` the first one's savepoint is there. Raise StepFailed."""
        before: Step | None = None
        for steps in _loads(self._block.steps):
            self._send(steps, before, begun=begun)
            before, begun = steps[-1], False

    def _send(self, steps: Sequence[Step], before: Step | None, *, begun: bool) -> None:
        stage, last = self._stage, self._observer.own_look()
        look = replace(last, heard=True)  # the last one is heard in any case
        script: list[tuple[str, Step, Command]] = [("start", steps[0], Command(START))]
        for step in steps:
            if before:
                release = Command(f"RELEASE SAVEPOINT qb_{before.number}")
                script.append(("between", step, release))
            if not begun:
                script.append(("between", step, Command(f"SAVEPOINT qb_{step.number}")))
            script.append(("step", step, Command(step.statement.sql)))
            script.append(("look", step, look if step is not steps[-1] else last))
            before, begun = step, False
        self._start(steps[0])
        self._tell(steps[0])
        if stage.watch.over:
            raise self._failed(psycopg.errors.QueryCanceled("others waited for too long"))
        try:
            with (
                stage.watch.cancellable(),
                Stream(stage.acting, [command for _, _, command in script]) as stream,
            ):
                self._hear(stream, script)
            self._settle()
        except psycopg.Error as error:
            raise self._failed(error) from error

    def _hear(self, stream: Stream, script: Sequence[tuple[str, Step, Command]]) -> None:
        stage, count = self._stage, None
        at = 0.0  # when the running step began, on the server's clock
        for what, step, _ in script:
            if step is not self._running:
                self._start(step)
            if (self._done or step is not self._told) and not stream.ready(PATIENCE_S):
                self._settle()
            answer = stream.next()
            if what == "start":
                first = rows(answer)[0]
                at, wal = float(first[0] or 0), int(first[1] or 0)
                stage.wal = max(stage.wal, wal)
            elif what == "step":
                count = answer.command_tuples if step.statement.is_dml else None
            elif what == "look":
                seen = own(answer)
                seconds, heard = max(seen.at - at, 0.0), stage.heard()
                waited, waiters = stage.watch.kept_waiting()
                self._done.append(
                    _Done(step, self._since, seconds, count, seen, heard, waited, waiters)
                )
                at = seen.until

    def _start(self, step: Step) -> None:
        self._since = self._stage.begin(step)
        self._running = step

    def _settle(self) -> None:
        """Tell what has been done since the last time, and what runs now."""
        stage, done = self._stage, self._done
        if done:
            self._done = []
            looks = self._observer.settle([each.look for each in done])
            for each, (seen, inside) in zip(done, looks):
                written, stage.wal = max(seen.wal - stage.wal, 0), seen.wal
                step = each.step
                observation = Observation(
                    number=step.number,
                    sql=step.statement.sql,
                    place=str(step.statement.source),
                    part=step.part,
                    transaction=self._block.number,
                    seconds=each.seconds,
                    start=each.start - stage.origin,
                    rows=each.rows,
                    locks=seen.locks,
                    rewrites=inside.rewrites,
                    rebuilds=inside.rebuilds,
                    scans=inside.scans,
                    wal_bytes=written,
                    attempts=self._attempt,
                    messages=each.messages,
                    blocked_s=each.blocked_s,
                    waiters=each.waiters,
                )
                self._tell(step)
                stage.on_step(step, "done", observation)
                self._found.append(observation)
        if self._running is not None:
            self._tell(self._running)

    def _tell(self, step: Step) -> None:
        """Tell that a step runs, once, before it is told how it went."""
        if step is not self._told:
            self._told = step
            self._stage.on_step(step, "running", None)

    def _failed(self, error: psycopg.Error) -> Exception:
        """The failure of the step that runs, once those before it are told."""
        stage, step = self._stage, self._running
        assert step is not None
        seconds = time.monotonic() - self._since
        if stage.watching.closed:
            self._tell(step)
        else:
            self._settle()
        return stage.failed(step, error, seconds, self._block.number)


def _loads(steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
    """Steps in groups that are not too large to be on their way at once."""
    load: list[Step] = []
    size = 0
    for step in steps:
        if load and (size + len(step.statement.sql) > MOST_TEXT or len(load) >= MOST_STEPS):
            yield load
            load, size = [], 0
        load.append(step)
        size += len(step.statement.sql)
    yield load
