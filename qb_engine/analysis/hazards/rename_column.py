"""a column is renamed that applications still know by its old name"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="rename-column",
    severity=Severity.WARNING,
    title="renames {old} of {relation} to {new}",
    meaning="Applications know only one of the two names: those that run now fail from the moment "
    "it is renamed, and those to come fail until then.",
    bad="ALTER TABLE users RENAME COLUMN city TO town",
    good="ALTER TABLE users ADD COLUMN town text",
    fix="add a column of the new name, write both, fill it by a backfill, move the readers, and "
    "drop the old one; or rename the table and put a view with the old names in its place",
)


def find(at: Situation) -> Iterator[Finding]:
    for change in at.changes.renamed_columns:
        table, old, new = change.before.table, change.before.name, change.after.name
        mine = (table, old) in at.made_columns
        whole = table not in at.parents or at.whole(table) == table
        if mine or not whole or not at.in_use(table) or _still_there(at, table, old, new):
            continue
        severity = at.weighed(table, HAZARD.severity)
        yield HAZARD.at(at, table, old=old, new=new, severity=severity)


def _still_there(at: Situation, table: str, old: str, new: str) -> bool:
    """True when the old name is there again before anybody sees that it was gone.

    Another column takes it, this one takes the name of another, or a view stands in for the table.
    """
    for each in at.together:
        changes = each.facts.changes
        others = [c for c in changes.renamed_columns if c.before.table == table]
        if any(c.after.name == old or (c.before.name == new) for c in others):
            return True
        if any(c.table == table and c.name == new for c in changes.dropped_columns):
            return True
        if any(c.table == table and c.name == old for c in changes.added_columns):
            return True
    return False
