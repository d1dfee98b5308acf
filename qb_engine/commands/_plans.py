"""plans as tables, notes, charts and JSON"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qb_engine.commands._steps import short
from qb_engine.commands._workload import cost
from qb_engine.report import Bars, Chart, Column, Node, Table, Tree

if TYPE_CHECKING:
    from qb_engine.analysis.workload import Plan, PlanChange

TREES = 3  # queries whose plans are drawn, the worst first
SAME = ("same", "fails")


def tree_table(title: str, root: Node) -> Table:
    """A plan as an outline: each node below the one that asks it for rows."""
    columns = (Column("plan", "code"), Column("cost"), Column("rows and conditions"))
    rows = tuple((text, cost(node.weight), node.detail) for text, node in _outline(root))
    return Table(title, columns, rows)


def plans_table(title: str, plans: Iterable[tuple[str, Plan]], empty: str) -> Table:
    """Plans, each with a word that says where its query comes from."""
    columns = (
        *(Column("of"), Column("query", "code"), Column("cost"), Column("rows", "count")),
        *(Column("indexes", "code"), Column("plan", "code")),
    )
    rows = []
    for origin, plan in plans:
        row: tuple[object, ...] = (origin, short(plan.statement.sql, 44))
        if plan.error:
            row += (None, None, None, plan.error)
        else:
            indexes = "\n".join(plan.indexes) or None
            row += (cost(plan.cost), plan.rows, indexes, "\n".join(plan.nodes))
        rows.append(row)
    return Table(title, columns, tuple(rows), empty=empty)


def changes_table(changes: Sequence[PlanChange]) -> Table:
    """Queries before and after, the worst first."""
    columns = (
        *(Column("#", "count"), Column("query", "code"), Column("verdict"), Column("cost before")),
        *(Column("after"), Column("times"), Column("rows", "count")),
        *(Column("indexes before", "code"), Column("after", "code")),
    )
    rows = tuple(_change(number, change) for number, change in enumerate(changes, 1))
    changed = sum(change.verdict not in SAME for change in changes)
    title = f"queries before and after, the worst first: {changed} of {len(changes)} changed"
    return Table(title, columns, rows)


def charts(changes: Sequence[PlanChange]) -> list[Chart]:
    """Costs before and after as bars in pairs, and the worst plans drawn."""
    known = [(n, c) for n, c in enumerate(changes, 1) if not (c.before.error or c.after.error)]
    found: list[Chart] = []
    if known:
        labels, values = [], []
        for number, change in known[:20]:
            labels += [
                f"{number} before  {short(change.before.statement.sql, 30)}",
                f"{number} after",
            ]
            values += [change.before.cost, change.after.cost]
        found.append(Bars("cost before and after", tuple(labels), tuple(values), "count"))
    for number, change in [(n, c) for n, c in known if c.verdict != "same"][:TREES]:
        for when, plan in (("before", change.before), ("after", change.after)):
            if plan.tree is not None:
                title = f"{number} {when}: {short(plan.statement.sql, 60)}"
                found.append(Tree(title, plan.tree))
    return found


def plan_facts(plan: Plan) -> dict[str, Any]:
    """A plan as JSON shows it."""
    if plan.error:
        return {"error": plan.error}
    return {
        "cost": plan.cost,
        "rows": plan.rows,
        "nodes": list(plan.nodes),
        "indexes": list(plan.indexes),
    }


def change_facts(change: PlanChange) -> dict[str, Any]:
    """A query before and after as JSON shows it."""
    return {
        "query": change.before.statement.sql,
        "place": str(change.before.statement.source),
        "verdict": change.verdict,
        "ratio": change.ratio,
        "before": plan_facts(change.before),
        "after": plan_facts(change.after),
    }


def _change(number: int, change: PlanChange) -> tuple[object, ...]:
    before, after, ratio = change.before, change.after, change.ratio
    return (
        number,
        short(before.statement.sql, 40),
        change.verdict,
        before.error or cost(before.cost),
        after.error or cost(after.cost),
        f"{ratio:.2f}" if ratio is not None else None,
        None if after.error else after.rows,
        "\n".join(before.indexes) or None,
        "\n".join(after.indexes) or None,
    )


def _outline(node: Node, first: str = "", rest: str = "") -> Iterable[tuple[str, Node]]:
    yield first + node.label, node
    for number, child in enumerate(node.children, 1):
        last = number == len(node.children)
        # no-break spaces: a notebook would fold others
        own, below = ("└─ ", "\u00a0\u00a0\u00a0") if last else ("├─ ", "│\u00a0\u00a0")
        yield from _outline(child, rest + own, rest + below)
