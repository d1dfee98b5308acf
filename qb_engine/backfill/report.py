"""a backfill as a report: its state, its segments, and its rows over time"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import psycopg

from qb_engine.backfill.control import Done
from qb_engine.backfill.measure import SegmentProgress
from qb_engine.report import Column, Line, Report, Table, format_seconds, format_value

HELD = ("paused", "cancelled")  # neither going nor done
POINTS = 200  # as many as a chart can show

# Rows written until then, and the seconds since the first batch began; every nth of many batches.
HISTORY = """
SELECT extract(epoch FROM at - min(at - ms * interval '1 ms') OVER ())::float8,
    sum(rows) OVER (ORDER BY at, segment, number)::float8,
    row_number() OVER (ORDER BY at, segment, number), count(*) OVER ()
FROM qb.batch WHERE backfill = %s ORDER BY at, segment, number
"""

VALIDATE = "SELECT validate_sql FROM qb.backfill WHERE id = %s"  # as it was when it started


@dataclass(frozen=True)
class BackfillReport(Report):
    """How far a backfill is. `rate` is in rows per second, `eta` in seconds or None."""

    name: ClassVar[str] = "backfill"
    migration: str
    table: str
    state: str
    rows_done: int
    rows_total: int
    rate: float
    eta: float | None
    batches: int
    segments: tuple[SegmentProgress, ...]
    error: str
    workflow: str
    ui: str | None
    started_at: datetime | None
    finished_at: datetime | None
    said: tuple[str, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()
    started: bool = False  # the command was to make it go

    @property
    def ok(self) -> bool:
        return self.state != "failed" and not (self.started and self.state in HELD)

    def headline(self) -> str:
        share = f"{self.rows_done:,} of {self.rows_total:,} rows of {self.table}"
        text = f"backfill {self.migration}: {self.state}, {share}"
        if self.eta is not None:
            text += f", {format_value(self.rate, 'rate')}, {format_seconds(self.eta)} left"
        return text

    def tables(self) -> Sequence[Table]:
        facts = Table(
            "Backfill",
            (
                *(Column("state"), Column("table"), Column("rows", "count")),
                *(Column("of", "count"), Column("batches", "count")),
                *(Column("rate", "rate"), Column("left", "seconds")),
            ),
            (
                (
                    *(self.state, self.table, self.rows_done, self.rows_total),
                    *(self.batches, self.rate, self.eta),
                ),
            ),
        )
        segments = Table(
            "Segments",
            (
                *(Column("segment"), Column("after"), Column("up to"), Column("cursor")),
                *(Column("status"), Column("rows", "count")),
                *(Column("batches", "count"), Column("epoch", "count"), Column("note")),
            ),
            tuple(_rows(self.segments)),
            empty="none yet",
        )
        return (facts, segments)

    def notes(self) -> Sequence[str]:
        found = [self.error] if self.error else []
        found += self.said
        if self.state == "failed":
            again = f"qb backfill start {self.migration}"
            found.append(f"next: mend the row or the expression, then: {again}")
        sweeps = _sweeps(self.segments)
        if sweeps and _vain(sweeps[-1]):
            found.append("a last look over the whole table found no row that came late")
        if any(s.rows_again for s in self.segments):
            found.append(
                "written rows still match `where` and would change again, so rows that came late "
                "cannot be told from them: there is no sweep"
            )
        if self.ui:
            found.append(f"workflow: {self.ui}")
        return tuple(found)

    def charts(self) -> Sequence[Line]:
        if len(self.curve) < 2:
            return ()
        xs, ys = zip(*self.curve)
        return (Line(f"Rows of {self.table} over time", xs, ys, "seconds", "rows"),)

    def as_dict(self) -> dict[str, Any]:
        whole = super().as_dict()
        whole["notes"] = whole.pop("said")
        del whole["curve"], whole["started"]
        return whole


def _sweeps(segments: Sequence[SegmentProgress]) -> list[list[SegmentProgress]]:
    """The segments of each sweep, in order."""
    numbers = sorted({s.sweep for s in segments if s.sweep})
    return [[s for s in segments if s.sweep == number] for number in numbers]


def _vain(sweep: Sequence[SegmentProgress]) -> bool:
    """True for a sweep that found nothing to do, as it should be."""
    return all(s.status == "done" and not s.rows_done for s in sweep)


def report(
    conn: psycopg.Connection[Any] | None, done: Done, *more: str, started: bool = False
) -> BackfillReport:
    """The report of a command; with a connection, its rows over time too."""
    found = done.progress
    if conn and found.error.startswith("`validate`"):
        query = conn.execute(VALIDATE, [found.id]).fetchone()
        more = (*more, f"validate: {query[0]}") if query else more
    said = (*done.notes, *((found.note,) if found.note else ()), *more)
    return BackfillReport(
        migration=found.id, table=found.table, state=found.state, rows_done=found.rows_done,
        rows_total=found.rows_total, rate=round(found.rate, 1), eta=found.eta,
        batches=found.batches, segments=found.segments, error=found.error,
        workflow=found.workflow, ui=done.ui, started_at=found.started_at,
        finished_at=found.finished_at, said=said,
        curve=curve(conn, found.id) if conn and found.batches else (), started=started,
    )  # fmt: skip


def _rows(segments: Sequence[SegmentProgress]) -> Iterator[tuple[Any, ...]]:
    """A row per segment, and one per sweep that is on its way or found something."""
    for s in segments:
        if not s.sweep:
            yield (
                *(str(s.number), s.lo, s.hi, s.cursor, s.status, s.rows_done, s.batches, s.epoch),
                s.note,
            )
    for of in _sweeps(segments):
        if _vain(of):
            continue
        done = sum(s.status == "done" for s in of)
        yield (
            *(f"sweep {of[0].sweep}", None, None, None, f"{done} of {len(of)} done"),
            *(sum(s.rows_done for s in of), sum(s.batches for s in of), max(s.epoch for s in of)),
            "; ".join(s.note for s in of if s.note),
        )


def curve(conn: psycopg.Connection[Any], backfill: str) -> tuple[tuple[float, float], ...]:
    """Rows over seconds, from the ledger; at most some two hundred points."""
    points = conn.execute(HISTORY, [backfill]).fetchall()
    step = max(1, len(points) // POINTS)
    kept = [
        (round(x, 3), y) for x, y, place, count in points if place % step == 0 or place == count
    ]
    return ((0.0, 0.0), *kept)
