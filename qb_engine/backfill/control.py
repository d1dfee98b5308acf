"""starting, pausing, resuming and cancelling: the ledger first, then Temporal is told"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill import finish, orders, records
from qb_engine.backfill.before import checks, estimate
from qb_engine.backfill.driving import loop, names, temporal, worker_process
from qb_engine.backfill.driving.payloads import ENDED, GOING, Job
from qb_engine.backfill.driving.temporal import Place
from qb_engine.backfill.limits import limit
from qb_engine.backfill.options import declared_options
from qb_engine.backfill.records import Row
from qb_engine.backfill.reporting.measure import Progress, progress
from qb_engine.backfill.spec import Spec, batch_limit, checksum, describe
from qb_engine.backfill.throttle import tuning
from qb_engine.backfill.walk import split
from qb_engine.database.connect import connect, server_errors
from qb_engine.errors import InputError, QbError, RefusedError, ServerError, nearby
from qb_engine.ledger import exists, in_sync

if TYPE_CHECKING:
    from qb_engine.database.target import Target
    from qb_engine.migrations import LoadedMigration
    from qb_engine.project import Project

HEARTBEAT = "QB_BACKFILL_HEARTBEAT_S"
"""A killed worker's segments are taken over after this many seconds (15)."""

SLICE = "QB_BACKFILL_SLICE_S"
"""A lane ends, and is started again, after this many seconds (600): so new code gets its turn."""

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did to a backfill, and what is to be said about it."""

    progress: Progress
    notes: tuple[str, ...] = ()
    ui: str | None = None


def start(
    project: Project,
    target: Target,
    migration: LoadedMigration,
    *,
    conn: Connection | None = None,
    restart: bool = False,
    then_post: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Done:
    """Start a backfill, or go on with one that failed or was cancelled, from its cursors.

    With `restart` it begins again at the first row. One that runs is left running; its worker is
    started when none polls. With `then_post` what comes after it is run by a worker, too.
    `changes` are tuned first, see `tune`. Raise InputError or RefusedError when it cannot start,
    ServerError when PostgreSQL or Temporal does not answer; nothing is written then.
    """
    with ledger(target, conn) as db:
        checks.expanded(db, migration)
        spec = describe(db, migration)
        row = records.read(db, spec.id)
        kept = row.spec.options.tuning if row and not restart else {}
        file = str(migration.path / "backfill.py")
        spec = tuning.settled(project, file, spec, kept, changes or {})
        noted: list[str] = []
        if row and changes and not restart and row.state != "completed":
            noted = [str(each) for each in tuning.tune(db, spec.id, changes)]
        if row and then_post:
            finish.want(db, spec.id)
        if row and row.state == "completed" and not restart:
            if finish.due(db, row):
                where = _reached(project)
                driven = _driven(project, target, where, row, spec.id)
                return _drive(
                    db, project, target, spec.id, where, driven, "what comes after it runs"
                )
            return _done(db, project, spec.id, "it is completed already")
        if row and row.state == "paused" and not restart:
            held = f"it is paused: qb backfill resume {spec.id}"
            return _done(db, project, spec.id, held, *noted)
        checks.writable(db, spec)
        where = _reached(project, target)
        driven = _driven(project, target, where, row, spec.id)
        said = "it runs already"
        if row and row.state in GOING:
            if restart:
                raise _going(migration, row)
        elif did := _write_down(db, project, target, migration, spec, row, restart=restart):
            said = did
            if spec.unseen:
                noted.append(spec.unseen)
        else:  # somebody started it at the same moment
            now = known(db, migration)
            if restart:
                raise _going(migration, now)
            noted = [str(each) for each in tuning.tune(db, spec.id, changes)] if changes else []
        if then_post:
            finish.want(db, spec.id)
        return _drive(db, project, target, spec.id, where, driven, said, *noted)


def tune(
    project: Project,
    target: Target,
    migration: LoadedMigration,
    changes: Mapping[str, Any],
    *,
    conn: Connection | None = None,
) -> Done:
    """Have a backfill go another way from the next batches on; what is different is said.

    `changes` are those of `throttle.tuning.changes`. They win over the declaration, also when that
    is edited, until it is started anew. Raise RefusedError when there is nothing left to tune.
    """
    with ledger(target, conn) as db:
        row = known(db, migration)
        found = tuning.tune(db, row.spec.id, changes)
        said = [str(each) for each in found] or ["it goes that way already"]
        if row.state in ENDED or row.wanted != "run":
            said.append(f"it is {row.state}: that counts when it goes on")
        elif found:
            said += _woken(project, target, row)
        return _done(db, project, row.spec.id, *said)


def resume(
    project: Project, target: Target, migration: LoadedMigration, *, conn: Connection | None = None
) -> Done:
    """Go on with a paused backfill. Raise RefusedError when its declaration was edited."""
    with ledger(target, conn) as db:
        row = known(db, migration)
        if row.state in ("failed", "cancelled"):
            raise RefusedError(
                f"the backfill of {row.spec.id} is {row.state}, not paused",
                why=row.error,
                todo=f"go on from where it stands: qb backfill start {migration.name}",
                code="backfill-state",
            )
        if row.state == "completed":
            return _done(db, project, row.spec.id, "it is completed already")
        checks.unedited(row, migration)
        where = _reached(project)
        driven = _driven(project, target, where, row, row.spec.id)
        with db.transaction():
            _pace(db, project, migration, row.spec.id)
            records.want(db, row.spec.id, "run")
            if row.state == "paused":
                records.move(db, row.spec.id, "running" if row.frozen else "pending")
        said = "it goes on" if row.state == "paused" or row.wanted != "run" else "it runs already"
        return _drive(db, project, target, row.spec.id, where, driven, said)


def pause(
    project: Project, target: Target, migration: LoadedMigration, *, conn: Connection | None = None
) -> Done:
    """Hold a backfill after the batches in flight. It needs no Temporal: the ledger says it."""
    return _halt(project, target, migration, conn, "pause")


def cancel(
    project: Project, target: Target, migration: LoadedMigration, *, conn: Connection | None = None
) -> Done:
    """End a backfill after the batches in flight. Written rows stay; `start` goes on from there."""
    return _halt(project, target, migration, conn, "cancel")


def status(
    project: Project, target: Target, migration: LoadedMigration, *, conn: Connection | None = None
) -> Done:
    """How far a backfill is, from the ledger; what Temporal adds is said, and when it is away."""
    with ledger(target, conn) as db:
        found = progress(db, migration.id) if records.there(db) else None
        if found is None:
            return Done(_never(migration), (f"not started: {_first(db, migration)}",))
        said = []
        if migration.backfill and found.checksum != checksum(migration.backfill):
            said.append("backfill.py was edited since the start")
        ui, noted = heard(project, found)
        return Done(found, (*said, *noted), ui)


# -- parts -------------------------------------------------------------------------------------


def _going(migration: LoadedMigration, row: Row) -> RefusedError:
    return RefusedError(
        f"the backfill of {migration.id} is {row.state}",
        why="beginning again would take the rows from under its workers",
        todo=f"qb backfill cancel {migration.name}, then start it again",
        code="backfill-state",
    )


def _halt(
    project: Project,
    target: Target,
    migration: LoadedMigration,
    conn: Connection | None,
    wanted: str,
) -> Done:
    with ledger(target, conn) as db:
        row = known(db, migration)
        state: records.State = "paused" if wanted == "pause" else "cancelled"
        after = wanted == "cancel" and finish.call_off(db, row.spec.id)
        alone = ["what comes after it is not run by itself any more: qb run"] if after else []
        if row.state in ("completed", "failed", "cancelled"):
            cancelling_failed = wanted == "cancel" and row.state == "failed"
            if not cancelling_failed:
                return _done(db, project, row.spec.id, f"it is {row.state} already", *alone)
        records.want(db, row.spec.id, "pause" if wanted == "pause" else "cancel")
        said = [] if orders.settled(db, row.spec.id, state) else [
            "a batch is still in flight; it stops after that one"
        ]  # fmt: skip
        # Temporal need not be there: batches look at the ledger. It only learns of it sooner.
        try:
            where = temporal.place(project, start=False)
            if where and row.workflow_id and wanted == "cancel":
                loop.run(temporal.wake(where, row.workflow_id, row.task_queue, _job(target, row)))
        except ServerError as error:
            said.append(f"Temporal was not told ({error.what}); the ledger says it")
        return _done(db, project, row.spec.id, *said, *alone)


def _write_down(
    db: Connection,
    project: Project,
    target: Target,
    migration: LoadedMigration,
    spec: Spec,
    row: Row | None,
    *,
    restart: bool,
) -> str:
    """Write a new backfill, or take an ended one up again; say which.

    Empty, and nothing is written, when somebody else did since `row` was read.
    """
    queue = names.task_queue(project, target)
    workflow = names.workflow_id(project, target, spec.id)
    with db.transaction():
        now = records.read(db, spec.id, lock=True)
        if now is not None and now.state in GOING:
            return ""
        fresh = now is None or restart or not _rows(db, spec.id)
        if not fresh and now is not None:
            checks.unedited(now, migration)
            records.leave_sweeps(db, spec.id)  # they may have found no end
            _pace(db, project, migration, spec.id)
            records.want(db, spec.id, "run")
            records.move(db, spec.id, "running" if now.frozen else "pending")
            db.execute(
                "UPDATE qb.backfill SET task_queue = %s, workflow_id = %s WHERE id = %s",
                [queue, workflow, spec.id],
            )
            return f"it goes on from where it was {now.state}"
        if now is not None:
            limit(db, orders.SETTLE_MS)
            in_sync.drop(db, spec.id)
            db.execute("DELETE FROM qb.backfill WHERE id = %s", [spec.id])
        if not records.make(db, spec, split.estimate(db, spec), queue, workflow):
            return ""
        estimate.take_over(db, spec.id)
    return "it is started" if row is None else "it begins again at the first row"


def _drive(
    db: Connection,
    project: Project,
    target: Target,
    backfill: str,
    where: Place,
    driven: str | None,
    *said: str,
) -> Done:
    """Have the workflow and a worker running."""
    row = records.read(db, backfill)
    assert row is not None
    if driven:
        loop.run(temporal.wake(where, driven, row.task_queue, _job(target, row)))
        return _done(db, project, backfill, *said, f"driven by workflow {driven}")
    workflow = names.workflow_id(project, target, backfill)
    queue = names.task_queue(project, target)
    if (row.workflow_id, row.task_queue) != (workflow, queue):
        db.execute(
            "UPDATE qb.backfill SET task_queue = %s, workflow_id = %s WHERE id = %s",
            [queue, workflow, backfill],
        )
    table = f"{row.spec.schema}.{row.spec.table}"
    loop.run(temporal.wake(where, workflow, queue, _job(target, row), table))
    found = worker_process.ensure(project, target, where)
    worker = f"a worker was started (log: {nearby(str(found.log))})" if found.started else ""
    return _done(db, project, backfill, *said, worker)


def _driven(
    project: Project, target: Target, where: Place, row: Row | None, backfill: str
) -> str | None:
    """The workflow of another name (another alias or project) that drives this backfill now."""
    if row is None or row.workflow_id in ("", names.workflow_id(project, target, backfill)):
        return None
    running = loop.run(temporal.workflow_status(where, row.workflow_id)) == "running"
    return row.workflow_id if running else None


def _reached(project: Project, worker_for: Target | None = None) -> Place:
    """Temporal, started when it is the project's own, answering; a worker comes up meanwhile."""
    where = temporal.place(project, start=True)
    assert where is not None
    if worker_for:
        worker_process.begin(project, worker_for, where)
    loop.run(temporal.client(where))
    return where


def heard(project: Project, found: Progress) -> tuple[str | None, list[str]]:
    """The link to the workflow's page, and what Temporal adds to the ledger."""
    if found.ended:
        try:
            where = temporal.place(project, start=False)
        except QbError:
            return None, []
        return (where.link(found.workflow) if where else None), []
    try:
        where = temporal.place(project, start=False)
        if where is None:
            return None, ["Temporal does not run; this is from the ledger. Start it: qb dev up"]
        workflow = loop.run(temporal.workflow_status(where, found.workflow))
        polling = loop.run(temporal.pollers(where, found.task_queue))
    except (ServerError, InputError) as error:
        return None, [f"{error.what} ({error.why}); this is from the ledger. {error.todo}".strip()]
    said = []
    if workflow != "running":
        said.append(f"its workflow is {workflow or 'unknown to Temporal'}: qb backfill start")
    if not polling and found.state != "paused":
        said.append("no worker polls: qb worker, or qb backfill start")
    return where.link(found.workflow), said


def _done(db: Connection, project: Project, backfill: str, *said: str) -> Done:
    found = progress(db, backfill)
    assert found is not None
    ui = None
    try:
        where = temporal.place(project, start=False)
        ui = where.link(found.workflow) if where else None
    except QbError as error:
        said = (*said, error.what)
    return Done(found, tuple(text for text in said if text), ui)


def _job(target: Target, row: Row) -> Job:
    return Job(
        target.name,
        row.spec.id,
        heartbeat_s=float(os.environ.get(HEARTBEAT, Job.heartbeat_s)),
        slice_s=float(os.environ.get(SLICE, Job.slice_s)),
    )


def known(db: Connection, migration: LoadedMigration) -> Row:
    """A backfill in the ledger. Raise InputError when it was never started."""
    row = records.read(db, migration.id) if records.there(db) else None
    if row is None:
        raise InputError(
            f"the backfill of {migration.id} was never started",
            where=str(migration.path),
            todo=f"qb backfill start {migration.name}",
            code="backfill-state",
        )
    return row


def _woken(project: Project, target: Target, row: Row) -> list[str]:
    """Have the workflow look at the ledger; what is to be said when it cannot be told."""
    try:
        where = temporal.place(project, start=False)
        if where and row.workflow_id:
            loop.run(temporal.wake(where, row.workflow_id, row.task_queue, _job(target, row)))
    except ServerError as error:
        return [
            f"Temporal was not told ({error.what}): the lanes that run see it, more of them wait"
        ]
    return []


def _pace(db: Connection, project: Project, migration: LoadedMigration, backfill: str) -> None:
    """Take over how the declaration says it goes: that may be edited at any time.

    What was tuned stays: a declaration is edited for the next time, a tune is meant for this one.
    """
    row = records.read(db, backfill)
    if row is not None and (declared := migration.backfill):
        spec = replace(
            row.spec,
            batch_size=declared.batch_size,
            batch_limit=batch_limit(declared),
            parallel=declared.parallel,
            options=declared_options(declared),
        )
        file = str(migration.path / "backfill.py")
        spec = tuning.settled(project, file, spec, row.spec.options.tuning)
        if spec != row.spec:
            records.tune(db, backfill, spec)


def _rows(db: Connection, backfill: str) -> int:
    """How many batches were committed: with none, nothing of the old form exists."""
    found = db.execute("SELECT count(*) FROM qb.batch WHERE backfill = %s AND rows > 0", [backfill])
    count: int = found.fetchall()[0][0]
    return count


def _first(db: Connection, migration: LoadedMigration) -> str:
    """What is to be done so that a backfill starts."""
    try:
        checks.expanded(db, migration)
    except RefusedError as refused:
        return f"{refused.what}; {refused.todo}"
    return "qb backfill start"


def _never(migration: LoadedMigration) -> Progress:
    if migration.backfill is None:
        raise InputError(
            f"{migration.id} has no backfill",
            where=str(migration.path),
            todo="name a migration in a folder with a backfill.py",
            code="no-backfill",
        )
    return Progress(migration.id, "pending", 0, 0, 0.0, None, migration.backfill.table)


@contextmanager
def ledger(target: Target, conn: Connection | None) -> Iterator[Connection]:
    """The given connection, or one for this call; what fails on it says what qb was doing.

    Raise ServerError for the ledger of another qb.
    """
    with server_errors("reading or writing the ledger of the backfill", target):
        if conn is not None:
            exists(conn)
            yield conn
        else:
            with closing(connect(target, application_name="qb backfill")) as own:
                exists(own)
                yield own
