"""`qb explain`: plans of a query, of a migration's statements, of a workload before and after"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._plans import (
    change_facts,
    changes_table,
    charts,
    plan_facts,
    plans_table,
    tree_table,
)
from qb_engine.commands._steps import short
from qb_engine.errors import InputError
from qb_engine.report import Chart, Report, Table, Tree, format_value

if TYPE_CHECKING:
    from qb_engine.analysis.explain import Explained
    from qb_engine.analysis.workload import Plan
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration
    from qb_engine.shadow.twin import Facts, Twin
    from qb_engine.sql import Statement

TOP = 20
STATEMENTS = "pg_stat_statements"


@dataclass(frozen=True)
class PlansReport(Report):
    """The plans of queries, on the target or on its twin."""

    name: ClassVar[str] = "explain"
    target: str
    twin: bool
    plans: tuple[Plan, ...]
    said: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not any(plan.error for plan in self.plans)

    @property
    def place(self) -> str:
        return f"the twin of {self.target}" if self.twin else self.target

    def headline(self) -> str:
        if len(self.plans) == 1:
            only = self.plans[0]
            if only.error:
                return f"no plan on {self.place}: {only.error}"
            return f"planned on {self.place}: cost {only.cost:,.2f}, rows {only.rows:,.0f}"
        bad = sum(bool(plan.error) for plan in self.plans)
        failed = f", {bad} have no plan" if bad else ""
        return f"{len(self.plans)} queries planned on {self.place}{failed}"

    def tables(self) -> Sequence[Table]:
        if len(self.plans) == 1:
            only = self.plans[0]
            return [] if only.tree is None else [tree_table(short(only.statement.sql), only.tree)]
        named = [(str(n), plan) for n, plan in enumerate(self.plans, 1)]
        return [plans_table(f"plans on {self.place}", named, "no query to plan")]

    def notes(self) -> Sequence[str]:
        return [*self.said, "nothing was run: costs are the planner's, not seconds"]

    def charts(self) -> Sequence[Chart]:
        trees = [plan for plan in self.plans if plan.tree is not None][:5]
        return [Tree(short(p.statement.sql, 60), p.tree) for p in trees if p.tree is not None]

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "twin": self.twin,
            "plans": [{"query": p.statement.sql, **plan_facts(p)} for p in self.plans],
            "said": list(self.said),
        }


@dataclass(frozen=True)
class ExplainReport(Report):
    """A migration's own plans, and queries before and after it, on the twin."""

    name: ClassVar[str] = "explain"
    target: str
    migration: str
    explained: Explained
    said: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        broken = any(change.verdict == "fails now" for change in self.explained.changes)
        return not (broken or self.explained.failed)

    def headline(self) -> str:
        changes = self.explained.changes
        place = f"the twin of {self.target}"
        if not changes:
            return f"{self.migration} explained on {place}"
        broken = sum(c.verdict == "fails now" for c in changes)
        if broken:
            return f"after {self.migration}, {broken} of {len(changes)} queries fail ({place})"
        changed = sum(c.verdict not in ("same", "fails") for c in changes)
        return f"after {self.migration}, {changed} of {len(changes)} plans differ on {place}"

    def tables(self) -> Sequence[Table]:
        found = []
        if self.explained.changes:
            found.append(changes_table(self.explained.changes))
        own = [(each.part, each.plan) for each in self.explained.own]
        title = f"{self.migration}: its own statements that have a plan"
        found.append(plans_table(title, own, "none reads or writes rows by a plan"))
        return found

    def notes(self) -> Sequence[str]:
        return [
            *self.explained.failed,
            *self.said,
            *self.explained.assumed,
            "nothing was run on the target: costs are the planner's, not seconds",
        ]

    def charts(self) -> Sequence[Chart]:
        found = charts(self.explained.changes)
        for each in self.explained.own:
            if each.plan.tree is not None and len(found) < 8:
                found.append(Tree(short(each.plan.statement.sql, 60), each.plan.tree))
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "twin": True,
            "migration": self.migration,
            "queries": [change_facts(change) for change in self.explained.changes],
            "statements": [
                {"part": each.part, "query": each.plan.statement.sql, **plan_facts(each.plan)}
                for each in self.explained.own
            ],
            "assumed": list(self.explained.assumed),
            "failed": list(self.explained.failed),
            "said": list(self.said),
        }


@qb_command("explain", short_help="Plans of queries, before and after a migration.")
@click.argument("what", required=False, metavar="[SQL | MIGRATION]")
@click.option("--twin", "on_twin", is_flag=True, help="Plan on the statistics twin of the target.")
@click.option(
    "--workload",
    is_flag=False,
    flag_value=STATEMENTS,
    metavar="[FILE]",
    help="The application's queries: of FILE, or those that took most time on the target.",
)
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=TOP,
    show_default=True,
    help="How many of the target's queries.",
)
def command(
    session: Session, what: str | None, on_twin: bool, workload: str | None, top: int
) -> Report:
    """Show how PostgreSQL would run a query; or what a MIGRATION does to the plans of queries.

    A query is planned on the target, read-only, or with --twin on its statistics twin. A migration
    (default: the next pending one) is always taken through the twin: its own statements and its
    backfill's batch are planned at their moment, the application's queries before and after it.
    """
    from qb_engine.analysis.explain import on, plans
    from qb_engine.database.connect import server_errors

    if workload and not what and workload != STATEMENTS and not Path(workload).exists():
        what, workload = workload, STATEMENTS  # `--workload MIGRATION`
    migration, queries = _asked(session, what, on_twin, needed=workload is None)
    with (
        session.connect(application_name="qb explain") as conn,
        server_errors("explaining", session.target),
    ):
        said: list[str] = []
        if not queries or workload:
            more, said = _workload(session, conn, workload, top)
            queries += more
        if migration is not None:
            return _through(session, conn, migration, queries, said)
        if not on_twin:
            return PlansReport(session.target.name, False, plans(conn, queries), tuple(said))
        with _twin(session, conn) as twin:
            found = on(twin, queries)
            return PlansReport(session.target.name, True, found, (*said, *_age(twin.facts)))


def _through(
    session: Session,
    conn: Connection,
    migration: LoadedMigration,
    queries: Sequence[Statement],
    said: Sequence[str],
) -> Report:
    """A migration on the twin, with queries before and after it."""
    from qb_engine.analysis.explain import explain
    from qb_engine.commands._batches import batches_of

    total = len(migration.up)
    with _twin(session, conn) as twin:
        with session.face.progress(f"explaining {migration.name}", total) as bar:
            found = explain(
                twin,
                migration,
                queries,
                batches_of(migration),
                on_step=lambda number: bar.update(number, total),
            )
        whole = (*said, *_age(twin.facts))
        return ExplainReport(session.target.name, migration.id, found, whole)


@contextmanager
def _twin(session: Session, conn: Connection) -> Iterator[Twin]:
    from qb_engine.shadow import scratch
    from qb_engine.shadow import twin as twins

    server = scratch(session.project, opened=session.watch)
    with twins.twin(server, session.target, conn) as found:
        yield found


def _age(facts: Facts) -> tuple[str, ...]:
    """What limits what the twin can say."""
    when = datetime.fromtimestamp(facts.made, UTC)
    found = [f"statistics of {format_value(when, 'time')}; read anew with: qb twin --refresh"]
    if not facts.values:
        found.append("the twin was made without values: every value counts as equally common")
    if facts.gaps:
        found.append(f"the twin lacks {len(facts.gaps)} things of the target: qb twin lists them")
    return tuple(found)


def _asked(
    session: Session, what: str | None, on_twin: bool, *, needed: bool
) -> tuple[LoadedMigration | None, tuple[Statement, ...]]:
    """What is to be explained: a migration, or queries (none when only the workload is).

    Without a name it is the next pending migration; there may be none unless one is `needed`.
    SQL that is more than queries goes the way of a migration: an index that is only thought of.
    """
    from qb_engine.commands._place import next_pending
    from qb_engine.migrations.model import LoadedMigration, Part
    from qb_engine.sql import Source, read

    text = session.cell if session.cell and not what else None
    if what and any(c.isspace() for c in what.strip()):
        text = what
    if text is None:
        if what:
            return session.migration(what, allow_path=True), ()
        if not needed and not session.migrations().entries:
            return None, ()
        return next_pending(session, None), ()
    statements = read(text, Source("the cell" if text is session.cell else ""))
    if not statements:
        raise InputError(
            "there is no SQL to explain", todo="give a query, or a migration", code="bad-sql"
        )
    if all(statement.is_dml for statement in statements):
        return None, statements
    if not on_twin:
        raise InputError(
            "this is more than queries",
            where=str(next(s.source for s in statements if not s.is_dml)),
            why="on the target only what reads or writes rows is planned, and nothing is changed",
            todo="try it on the statistics twin: repeat the command with --twin",
            code="only-reads",
        )
    part = Part("migration", "the SQL given", statements)
    name = "the SQL given"
    return LoadedMigration(name, "", name, Path(name), "sql", (part,)), ()


def _workload(
    session: Session, conn: Connection, named: str | None, top: int
) -> tuple[tuple[Statement, ...], list[str]]:
    """The application's queries: of the file, of qb.toml's, or those that took most time."""
    from qb_engine.analysis.explain import top_queries
    from qb_engine.analysis.workload import load

    if named and named != STATEMENTS:
        return load(Path(named)), []
    if session.project.config.workload and not named:
        return load(session.project.root / session.project.config.workload), []
    found, said = top_queries(conn, top)
    notes = [said] if said else []
    if found:
        notes.append(f"the workload: the {len(found)} queries that took most time, by the target")
    return tuple(each.statement for each in found), notes
