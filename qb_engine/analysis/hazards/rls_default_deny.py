"""row level security without a policy hides every row"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="rls-default-deny",
    severity=Severity.WARNING,
    title="turns on row level security of {relation}, which has no policy: it looks empty to all "
    "but its owner",
    meaning="Without a policy nothing is allowed. Applications that do not connect as the owner "
    "read no row and can write none, and none of them gets an error for reading.",
    bad="ALTER TABLE users ENABLE ROW LEVEL SECURITY",
    good="""
CREATE POLICY everybody ON users USING (true);
ALTER TABLE users ENABLE ROW LEVEL SECURITY
""",
    fix="create its policies first, or in the same transaction",
)


def find(at: Situation) -> Iterator[Finding]:
    for table in at.changes.rls_enabled:
        after = [each for each in at.together if each.number >= at.step.number]
        policies = [each.facts.changes.policies.get(table, 0) for each in after]
        if not any(policies) and at.in_use(table):
            yield HAZARD.at(at, table, severity=at.weighed(table, HAZARD.severity))
