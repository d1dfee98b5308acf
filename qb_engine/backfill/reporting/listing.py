"""every backfill of a target on one line each"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from qb_engine.backfill import records

LIST = """
SELECT b.id, b.schema_name || '.' || b.table_name, b.kind, b.state, coalesce(s.rows, 0)::bigint,
    greatest(coalesce(b.rows_total, 0), coalesce(s.rows, 0))::bigint, b.started_at, b.finished_at,
    extract(epoch FROM coalesce(b.finished_at, clock_timestamp()) - b.started_at)::float8,
    (SELECT count(*) FROM qb.quarantine WHERE backfill = b.id AND state = 'open'),
    CASE WHEN b.error <> '' THEN b.error ELSE b.note END
FROM qb.backfill AS b
LEFT JOIN LATERAL (SELECT sum(rows_done) AS rows FROM qb.segment WHERE backfill = b.id) AS s ON true
ORDER BY b.started_at DESC, b.id DESC
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """One backfill; `seconds` is how long it has gone on, or went on."""

    migration: str
    table: str
    kind: str
    state: str
    rows_done: int = 0
    rows_total: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: float | None = None
    quarantined: int = 0
    note: str = ""

    @property
    def fraction(self) -> float:
        """The share that is done, 0 to 1."""
        if self.state == "completed":
            return 1.0
        return min(1.0, self.rows_done / self.rows_total) if self.rows_total else 0.0


def listed(conn: psycopg.Connection[Any], declared: Mapping[str, str]) -> tuple[Listed, ...]:
    """Those of the ledger, the newest first, then those that are only `declared` (id to table)."""
    found = [Listed(*row) for row in conn.execute(LIST)] if records.there(conn) else []
    known = {each.migration for each in found}
    waiting = [
        Listed(name, table, "", "not started")
        for name, table in declared.items()
        if name not in known
    ]
    return (*found, *waiting)
