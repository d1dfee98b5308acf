"""a table is renamed that applications still know by its old name"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="rename-table",
    severity=Severity.WARNING,
    title="renames {relation} to {new}",
    meaning="Applications know only one of the two names: those that run now fail from the moment "
    "it is renamed, and those to come fail until then.",
    bad="ALTER TABLE users RENAME TO people",
    good="""
BEGIN;
ALTER TABLE users RENAME TO people;
CREATE VIEW users AS SELECT id, email, name, age, city, created_at FROM people;
COMMIT
""",
    fix="put a view with the old name in its place in the same transaction, and drop that once "
    "nobody uses it",
)

NAMED = ("r", "p", "v", "m", "f")  # relkinds that applications name


def find(at: Situation) -> Iterator[Finding]:
    for change in at.changes.renamed:
        old, new = change.before, change.after
        partition = new in at.changes.parents
        if at.kind_of(new) not in NAMED or at.is_new(new) or not at.in_use(old):
            continue
        if partition or _taken_again(at, old) or _takes_over(at, new):
            continue
        yield HAZARD.at(at, old, new=new, severity=at.weighed(old, HAZARD.severity))


def _taken_again(at: Situation, name: str) -> bool:
    """True when something else has the name before anybody sees that it was gone."""
    after = [each for each in at.together if each.number >= at.step.number]
    return any(
        name in each.facts.changes.created
        or any(c.after == name for c in each.facts.changes.renamed)
        for each in after
    )


def _takes_over(at: Situation, name: str) -> bool:
    """True when it takes a name that was free only within the transaction: a swap."""
    before = [each for each in at.together if each.number <= at.step.number]
    return any(
        name in each.facts.changes.dropped
        or any(c.before == name for c in each.facts.changes.renamed)
        for each in before
    )
