"""`qb impact`: who is in the way of a plan's locks right now, and whom these would keep waiting"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import short
from qb_engine.report import Bars, Chart, Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.analysis.facts import Examined
    from qb_engine.analysis.impact import Impact, InTheWay, Query, Traffic
    from qb_engine.execution import Place
    from qb_engine.migrations import LoadedMigration

MOST = 20  # queries of an application, and sessions in the picture
FOREVER = "1h"


@dataclass(frozen=True)
class ImpactReport(Report):
    """The locks of what would run, against what is going on on the target."""

    name: ClassVar[str] = "impact"
    target: str
    migrations: tuple[str, ...]
    found: Impact
    waited: bool = False  # it was asked to wait until nobody is in the way
    missing: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """False only when a quiet moment was waited for, and did not come."""
        return self.found.quiet or not self.waited

    def headline(self) -> str:
        names = " and ".join(self.migrations)
        if not self.found.quiet:
            first = self.found.blocking[0]
            others = len({each.who.key for each in self.found.blocking}) - 1
            more = f" and {others} more" if others else ""
            return f"{_who(first)}{more} would keep {names} waiting on {self.target} now"
        text = f"nobody is in the way of {names} on {self.target} now"
        waits = [t.waiting for t in self.found.traffic if t.waiting and t.waiting[1] >= 1]
        if not waits:
            return text
        return f"{text}; {_about(max(waits, key=lambda each: each[1]))} would wait for it"

    def tables(self) -> Sequence[Table]:
        found = [self._locks(), self._ways()]
        if queries := [q for t in self.found.traffic for q in t.queries]:
            found.append(_queries(queries))
        if self.found.horizons:
            columns = (
                Column("what"), Column("name"), Column("active", "check"),
                Column("transactions behind", "count"),
            )  # fmt: skip
            rows = tuple(
                (h.kind, h.name, "yes" if h.active else "no", h.age) for h in self.found.horizons
            )
            found.append(Table("replication", columns, rows))
        return found

    def _locks(self) -> Table:
        columns = (
            Column("#", "count"), Column("lock"), Column("relation"), Column("held at least",
            "seconds"), Column("held at most", "seconds"), Column("queries", "rate"),
            Column("would wait"),
        )  # fmt: skip
        traffic = {t.need: t for t in self.found.traffic}
        rows = []
        for need in self.found.needs:
            low, high = need.seconds or (None, None)
            seen = traffic.get(need)
            rows.append(
                (
                    need.step, _mode(need.mode), need.relation, low, high,
                    seen.per_s if seen else None, _waiting(seen),
                )
            )  # fmt: skip
        return Table("strong locks", columns, tuple(rows), empty="none: nobody is kept waiting")

    def _ways(self) -> Table:
        columns = (
            Column("who"), Column("state"), Column("in transaction", "seconds"), Column("holds"),
            Column("relation"), Column("#", "count"), Column("query", "code"), Column("note"),
        )  # fmt: skip
        rows = tuple(
            (
                _who(each), each.who.state or None, each.who.age_s, _held(each),
                each.relation or None, each.step, short(each.who.query, 60) or None,
                each.passes or None,
            )
            for each in self.found.in_the_way
        )  # fmt: skip
        return Table("in the way", columns, rows, empty="nobody")

    def notes(self) -> Sequence[str]:
        found = []
        for each in self.found.blocking:
            if not each.who.pid:
                found.append(f"{_who(each)}: whoever prepared it must commit it or roll it back")
            elif each.who.state.startswith("idle in transaction"):
                found.append(f"{_who(each)} is idle: whoever left its transaction open must end it")
            elif each.who.backend_type == "autovacuum worker":
                found.append(f"{_who(each)} prevents wraparound: it does not give way; let it end")
        for t in self.found.traffic:
            if t.waiting and t.waiting[1] >= 1:
                found.append(
                    f"{t.need.relation}: {_about(t.waiting)} would wait while statement "
                    f"{t.need.step} and its transaction hold {_mode(t.need.mode)}"
                )
        found += [
            f"slot {h.name} is not in use and keeps old rows: what a rewrite or a backfill leaves "
            "is not cleaned up until it moves on, or is dropped"
            for h in self.found.horizons
            if h.kind == "replication slot" and not h.active
        ]
        if self.found.source and self.found.needs:
            found.append(f"how often tables are used is known from {self.found.source}")
        found += [f"the shadow lacks: {text}" for text in self.missing]
        if self.waited and not self.found.quiet:
            found.append("the quiet moment did not come in time")
        return list(dict.fromkeys(found))

    def charts(self) -> Sequence[Chart]:
        shown = [each for each in self.found.in_the_way if each.who.age_s is not None][:MOST]
        if not shown:
            return ()
        labels = tuple(f"{_who(e)}: {_held(e)} on {e.relation}" for e in shown)
        values = tuple(float(each.who.age_s or 0.0) for each in shown)
        return (Bars("who holds what, for how long", labels, values),)

    def as_dict(self) -> dict[str, Any]:
        from qb_engine.analysis.impact import as_dict

        return {
            "target": self.target,
            "migrations": list(self.migrations),
            "quiet": self.found.quiet,
            **as_dict(self.found),
        }


@qb_command("impact", short_help="Who is in the way now, and who would wait.")
@click.argument("migration", required=False)
@click.option("--scratch", metavar="URL", help="A server for the shadow, instead of the embedded.")
@click.option(
    "--until-quiet", is_flag=False, flag_value=FOREVER, metavar="[DURATION]",
    help="Wait until nobody is in the way, for an hour or as long as is said (--until-quiet=5min).",
)  # fmt: skip
def command(
    session: Session, migration: str | None, scratch: str | None, until_quiet: str | None
) -> Report:
    """Hold the locks of MIGRATION (or of all that is pending) against the target as it is now.

    Who holds a lock or a snapshot that they would wait for, and which queries of the application
    would wait for them. The target is only read.
    """
    from qb_engine.analysis import plan
    from qb_engine.analysis.impact import impact
    from qb_engine.commands._place import NothingPending, alone, going_on, pending, place_of
    from qb_engine.project import seconds

    within = seconds(until_quiet) if until_quiet is not None else None
    if migration:
        chosen = session.migration(migration, allow_path=True)
        todo: tuple[LoadedMigration, ...] = (chosen,)
        migrations = alone(chosen)
    else:
        migrations, todo, _ = pending(session)
    if not todo:
        return NothingPending(session.target.name)
    place = place_of(session, migrations, scratch=scratch)
    planned, missing = plan(place, todo, going_on=going_on(session, todo))
    names = tuple(p.migration.id for p in planned)
    examined = tuple(step for p in planned for step in p.examined)
    with place.connected("qb impact") as conn:
        last = _wait(session, place, examined, within) if within is not None else None
        found = impact(conn, examined)
    if last is not None:  # what came since is for the next look
        found = replace(found, in_the_way=last.in_the_way)
    return ImpactReport(session.target.name, names, found, within is not None, missing)


def _wait(session: Session, place: Place, examined: Sequence[Examined], within_s: float) -> Impact:
    """Look until nobody is in the way, showing who is; the last look."""
    from qb_engine.analysis.impact import until_quiet

    with (
        session.face.progress("waiting until nobody is in the way", within_s) as bar,
        place.connected("qb impact") as conn,
    ):
        began = time.monotonic()

        def look(found: Impact) -> None:
            note = _who(found.blocking[0]) if found.blocking else "quiet"
            bar.update(min(time.monotonic() - began, within_s), within_s, note)

        return until_quiet(conn, examined, within_s, stop=session.stopping, look=look)


def _queries(queries: Sequence[Query]) -> Table:
    columns = (Column("query", "code"), Column("relation"), Column("per second", "rate"))
    most = sorted(queries, key=lambda q: -q.per_s)[:MOST]
    rows = tuple((short(q.sql, 80), q.relation, q.per_s) for q in most)
    return Table("queries that would wait", columns, rows)


def _who(each: InTheWay) -> str:
    who = each.who
    if not who.pid:
        return f"prepared transaction '{who.gid or '?'}'"
    return f"pid {who.pid} ({who.application})"


def _held(each: InTheWay) -> str:
    if not each.mode:
        return "an old snapshot"
    return f"{'awaits ' if each.waits else ''}{_mode(each.mode)}"


def _mode(mode: str) -> str:
    from qb_engine.execution.observation import Lock

    return Lock("", mode).sql_mode


def _waiting(seen: Traffic | None) -> str | None:
    if seen is None or seen.waiting is None:
        return None
    low, high = seen.waiting
    return f"{low:.0f} to {high:.0f}" if high >= 1 else "none"


def _about(waiting: tuple[float, float]) -> str:
    """`about 5 to 20 queries`."""
    low, high = (f"{number:,.0f}" for number in waiting)
    count = high if low == high else f"{low} to {high}"
    return f"about {count} {'query' if count == '1' else 'queries'}"
