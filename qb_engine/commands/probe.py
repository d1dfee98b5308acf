"""`qb probe`: statements started on the target itself, cancelled as soon as it begins to work"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import short
from qb_engine.report import Bars, Chart, Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.analysis.probe import Probed
    from qb_engine.execution.sample import Waiting


@dataclass(frozen=True)
class ProbeReport(Report):
    """What statements were seen to do on the target until they began to work."""

    name: ClassVar[str] = "probe"
    target: str
    migration: str
    probed: tuple[Probed, ...]

    @property
    def ok(self) -> bool:
        return all(one.ok for one in self.probed)

    def headline(self) -> str:
        bad = next((one for one in self.probed if not one.ok), None)
        if bad is not None:
            by = f" by pid {bad.blockers[0].pid}" if bad.blockers else ""
            return f"statement {bad.step.number} of {self.migration}: {bad.verdict}{by}"
        working = sum(one.verdict == "work" for one in self.probed)
        tried = sum(one.verdict != "not probed" for one in self.probed)
        text = f"{working} of {tried} statements of {self.migration} work on rows"
        return f"{text} on {self.target}; nothing was kept"

    def tables(self) -> Sequence[Table]:
        columns = (
            Column("#", "count"), Column("statement", "code"), Column("seen"), Column("work"),
            Column("locks on what was there"), Column("time", "seconds"), Column("rows", "count"),
            Column("why"),
        )  # fmt: skip
        rows = tuple(
            (
                one.step.number, short(one.step.statement.sql), one.verdict, one.work or None,
                _locks(one), one.seconds or None, one.rows, one.why or None,
            )
            for one in self.probed
        )  # fmt: skip
        found = [Table(self.migration, columns, rows, empty="no statement to probe")]
        if blockers := [(one, who) for one in self.probed for who in one.blockers]:
            found.append(_waited(blockers))
        return found

    def notes(self) -> Sequence[str]:
        found = []
        for one in self.probed:
            for name in one.used_up:
                found.append(
                    f"statement {one.step.number} took values of the sequence {name}: these are "
                    "not given back"
                )
        found.append("each statement ran in a transaction that was rolled back, on the target")
        return found

    def charts(self) -> Sequence[Chart]:
        ran = [one for one in self.probed if one.seconds]
        if len(ran) < 2:
            return ()
        labels = tuple(f"{o.step.number} {short(o.step.statement.sql, 34)}" for o in ran)
        title = "how long each statement was there"
        return (Bars(title, labels, tuple(one.seconds for one in ran)),)

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "migration": self.migration,
            "statements": [
                {
                    "number": one.step.number,
                    "sql": one.step.statement.sql,
                    "place": str(one.step.statement.source),
                    "part": one.step.part,
                    "seen": one.verdict,
                    "why": one.why,
                    "work": one.work or None,
                    "locks": {lock.relation: lock.mode for lock in one.locks if not lock.index},
                    "index_locks": {lock.relation: lock.mode for lock in one.locks if lock.index},
                    "seconds": round(one.seconds, 6),
                    "rows": one.rows,
                    "blocked_by": [
                        {"pid": who.pid, "application": who.application, "query": who.query}
                        for who in one.blockers
                    ],
                    "sequences": list(one.used_up),
                }
                for one in self.probed
            ],
        }


@qb_command("probe", short_help="Start on the target, cancel at the first work.")
@click.argument("migration", required=False)
@click.option("--held", metavar="DURATION", help="One statement holds its locks for so long: 2s.")
@click.option("--confirm", metavar="ALIAS", help="The alias of a production target, typed back.")
def command(
    session: Session, migration: str | None, held: str | None, confirm: str | None
) -> Report:
    """Start each statement of MIGRATION (default: the next pending one) on the target itself.

    Each runs in a transaction of its own that is rolled back, waits for a lock for a second at
    most, and is cancelled as soon as the server says that it works on rows: so its locks are real,
    for a moment. For what an empty copy of the schema cannot show.
    """
    from qb_engine.analysis.probe import HELD_S, probe
    from qb_engine.commands._place import NothingPending, alone, next_pending, place_of
    from qb_engine.database.connect import server_errors
    from qb_engine.execution import blocks
    from qb_engine.project import seconds
    from qb_engine.runner import next_parts

    held_s = seconds(held) if held is not None else HELD_S
    chosen = next_pending(session, migration)
    if chosen is None:
        return NothingPending(session.target.name)
    session.guard_production(f"probe {chosen.id}", confirm)
    with (
        session.connect(application_name="qb probe") as conn,
        server_errors("reading the ledger", session.target),
    ):
        parts, done = next_parts(conn, chosen)
    steps = [s for block in blocks(parts) for s in block.steps if s.number not in done]
    with session.face.progress(f"probe of {chosen.name}", len(steps)) as bar:
        place = place_of(
            session,
            alone(chosen),
            on_step=lambda m, step, state: bar.update(step.number, len(steps)),
        )
        found = probe(place, steps, held_s=held_s)
    return ProbeReport(session.target.name, chosen.id, found)


def _locks(one: Probed) -> str | None:
    """The locks of a statement, a line each."""
    return "\n".join(f"{lock.relation}: {lock.sql_mode}" for lock in one.locks) or None


def _waited(blockers: Sequence[tuple[Probed, Waiting]]) -> Table:
    columns = (
        Column("who was in the way"), Column("in transaction", "seconds"),
        Column("last query", "code"), Column("of statement", "count"),
    )  # fmt: skip
    rows = tuple(
        (
            f"pid {who.pid} ({who.application})",
            who.seconds or None,
            short(who.query) or None,
            one.step.number,
        )
        for one, who in blockers
    )
    return Table("waited for", columns, rows)
