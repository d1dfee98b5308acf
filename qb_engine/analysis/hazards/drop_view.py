"""a view is dropped that applications may still read"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.analysis.named import bare_names

HAZARD = Hazard(
    id="drop-view",
    severity=Severity.WARNING,
    title="drops the view {relation}",
    meaning="Applications that still read the view fail from the moment it is gone; who may read "
    "it is forgotten with it.",
    bad="DROP VIEW emails",
    good="""
BEGIN;
DROP VIEW emails;
CREATE VIEW emails AS SELECT id, email, name FROM users;
COMMIT
""",
    given="""
CREATE TABLE users (id bigint PRIMARY KEY, email text, name text);
CREATE VIEW emails AS SELECT id, email FROM users
""",
    fix="first release applications that do not read it; to change it, make it again in the same "
    "transaction, with its grants",
)

VIEWS = ("v", "m")


def find(at: Situation) -> Iterator[Finding]:
    after = at.together[at.together.index(at.step) + 1 :]
    again = {name for each in after for name in each.facts.changes.created}
    named = {name for _, name in at.step.statement.relations}
    for view in at.changes.dropped:
        own = at.kind != "drop" or named.intersection(bare_names(view))
        gone = at.changes.kinds.get(view) in VIEWS and view not in again
        if own and gone and not at.is_new(view) and at.kind != "alter_table":
            yield HAZARD.at(at, view)
