"""`qb status`: how every migration stands on this target, and what is wrong"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.report import Column, Report, Table, jsonable

if TYPE_CHECKING:
    import pandas as pd

    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration, Migrations
    from qb_engine.runner import Status
    from qb_engine.runner.findings import Finding
    from qb_engine.runner.parts import PartState

TROUBLE = ("partial", "edited", "broken", "missing")
APART = ("gone", "partly")  # TypeORM's history and the ledger do not say the same
SETTLED = ("applied", "contracted")
LISTED = 50  # settled migrations that a table lists; there may be thousands
COLUMNS = (
    Column("migration"), Column("state"), Column("applied", "time"), Column("by"),
    Column("time", "seconds"), Column("backfill"), Column("note"),
)  # fmt: skip


@dataclass(frozen=True)
class StatusReport(Report):
    """Every migration with its state, and what is wrong."""

    name: ClassVar[str] = "status"
    target: str
    migrations: tuple[Status, ...]
    runner: str = ""
    findings: tuple[Finding, ...] = ()
    check: bool = False
    every: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """False when something is wrong with a migration; with --check, when anything is."""
        if self.check:
            return not self.findings
        wrong = (s.state in TROUBLE or s.beside in APART for s in self.migrations)
        return not any(wrong)

    def headline(self) -> str:
        counts: dict[str, int] = {}
        for s in self.migrations:
            counts[s.state] = counts.get(s.state, 0) + 1
        said = (
            ", ".join(f"{n} {state}" for state, n in counts.items()) or "there is no migration yet"
        )
        if self.check:
            wrong = len(self.findings)
            said += f"; {_count(wrong, 'thing')} to put right" if wrong else "; nothing is wrong"
        return f"{self.target}: {said}"

    @property
    def _hidden(self) -> int:
        """How many of the oldest settled ones the table leaves out."""
        settled = sum(s.state in SETTLED for s in self.migrations)
        return 0 if self.every else max(settled - LISTED, 0)

    def tables(self) -> Sequence[Table]:
        hidden, rows = self._hidden, []
        for s in self.migrations:
            if hidden and s.state in SETTLED:
                hidden -= 1
                continue
            rows.append(_row(s))
        found = [Table("migrations", COLUMNS, tuple(rows), empty="the folder is empty")]
        if self.findings:
            found.append(_findings(self.findings))
        return found

    @property
    def df(self) -> pd.DataFrame:
        """All migrations, also those that the table leaves out."""
        import pandas as pd

        columns = [column.name for column in COLUMNS]
        return pd.DataFrame([_row(s) for s in self.migrations], columns=columns)

    def notes(self) -> Sequence[str]:
        found = [f"running now: {self.runner}"] if self.runner else []
        if self._hidden:
            found.append(
                f"{self._hidden:,} older ones are settled, too: qb status --all lists them"
            )
        return [*found, *self.remarks]

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "migrations": jsonable(self.migrations),
            "runner": self.runner,
            "findings": jsonable(self.findings),
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True)
class OneStatusReport(Report):
    """One migration: its parts with their states, what its README says, and what is wrong."""

    name: ClassVar[str] = "status"
    target: str
    migration: Status
    parts: tuple[PartState, ...]
    readme: str = ""
    runner: str = ""
    findings: tuple[Finding, ...] = ()
    check: bool = False

    @property
    def ok(self) -> bool:
        one = self.migration
        well = one.state not in TROUBLE and one.beside not in APART
        return not self.findings if self.check else well

    def headline(self) -> str:
        said = f"{self.target}: {self.migration.migration} is {self.migration.state}"
        return f"{said}: {self.migration.note}" if self.migration.note else said

    def tables(self) -> Sequence[Table]:
        columns = (
            Column("part"), Column("kind"), Column("state"), Column("transaction"),
            Column("statements", "count"), Column("done", "count"), Column("at", "time"),
            Column("time", "seconds"),
        )  # fmt: skip
        rows = tuple(
            (p.file, p.kind, p.state, p.transaction or None, p.statements, p.done, p.at, p.seconds)
            for p in self.parts
        )
        found = [Table("parts", columns, rows, empty="nothing is known of its parts")]
        if self.findings:
            found.append(_findings(self.findings))
        return found

    def notes(self) -> Sequence[str]:
        found = [f"running now: {self.runner}"] if self.runner else []
        return [*self.readme.strip().splitlines(), *found]


def _row(s: Status) -> tuple[Any, ...]:
    return (
        s.migration, s.state, s.applied_at, s.who or None, s.seconds, s.backfill or None,
        s.note or None,
    )  # fmt: skip


def _findings(findings: Sequence[Finding]) -> Table:
    columns = (Column("finding"), Column("what is wrong"), Column("what resolves it"))
    rows = tuple((f.id, f"{f.what}: {f.why}", f.todo) for f in findings)
    return Table("to put right", columns, rows)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


@qb_command("status", short_help="How every migration stands on this target.")
@click.argument("migration", required=False)
@click.option("--check", is_flag=True, help="End with 1 when anything is to be put right.")
@click.option("--all", "every", is_flag=True, help="List all, however many are applied.")
def command(session: Session, migration: str | None, check: bool, every: bool) -> Report:
    """Show every migration with its state, and what is to be put right; MIGRATION with its parts.

    pending, applied, expanded (its backfill comes next), backfilling, contracted (what comes after
    the backfill ran, too), partial (stopped half way), edited, broken, missing. Waits for no lock.
    """
    from qb_engine.database.connect import server_errors
    from qb_engine.ledger.reading import patiently
    from qb_engine.runner import status
    from qb_engine.runner.beside import compare
    from qb_engine.runner.findings import findings
    from qb_engine.runner.leftovers import invalid_indexes, orphans, stranded
    from qb_engine.runner.status import runner
    from qb_engine.schema.garbage import no_collection

    with (
        no_collection(),  # thousands of values, and no cycle among them
        session.connect() as conn,
        server_errors("reading the ledger", session.target),
        patiently(conn),
    ):
        migrations = session.migrations()
        states = status(conn, migrations)
        invalid = invalid_indexes(conn)
        if invalid and any(s.state == "partial" for s in states):  # some may be its own remains
            from qb_engine.runner.trouble import cases, coming_back

            again = coming_back(cases(conn, migrations))
            invalid = tuple(i for i in invalid if i.removal not in again)
        found = findings(
            states,
            migrations.entries,
            orphans=orphans(conn),
            invalid=invalid,
            beside=compare(conn, migrations, wait=False),
            stranded=stranded(conn),
        )
        running = runner(conn)
        if migration is None:
            return StatusReport(
                session.target.name, states, running, found, check, every, migrations.notes
            )
        return _one(session, conn, migrations, migration, states, running, found, check)


def _one(
    session: Session,
    conn: Connection,
    migrations: Migrations,
    name: str,
    states: Sequence[Status],
    running: str,
    found: Sequence[Finding],
    check: bool,
) -> Report:
    """The report on one migration, which may be broken, or gone."""
    from qb_engine import ledger
    from qb_engine.runner.parts import parts

    state = _chosen(migrations, name, states)
    loaded: LoadedMigration | None = None
    if state.state not in ("broken", "missing"):
        loaded = migrations.get(state.migration)
    known = ledger.standing(conn) if ledger.exists(conn) else {}
    return OneStatusReport(
        session.target.name,
        state,
        parts(conn, state.migration, loaded, known.get(state.migration)),
        loaded.readme if loaded else "",
        running,
        tuple(f for f in found if f.migration == state.migration),
        check,
    )


def _chosen(migrations: Migrations, name: str, states: Sequence[Status]) -> Status:
    """The state that a name means. Raise InputError that names what is near."""
    exact = [s for s in states if s.migration == name]
    gone = [s for s in states if s.state in ("missing", "broken") and name in s.migration]
    if exact or len(gone) == 1:
        return (exact or gone)[0]
    id = migrations.find(name).id
    return next(s for s in states if s.migration == id)
