"""what runs have left behind in the target: records without a runner, indexes without an end"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from qb_engine import ledger
from qb_engine.execution.concurrently import BUILDING
from qb_engine.runner import lock

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

RUNNING = """
SELECT run, migration, direction, who, host, started_at FROM qb.history
 WHERE status = 'running' ORDER BY run
"""

# An index on a partitioned table is valid only when one is attached on every partition: no remains.
# quote_ident, not regclass: a name that is printed by its oid may be gone meanwhile.
INVALID = f"""
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname),
       c.relname ~ '_cc(new|old)[0-9]*$'
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
 WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname <> 'pg_toast'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
                    WHERE p.datname = pg_catalog.current_database()
                      AND p.relid = i.indrelid)
   AND NOT {BUILDING}
 ORDER BY 1
"""

# DETACH PARTITION CONCURRENTLY that did not come to its end
DETACHING = """
SELECT pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.relname),
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
  FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
 WHERE i.inhdetachpending
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l
                    WHERE l.relation = c.oid AND l.mode = 'ShareUpdateExclusiveLock')
 ORDER BY 1, 2
"""


# Backfills that are to run, with no batch and no worker for a while, and nothing that says why. One
# that is looked at after its last batch keeps no lane busy, and a worker tells of itself by lanes.
STRANDED = """
SELECT b.id, extract(epoch FROM pg_catalog.clock_timestamp() - b.last_at)::float8
  FROM (SELECT id, greatest(started_at,
                 (SELECT max(at) FROM qb.batch WHERE backfill = f.id)) AS last_at
          FROM qb.backfill AS f
         WHERE state IN ('pending', 'running') AND wanted = 'run' AND note = '') AS b
 WHERE b.last_at < pg_catalog.clock_timestamp() - %(seconds)s * interval '1 s'
   AND NOT EXISTS (SELECT FROM qb.worker
                    WHERE seen_at > pg_catalog.clock_timestamp() - %(seconds)s * interval '1 s')
 ORDER BY 1
"""
SILENT_S = 30.0  # a worker that is busy tells of itself every two seconds


@dataclass(frozen=True, slots=True)
class Orphan:
    """A run that is recorded as running while nobody runs it."""

    run: int
    migration: str
    direction: str
    who: str
    host: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class InvalidIndex:
    """An index whose build did not finish; `temporary` is one that REINDEX had made."""

    name: str
    table: str
    temporary: bool

    @property
    def removal(self) -> str:
        """The statement that removes it."""
        return f"DROP INDEX CONCURRENTLY {self.name}"


@dataclass(frozen=True, slots=True)
class HalfDetached:
    """A partition that is on its way out of its table: what is left is to finalize it."""

    parent: str
    partition: str


def orphans(conn: Connection) -> tuple[Orphan, ...]:
    """The runs whose runner is gone: recorded as running, while nobody holds the runner's lock."""
    if not ledger.exists(conn):
        return ()
    before = {row[0] for row in conn.execute(RUNNING).fetchall()}
    if not before or lock.holder(conn):
        return ()
    # a run that ended between the two looks is not running now
    rows = conn.execute(RUNNING).fetchall()
    return tuple(Orphan(*row) for row in rows if row[0] in before)


def stranded(conn: Connection) -> dict[str, float]:
    """The backfills that are to run and that nobody drives, with the seconds since when."""
    if not conn.execute("SELECT pg_catalog.to_regclass('qb.backfill')").fetchall()[0][0]:
        return {}
    return dict(conn.execute(STRANDED, {"seconds": SILENT_S}).fetchall())


def invalid_indexes(conn: Connection) -> tuple[InvalidIndex, ...]:
    """Indexes that no build has finished, and none is building now."""
    return tuple(InvalidIndex(*row) for row in conn.execute(INVALID).fetchall())


def half_detached(conn: Connection) -> tuple[HalfDetached, ...]:
    """Partitions that nobody is detaching now, and that are half detached."""
    return tuple(HalfDetached(*row) for row in conn.execute(DETACHING).fetchall())
