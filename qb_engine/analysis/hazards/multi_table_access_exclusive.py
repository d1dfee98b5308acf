"""several tables are kept from everybody in one transaction"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qb_engine.analysis.hazards.hazard import EXCLUSIVE, Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="multi-table-access-exclusive",
    severity=Severity.WARNING,
    title="one transaction holds ACCESS EXCLUSIVE on {tables}",
    meaning="While it waits for the second table nobody can use the first, and an application that "
    "uses them in the other order deadlocks with it.",
    bad="""
ALTER TABLE users ADD COLUMN nick text;
ALTER TABLE orders ADD COLUMN nick text
""",
    good="""
ALTER TABLE users ADD COLUMN nick text;
ALTER TABLE orders ADD COLUMN nick text
""",
    fix="change one table per transaction; drop foreign keys one by one, before their tables",
)

BUSY = 1.0  # scans and changes per second that make even a small table one to be careful with


def find(at: Situation) -> Iterator[Finding]:
    before = _tables(at, (r for r, mode in at.held.items() if mode == EXCLUSIVE))
    own = _tables(at, (k.relation for k in at.facts.locks if k.mode == EXCLUSIVE))
    new = [table for table in own if table not in before]
    emptied = {at.root(table) for table in at.changes.emptied}
    if len(before) < 2 <= len(before) + len(new) and not (new and emptied.issuperset(new)):
        yield HAZARD.at(at, new[-1], tables=" and ".join([*before, *new]), lock=EXCLUSIVE)


def _tables(at: Situation, relations: Iterable[str]) -> list[str]:
    """The tables that others may be using, partitions as the one that they are part of."""
    found: dict[str, None] = {}
    for relation in relations:
        root = at.root(relation)
        if not at.is_table(relation) or at.is_new(relation) or at.is_new(root):
            continue
        if at.is_big(relation) or at.is_big(root) or _busy(at, relation):
            found[root] = None
    return list(found)


def _busy(at: Situation, relation: str) -> bool:
    figures = at.figures(relation)
    return figures is not None and (figures.writes or 0) + (figures.reads or 0) >= BUSY
