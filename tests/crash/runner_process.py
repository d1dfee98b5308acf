"""the runner as a process of its own that stops where a test wants it, and can be killed there

As a program: takes jobs from its standard input and forks a process for each, so that the imports
are paid once. The process runs what is pending, tells each step through the runner's own callback,
and at a stop waits for a word before it goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

DEADLINE_S = 60.0

# what a run imports sooner or later
WARM = (
    "qb_engine._config", "qb_engine.commands._place", "qb_engine.commands._terminal",
    "qb_engine.commands.run", "qb_engine.database.embedded", "qb_engine.migrations.formats",
    "qb_engine.runner.events", "qb_engine.shadow", "opentelemetry.trace", "rich.console",
    "rich.progress", "rich.table", "rich.syntax",
)  # fmt: skip


class Runner:
    """One process that runs migrations, and stands still at its stops."""

    def __init__(self, pid: int, talk: socket.socket) -> None:
        self.pid = pid
        self._process = -1  # a number that nobody else is given, as a pid may be
        with contextlib.suppress(ProcessLookupError):
            self._process = os.pidfd_open(pid)
        self._talk = talk
        self._said = b""
        self.ended = ""

    def until(self, what: str) -> bool:
        """Wait until it stands at a stop such as `running 5`; False when it ended before."""
        while line := self._line():
            if line == what:
                return True
            if line.startswith("end"):
                self.ended = line
                return False
        return False

    def go(self) -> None:
        """Let it go on from where it stands."""
        self._talk.sendall(b"go\n")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it, if it has not ended by itself, and wait until it is gone."""
        if self._process >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, number)
        if number == signal.SIGKILL:
            self.wait()

    def wait(self) -> str:
        """How it ended: `end ok`, or `end` with the words of its error; empty when killed."""
        while line := self._line():
            if line.startswith("end"):
                self.ended = line
        self._talk.close()
        if self._process >= 0:
            os.close(self._process)
            self._process = -1
        return self.ended

    def _line(self) -> str:
        while b"\n" not in self._said:
            ready, _, _ = select.select([self._talk], [], [], DEADLINE_S)
            assert ready, "the runner said nothing for too long"
            try:
                more = self._talk.recv(65536)
            except ConnectionResetError:
                return ""
            if not more:
                return ""
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()


class Runners:
    """Starts runners, quickly."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.crash.runner_process"]
        self._mother = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(f"\0qb-runners-{os.getpid()}-{time.monotonic_ns()}")
        self._door.listen(64)
        self._door.settimeout(DEADLINE_S)

    def start(self, root: Path, *stops: str, what: str = "run") -> Runner:
        """Run what is pending in a project, with stops such as `running 5` and `done 5`.

        Or do something else to it: `rollback`, or `undo` what stands of a half applied one.
        """
        return self._send({"root": str(root), "stops": stops, "what": what})

    def qb(self, root: Path, *args: str, said: Path) -> Runner:
        """The command line in a project's folder; what it prints goes to a file."""
        return self._send({"root": str(root), "args": args, "said": str(said)})

    def _send(self, job: dict[str, Any]) -> Runner:
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        job["door"] = self._door.getsockname()[1:].decode()
        self._mother.stdin.write(json.dumps(job) + "\n")
        self._mother.stdin.flush()
        talk, _ = self._door.accept()
        pid = int(self._mother.stdout.readline())
        return Runner(pid, talk)

    def close(self) -> None:
        self._mother.kill()
        self._mother.communicate()
        self._door.close()


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something is true; fail after a generous while."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"this never came true: {what}"
        time.sleep(0.005)  # between two looks at a condition


# -- the other side ------------------------------------------------------------------------------


def serve(jobs: Iterable[str]) -> None:
    """Fork a process for each job, and tell its pid."""
    for name in WARM:  # paid once, for all of them
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in jobs:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 0)
            os.dup2(nowhere, 1)  # what the mother tells is not the child's
            job = json.loads(line)
            os._exit(command(job) if "args" in job else work(job))
        print(pid, flush=True)


def work(job: dict[str, Any]) -> int:
    """What `qb run` does, with a callback that stands still at the stops."""
    from qb_engine.commands import Session
    from qb_engine.commands._place import place_of
    from qb_engine.commands._tree import _interrupt_on_sigterm
    from qb_engine.errors import QbError

    _interrupt_on_sigterm()
    talk = socket.socket(socket.AF_UNIX)
    talk.connect("\0" + job["door"])
    words = talk.makefile("r")
    stops = set(job["stops"])

    def told(migration: Any, step: Any, state: str) -> None:
        here = f"{state} {step.number}"
        if here in stops:
            stops.discard(here)  # of the first migration that comes to it
            talk.sendall(f"{here}\n".encode())
            if not words.readline():
                os._exit(1)  # the test is over

    try:
        session = Session(root=Path(job["root"]))
        place = place_of(session, session.migrations(), on_step=told)
        done = DOES[job["what"]](replace(place, tell=lambda text: None))
        talk.sendall(f"end ok {done}\n".encode())
        return 0
    except QbError as error:
        said = " | ".join(str(error).splitlines())
        talk.sendall(f"end {error.exit_code} {said}\n".encode())
        return error.exit_code


def run(place: Any) -> int:
    from qb_engine.runner import run

    return len(run(place))


def rollback(place: Any) -> int:
    from qb_engine.runner import roll_back

    return len(roll_back(place))


def undo(place: Any) -> int:
    from qb_engine.runner import repair
    from qb_engine.runner.wayback import tried

    with place.connected() as conn:
        (case,) = repair.look(conn, place.migrations).cases
    repair.go_back(place, case, tried(place, case))
    return 1


DOES: dict[str, Callable[[Any], int]] = {"run": run, "rollback": rollback, "undo": undo}


def command(job: dict[str, Any]) -> int:
    """A command line, as a user types it in the project's folder."""
    from qb_engine.commands import main

    talk = socket.socket(socket.AF_UNIX)
    talk.connect("\0" + job["door"])
    os.chdir(job["root"])
    with open(job["said"], "wb", buffering=0) as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    code = main(job["args"])
    sys.stdout.flush()
    talk.sendall(f"end {code}\n".encode())
    return code


if __name__ == "__main__":
    serve(sys.stdin)
