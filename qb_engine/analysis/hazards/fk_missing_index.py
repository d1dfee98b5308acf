"""a foreign key whose columns have no index"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.analysis.changes import IndexState
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="fk-missing-index",
    severity=Severity.WARNING,
    title="{constraint}: {relation} has no index that begins with {columns}",
    meaning="Every DELETE of a referenced row, and every change of its key, reads all of the "
    "referencing table to see whether a row still points at it.",
    bad="ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (ref) REFERENCES users NOT VALID",
    good="""
CREATE INDEX CONCURRENTLY orders_ref ON orders (ref);
ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (ref) REFERENCES users NOT VALID
""",
    given="""
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, ref bigint)
""",
    fix="CREATE INDEX CONCURRENTLY on the referencing columns first",
)


def find(at: Situation) -> Iterator[Finding]:
    for key in at.changes.added_constraints:
        whole = at.whole(key.table)
        if key.kind != "f" or whole != key.table or not at.wholes([key.table]):
            continue
        if not any(_serves(index, key.columns) for index in _indexes(at, key.table)):
            columns = ", ".join(key.columns)
            yield HAZARD.at(at, key.table, constraint=key.name, columns=columns)


def _indexes(at: Situation, table: str) -> Iterator[IndexState]:
    """The indexes that the table has now, and those that the migration still makes."""
    yield from at.changes.indexes.get(table, ())
    for each in at.later:
        yield from (i for i in each.facts.changes.added_indexes if i.table == table)


def _serves(index: IndexState, columns: tuple[str, ...]) -> bool:
    leading = set(index.columns[: len(columns)])
    return leading == set(columns) and not index.partial
