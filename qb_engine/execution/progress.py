"""how far a statement has come, where the server counts along: its progress views"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# One row of whichever view knows the process. Done and total are of the phase that runs.
PROGRESS = """
SELECT p.command, c.relname::text, p.phase, p.blocks_done, p.blocks_total, p.tuples_done,
       p.tuples_total, p.lockers_done, p.lockers_total, p.locker, p.bytes_done, p.bytes_total
  FROM (
    SELECT command, relid, phase, blocks_done, blocks_total, tuples_done, tuples_total,
           lockers_done, lockers_total, nullif(current_locker_pid, 0) AS locker,
           NULL::bigint AS bytes_done, NULL::bigint AS bytes_total
      FROM pg_catalog.pg_stat_progress_create_index WHERE pid = %(pid)s
     UNION ALL
    SELECT 'VACUUM', relid, phase,
           CASE WHEN phase LIKE 'vacuuming heap%%' THEN heap_blks_vacuumed
                ELSE heap_blks_scanned END,
           heap_blks_total, NULL, NULL, NULL, NULL, NULL, NULL, NULL
      FROM pg_catalog.pg_stat_progress_vacuum WHERE pid = %(pid)s
     UNION ALL
    SELECT command, relid, phase, heap_blks_scanned, heap_blks_total,
           greatest(heap_tuples_scanned, heap_tuples_written), NULL, NULL, NULL, NULL, NULL, NULL
      FROM pg_catalog.pg_stat_progress_cluster WHERE pid = %(pid)s
     UNION ALL
    SELECT 'ANALYZE', relid, phase, sample_blks_scanned, sample_blks_total,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL
      FROM pg_catalog.pg_stat_progress_analyze WHERE pid = %(pid)s
     UNION ALL
    SELECT command, relid, pg_catalog.lower(type), NULL, NULL, tuples_processed, NULL,
           NULL, NULL, NULL, bytes_processed, nullif(bytes_total, 0)
      FROM pg_catalog.pg_stat_progress_copy WHERE pid = %(pid)s
  ) AS p
  LEFT JOIN pg_catalog.pg_class c ON c.oid = p.relid
 LIMIT 1
"""

# Several servers' sessions may stand behind one connection: then its statement tells which one.
PID = """
SELECT pid FROM pg_catalog.pg_stat_activity
 WHERE datname = pg_catalog.current_database() AND application_name = %(application)s
   AND state = 'active' AND query <> '' AND pg_catalog.starts_with(%(sql)s, query)
 ORDER BY query_start DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the server says of a statement that is running.

    `fraction` is that of the phase, from 0 to 1, None where the server does not know the total.
    `locker` is the process that a concurrent build waits for.
    """

    command: str
    relation: str
    phase: str
    blocks_done: int | None = None
    blocks_total: int | None = None
    tuples_done: int | None = None
    tuples_total: int | None = None
    lockers_done: int | None = None
    lockers_total: int | None = None
    locker: int | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None

    @property
    def fraction(self) -> float | None:
        pairs = [
            (self.lockers_done, self.lockers_total),
            (self.tuples_done, self.tuples_total),
            (self.blocks_done, self.blocks_total),
            (self.bytes_done, self.bytes_total),
        ]
        if not self.phase.startswith("waiting"):
            del pairs[0]
        for done, total in pairs:
            if total:
                return min((done or 0) / total, 1.0)
        return None

    def __str__(self) -> str:
        text = f"{self.command} on {self.relation}: {self.phase}"
        if (share := self.fraction) is not None:
            text += f", {share:.0%}"
        if self.phase.startswith("waiting") and self.lockers_total:
            text += f" ({self.lockers_done} of {self.lockers_total} sessions have ended"
            text += f", now pid {self.locker})" if self.locker else ")"
        return text


def progress(watching: Connection, pid: int) -> Progress | None:
    """How far a process has come; None when it does nothing that the server counts."""
    row = watching.execute(PROGRESS, {"pid": pid}).fetchone()
    if row is None:
        return None
    command, relation, phase, *counts = row
    return Progress(command, relation or "?", phase, *counts)


def pid_of(watching: Connection, sql: str, application: str) -> int | None:
    """The process that runs a statement now, where a pooler does not tell."""
    row = watching.execute(PID, {"sql": sql, "application": application}).fetchone()
    return int(row[0]) if row else None
