"""what held a backfill up, as the ledger has it"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg

Connection = psycopg.Connection[Any]

CURRENT = """
SELECT h.signal, h.says, min(h.reason), min(h.release), min(h.since), NULL::timestamptz,
    array_agg(h.segment ORDER BY h.segment)
FROM qb.hold AS h JOIN qb.segment AS s ON s.backfill = h.backfill AND s.number = h.segment
JOIN qb.backfill AS b ON b.id = h.backfill
WHERE h.backfill = %s AND h.until IS NULL AND h.says <> 'unread' AND s.status = 'running'
    AND b.state IN ('running', 'verifying')
GROUP BY h.signal, h.says ORDER BY h.says DESC, min(h.since)
"""

PAST = """
SELECT signal, says, reason, release, since, until, ARRAY[segment]
FROM qb.hold WHERE backfill = %s AND says <> 'unread' ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Hold:
    """One signal that holds segments up, or did; `until` is None while it does."""

    signal: str
    says: str
    reason: str
    release: str
    since: datetime
    until: datetime | None
    segments: tuple[int, ...]


def current(conn: Connection, backfill: str) -> tuple[Hold, ...]:
    """What holds a backfill up now; the longest of several lanes' counts. A stop comes first."""
    return _read(conn, CURRENT, backfill)


def past(conn: Connection, backfill: str) -> tuple[Hold, ...]:
    """Every hold there was, in order."""
    return _read(conn, PAST, backfill)


def _read(conn: Connection, query: LiteralString, backfill: str) -> tuple[Hold, ...]:
    return tuple(
        Hold(signal, says, reason, release, since, until, tuple(segments))
        for signal, says, reason, release, since, until, segments in conn.execute(query, [backfill])
    )
