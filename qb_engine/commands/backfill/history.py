"""`qb backfill history`: every batch that was committed"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import NAME, find
from qb_engine.report import Chart, Column, Line, Report, Table, jsonable

if TYPE_CHECKING:
    import pandas as pd

    from qb_engine.backfill.reporting.totals import BatchRow, HeldBy

LISTED = 20  # batches that a table lists; there may be a hundred thousand
COLUMNS = (
    Column("at", "time"), Column("segment", "count"), Column("batch", "count"), Column("after"),
    Column("up to"), Column("rows", "count"), Column("seen", "count"), Column("time", "seconds"),
    Column("size", "count"), Column("tries", "count"), Column("waited", "seconds"),
    Column("held by"), Column("WAL", "bytes"),
)  # fmt: skip


@dataclass(frozen=True)
class BatchesReport(Report):
    """The batches of a backfill, the newest first. `df` has them all, with every column."""

    name: ClassVar[str] = "backfill-history"
    migration: str
    count: int
    batches: tuple[BatchRow, ...]
    holds: tuple[HeldBy, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()
    listed: int = LISTED

    def headline(self) -> str:
        word = "batch" if self.count == 1 else "batches"
        rows = sum(each.rows for each in self.batches)
        of = "" if len(self.batches) == self.count else f", the last {len(self.batches):,} of them"
        return f"backfill {self.migration}: {self.count:,} {word}{of}, {rows:,} rows"

    def tables(self) -> Sequence[Table]:
        rows = tuple(
            (
                *(b.at, b.segment, b.number, b.lo, b.hi, b.rows, b.seen, b.ms / 1000, b.size),
                *(b.attempts, b.waited_ms / 1000, b.held_by or None, b.wal_bytes),
            )
            for b in self.batches[: self.listed]
        )
        found = [Table("batches", COLUMNS, rows, empty="none yet")]
        if self.holds:
            names = (Column("signal"), Column("times", "count"), Column("in all", "seconds"))
            held = tuple((h.signal, h.times, h.seconds, h.reason) for h in self.holds)
            found.append(Table("what held it up", (*names, Column("last reason")), held))
        return found

    def notes(self) -> Sequence[str]:
        hidden = len(self.batches) - self.listed
        return [f"{hidden:,} more are in `.df` and in --json"] if hidden > 0 else []

    def charts(self) -> Sequence[Chart]:
        if len(self.curve) < 2:
            return ()
        xs, ys = zip(*self.curve)
        return (Line(f"Rows of {self.migration} over time", xs, ys, "seconds", "rows"),)

    @property
    def df(self) -> pd.DataFrame:
        """Every batch as a row, the newest first; times with their zone."""
        import pandas as pd

        from qb_engine.backfill.reporting.totals import BatchRow

        names = [each.name for each in fields(BatchRow)]
        rows = [[getattr(batch, name) for name in names] for batch in self.batches]
        return pd.DataFrame(rows, columns=names)

    def as_dict(self) -> dict[str, Any]:
        return {
            "migration": self.migration,
            "count": self.count,
            "batches": jsonable(self.batches),
            "holds": jsonable(self.holds),
        }


@qb_command("history", short_help="Show every batch that was committed.")
@NAME
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N batches.")
def part(session: Session, name: str | None, last: int | None) -> Report:
    """Show the batches of the backfill of NAME, the newest first, and what held it up.

    In a notebook `.df` holds every batch as pandas; the table and --json have the same facts.
    """
    from qb_engine.backfill import records
    from qb_engine.backfill.reporting.totals import batches, curve, totals
    from qb_engine.database.connect import server_errors

    migration = find(session, name)
    with (
        closing(session.connect(application_name="qb backfill")) as conn,
        server_errors("reading the ledger", session.target),
    ):
        if not records.there(conn) or records.read(conn, migration.id) is None:
            return BatchesReport(migration.id, 0, ())
        took = totals(conn, migration.id)
        return BatchesReport(
            migration.id,
            took.batches,
            tuple(batches(conn, migration.id, last)),
            took.held,
            curve(conn, migration.id),
            last or LISTED,
        )
