"""a workload before and after a run, as tables, notes and JSON; the same for run and dry run"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qb_engine.commands._session import Session
from qb_engine.commands._steps import short
from qb_engine.report import Column, Table

if TYPE_CHECKING:
    from qb_engine.analysis.workload import Compared, PlanChange, Workload
    from qb_engine.migrations import LoadedMigration


def workload_of(
    session: Session, given: str | None, migrations: Iterable[LoadedMigration]
) -> Workload | None:
    """The workload that `--workload` or qb.toml names; None when neither does.

    Raise InputError when its file cannot be read.
    """
    from qb_engine.analysis.workload import Workload, load
    from qb_engine.sql import qualified

    named = given or session.project.config.workload
    if not named:
        return None
    path = Path(named) if given else session.project.root / named
    tables = {
        qualified(schema or None, name)
        for migration in migrations
        for statement in migration.up
        for schema, name in statement.relations
    }
    return Workload(load(path), sorted(tables))


def workload_tables(compared: Compared | None) -> list[Table]:
    """The plans that changed, and the indexes of the touched tables."""
    if compared is None:
        return []
    changed = [c for c in compared.plans if c.verdict not in ("same", "fails")]
    columns = (
        *(Column("query", "code"), Column("verdict"), Column("cost before"), Column("after")),
        *(Column("no longer", "code"), Column("instead", "code")),
    )
    rows = tuple(
        (
            short(c.before.statement.sql, 50),
            c.verdict,
            cost(c.before.cost) if not c.before.error else None,
            cost(c.after.cost) if not c.after.error else None,
            c.before.error or "\n".join(c.gone) or None,
            c.after.error or "\n".join(c.come) or None,
        )
        for c in changed
    )
    title = f"plans of the workload: {len(changed)} of {len(compared.plans)} changed"
    found = [Table(title, columns, rows, empty="every query runs as before")]
    if compared.indexes:
        found.append(_indexes(compared))
    return found


def workload_notes(compared: Compared | None) -> list[str]:
    """What is to be looked at: queries that fail now, indexes that are gone and were used."""
    if compared is None:
        return []
    found = [
        f"{c.after.statement.source}: {c.after.error}: {short(c.after.statement.sql)}"
        for c in compared.broken
    ]
    for index in compared.indexes:
        if index.before and index.state == "dropped" and index.before.scans:
            times = "once" if index.before.scans == 1 else f"{index.before.scans:,} times"
            found.append(f"index {index.use.name} is gone; it was used {times}")
    never = [c for c in compared.plans if c.verdict == "fails"]
    found += [f"{c.before.statement.source}: not planned: {c.before.error}" for c in never]
    if any(c.verdict not in ("same", "fails") for c in compared.plans):
        found.append(
            "plans follow the statistics: new columns and indexes have theirs after ANALYZE"
        )
    return found


def workload_facts(compared: Compared | None) -> dict[str, Any] | None:
    """The comparison as JSON shows it."""
    if compared is None:
        return None
    return {
        "plans": [_plan(change) for change in compared.plans],
        "indexes": [
            {
                "index": change.use.name,
                "table": change.use.table,
                "state": change.state,
                "scans": change.use.scans,
                "bytes": change.use.bytes,
            }
            for change in compared.indexes
        ],
    }


def cost(value: float) -> str:
    """A planner's cost, with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _plan(change: PlanChange) -> dict[str, Any]:
    return {
        "query": change.before.statement.sql,
        "place": str(change.before.statement.source),
        "verdict": change.verdict,
        "cost_before": change.before.cost,
        "cost_after": change.after.cost,
        "nodes_before": list(change.before.nodes),
        "nodes_after": list(change.after.nodes),
        "indexes_before": list(change.before.indexes),
        "indexes_after": list(change.after.indexes),
        "error_before": change.before.error,
        "error_after": change.after.error,
    }


def _indexes(compared: Compared) -> Table:
    columns = (
        *(Column("index"), Column("table"), Column("now"), Column("used", "count")),
        *(Column("size", "bytes"), Column("valid", "check")),
    )
    rows: Sequence[tuple[Any, ...]] = tuple(
        (c.use.name, c.use.table, c.state, c.use.scans, c.use.bytes, c.use.valid)
        for c in compared.indexes
    )
    return Table("indexes of the touched tables", columns, tuple(rows))
