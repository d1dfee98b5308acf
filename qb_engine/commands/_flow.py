"""`qb run --with-backfill`: what comes before a backfill, the backfill, what comes after it"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from qb_engine.commands._session import Session
from qb_engine.errors import InputError, InterruptedRun, QbError

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration, Migrations
    from qb_engine.runner import Ran, Request

POLL_S = 0.2
AGREED = "run with backfill"  # of qb.event: who let a worker run what comes after

STANDING = "SELECT state, post_state, post_error, error FROM qb.backfill WHERE id = %s"


@dataclass(frozen=True)
class Flow:
    """A backfill that a run has started, and how far it is; `post` is what comes after it."""

    migration: str
    name: str
    state: str
    post: str
    error: str = ""
    notes: tuple[str, ...] = ()
    ends: str = "applied"  # the status of the migration when all is done

    @property
    def done(self) -> bool:
        return self.state == "completed" and self.post in ("done", "")

    @property
    def ok(self) -> bool:
        return self.state not in ("failed", "cancelled", "paused") and self.post != "failed"

    @property
    def status(self) -> str:
        """The migration's, with what came of its backfill."""
        return self.ends if self.done else "expanded"

    @property
    def note(self) -> str:
        return f"its backfill is {self.state}"

    def told(self) -> Sequence[str]:
        """How it stands, and how to go on or watch."""
        if self.done:
            said = [f"{self.migration}: its backfill is verified, and what comes after it has run"]
        elif self.post == "failed":
            said = [
                f"{self.migration}: what comes after its backfill failed: {self.error}",
                f"next: mend it, then: qb run {self.name}",
            ]
        elif not self.ok:
            said = [f"{self.migration}: its backfill is {self.state}"]
            said += [self.error] if self.error else []
            word = "resume" if self.state == "paused" else "start"
            said.append(f"next: qb backfill {word} {self.name}; what comes after it then runs")
        else:
            said = [
                f"{self.migration}: its backfill is {self.state}; what comes after it is run by "
                "its worker, without this session",
                f"watch it: qb backfill watch {self.name}; how it ended: qb status",
                "migrations after it wait: qb run, when it is done (or --wait)",
            ]
        return (*said, *self.notes)

    def as_dict(self) -> dict[str, Any]:
        found = asdict(self)
        del found["name"], found["ends"]
        return found


def guard(given: Mapping[str, Any]) -> None:
    """Raise InputError for options that mean nothing together."""
    if given["wait"] and not given["with_backfill"]:
        raise InputError(
            "--wait is given without --with-backfill",
            why="a run by itself is over when it returns",
            todo="add --with-backfill, or leave --wait out",
            code="bad-option",
        )
    if given["with_backfill"] and given["atomic"] == "all":
        raise InputError(
            "--with-backfill and --atomic all are given together",
            why="a backfill runs between transactions",
            todo="leave one of them out",
            code="bad-option",
        )


def waiting(conn: Connection, migrations: Migrations, request: Request) -> list[LoadedMigration]:
    """The migration at which a run of the request would find only its backfill to do."""
    from qb_engine.runner import status

    for each in status(conn, migrations):
        if request.only in (None, each.migration) and each.state in ("expanded", "backfilling"):
            return [migrations.get(each.migration)]
    return []


def run_through(
    session: Session,
    migrations: Migrations,
    request: Request,
    run: Callable[[Request], tuple[Ran, ...]],
    *,
    wait: bool,
) -> tuple[tuple[Ran, ...], tuple[Flow, ...]]:
    """Run, start the backfill at which that stops, and with `wait` see it through and go on."""
    done: list[Ran] = []
    flows: list[Flow] = []
    while True:
        ran = run(request)
        done += ran
        at = _stopped_at(session, migrations, request, ran)
        if at is None:
            return tuple(done), tuple(flows)
        try:
            flows.append(_start(session, at, wait=wait))
        except QbError as error:
            if names := [each.migration for each in done if each.seen or each.seconds]:
                error.why += f"\napplied before it, and kept: {', '.join(names)}"
            raise
        alone = request.only is not None or request.agreed is not None
        if alone or not (wait and flows[-1].done):
            return tuple(done), tuple(flows)
        if request.steps is not None:
            left = request.steps - len({each.migration for each in ran})
            if left < 1:
                return tuple(done), tuple(flows)
            request = replace(request, steps=left)


def _stopped_at(
    session: Session, migrations: Migrations, request: Request, ran: Sequence[Ran]
) -> LoadedMigration | None:
    """The migration whose backfill comes next; None when the run did not stop at one."""
    if ran:
        return migrations.get(ran[-1].migration) if ran[-1].status == "expanded" else None
    with closing(session.connect(application_name="qb status")) as conn:  # with --if-pending
        return next(iter(waiting(conn, migrations, request)), None)


def _start(session: Session, migration: LoadedMigration, *, wait: bool) -> Flow:
    from qb_engine import backfill
    from qb_engine.commands.backfill.following import follow
    from qb_engine.ledger.decisions import decide

    with closing(session.connect(application_name="qb backfill")) as conn:
        done = backfill.start(session.project, session.target, migration, conn=conn, then_post=True)
        files = [part.file for part in migration.after_backfill()]
        decide(conn, AGREED, migration.id, None, detail={"then": files})
        if not wait:
            return _flow(conn, migration, done.notes)
    follow(session, migration)
    with closing(session.connect(application_name="qb backfill")) as conn:  # that one may be lost
        _until_done(session, conn, migration)
        return _flow(conn, migration)  # what was said at the start is over


def _until_done(session: Session, conn: Connection, migration: LoadedMigration) -> None:
    """Wait for what comes after a backfill that is complete; an interrupt ends only the waiting."""
    try:
        with session.face.progress(f"what comes after the backfill of {migration.id}") as bar:
            while True:
                found = _flow(conn, migration)
                if found.state != "completed" or found.post not in ("waiting", "running"):
                    return
                bar.update(0, None, found.post)
                time.sleep(POLL_S)
    except KeyboardInterrupt:
        raise InterruptedRun(
            "stopped waiting; a worker runs what comes after the backfill",
            why="it is a process of its own",
            todo="see how it ended: qb status",
        ) from None


def _flow(conn: Connection, migration: LoadedMigration, notes: tuple[str, ...] = ()) -> Flow:
    state, post, post_error, error = conn.execute(STANDING, [migration.id]).fetchall()[0]
    ends = "contracted" if migration.after_backfill() else "applied"
    return Flow(migration.id, migration.name, state, post, post_error or error, notes, ends)
