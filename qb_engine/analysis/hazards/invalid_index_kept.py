"""IF NOT EXISTS keeps an index that is there and is not valid"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.facts import Provenance
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.analysis.named import bare_names

HAZARD = Hazard(
    id="invalid-index-kept",
    severity=Severity.ERROR,
    title="{index} is there, but not valid; IF NOT EXISTS keeps it so",
    meaning="A concurrent build that failed leaves an index that no query uses and every write "
    "keeps up to date. IF NOT EXISTS sees only the name, and the migration goes on as if it were "
    "built.",
    bad="CREATE INDEX IF NOT EXISTS events_kind ON events (kind)",
    good="DROP INDEX events_kind",
    given="""
CREATE TABLE events (id bigint NOT NULL, kind text) PARTITION BY RANGE (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (1000);
CREATE INDEX events_kind ON ONLY events (kind)
""",
    fix="DROP INDEX CONCURRENTLY the invalid one first, or REINDEX INDEX CONCURRENTLY it",
)


def find(at: Situation) -> Iterator[Finding]:
    node = at.step.statement.node
    if at.kind == "index" and node.if_not_exists and node.idxname:
        kept = [
            index
            for indexes in at.changes.indexes.values()
            for index in indexes
            if not index.valid and node.idxname in bare_names(index.name)
        ]
        if any("already exists, skipping" in text for text in at.facts.messages):
            for index in kept:
                yield HAZARD.at(at, index.table, index=index.name)
    if "if not exists" in " ".join(at.step.statement.sql.lower().split()):
        for index in at.changes.added_indexes:
            if index.name in at.circumstances.invalid_indexes:
                yield HAZARD.at(at, index.table, index=index.name, provenance=Provenance.CATALOG)
