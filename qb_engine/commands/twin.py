"""`qb twin`: the target's statistics and sizes on the embedded server, without its rows"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.report import Column, Report, Table, jsonable

if TYPE_CHECKING:
    from qb_engine.shadow.twin import Facts

SHOWN = 20  # gaps in the table; JSON has them all


@dataclass(frozen=True)
class TwinReport(Report):
    """What the twin is, and what it lacks of its target."""

    name: ClassVar[str] = "twin"
    target: str
    database: str
    fresh: bool
    facts: Facts

    def headline(self) -> str:
        how = "made" if self.fresh else "kept"
        tables = f"{self.facts.tables:,} table{'' if self.facts.tables == 1 else 's'}"
        return f"the twin of {self.target} is {how}: {tables}, no rows"

    def tables(self) -> Sequence[Table]:
        facts = self.facts
        columns = (
            *(Column("tables", "count"), Column("indexes", "count"), Column("rows", "count")),
            *(Column("pretended", "bytes"), Column("on disk", "bytes"), Column("values")),
            Column("made", "time"),
        )
        made = datetime.fromtimestamp(facts.made, UTC)
        row = (
            *(facts.tables, facts.indexes, facts.rows, facts.pretended, facts.on_disk),
            *("kept" if facts.values else "left out", made),
        )
        found = [Table(f"twin of {self.target}", columns, (row,))]
        if facts.gaps:
            gaps = tuple((gap.name, gap.why) for gap in facts.gaps[:SHOWN])
            found.append(Table("what it lacks", (Column("what"), Column("why")), gaps))
        if facts.settings:
            settings = tuple(facts.settings.items())
            heads = (Column("setting"), Column("value", "code"))
            found.append(Table("the target's settings", heads, settings))
        return found

    def notes(self) -> Sequence[str]:
        found = []
        facts = self.facts
        if len(facts.gaps) > SHOWN:
            found.append(f"{len(facts.gaps) - SHOWN} more that it lacks: see --json")
        if facts.values:
            found.append(
                "its statistics hold sample values of rows: treat it as you treat the target, "
                "or make it with --no-values"
            )
        else:
            found.append(
                "without values, every value counts as equally common: plans may differ from the "
                "target's where a few are much more common than the rest"
            )
        if facts.never_analysed:
            found.append(
                f"never analysed on the target: {facts.never_analysed:,} tables, planned by "
                "their size, as there"
            )
        if not self.fresh:
            found.append("made anew when the schema changes, or with --refresh")
        found.append("ask it: qb explain --twin SQL, or qb explain MIGRATION --workload FILE")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "database": self.database,
            "fresh": self.fresh,
            **jsonable(self.facts),
        }


@dataclass(frozen=True)
class DroppedReport(Report):
    """The twin is gone."""

    name: ClassVar[str] = "twin"
    target: str
    dropped: bool

    def headline(self) -> str:
        if self.dropped:
            return f"the twin of {self.target} is dropped"
        return f"there is no twin of {self.target}"


@qb_command("twin", short_help="The target's statistics, on the embedded server, without rows.")
@click.option("--no-values", is_flag=True, help="Leave out what rows hold: keep counts and widths.")
@click.option("--refresh", is_flag=True, help="Read the statistics anew.")
@click.option("--drop", is_flag=True, help="Drop the twin.")
def command(session: Session, no_values: bool, refresh: bool, drop: bool) -> Report:
    """Make a database that plans queries as the target does, with none of its rows.

    The target is only read: its catalog, by this role. The twin is kept on the embedded server
    until the schema changes.
    """
    from qb_engine.database.connect import server_errors
    from qb_engine.errors import InputError
    from qb_engine.shadow import scratch
    from qb_engine.shadow import twin as twins

    if drop and (no_values or refresh):
        raise InputError(
            "--drop stands alone",
            why="what is dropped needs no statistics",
            todo="leave the other options out",
            code="not-together",
        )
    server = scratch(session.project, opened=session.watch)
    with (
        session.connect(application_name="qb twin") as conn,
        server_errors("reading the target's statistics", session.target),
    ):
        if drop:
            return DroppedReport(session.target.name, twins.drop(server, conn))
        with (
            session.face.progress(f"twin of {session.target.name}"),
            twins.twin(
                server,
                session.target,
                conn,
                refresh=refresh,
                values=False if no_values else True if refresh else None,
            ) as made,
        ):
            return TwinReport(session.target.name, made.dbname, made.fresh, made.facts)
