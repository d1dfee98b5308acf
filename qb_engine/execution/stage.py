"""what the parts of an executor share: the connections, the policy, who listens"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from qb_engine.database.message import ask, value
from qb_engine.execution.blocks import Step
from qb_engine.execution.failure import StepFailed
from qb_engine.execution.observation import Observation
from qb_engine.execution.observer import WAL
from qb_engine.execution.watch import OnSample, Watch
from qb_engine.execution.why import explain

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

Tell = Callable[[str], None]
OnStep = Callable[[Step, str, Observation | None], None]
"""Hears of a step that is `running`, `done` or `failed`, the last two with what was observed."""

# how the server's DEBUG1 messages about real work begin
WORK = (
    "rewriting table",
    "verifying table",
    "building index",
    "validating foreign key",
    "existing",
    "partition constraint",
    "updated partition constraint",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How an execution differs from another: everything else is the same. Times in seconds.

    `max_blocked` is how long others may wait for the run before its statement is cancelled and
    tried again later; 0 is no limit. `pooled` says that a pooler hands out another session for each
    transaction. `opening` is SQL that each transaction begins with.
    Blockers whose transactions are older than `terminate` are ended; 0 is none. A runner that says
    nothing for `idle`, on a machine that was put to sleep, loses its transaction and its locks.
    """

    commit: bool = True
    lock_timeout: float = 2.0
    lock_deadline: float = 300.0
    statement_timeout: float = 3600.0
    max_blocked: float = 0.0
    idle: float = 60.0
    explain: bool = False  # run DML under EXPLAIN ANALYZE
    debug: bool = False  # listen to the server's DEBUG1 messages about its work
    stepped: bool = False  # learn the locks of statements outside a transaction one by one
    going_on: bool = False  # take back only the statement that fails, and run those after it
    pooled: bool = False
    opening: str = ""
    terminate: float = 0.0


class Stage:
    """Where steps run: `acting` runs them, `watching` looks at it between two of them."""

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
        pid: int = 0,
        spare: list[Connection] | None = None,
    ) -> None:
        self.acting = acting
        self.watching = watching
        self.policy = policy
        self.opener = opener
        self.spare = spare
        self.tell = tell or (lambda text: None)
        self.on_step = on_step or (lambda step, state, seen: None)
        self.stopped = stop or threading.Event()
        self.origin = 0.0  # when the first step began, monotonic
        self.pid = self._known_pid = pid
        self.wal = 0  # where the server's log stood at the last look, in bytes
        self.watch = Watch(
            None if policy.stepped else opener,  # nobody else works on an empty shadow
            acting.cancel_safe,
            lock_timeout=policy.lock_timeout,
            max_blocked=policy.max_blocked,
            pooled=policy.pooled,
            ours=() if policy.pooled else (watching.info.backend_pid,),
            tell=self.tell,
            on_sample=on_sample,
        )
        self._messages: list[str] = []
        self._hearing = True
        acting.add_notice_handler(self._hear)

    def close(self) -> None:
        """Take the listener off, and stop watching."""
        self.watch.close()
        if self._hearing:
            self.acting.remove_notice_handler(self._hear)
            self._hearing = False

    def start(self, step: Step) -> float:
        """Say that a step begins; when, in monotonic seconds."""
        self.on_step(step, "running", None)
        return self.begin(step)

    def begin(self, step: Step) -> float:
        """Listen and watch for a step from now on; when that is, in monotonic seconds."""
        self._messages.clear()
        now = time.monotonic()
        self.origin = self.origin or now
        self.watch.step(step.number, now)
        return now

    def heard(self) -> tuple[str, ...]:
        """What the server said since the step began."""
        return tuple(self._messages)

    def ask_pid(self) -> int:
        """The server's process that works for `acting` (a pooler shows another number)."""
        if self._known_pid:
            return self._known_pid
        row = self.acting.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
        assert row is not None
        return int(row[0])

    def wal_now(self) -> int:
        """Where the server's log stands, in bytes; 0 on a standby."""
        return int(value(ask(self.watching, [WAL])[0]) or 0)

    def failed(
        self,
        step: Step,
        error: psycopg.Error,
        seconds: float,
        block: int | None,
        at: str = "",
        ahead: int = 0,
    ) -> StepFailed:
        """A step's failure, told to who listens; `ahead` characters were sent before its SQL."""
        waited, waiters = self.watch.kept_waiting()
        observation = Observation(
            step.number,
            step.statement.sql,
            str(step.statement.source),
            step.part,
            block,
            seconds=seconds,
            messages=self.heard(),
            blocked_s=waited,
            waiters=waiters,
            error=error.diag.message_primary or " ".join(str(error).split()),
            sqlstate=error.sqlstate or "",
            detail=error.diag.message_detail or "",
        )
        self.on_step(step, "failed", observation)
        ours = isinstance(error, psycopg.errors.QueryCanceled) and not self.stopped.is_set()
        over = self.watch.over if ours else ""
        meant = explain(error, step.statement, self.watching)
        return StepFailed(
            step, error, (observation,), at=at, blocked=over, meant=meant, ahead=ahead
        )

    def _hear(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        text = diagnostic.message_primary or ""
        if diagnostic.severity_nonlocalized == "DEBUG" and not text.startswith(WORK):
            return
        said = "" if diagnostic.severity_nonlocalized == "DEBUG" else f"{diagnostic.severity}: "
        self._messages.append(f"{said}{text}")


def milliseconds(seconds: float) -> str:
    """Seconds as PostgreSQL takes them: whole milliseconds; 0 is no limit."""
    return str(max(int(seconds * 1000), 1) if seconds else 0)
