"""`qb history`: what ran on this target, and how"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._past import charts, lock_lines
from qb_engine.commands._steps import short
from qb_engine.errors import InputError
from qb_engine.report import Chart, Column, Report, Table, jsonable
from qb_engine.secrets import mask

if TYPE_CHECKING:
    import pandas as pd

    from qb_engine.ledger import PartRow, Run, StepRow
    from qb_engine.ledger.past import Decision, Seen

CHECKSUM = re.compile("[0-9a-f]{64}")
LISTED = 50  # runs that a table lists; there may be thousands
RUN_COLUMNS = (
    Column("run", "count"), Column("migration"), Column("direction"), Column("status"),
    Column("who"), Column("started", "time"), Column("time", "seconds"), Column("error"),
)  # fmt: skip


@dataclass(frozen=True)
class HistoryReport(Report):
    """Every run, the newest first; one of them, when one is chosen, with all that it did."""

    name: ClassVar[str] = "history"
    target: str
    runs: tuple[Run, ...]
    run: int | None = None  # the run that the rest is about
    steps: tuple[StepRow, ...] = ()
    parts: tuple[PartRow, ...] = ()
    decisions: tuple[Decision, ...] = ()
    samples: tuple[Seen, ...] = ()
    every: bool = False

    def headline(self) -> str:
        word = "run" if len(self.runs) == 1 else "runs"
        return f"{self.target}: {len(self.runs)} {word} recorded"

    def tables(self) -> Sequence[Table]:
        shown = self.runs if self.every else self.runs[:LISTED]
        rows = tuple(_run_row(r) for r in shown)
        found = [Table("runs", RUN_COLUMNS, rows, empty="nothing ran here yet")]
        if self.steps:
            found.append(self._statements())
        if said := self._said():
            found.append(said)
        if self.parts:
            found.append(self._parts())
        if self.decisions:
            found.append(self._decisions())
        return found

    def notes(self) -> Sequence[str]:
        hidden = 0 if self.every else len(self.runs) - LISTED
        return [f"{hidden:,} older ones: qb history --all lists them"] if hidden > 0 else []

    def charts(self) -> Sequence[Chart]:
        return charts(f"run {self.run}", self.steps, self.parts, self.samples) if self.run else ()

    @property
    def df(self) -> pd.DataFrame:
        """All runs, also those that the table leaves out."""
        import pandas as pd

        return pd.DataFrame(
            [_run_row(r) for r in self.runs], columns=[column.name for column in RUN_COLUMNS]
        )

    @property
    def statements(self) -> pd.DataFrame:
        """The statements of the chosen run with all that was recorded of each."""
        import pandas as pd

        from qb_engine.ledger import StepRow

        names = list(StepRow.__slots__)
        rows = [[getattr(step, name) for name in names] for step in self.steps]
        return pd.DataFrame(rows, columns=names)

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "runs": jsonable(self.runs),
            "run": self.run,
            "steps": jsonable(self.steps),
            "parts": jsonable(self.parts),
            "decisions": jsonable(self.decisions),
            "samples": jsonable(self.samples),
        }

    def _statements(self) -> Table:
        columns = (
            Column("#", "count"), Column("statement", "code"), Column("status"),
            Column("time", "seconds"), Column("rows", "count"), Column("WAL", "bytes"),
            Column("tries", "count"), Column("locks"), Column("error"),
        )  # fmt: skip
        rows = tuple(
            (
                s.number, short(s.sql), s.status, s.seconds, s.rows, s.wal_bytes, s.attempts,
                lock_lines(s.locks) or None, s.error or None,
            )
            for s in self.steps
        )  # fmt: skip
        return Table(f"statements of run {self.run}", columns, rows)

    def _said(self) -> Table | None:
        rows = tuple((s.number, message) for s in self.steps for message in s.messages)
        columns = (Column("#", "count"), Column("message"))
        return Table(f"what the server said in run {self.run}", columns, rows) if rows else None

    def _parts(self) -> Table:
        columns = (Column("file"), Column("kind"), Column("state"), Column("transaction"))
        rows = tuple((p.file, p.kind, p.state, p.transaction) for p in self.parts)
        return Table(f"parts of run {self.run}", columns, rows)

    def _decisions(self) -> Table:
        columns = (
            Column("at", "time"), Column("who"), Column("what"), Column("migration"),
            Column("run", "count"), Column("reason"), Column("detail"),
        )  # fmt: skip
        rows = tuple(
            (d.at, d.who, d.what, d.migration or None, d.run, d.reason or None, _detail(d.detail))
            for d in (self.decisions if self.every else self.decisions[:LISTED])
        )
        return Table("decisions", columns, rows)


def _run_row(r: Run) -> tuple[Any, ...]:
    return (
        r.run, r.migration, r.direction, r.status, r.who, r.started_at, r.seconds, r.error or None,
    )  # fmt: skip


def _detail(detail: dict[str, Any]) -> str | None:
    """The detail of a decision as lines of `name: value`; of old and new, what is not the same."""
    old, new = detail.get("old"), detail.get("new")
    if isinstance(old, dict) and isinstance(new, dict):
        changed = [(name, old.get(name), now) for name, now in new.items() if old.get(name) != now]
        lines = [f"{_words(n)}: {_shown(was)} -> {_shown(now)}" for n, was, now in changed]
    else:
        told = [(n, v) for n, v in detail.items() if v is not False and v not in ([], {}, "")]
        lines = [f"{_words(n)}: {_shown(value)}" for n, value in told]
    return mask("\n".join(lines)) or None


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Any) -> str:
    """A value without the signs of JSON; of a checksum what is enough to compare it."""
    if isinstance(value, list):
        return "; ".join(map(_shown, value))
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_shown(each)}" for name, each in value.items())
    text = "-" if value is None else str(value)
    return text[:16] if CHECKSUM.fullmatch(text) else text


@qb_command("history", short_help="What ran on this target, and how.")
@click.argument("migration", required=False)
@click.option("--run", "number", type=int, metavar="N", help="Show run N with its statements.")
@click.option("--all", "every", is_flag=True, help="List all runs, however many there are.")
def command(session: Session, migration: str | None, number: int | None, every: bool) -> Report:
    """Show the recorded runs and decisions; of MIGRATION, its last run with all that it did.

    In a notebook, `.df` holds the runs and `.statements` the statements of the chosen run.
    """
    from qb_engine import ledger
    from qb_engine.database.connect import server_errors
    from qb_engine.ledger.past import decisions, samples
    from qb_engine.ledger.reading import patiently

    with (
        session.connect() as conn,
        server_errors("reading the ledger", session.target),
        patiently(conn),
    ):
        if not ledger.exists(conn):
            return HistoryReport(session.target.name, ())
        runs = ledger.history(conn)
        wanted = _wanted(session, runs, migration) if migration else None
        if wanted:
            runs = tuple(r for r in runs if r.migration == wanted)
        if number is not None:
            runs = _numbered(runs, number, session.target.display)
            wanted = runs[0].migration
        chosen = runs[0].run if wanted and runs else None
        return HistoryReport(
            session.target.name,
            runs,
            chosen,
            ledger.steps(conn, chosen) if chosen else (),
            ledger.parts(conn, chosen) if chosen else (),
            decisions(conn, wanted),
            samples(conn, chosen) if chosen else (),
            every,
        )


def _wanted(session: Session, runs: Sequence[Run], name: str) -> str:
    """The id of the migration that is meant: one that ran here, else one of the folder."""
    known = {r.migration: r.name for r in runs}
    exact = [i for i, called in known.items() if name in (i, called)]
    found = exact or [i for i in known if name in i]
    if name in found:
        return name
    if len(found) > 1:
        raise InputError(
            f"{name!r} names {len(found)} migrations that ran here",
            where=session.target.display,
            why=", ".join(sorted(found)[:8]),
            todo="give the whole id",
            code="ambiguous-name",
        )
    return found[0] if found else session.migration(name).id


def _numbered(runs: Sequence[Run], number: int, where: str) -> tuple[Run, ...]:
    """The run of a number, alone."""
    found = tuple(r for r in runs if r.run == number)
    if not found:
        raise InputError(
            f"there is no run {number}",
            where=where,
            why=f"the last one is run {runs[0].run}" if runs else "nothing ran here yet",
            todo="see them with: qb history",
            code="no-such-migration",
        )
    return found
