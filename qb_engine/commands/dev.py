"""`qb dev`: the project's own PostgreSQL and Temporal, started, looked at, stopped"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._tree import QbGroup
from qb_engine.errors import QbError, RefusedError, nearby
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal, ServerStatus
    from qb_engine.project import Project

HOME = ".qb"  # `Project.home` would make it, which only `up` needs
COMES_BACK_S = 3.0  # who watches a backfill tries again after a second, and starts what is away
POLL_S = 0.1
GUESTS = """
SELECT DISTINCT application_name FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND application_name LIKE 'qb%'
  AND pid <> pg_catalog.pg_backend_pid() ORDER BY 1
"""


@dataclass(frozen=True)
class ServersReport(Report):
    """The embedded servers after a command; addresses are None for what does not run.

    `temporal` is the project's own server when qb.toml names one: that is not qb's to start.
    `deleted` are the folders that a purge took away. `again` are the servers that run although
    they were stopped, and `guests` the qb sessions that were connected before.
    """

    name: ClassVar[str] = "dev"
    done: str
    url: str | None
    temporal: str | None
    ui: str | None
    servers: tuple[ServerStatus, ...]
    deleted: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    guests: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.again

    def headline(self) -> str:
        return self.done

    def tables(self) -> Sequence[Table]:
        columns = (
            *(Column("server"), Column("state"), Column("pid")),
            *(Column("address", "code"), Column("log", "code")),
        )
        rows = tuple(
            (
                *(f"{s.name} {s.version}".strip(), "running" if s.running else "stopped", s.pid),
                *(s.address if s.running else None, nearby(str(s.log))),
            )
            for s in self.servers
        )
        return (Table("Embedded servers", columns, rows),)

    def notes(self) -> Sequence[str]:
        found: list[str] = []
        if self.again:
            who = f" (it is connected as: {', '.join(self.guests)})" if self.guests else ""
            found.append(
                f"a process of qb that uses {' and '.join(self.again)} started it again{who}, "
                "such as `qb backfill watch` in another terminal or a notebook"
            )
            found.append("end that process, then: qb dev down")
            return tuple(found)
        if self.ui:
            found.append(f"look at workflows: {self.ui}")
        if any(server.running for server in self.servers):
            found.append("stop them with: qb dev down")
        return tuple(found)


@click.group("dev", cls=QbGroup, short_help="Start, look at and stop the embedded servers.")
def command() -> None:
    """The project's own PostgreSQL and Temporal.

    They live in .qb/, start by themselves when something needs them, and run until `qb dev down`.
    """


@qb_command("up", short_help="Start them, unless they run.")
def up(session: Session) -> Report:
    """Start the embedded servers, unless they run, and tell their addresses."""
    postgres, temporal = _servers(session.project, session.project.home)
    _together([postgres.ensure, *([temporal.ensure] if temporal else [])])
    return _report(session.project, "the embedded servers run")


@qb_command("status", short_help="Tell whether they run, and where.")
def status(session: Session) -> Report:
    """Tell whether the embedded servers run, and where; nothing is started."""
    return _report(session.project)


@qb_command("down", short_help="Stop them; their data stays.")
@click.option("--purge", is_flag=True, help="Also delete their data: databases and workflows.")
def down(session: Session, purge: bool) -> Report:
    """Stop the embedded servers, and the worker that backfills started. Their data stays.

    --purge deletes it, of the project in this folder or the one that --project names behind it.
    """
    from qb_engine.backfill import stop_worker
    from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal

    if purge:
        _guard_data(session.project, session.folder)
    stop_worker(session.project)  # first, while there is a ledger to leave in order
    home = session.project.root / HOME
    # Temporal also when qb.toml names another one by now
    servers = (EmbeddedPostgres(home), EmbeddedTemporal(home))
    ran = any(server.status().running for server in servers)
    guests = _guests(servers[0])
    if purge:
        deleted = [str(folder) for each in _together([s.purge for s in servers]) for folder in each]
    else:
        deleted = []
        _together([server.stop for server in servers])
    again = _again(servers, wait=bool(guests))
    if again:
        said = f"{' and '.join(again)} was stopped, and runs again"
    else:
        said = "the embedded servers are stopped" if ran else "no embedded server was running"
    if purge:
        root = session.project.root
        whose = "their data" if root == Path.cwd() else f"the data of {root}"
        said += f"; {whose} is deleted" if deleted else "; there was no data to delete"
    made = _report(session.project, said)
    return replace(made, deleted=tuple(deleted), again=again, guests=guests)


for _part in (up, status, down):
    command.add_command(_part)


def _guard_data(project: Project, named: Path | None) -> None:
    """Raise RefusedError unless the project is not above this folder, or above the one named.

    Every other command may find a project further up; data that cannot be had back is not deleted
    for who stood in a folder that was no project of its own.
    """
    here = (named or Path.cwd()).resolve()
    if project.root not in here.parents:
        return
    root = project.root
    raise RefusedError(
        "the data of a project that was not named is not deleted",
        where=str(root),
        why=f"it is not the project of {here}, but was found further up",
        todo=f"to delete the data of {root}: qb dev down --purge --project "
        f"{shlex.quote(str(root))}; for a project of this folder's own: qb init",
    )


def _guests(postgres: EmbeddedPostgres) -> tuple[str, ...]:
    """By which names other processes of qb are connected; none when it cannot be asked."""
    import psycopg

    from qb_engine.database import Target
    from qb_engine.database.connect import connect

    if not postgres.status().running:
        return ()
    try:
        target = Target("embedded", postgres.conninfo, origin="embedded")
        with closing(connect(target, application_name="qb dev")) as conn:
            return tuple(name for (name,) in conn.execute(GUESTS).fetchall())
    except (psycopg.Error, QbError):  # it starts just now, or serves nobody
        return ()


def _again(
    servers: Sequence[EmbeddedPostgres | EmbeddedTemporal], *, wait: bool
) -> tuple[str, ...]:
    """Which servers somebody has started again; `wait` for one that tries again in a moment."""
    deadline = time.monotonic() + (COMES_BACK_S if wait else 0)
    while True:
        found = tuple(each.name for each in (s.status() for s in servers) if each.running)
        if found or time.monotonic() > deadline:
            return found
        time.sleep(POLL_S)


def _servers(project: Project, home: Path) -> tuple[EmbeddedPostgres, EmbeddedTemporal | None]:
    """The project's servers; no Temporal of qb's own when qb.toml names one."""
    from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal

    own = project.config.temporal.address or project.config.temporal.profile
    return EmbeddedPostgres(home), None if own else EmbeddedTemporal(home)


def _together(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """What several things come to, done at once; raise the first error, after all have ended."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(work)) as pool:
        futures = [pool.submit(each) for each in work]
        return [future.result() for future in futures]


def _report(project: Project, done: str | None = None) -> ServersReport:
    """What is known now, under a headline that says what was done, or what runs."""
    postgres, temporal = _servers(project, project.root / HOME)
    servers = (postgres.status(), *((temporal.status(),) if temporal else ()))
    running = [server for server in servers if server.running]
    names = " and ".join(server.name for server in running)
    workflows = next((server for server in running if server.ui), None)
    return ServersReport(
        done=done or (f"running: {names}" if running else "no embedded server runs"),
        url=postgres.url if servers[0].running else None,
        temporal=workflows.address if workflows else project.config.temporal.address,
        ui=workflows.ui if workflows else None,
        servers=servers,
    )
