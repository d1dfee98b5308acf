"""what comes after a backfill, run by its worker: the runner itself, with its lock and its ledger

Asked for by `qb run --with-backfill`, where the questions that a run asks were answered. The runner
records every statement, so a worker that dies on the way leaves what the next one goes on with.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill.driving.payloads import Next
from qb_engine.errors import InterruptedRun, QbError, RefusedError
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.backfill.records import Row
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target
    from qb_engine.execution import Place
    from qb_engine.project import Project

WAITS = ("waiting", "running")
PATIENCE_S = 30.0  # for another runner, at a time; then it is looked whether to go on
TICK_S = 0.5
TRANSIENT = ("cannot-connect", "connection-lost", "too-many-connections")

WANTED = "SELECT then_post, post_state FROM qb.backfill WHERE id = %s"

WANT = """
UPDATE qb.backfill SET then_post = true, post_state = 'waiting', post_error = '' WHERE id = %s
"""

# what runs is not called back: a rollback is, when it is done
CALL_OFF = """
UPDATE qb.backfill SET then_post = false, post_state = '' WHERE id = %s
    AND then_post AND post_state = 'waiting' RETURNING id
"""

BEGIN = """
UPDATE qb.backfill SET post_state = 'running', post_error = '', note = 'what comes after it runs'
WHERE id = %s AND then_post AND post_state IN ('waiting', 'running') RETURNING id
"""

END = """
UPDATE qb.backfill SET post_state = %(state)s, post_error = %(error)s, note = '' WHERE id = %(id)s
"""

log = logging.getLogger("qb.worker")


def want(conn: Connection, backfill: str) -> None:
    """Have what comes after a backfill run by itself, once that is verified."""
    conn.execute(WANT, [backfill])


def call_off(conn: Connection, backfill: str) -> bool:
    """Have it not run by itself any more; False when it was not to, or runs already."""
    return conn.execute(CALL_OFF, [backfill]).fetchone() is not None


def due(conn: psycopg.Connection[Any], row: Row) -> bool:
    """Whether a backfill is complete, and what comes after it waits to be run by a worker."""
    if row.state != "completed":
        return False
    found = conn.execute(WANTED, [row.spec.id]).fetchone()
    return bool(found and found[0] and found[1] in WAITS)


def finish(
    project: Project, target: Target, backfill: str, go_on: Callable[[], bool]
) -> Next | None:
    """Run what comes after a backfill, and write down how that ended; None when told to stop.

    Another runner is waited for. An error that another try will not mend is recorded, and `qb run`
    goes on from there. Raise ServerError when the server does not answer.
    """
    with closing(_open(target)) as conn:
        if conn.execute(BEGIN, [backfill]).fetchone() is None:
            return Next("completed")  # it was called off
    try:
        with _stopping(go_on) as stop:
            _patiently(project, target, backfill, stop)
    except InterruptedRun:
        return None
    except QbError as error:
        if error.code in TRANSIENT:
            raise
        _ended(
            target, backfill, "failed", f"{error.what}: {error.why}" if error.why else error.what
        )
        log.warning("%s: what comes after it failed: %s", backfill, mask(error.what))
    else:
        _ended(target, backfill, "done", "")
        log.info("%s: what comes after it has run", backfill)
    return Next("completed")


# -- parts -------------------------------------------------------------------------------------


def _patiently(project: Project, target: Target, backfill: str, stop: threading.Event) -> None:
    """Run it as soon as no other runner is at work, however long that takes."""
    while True:
        try:
            return _run(project, target, backfill, stop)
        except RefusedError as error:
            if error.code != "another-runner":
                raise
            log.info("%s: %s", backfill, mask(error.what))
            if stop.is_set():
                raise InterruptedRun("told to stop while another runner is at work") from None


def _run(project: Project, target: Target, backfill: str, stop: threading.Event) -> None:
    """One call of the runner, for just this migration."""
    from qb_engine.runner import Request, run

    request = Request(only=backfill, patience=PATIENCE_S, out_of_order=True)  # it has begun
    ran = run(_place(project, target, stop), request)
    if any(each.status == "expanded" for each in ran):
        raise RefusedError(
            f"{backfill} still waits for its backfill",
            why="it was started again meanwhile",
            todo="qb run, when it is complete",
            code="backfill-state",
        )


def _place(project: Project, target: Target, stop: threading.Event) -> Place:
    from qb_engine.execution import Place
    from qb_engine.migrations import LoadedMigration, load, load_one

    def again(migration: LoadedMigration) -> LoadedMigration:
        with _reading(target) as rows:
            return load_one(migration.path, rows, project)

    found = load(
        project.migrations,
        reading=lambda: _reading(target),
        format=project.config.format,
        project=project,
    )
    return Place(
        project=project,
        target=target,
        opener=lambda name: _open(target, name),
        migrations=found,
        tell=lambda text: log.info("%s", mask(text)),
        reload=again,
        stop=stop,
    )


@contextmanager
def _reading(target: Target) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """For a migration whose SQL depends on the target: what it may ask, read-only."""

    def rows(text: str) -> list[tuple[Any, ...]]:
        with closing(_open(target)) as conn:
            conn.read_only = True
            with conn.transaction():
                conn.execute("SET LOCAL lock_timeout = '2s'")
                return conn.execute(text.encode()).fetchall()

    yield rows


@contextmanager
def _stopping(go_on: Callable[[], bool]) -> Iterator[threading.Event]:
    """An event that is set when the worker is told to stop: the runner's waits end then."""
    stop, over = threading.Event(), threading.Event()
    inside = contextvars.copy_context()  # whether an activity was cancelled is asked in its own

    def watch() -> None:
        while not over.wait(TICK_S):
            if not inside.run(go_on):
                stop.set()

    watcher = threading.Thread(target=watch, name="qb-finish", daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        over.set()
        watcher.join()


def _ended(target: Target, backfill: str, state: str, error: str) -> None:
    with closing(_open(target)) as conn:
        conn.execute(END, {"id": backfill, "state": state, "error": mask(error)})


def _open(target: Target, name: str = "qb backfill") -> Connection:
    from qb_engine.database.connect import connect

    return connect(target, application_name=name)
