"""a view stands in the way, or falls"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.analysis.named import bare_names

HAZARD = Hazard(
    id="dependent-view",
    severity=Severity.ERROR,
    title="{what}",
    meaning="PostgreSQL neither changes the type of a column nor drops what a view reads. CASCADE "
    "drops the view as well, and with it what reads the view and who may read it.",
    bad="ALTER TABLE users ALTER email TYPE varchar(100)",
    good="""
BEGIN;
DROP VIEW emails;
ALTER TABLE users ALTER email TYPE varchar(100);
CREATE VIEW emails AS SELECT id, email FROM users;
COMMIT
""",
    given="""
CREATE TABLE users (id bigint PRIMARY KEY, email text);
CREATE VIEW emails AS SELECT id, email FROM users
""",
    fix="drop the view and make it again, with its grants, in the same transaction",
)

VIEWS = ("v", "m")


def find(at: Situation) -> Iterator[Finding]:
    error, detail = at.facts.error, at.facts.detail
    read = at.facts.sqlstate == "0A000" and "view or rule" in error
    if read or (at.facts.sqlstate == "2BP01" and "view " in detail):
        yield HAZARD.at(at, at.named, what=f"is refused: {error} ({detail})")
    elif at.kind in ("drop", "alter_table", "do", "call", "select"):
        views = [n for n in fallen(at) if not at.is_new(n)]
        if views:
            what = f"CASCADE drops {', '.join(views)} as well"
            yield HAZARD.at(at, views[0], what=what, severity=Severity.WARNING)


def fallen(at: Situation) -> Iterator[str]:
    """Views that were dropped for the sake of something else."""
    kinds = at.changes.kinds
    dropped = [name for name in at.changes.dropped if kinds.get(name) in VIEWS]
    if at.kind == "drop":
        named = {name for _, name in at.step.statement.relations}
        yield from (name for name in dropped if not named.intersection(bare_names(name)))
    elif at.changes.dropped_columns or len(dropped) < len(at.changes.dropped):
        yield from dropped
