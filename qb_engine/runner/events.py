"""what happens during a run, told as it happens: JSON lines in a file, OpenTelemetry spans"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from qb_engine.errors import InputError
from qb_engine.report import jsonable
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.target import Target

Kind = Literal[
    "run_started",  # command; written by `sink` itself
    "migration_started",  # migration, run (its number in the ledger), direction, part
    "statement_started",  # migration, run, number, sql, place
    "lock_waiting",  # number, blockers: the statement waits for a lock
    "retry",  # number, attempt, pause (s), reason: rolled back, tried again after the pause
    "blocked",  # number, waiting (sessions), longest (s): the statement keeps others waiting
    "statement_ended",  # number, seconds, rows, locks, wal_bytes, attempts, messages; error
    "migration_ended",  # migration, run, status, seconds
    "error",  # the parts of a QbError: code, what, where, why, next
    "run_ended",  # status (done, failed), seconds, migrations (how many were run); told by `close`
    # when nobody else did, so that only a runner that was killed leaves a log without it
]
KINDS: tuple[str, ...] = get_args(Kind)


class Events(Protocol):
    """Whoever hears what happens. Neither method raises, and both may be called by any thread."""

    def emit(self, kind: Kind, /, **fields: Any) -> None: ...

    def close(self) -> None: ...


def sink(
    log_file: str | Path | None,
    *,
    target: Target,
    command: str = "run",
    tell: Callable[[str], None] = lambda text: None,
) -> Events:
    """Open what hears events: the file, when one is given, and spans, when OpenTelemetry is there.

    The first line, `run_started`, is written at once: raise InputError when that fails, before
    anything runs. Later failures are told once, and nothing stops for them.
    """
    heard: list[Events] = []
    if log_file is not None:
        heard.append(LogFile(Path(log_file), target.display, command, tell))
    if spans_are_wanted():
        from qb_engine.runner.spans import Spans

        spans = Spans(target)
        spans.emit("run_started", command=command)
        heard.append(spans)
    return All(heard)


def spans_are_wanted() -> bool:
    """True when OpenTelemetry's API is installed and somebody may listen.

    Who listens has imported it (an application, a notebook, `opentelemetry-instrument qb run`) or
    says so in the environment; otherwise its import would cost more than it gives.
    """
    if "opentelemetry" in sys.modules:
        return sys.modules["opentelemetry"] is not None
    try:
        installed = importlib.util.find_spec("opentelemetry.trace") is not None
    except ModuleNotFoundError:  # not even its namespace
        return False
    return installed and any(name.startswith("OTEL_") for name in os.environ)


class All:
    """Several hearers as one; none is no work at all."""

    def __init__(self, heard: Iterable[Events]) -> None:
        self._heard = tuple(heard)
        self._ended = False
        self._failed = False

    def emit(self, kind: Kind, /, **fields: Any) -> None:
        """Tell every hearer what happened."""
        self._ended = self._ended or kind == "run_ended"
        self._failed = self._failed or kind == "error"
        for each in self._heard:
            each.emit(kind, **fields)

    def close(self) -> None:
        """End what is open: the run, when nobody told its end; the file, the spans."""
        if not self._ended:
            failed = self._failed or sys.exc_info()[0] is not None
            self.emit("run_ended", status="failed" if failed else "done")
        for each in self._heard:
            each.close()


class LogFile:
    """A file that gets one JSON object per line and event, appended in one write each.

    Every line has `at` (ISO 8601, UTC), `event`, `id` (of this run of qb), `pid` and `target`.
    Runs of several processes may share a file: lines do not mix.
    """

    def __init__(self, path: Path, target: str, command: str, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self._same = {"id": uuid.uuid4().hex[:16], "pid": os.getpid(), "target": target}
        self._lock = threading.Lock()
        self._missing = 0  # lines that could not be written
        self._torn = False  # the last line was written in part
        try:
            # unbuffered: a line is there once emit returns, whatever happens to this process
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise self._unusable(error) from None
        try:
            self._write(self._line("run_started", {"command": command}))
        except OSError as error:
            self._file.close()
            raise self._unusable(error) from None

    def emit(self, kind: Kind, /, **fields: Any) -> None:
        """Append one line."""
        line = self._line(kind, fields)
        with self._lock:
            if self._file.closed:
                return
            try:
                self._write(line)
            except OSError as error:
                self._miss(error)

    def close(self) -> None:
        """Close the file; tell how many lines are missing from it."""
        with self._lock:
            if self._file.closed:
                return
            try:
                self._file.close()
            except OSError as error:  # network file systems say only now that it did not fit
                self._miss(error)
        if self._missing:
            self._tell(f"{self._missing} lines are missing from the log {self._path}")

    def _line(self, kind: Kind, fields: dict[str, Any]) -> bytes:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        facts = _masked(jsonable({"at": at, "event": kind, **self._same, **fields}))
        return json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    def _write(self, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        written = self._file.write(line)
        self._torn = written != len(line)
        if self._torn:
            raise OSError(0, "it took only a part of a line: the disk may be full")

    def _miss(self, error: OSError) -> None:
        if not self._missing:
            self._tell(
                f"the log {self._path} cannot be written ({error.strerror}); the run goes on"
            )
        self._missing += 1

    def _unusable(self, error: OSError) -> InputError:
        return InputError(
            "the log file cannot be written",
            where=str(self._path),
            why=f"{error.strerror or error}; nothing was run",
            todo="name a file in a folder that exists and has room: --log-file FILE",
            code="log-file",
        )


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, list) else value
