"""`qb tour`: the main job from draft to validated backfill, in the terminal, on real servers"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from qb_engine.commands import Session, invoke, qb_command
from qb_engine.errors import QbError
from qb_engine.project import Project
from qb_engine.report import Column, Report, Table, format_seconds

if TYPE_CHECKING:
    from rich.console import Console

MIGRATION = "ALTER TABLE users ADD COLUMN email text;\n"

BACKFILL = """\
class FillUserEmail(Backfill):
    table = "users"
    set = {"email": "lower(first_name || '.' || last_name || id || '@example.com')"}
    where = "email IS NULL"
    parallel = 2
    validate = "SELECT id FROM users WHERE email IS NULL LIMIT 5"
"""

POST = "ALTER TABLE users ALTER COLUMN email SET NOT NULL;\n"

BROKEN = """\
ALTER TABLE orders ADD COLUMN gift boolean;
CREATE INDEX orders_gift ON orders (gift) WHERE gift;
ALTER TABLE orders ADD CONSTRAINT orders_total_small CHECK (total < 100);
"""


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the tour: what it shows, and the command that does it."""

    title: str
    why: str
    args: tuple[str, ...]
    cell: str | None = None
    fails: bool = False


@dataclass(frozen=True)
class TourReport(Report):
    """What the tour did, and how long each stop took."""

    name: ClassVar[str] = "tour"
    stops: tuple[tuple[str, str, float], ...]
    kept: str = ""
    ui: str = ""

    def headline(self) -> str:
        took = format_seconds(sum(seconds for _, _, seconds in self.stops))
        return f"from a draft to a filled, validated column in {took}"

    def tables(self) -> Sequence[Table]:
        columns = (Column("stop"), Column("command", "code"), Column("time", "seconds"))
        return (Table("the tour", columns, self.stops),)

    def notes(self) -> Sequence[str]:
        found = ["the same by hand: notebooks/01_quickstart.ipynb (make lab)"]
        if self.kept:
            found.append(f"kept running for you in {self.kept}; Temporal's UI: {self.ui}")
            found.append(f"stop them with: qb --project {self.kept} dev down")
        else:
            found.append("nothing was left running; qb tour --keep leaves the servers up")
        return found


def stops(rows: int) -> tuple[Stop, ...]:
    """The whole way, in order."""
    return (
        Stop("Servers", "PostgreSQL 18 and Temporal, private to this project", ("dev", "up")),
        Stop("A shop", "realistic data, the same for everybody", ("demo", "--rows", str(rows))),
        Stop(
            "A draft",
            "the change, as SQL",
            ("draft", "add_user_email"),
            MIGRATION,
        ),
        Stop(
            "Its backfill",
            "how the rows of before get their value",
            ("draft", "add_user_email", "--backfill"),
            BACKFILL,
        ),
        Stop(
            "And afterwards",
            "what may only hold once every row is filled",
            ("draft", "add_user_email", "--post"),
            POST,
        ),
        Stop("A migration", "with inferred constraints and a way back", ("generate",)),
        Stop("Verify", "does this target meet the constraints?", ("verify",)),
        Stop("Plan", "seen on an empty copy of the schema, not guessed", ("plan",)),
        Stop("Dry run", "for real on the target, rolled back", ("dryrun",)),
        Stop("Run", "applied and recorded, up to the backfill", ("run",)),
        Stop(
            "Backfill",
            "in batches, driven by Temporal, each row exactly once",
            ("backfill", "start", "add_user_email", "--wait"),
        ),
        Stop("Run on", "the part that waited for the rows", ("run",)),
        Stop("Validate", "is the schema what the migrations say?", ("validate",)),
        Stop("A mistake", "a rule that the rows of today break", ("draft", "limit"), BROKEN),
        Stop("Written down", "on an empty copy it runs up and down", ("generate", "limit")),
        Stop("Dry run", "on the target it is found out, before it hurts", ("dryrun",)),
        Stop("Run it anyway", "it fails, and nothing of it is kept", ("run",), fails=True),
        Stop("Status", "so it is still pending", ("status",)),
        Stop("Roll back", "the way back was written with the migration", ("rollback",)),
        Stop("History", "everything that happened is in the ledger", ("history",)),
    )


@qb_command("tour", short_help="The main job end to end, in the terminal.")
@click.option("--rows", default=100_000, show_default=True, help="How many users the shop has.")
@click.option("--keep", is_flag=True, help="Leave the servers and the project there afterwards.")
def command(session: Session, rows: int, keep: bool) -> Report:
    """Show the main job from draft to validated backfill, on real servers, in .qb/tour."""
    from qb_engine.commands._terminal import console_for

    console = console_for(stderr=session.json)
    home = session.project.home / "tour"
    with own_project(session, home, keep=keep) as tour:
        times = []
        for number, stop in enumerate(stops(rows), 1):
            times.append((stop.title, shown(stop), show(tour, console, number, stop)))
        ui = temporal_ui(tour)
    return TourReport(tuple(times), str(home) if keep else "", ui)


def show(session: Session, console: Console, number: int, stop: Stop) -> float:
    """Do one stop and print it; the seconds it took. An error that is meant to come is shown."""
    from qb_engine.commands._terminal import renderable

    console.print()
    console.rule(f"[bold]{number}. {stop.title}[/bold]: {stop.why}", align="left", style="dim")
    console.print(f"$ {shown(stop)}", style="cyan", highlight=False, markup=False)
    if stop.cell:
        console.print(stop.cell.rstrip(), style="dim", highlight=False, markup=False)
    started = time.monotonic()
    session.cell = stop.cell
    try:
        report = invoke(session, stop.args)
        if report is not None:
            console.print(renderable(report))
    except QbError as error:
        if not stop.fails:
            raise
        console.print("\n".join(error.lines()), style="red", highlight=False, markup=False)
    return time.monotonic() - started


def shown(stop: Stop) -> str:
    """The command as it would be typed."""
    return " ".join(("qb", *stop.args))


@contextmanager
def own_project(session: Session, home: Path, *, keep: bool) -> Iterator[Session]:
    """A session in a fresh project of the tour's own; afterwards its servers and folder go."""
    clear(session, home)
    tour = Session(session.face, Project.create(home).root)
    try:
        yield tour
    finally:
        if not keep:
            clear(session, home)


def clear(session: Session, home: Path) -> None:
    """Stop what a tour left running, and remove its folder."""
    if home.exists():
        invoke(Session(session.face, home), ("dev", "down", "--purge"))
        shutil.rmtree(home, ignore_errors=True)


def temporal_ui(session: Session) -> str:
    """Where Temporal's own pages are."""
    from qb_engine.database.embedded import EmbeddedTemporal

    return EmbeddedTemporal(session.project.home).status().ui or ""
