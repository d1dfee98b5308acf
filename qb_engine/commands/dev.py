"""`qb dev`: the project's own PostgreSQL and Temporal, started, looked at, stopped"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._tree import QbGroup
from qb_engine.errors import nearby
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from pathlib import Path

    from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal, ServerStatus
    from qb_engine.project import Project

HOME = ".qb"  # `Project.home` would make it, which only `up` needs


@dataclass(frozen=True)
class ServersReport(Report):
    """The embedded servers after a command; addresses are None for what does not run.

    `temporal` is the project's own server when qb.toml names one: that is not qb's to start.
    """

    name: ClassVar[str] = "dev"
    done: str
    url: str | None
    temporal: str | None
    ui: str | None
    servers: tuple[ServerStatus, ...]

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
        found = []
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
    """Stop the embedded servers, and the worker that backfills started. Their data stays."""
    from qb_engine.backfill import stop_worker
    from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal

    stop_worker(session.project)  # first, while there is a ledger to leave in order
    home = session.project.root / HOME
    # Temporal also when qb.toml names another one by now
    servers = (EmbeddedPostgres(home), EmbeddedTemporal(home))
    ran = any(server.status().running for server in servers)
    had = _together([server.purge if purge else server.stop for server in servers])
    said = "the embedded servers are stopped" if ran else "no embedded server was running"
    if purge:
        said += "; their data is deleted" if any(had) else "; there was no data to delete"
    return _report(session.project, said)


for _part in (up, status, down):
    command.add_command(_part)


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
