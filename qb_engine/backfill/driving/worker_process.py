"""the worker as a process of its own: it outlives the kernel or terminal that needed it"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine import secrets
from qb_engine.backfill.driving import loop, names, temporal
from qb_engine.database.daemon import Daemon, Record
from qb_engine.database.processes import alive, born

if TYPE_CHECKING:
    from qb_engine.backfill.driving.temporal import Place
    from qb_engine.database.target import Target
    from qb_engine.project import Project

TARGET = "QB_WORKER_TARGET"  # the target with its secret: never on a command line
START_S = 60.0
IDLE_S = 600.0  # a worker that was started by itself leaves after this long without work
STOP = ((signal.SIGTERM, 40.0), (signal.SIGKILL, 5.0))  # a batch may be waiting for a lock


@dataclass(frozen=True, slots=True)
class Found:
    """The worker that a start found or made."""

    started: bool
    log: Path
    pid: int | None = None


def ensure(project: Project, target: Target, where: Place) -> Found:
    """Start a worker unless one polls; return when it polls.

    Two at once start at most one. Raise ServerError with the end of its log when it dies first.
    """
    daemon = _daemon(project, names.digest(project, target))
    with daemon.locked():
        running = daemon.found()
        if running and not _polling(daemon, running.pid):  # it was begun a moment ago
            _wait(daemon, running)
            return Found(True, daemon.log, running.pid)
        if running or loop.run(temporal.pollers(where, names.task_queue(project, target))):
            return Found(False, daemon.log, running.pid if running else None)
        record = _spawned(daemon, project, target)
        _wait(daemon, record)
        return Found(True, daemon.log, record.pid)


def begin(project: Project, target: Target, where: Place) -> None:
    """Start a worker early, while the rest of a start goes on; `ensure` then waits for it.

    Only on the project's own Temporal, where a worker that polls has left its mark.
    """
    if not where.own:
        return
    daemon = _daemon(project, names.digest(project, target))
    with daemon.locked():
        if not (daemon.found() or any(_polling(daemon, pid) for pid in _marked(daemon))):
            _spawned(daemon, project, target)


def stop_worker(project: Project) -> bool:
    """Stop the workers that were started for a project; True when there was one.

    They end after their batches; what is left of a backfill goes on with the next worker.
    """
    home = project.root / ".qb" / "worker"
    stopped = False
    for record in sorted(home.glob("*.json")) if home.is_dir() else ():
        daemon = _daemon(project, record.stem)
        with daemon.locked():
            stopped = daemon.stop(home, *STOP) or stopped
    return stopped


def handed_over() -> Target | None:
    """The target that the starting process gave, taken out of the environment."""
    from qb_engine.database.target import Target

    text = os.environ.pop(TARGET, None)
    if text is None:
        return None
    target = Target(**json.loads(text))
    with contextlib.suppress(ValueError):
        from psycopg.conninfo import conninfo_to_dict

        password = conninfo_to_dict(target.conninfo).get("password")
        secrets.remember(str(password) if password else None)
    return target


def polls(project: Project, target: Target) -> None:
    """Tell the process that waits for this worker that it polls; each one has a mark of its own."""
    daemon = _daemon(project, names.digest(project, target))
    for pid in _marked(daemon):
        if not _polling(daemon, pid):
            _mark(daemon, pid).unlink(missing_ok=True)
    _mark(daemon, os.getpid()).write_text(born(os.getpid()) or "")


@contextlib.contextmanager
def leaving(project: Project, target: Target) -> Iterator[None]:
    """Hold the right to start a worker, so that nobody counts on one that leaves."""
    if not (project.root / ".qb" / "worker").is_dir():  # the project was deleted: leave it so
        yield
        return
    with _daemon(project, names.digest(project, target)).locked():
        yield


def log_to_stderr() -> None:
    """Have the worker's log, masked, on stderr."""

    class Masked(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return secrets.mask(super().format(record))

    handler = logging.StreamHandler()
    handler.setFormatter(Masked("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("qb.worker").setLevel(logging.INFO)
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)  # we say it ourselves
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # who asked for one says it


def _spawned(daemon: Daemon, project: Project, target: Target) -> Record:
    return daemon.start(
        [
            *(sys.executable, "-m", "qb_engine.commands", "worker"),
            *("--project", str(project.root), "--idle", str(IDLE_S)),
        ],
        data=daemon.home,
        environment={**os.environ, TARGET: _written(target), "PYTHONUNBUFFERED": "1"},
        switch={},
        facts={"target": target.name},
    )


def _wait(daemon: Daemon, record: Record) -> None:
    daemon.wait(record, lambda: _polling(daemon, record.pid), START_S)


def _daemon(project: Project, digest: str) -> Daemon:
    home = project.home / "worker"
    home.mkdir(mode=0o700, exist_ok=True)
    return Daemon(digest, home, home / f"{digest}.log")


def _mark(daemon: Daemon, pid: int) -> Path:
    """The file of a worker that polls; it holds the moment of its birth."""
    return daemon.home / f"{daemon.name}.{pid}.polls"


def _marked(daemon: Daemon) -> list[int]:
    """The workers that have polled, the dead among them."""
    found = [path.suffixes[0][1:] for path in daemon.home.glob(f"{daemon.name}.*.polls")]
    return [int(pid) for pid in found if pid.isdecimal()]


def _polling(daemon: Daemon, pid: int) -> bool:
    """True for a worker that has said that it polls, and lives."""
    try:
        birth = _mark(daemon, pid).read_text()
    except FileNotFoundError:
        return False
    return alive(pid, birth)


def _written(target: Target) -> str:
    return json.dumps(
        {
            "name": target.name,
            "conninfo": target.conninfo,
            "production": target.production,
            "origin": target.origin,
        }
    )
