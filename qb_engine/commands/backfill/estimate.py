"""`qb backfill estimate`: what it will come to, before it is started"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.backfill.found import CONFIRM, NAME, find
from qb_engine.report import Column, Report, Table, format_bytes, format_seconds

if TYPE_CHECKING:
    from qb_engine.backfill.before.estimate import Estimate


@dataclass(frozen=True)
class EstimateReport(Report):
    """What a backfill will come to. Times are in seconds, a range; without samples there are none.

    `triggers` fire as often as `calls` says. `held` are signals that would hold it up now.
    """

    name: ClassVar[str] = "backfill estimate"
    found: Estimate

    def headline(self) -> str:
        e = self.found
        text = f"{'' if e.exact else 'about '}{e.rows:,} rows of {e.table}"
        if e.seconds_low is not None and e.seconds_high is not None:
            text += f", {format_seconds(e.seconds_low)} to {format_seconds(e.seconds_high)}"
        return f"backfill {e.id}: {text}"

    def tables(self) -> Sequence[Table]:
        e, around = self.found, self.found.around
        rows: list[tuple[str, str, str]] = [
            ("rows", f"{e.rows:,}", "counted" if e.exact else "an estimate of the catalog's"),
            ("goes over", f"{e.keys:,}", f"in the order of {', '.join(e.key)}"),
        ]
        if e.batches_low is not None and e.seconds_low is not None:
            rows += [
                ("batches", f"{e.batches_low:,} to {e.batches_high:,}", ""),
                (
                    "time",
                    f"{format_seconds(e.seconds_low)} to {format_seconds(e.seconds_high or 0)}",
                    "without waits for signals and the window",
                ),
            ]
        if e.wal_bytes_low is not None and e.wal_bytes_high is not None:
            low, high = format_bytes(e.wal_bytes_low), format_bytes(e.wal_bytes_high)
            rows.append(("WAL", f"{low} to {high}", "more after a checkpoint"))
        if e.dead_rows or e.verb != "insert":
            dead = f"{format_bytes(e.dead_bytes)}, until vacuumed"
            rows.append(("dead rows", f"{e.dead_rows:,}", dead))
        if e.hot is not None:
            rows.append(
                ("stay on their page", f"{e.hot:.0%}", f"HOT; fillfactor {around.fillfactor}")
            )
        if e.change_events:
            rows.append(("change events", f"{e.change_events:,}", f"old row: {around.identity}"))
        if around.replicas:
            rows.append(("replicas", f"{around.replicas}", "stream what is written"))
        shown = [
            Table("Estimate", (Column("what"), Column("how much"), Column("note")), tuple(rows))
        ]
        if e.triggers:
            shown.append(
                Table(
                    "Triggers that will fire",
                    (Column("trigger"), Column("calls", "count"), Column("for")),
                    tuple(
                        (t.name, t.calls, "each row" if t.each_row else "each batch")
                        for t in e.triggers
                    ),
                )
            )
        if e.samples:
            shown.append(
                Table(
                    "Sampled batches, rolled back",
                    (
                        *(Column("after"), Column("keys", "count"), Column("rows", "count")),
                        *(Column("ms", "count"), Column("WAL", "bytes"), Column("HOT", "count")),
                    ),
                    tuple(
                        (s.after or "the first", s.keys, s.rows, round(s.ms), s.wal_bytes, s.hot)
                        for s in e.samples
                    ),
                )
            )
        if e.held:
            names = (Column("signal"), Column("says"), Column("why"))
            shown.append(Table("Would hold it up now", names, e.held))
        return shown

    def notes(self) -> Sequence[str]:
        e = self.found
        volatile = [f"not the same each time: {each}" for each in e.volatile]
        return (*e.said, *volatile, f"next: qb backfill start {e.id}")

    def as_dict(self) -> dict[str, Any]:
        e = self.found
        whole = asdict(e)
        whole["migration"] = whole.pop("id")
        return {
            **whole,
            "dead_rows": e.dead_rows,
            "dead_bytes": e.dead_bytes,
            "change_events": e.change_events,
        }


@qb_command("estimate", short_help="Tell what it will come to, from batches that are rolled back.")
@NAME
@click.option("--no-sample", is_flag=True, help="Run nothing: ask the catalog alone.")
@CONFIRM
def part(session: Session, name: str | None, no_sample: bool, confirm: str) -> Report:
    """Tell what the backfill of NAME will come to: rows, time, WAL, triggers, change events.

    A few batches over the whole key are run and rolled back, each for 5 seconds at most: their rows
    are locked so long, their triggers fire, and dead versions of them are left for a vacuum.
    """
    from qb_engine.backfill.before import checks
    from qb_engine.backfill.before.estimate import estimate, keep
    from qb_engine.backfill.spec import describe
    from qb_engine.database.connect import server_errors
    from qb_engine.ledger import exists

    migration = find(session, name)
    if not no_sample:
        session.guard_production(f"running batches of {migration.id}, to roll them back", confirm)
    with (
        closing(session.connect(application_name="qb backfill")) as conn,
        server_errors(f"estimating the backfill of {migration.id}", session.target),
    ):
        spec = describe(conn, migration)
        if not no_sample:  # which needs no right to write
            checks.sound(conn, spec)
        found = estimate(conn, spec, sampling=not no_sample)
        if exists(conn) and found.samples:
            keep(conn, found)
    return EstimateReport(found)
