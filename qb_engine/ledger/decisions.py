"""what somebody decided about a run that stopped half way, written with what it changes"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.ledger.history import PartRow

DECIDE = """
INSERT INTO qb.event (host, what, migration, run, reason, detail)
VALUES (%(host)s, %(what)s, %(migration)s, %(run)s, %(reason)s, %(detail)s)
"""

LAST = """
SELECT detail FROM qb.event WHERE run = %s AND what = %s ORDER BY id DESC LIMIT 1
"""

SETTLE = """
UPDATE qb.history SET status = %(status)s, error = '', checksum = coalesce(%(checksum)s, checksum),
       raw_checksum = coalesce(%(raw_checksum)s, raw_checksum),
       down_checksum = coalesce(%(down_checksum)s, down_checksum),
       finished_at = pg_catalog.clock_timestamp()
 WHERE run = %(run)s
"""

PARTS = """
INSERT INTO qb.part (run, file, kind, state, transaction)
SELECT %(run)s::bigint, g.file, g.kind, g.state, g.transaction
  FROM pg_catalog.jsonb_to_recordset(%(parts)s)
    AS g(file text, kind text, state text, transaction text)
    ON CONFLICT (run, file) DO UPDATE SET state = excluded.state, at = excluded.at
"""


@contextmanager
def durably(conn: Connection) -> Iterator[None]:
    """A transaction that is on disk when it is over, as the server's settings want it.

    A runner's connection does not wait for that otherwise.
    """
    with conn.transaction():
        conn.execute("SET LOCAL synchronous_commit TO DEFAULT")
        yield


def decide(
    conn: Connection,
    what: str,
    migration: str,
    run: int | None,
    *,
    reason: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    """Record a decision, and have it on disk; who made it, where and when are added."""
    given = {
        "host": platform.node(),
        "what": what,
        "migration": migration,
        "run": run,
        "reason": mask(reason),
        "detail": mask(json.dumps(detail or {})),
    }
    with durably(conn):
        conn.execute(DECIDE, given)


def last_detail(conn: Connection, run: int, what: str) -> dict[str, Any] | None:
    """The detail of the last decision of a kind about a run; None when there is none."""
    row = conn.execute(LAST, [run, what]).fetchone()
    return dict(row[0]) if row else None


def settle(
    conn: Connection,
    run: int,
    status: str,
    *,
    checksums: dict[str, str] | None = None,
) -> None:
    """Take a run for ended in a status, with the checksums of its file as it is now, if given."""
    names = ("checksum", "raw_checksum", "down_checksum")
    given: dict[str, Any] = {name: (checksums or {}).get(name) for name in names}
    conn.execute(SETTLE, {"run": run, "status": status, **given})


def settle_parts(conn: Connection, run: int, parts: Iterable[PartRow]) -> None:
    """Record how the files of a run stand, though not by their statements."""
    conn.execute(PARTS, {"run": run, "parts": json.dumps([asdict(part) for part in parts])})


def disown(conn: Connection, run: int, why: str) -> None:
    """Take a run for one that kept nothing: what it did was taken back by hand."""
    conn.execute("UPDATE qb.step SET status = 'failed', error = %s WHERE run = %s", [why, run])
    conn.execute("DELETE FROM qb.part WHERE run = %s", [run])
    settle(conn, run, "stopped")
