"""statements started on the target itself, and cancelled as soon as the server begins to work

For what a shadow cannot load. Each statement runs in a transaction of its own that is rolled back.
The server says at DEBUG1 which work it starts: at the first such line the locks are looked at, and
the statement is cancelled from another thread.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.analysis.figures import expected_rows, figures
from qb_engine.analysis.outside import reaches_outside
from qb_engine.execution import Block, Executor, Observation
from qb_engine.execution.failure import StepFailed
from qb_engine.execution.observer import Observer

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution.blocks import Step
    from qb_engine.execution.observation import Lock
    from qb_engine.execution.place import Place
    from qb_engine.execution.sample import Waiting

LOCK_S = 1.0  # a lock is waited for no longer
HELD_S = 2.0  # one statement holds its locks no longer
TOTAL_S = 30.0  # all statements together
BLOCKED_S = 1.0  # others wait for the probe no longer
CANCEL_S = 5.0  # to hand over the request to cancel

# the lines of DEBUG1 that tell of work; others tell that there is none
WORK = re.compile(
    r'(?:rewriting|verifying) table "(?P<table>.+)"$'
    r'|building index ".+" on table "(?P<indexed>.+)" (?:serially|with request)'
    r'|validating foreign key constraint "'
)
CHANGES = ("insert", "update", "delete", "merge", "copy")
# errors of names: an earlier statement may make what they mean
NAMES = ("42", "3F", "2B")

VISIBLE = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
                WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'm'))
"""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a statement was seen to do on the target until it ended, or began to work.

    `verdict` is `no work`, `work` (it was cancelled then), `blocked`, `too long` (it said nothing
    of work for as long as it may hold its locks), `gave way` (others waited for it), `fails`, or
    `not probed`; `why` says more. `locks` are those that it took on what was there. `blockers` are
    whom it waited for. `used_up` names sequences of which values may be gone: nothing brings these
    back.
    """

    step: Step
    verdict: str
    why: str = ""
    work: str = ""
    locks: tuple[Lock, ...] = ()
    seconds: float = 0.0
    blockers: tuple[Waiting, ...] = ()
    used_up: tuple[str, ...] = ()
    rows: float | None = None  # that a data change would touch, as the planner expects

    @property
    def ok(self) -> bool:
        """False when it could not be seen what the statement does."""
        return self.verdict in ("no work", "work", "not probed")


def probe(
    place: Place,
    steps: Iterable[Step],
    *,
    held_s: float = HELD_S,
    total_s: float = TOTAL_S,
) -> tuple[Probed, ...]:
    """Start each statement on the target, and roll it back.

    One that fails for a name that is not there is tried again after those before it that do no
    work, in one transaction. Statements that refuse a transaction, and those that change rows, are
    not run. No lock is waited for or held for longer than a moment; nothing stays but what
    sequences have given out.
    """
    found: list[Probed] = []
    deadline = time.monotonic() + total_s
    with place.connected("qb probe") as acting, place.connected("qb probe watch") as watching:
        for step in steps:
            why = _not_run(step)
            if not why and time.monotonic() > deadline:
                why = f"the {total_s:.0f} s for all statements are over"
            if not why and place.stop.is_set():
                why = "stopped"
            if why:
                found.append(Probed(step, "not probed", why))
                continue
            prober = _Prober(place, acting, watching, held_s)
            before = tuple(p.step for p in found if p.verdict == "no work" and not _changes(p.step))
            one = _changing(prober, watching, step) if _changes(step) else prober.probe(step)
            if before and one.verdict == "fails" and _names(one):
                one = prober.probe(step, before)
            undone = [p.step.number for p in found if p.verdict == "work"]
            if undone and one.verdict == "fails" and _names(one):
                made = f"what statement {undone[-1]} makes, which was cancelled"
                why = f"it may need {made} ({one.why})"
                one = replace(one, verdict="not probed", why=why)
            found.append(one)
    return tuple(found)


def _not_run(step: Step) -> str:
    """Why a statement is not probed; empty when it is."""
    if step.outside:
        return f"it does not run in a transaction: {step.outside}"
    if outside := reaches_outside(step.statement):
        return outside
    if step.statement.kind == "copy":
        return "it moves rows"
    return ""


def _changes(step: Step) -> bool:
    return step.statement.kind in CHANGES


def _names(one: Probed) -> bool:
    return one.why.partition(":")[0][:2] in NAMES


def _changing(prober: _Prober, watching: Connection, step: Step) -> Probed:
    """A data change is planned, which takes its locks, and touches no row."""
    planned = replace(step.statement, sql=f"EXPLAIN {step.statement.sql}", node=None)
    one = prober.probe(replace(step, statement=planned))
    rows = expected_rows(watching, [(step.number, step.statement)]).get(step.number)
    if one.verdict == "no work":
        one = replace(one, verdict="work", work="changes rows", why="only planned: it changes rows")
    return replace(one, step=step, rows=rows)


class _Prober:
    """Runs statements on `acting` and cancels them; `watching` sees what was there before."""

    def __init__(
        self, place: Place, acting: Connection, watching: Connection, held_s: float
    ) -> None:
        self._place = place
        self._acting = acting
        self._watching = watching
        self._held_s = held_s

    def probe(self, step: Step, before: tuple[Step, ...] = ()) -> Probed:
        """Run a statement after others in one transaction, and roll all of it back."""
        policy = self._place.policy(
            commit=False,
            explain=True,  # one statement after the other: none is to be sent ahead
            debug=True,
            lock_timeout=LOCK_S,
            lock_deadline=0.0,
            statement_timeout=self._held_s,
            max_blocked=BLOCKED_S,
        )
        listener = _Listener(self._acting, self._watching, step.number, self._held_s)
        with self._place.connected("qb watch") as looking:
            executor = Executor(
                self._acting,
                looking,
                policy,
                opener=lambda: self._place.opener("qb watch"),
                stop=self._place.stop,
                on_step=listener.on_step,
            )
            began = time.monotonic()
            seen: tuple[Observation, ...] = ()
            failure: StepFailed | None = None
            try:
                seen = executor.run(Block(1, (*before, step), True))
            except StepFailed as failed:
                failure = failed
            finally:
                listener.close()
                executor.close()
            seconds = time.monotonic() - began
        if failure is not None and self._acting.closed:
            raise failure
        waited = [sample.waits_for for sample in executor.samples() if sample.waits_for]
        return self._judged(step, listener, seen, failure, seconds, waited)

    def _judged(
        self,
        step: Step,
        listener: _Listener,
        seen: tuple[Observation, ...],
        failure: StepFailed | None,
        seconds: float,
        waited: list[tuple[Waiting, ...]],
    ) -> Probed:
        ran = (*seen, *(failure.observations if failure else ()))
        earlier = {lock for o in ran if o.number != step.number for lock in o.locks}
        locks = tuple(lock for o in ran if o.number == step.number for lock in o.locks)
        locks = tuple(lock for lock in listener.locks if lock not in earlier) or locks
        verdict, why = "no work", ""
        if listener.work:
            verdict = "work"
            why = "cancelled at that moment" if failure else "it was done before it was cancelled"
        elif failure is not None:
            verdict, why = _failed(step, failure, self._held_s)
        return Probed(
            step,
            verdict,
            why,
            listener.work,
            locks,
            seconds,
            waited[-1] if waited and verdict in ("blocked", "gave way") else (),
            self._sequences(locks),
        )

    def _sequences(self, locks: Iterable[Lock]) -> tuple[str, ...]:
        """The sequences that gave out values, by the lock that this takes."""
        names = [lock.relation for lock in locks if lock.mode == "RowExclusiveLock"]
        found = figures(self._watching, names)
        return tuple(name for name, of in found.items() if of.kind == "sequence")


def _failed(step: Step, failure: StepFailed, held_s: float) -> tuple[str, str]:
    """What the failure of a statement that was not seen at work means."""
    cause = failure.cause
    said = f"{cause.sqlstate}: {cause.diag.message_primary or ' '.join(str(cause).split())}"
    if failure.step.number != step.number:
        return "fails", f"statement {failure.step.number} before it fails now: {said}"
    if isinstance(cause, psycopg.errors.LockNotAvailable):
        return "blocked", f"a lock was not to be had within {LOCK_S:.0f} s"
    if failure.blocked:
        return "gave way", failure.blocked
    if isinstance(cause, psycopg.errors.QueryCanceled):
        return "too long", f"it ran for {held_s:g} s, and the server did not say at what"
    return "fails", said


class _Listener:
    """Hears the server speak of work, looks at the locks, and has the statement cancelled.

    The line arrives in the thread that waits for the statement, so another one does the rest.
    """

    def __init__(
        self, acting: Connection, watching: Connection, number: int, held_s: float
    ) -> None:
        self.work = ""
        self.locks: tuple[Lock, ...] = ()
        self._acting = acting
        self._watching = watching
        self._number = number
        self._held_s = held_s
        self._pid = acting.info.backend_pid
        self._lines: deque[str] = deque()  # not looked at yet: they may come faster than we look
        self._heard = threading.Event()
        self._running = False
        self._gate = threading.Lock()  # held while a cancel is on its way
        self._closed = False
        acting.add_notice_handler(self._hear)
        self._thread = threading.Thread(target=self._wait, name="qb probe", daemon=True)
        self._thread.start()

    def on_step(self, step: Step, state: str, seen: Any) -> None:
        """Only the statement that is probed is listened to; a cancel has arrived when it ends."""
        with self._gate:
            self._running = state == "running" and step.number == self._number
            if not self._running:
                self.work = self.work or self._first()  # it was done before anybody could cancel it
            self._lines.clear()

    def close(self) -> None:
        with self._gate:
            self._running, self._closed = False, True
        self._heard.set()
        self._thread.join(CANCEL_S)
        self._acting.remove_notice_handler(self._hear)

    def _hear(self, said: psycopg.errors.Diagnostic) -> None:
        text = said.message_primary or ""
        if self._running and not self.work and WORK.match(text):
            self._lines.append(text)
            self._heard.set()

    def _wait(self) -> None:
        while not self._closed:
            self._heard.wait()
            with self._gate:
                self._heard.clear()
                if self._closed or self.work or not self._running:
                    continue
                self.work = self._first()
                if self.work:
                    self._look()
                    self._acting.cancel_safe(timeout=CANCEL_S)

    def _first(self) -> str:
        """The first line that was heard of work on what others can see; empty when none was."""
        while self._lines:
            line = self._lines.popleft()
            if self._there(line):
                return line
        return ""

    def _there(self, line: str) -> bool:
        """False when the line speaks of a table that nobody else can see."""
        found = WORK.match(line)
        table = found and (found["table"] or found["indexed"])
        if not table:
            return True
        with suppress(psycopg.Error):  # who cannot look takes it for work, and cancels
            row = self._watching.execute(VISIBLE, [table]).fetchone()
            return bool(row and row[0])
        return True

    def _look(self) -> None:
        observer = Observer(self._watching)
        observer.begin(self._pid)
        with suppress(psycopg.Error):  # the statement is cancelled, whatever it holds
            self.locks = observer.look().locks
