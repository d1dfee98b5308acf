"""one long-lived child per name: started once, found again by later processes, stopped for good"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qb_engine.database.processes import alive, born, living_in
from qb_engine.errors import RefusedError, ServerError
from qb_engine.secrets import mask

LOCK_TIMEOUT_S = 120.0  # longer than the longest start: a crash recovery, on a slow disk
CLAIM_S = 5.0  # a process that has ended still needs a moment until its files are closed
POLL_S = 0.01  # a start takes half a second; this finds its end without loading a core
TAIL_LINES = 12  # as much of a log as an error message can carry
LOG_LIMIT = 8 * 1024 * 1024  # bytes of a log that is kept; older text moves to `.1`

# The child becomes the server only when it is told to, after its pid is on disk. A starter that is
# killed before that closes the pipe, and the child ends: no server runs that no record names.
GATE = 'read -r go && exec "$@" </dev/null'

Step = tuple[signal.Signals, float]
"""A signal, and the seconds a process gets to end after it."""


@dataclass(frozen=True, slots=True)
class Record:
    """The process that runs, and what its starter wrote down about it."""

    pid: int
    born: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Daemon:
    """A child process that outlives its starter, one per `home` and `name`.

    `<name>.json` says which process it is: pid, the time it was born, and facts such as its ports.
    A pid is believed only when a process with that pid was born at that time, for pids are reused.
    `<name>.lock` is locked while somebody starts or stops the child. The log is locked by the child
    itself, through the stdout it inherited: while it lives, nobody else can take that lock. The
    kernel releases both when their holder dies, in whatever way.
    """

    def __init__(self, name: str, home: Path, log: Path) -> None:
        self.name = name
        self.home = home
        self.log = log
        self._from = 0  # where in the log this start begins

    def __repr__(self) -> str:
        found = self.found()
        state = f"pid {found.pid}" if found else "not running"
        return f"<Daemon {self.name} in {self.home}: {state}>"

    # -- finding it ----------------------------------------------------------------------------

    def found(self) -> Record | None:
        """The running child; None when there is none, or when the record is stale."""
        data = self._read()
        pid, at = data.get("pid"), data.get("born")
        if not isinstance(pid, int) or not isinstance(at, str) or not alive(pid, at):
            return None
        return Record(pid, at, data["facts"])

    def remembered(self) -> dict[str, Any]:
        """The facts of the last start, even when the child is gone."""
        facts: dict[str, Any] = self._read().get("facts", {})
        return facts

    # -- one at a time -------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, timeout: float = LOCK_TIMEOUT_S) -> Iterator[int]:
        """Hold the right to start or stop the child; give the lock's descriptor.

        Raise ServerError when somebody else holds it for longer than `timeout` seconds.
        """
        path = self.home / f"{self.name}.lock"
        deadline = time.monotonic() + timeout
        while (descriptor := self._try_lock(path)) is None:
            if time.monotonic() > deadline:
                raise ServerError(
                    f"another process has been starting or stopping {self.name} for "
                    f"{timeout:.0f} s",
                    where=str(path),
                    why="it holds the lock file",
                    todo=f"see what it does: lsof {path}",
                    code="embedded-server",
                )
            time.sleep(POLL_S)
        close = os.close  # who holds it to the end of the process has no `os` any more by then
        try:
            yield descriptor
        finally:
            close(descriptor)

    def _try_lock(self, path: Path) -> int | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.fstat(descriptor).st_ino == os.stat(path).st_ino
        except (BlockingIOError, FileNotFoundError):
            same = False
        if same:  # and not a file that was deleted while we waited
            _belong_to(self.home, descriptor)
            return descriptor
        os.close(descriptor)
        return None

    # -- starting ------------------------------------------------------------------------------

    def start(
        self,
        command: Sequence[str],
        *,
        data: Path,
        environment: Mapping[str, str],
        switch: Mapping[str, Any],
        facts: Mapping[str, Any],
        leftovers: Sequence[Path] = (),
    ) -> Record:
        """Spawn the child in a session of its own, its working folder `data`; hold the lock.

        `switch` says which account it runs as, in the words of `subprocess.Popen`. The record is
        written before the command runs. `leftovers` are pid files of the child's own: once it is
        sure that none runs they are stale, even if their pid is taken by something else by now.
        """
        with self.claimed(data) as log:
            for file in leftovers:
                file.unlink(missing_ok=True)
            child = subprocess.Popen(
                ["/bin/sh", "-c", GATE, self.name, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=data,
                env=environment,
                start_new_session=True,
                umask=0o077,
                **switch,
            )
            # From here on its pid speaks for it: whoever finds it dead reaps it (see `alive`).
            child.returncode = 0
            assert child.stdin is not None
            with contextlib.suppress(BrokenPipeError), child.stdin as gate:
                record = Record(child.pid, born(child.pid) or "", dict(facts))
                self._write(record)
                gate.write(b"go\n")
        return record

    @contextlib.contextmanager
    def claimed(self, data: Path) -> Iterator[int]:
        """Open the log, locked: proof that no child runs. Strays on `data` are stopped first."""
        self.stop_strays(data)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            os.replace(self.log, self.log.with_suffix(".log.1"))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(self.log, flags, 0o600)
        try:
            _belong_to(self.home, log)
            if not _locks(log, time.monotonic() + CLAIM_S):
                raise ServerError(
                    f"{self.name} seems to run already, but its process cannot be found",
                    where=str(self.log),
                    why="a process holds its log open: perhaps in another container on this folder",
                    todo=f"stop it there, or see who holds the log: lsof {self.log}",
                    code="embedded-server",
                )
            self._from = os.fstat(log).st_size
            yield log
        finally:
            os.close(log)

    def wait(self, record: Record, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until `ready()`; raise ServerError with the log's end when the child dies first."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not alive(record.pid, record.born):
                self.forget()
                raise self.failure(f"{self.name} ended while it was starting")
            if time.monotonic() > deadline:
                raise self.failure(f"{self.name} was not ready after {timeout:.0f} s")
            time.sleep(POLL_S)

    def note(self, record: Record, **facts: Any) -> Record:
        """Write more facts down about the running child."""
        record = Record(record.pid, record.born, {**record.facts, **facts})
        self._write(record)
        return record

    def failure(self, what: str, *, todo: str = "read the whole log") -> ServerError:
        """An error that names the log, and carries what was written to it since the start."""
        return ServerError(
            what, where=str(self.log), why=self.tail(), todo=todo, code="embedded-server"
        )

    def tail(self) -> str:
        """The last lines of the log since this start, masked."""
        try:
            with open(self.log, "rb") as file:
                file.seek(self._from)
                text = file.read(LOG_LIMIT).decode(errors="replace")
        except OSError as error:
            return f"the log cannot be read: {error.strerror}"
        return mask("\n".join(text.strip().splitlines()[-TAIL_LINES:])) or "it logged nothing"

    # -- stopping ------------------------------------------------------------------------------

    def stop(self, data: Path, *steps: Step) -> bool:
        """Stop the child and whatever is left of an earlier one; True when there was any."""
        found = self.found()
        if found:
            self._end(found.pid, found.born, *steps)
        strays = self.stop_strays(data)
        self.forget()
        return found is not None or strays

    def stop_strays(self, data: Path) -> bool:
        """Stop what works on `data` though no record names it: a crashed server's children, say."""
        strays = [pid for pid in living_in(data) if (r := self.found()) is None or r.pid != pid]
        for pid in strays:
            if at := born(pid):
                self._end(pid, at, (signal.SIGINT, 15.0), (signal.SIGKILL, 5.0))
        return bool(strays)

    def forget(self) -> None:
        """Strike the pid from the record; its facts (ports, places) stay for the next start."""
        if self._read():
            self._write(Record(0, "", self.remembered()))

    def _end(self, pid: int, at: str, *steps: Step) -> None:
        for number, patience in steps:
            deadline = time.monotonic() + patience
            try:
                if alive(pid, at):
                    os.kill(pid, number)
            except ProcessLookupError:
                return
            except PermissionError:
                raise RefusedError(
                    f"{self.name} may not be stopped",
                    where=f"process {pid}",
                    why="it belongs to another user",
                    todo="stop it as the user who started it",
                    code="wrong-owner",
                ) from None
            while alive(pid, at):
                if time.monotonic() > deadline:
                    break
                time.sleep(POLL_S)
            else:
                return
        raise self.failure(f"{self.name} (process {pid}) does not end, even when killed")

    # -- the record ----------------------------------------------------------------------------

    @property
    def _file(self) -> Path:
        return self.home / f"{self.name}.json"

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self._file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError:  # a torn or foreign file is no record; the next start writes a good one
            return {}
        except PermissionError:
            raise RefusedError(
                f"this project's {self.name} belongs to another user",
                where=str(self._file),
                why="its record cannot be read",
                todo="work as that user, or in a project folder of your own",
                code="wrong-owner",
            ) from None
        if not isinstance(data, dict) or not isinstance(data.get("facts"), dict):
            return {}
        # the record in a copied or moved project speaks of another project's process and folders
        return data if data.get("home") == str(self.home) else {}

    def _write(self, record: Record) -> None:
        """Replace the record in one step, so that a reader sees the old or the new one."""
        body = {
            "home": str(self.home),
            "pid": record.pid or None,
            "born": record.born,
            "facts": dict(record.facts),
        }
        fresh = self._file.with_suffix(f".{secrets.token_hex(4)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with open(os.open(fresh, flags, 0o600), "w", encoding="utf-8") as file:
                _belong_to(self.home, file.fileno())
                json.dump(body, file, indent=1)
            os.replace(fresh, self._file)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise


def _locks(descriptor: int, deadline: float) -> bool:
    """Lock a file before the deadline (monotonic seconds); False when somebody else keeps it."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        else:
            return True


def _belong_to(home: Path, descriptor: int) -> None:
    """Give a file to whom the folder belongs, so that root locks nobody out of a project."""
    if os.geteuid() == 0:
        owner = os.stat(home)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
