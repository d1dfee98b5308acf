"""watching one backend from a second connection: its locks, its files, its scans

The second connection sees the catalog as it was before the watched transaction, so a relation that
it can see existed before, under the name and in the file that it had then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qb_engine.execution.observation import Lock, Scan, strength, strongest

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.message import Rows

# relation locks of one backend of this database, a row for each mode, with what the relation was
# before its transaction
LOCKS = """
SELECT l.relation::bigint, n.nspname::text, c.relname::text, c.relkind::text,
       c.relfilenode::bigint, l.mode::text
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_class c ON c.oid = l.relation
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE l.pid = %(pid)s AND l.locktype = 'relation' AND (l.granted OR %(waiting)s)
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'qb')
"""

# where the server's log stands, in bytes; nothing is written on a standby
WAL = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0 ELSE
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0') END::bigint
"""

# where the server's log stands, with each of these locks (one row without any)
LOOK = f"""
SELECT l.*, w.bytes
  FROM ({WAL}) AS w(bytes)
  LEFT JOIN ({LOCKS}) AS l(oid, schema, name, kind, file, mode) ON true
"""

# the same relations as the watched transaction itself sees them, with its own scan counters;
# however many there are, the plan is the same, so that it is made once
NOW = """
SELECT c.oid::bigint, c.relfilenode::bigint, pg_catalog.pg_stat_get_xact_numscans(c.oid),
       pg_catalog.pg_stat_get_xact_tuples_returned(c.oid)
  FROM pg_catalog.pg_class c
 WHERE c.oid = ANY (ARRAY(SELECT pg_catalog.unnest($1::pg_catalog.oid[])))
   AND c.relkind IN ('r', 'p', 'm', 'i', 'I', 'S')
"""
PREPARE = f"PREPARE qb_now (pg_catalog.oid[]) AS {NOW}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen from outside of what one statement added to its transaction."""

    locks: tuple[Lock, ...]
    wal: int  # where the server's log stands, in bytes


@dataclass(frozen=True, slots=True)
class Inside:
    """What only the transaction itself knows of the same."""

    rewrites: tuple[str, ...]
    rebuilds: tuple[str, ...]
    scans: tuple[Scan, ...]


class Observer:
    """Watches a backend through `watching`, statement by statement.

    After each `look` there may be a `question` for the watched session itself, which its next
    message carries along. `prepared` says that this session knows PREPARE's statement.
    """

    def __init__(self, watching: Connection) -> None:
        self._watching = watching.cursor()
        self.prepared = False
        self.begin(0)

    def begin(self, pid: int) -> None:
        """Forget what was seen: a new transaction starts, in the server's process `pid`."""
        self._pid = pid
        self._found: list[tuple[Any, ...]] = []  # a row for each lock
        self._held: dict[tuple[str, bool], str] = {}
        self._files: dict[int, int] = {}
        self._scans: dict[int, tuple[int, int]] = {}

    def look(self) -> Seen:
        """What has changed since the last look, within the running transaction."""
        rows = self._watching.execute(
            LOOK, {"pid": self._pid, "waiting": False}, prepare=True
        ).fetchall()
        self._found = [row[:6] for row in rows if row[0] is not None]
        locks = []
        for _oid, schema, name, relkind, _file, mode in self._found:
            index = relkind in ("i", "I")
            relation = f"{schema}.{name}"
            if strength(mode) > strength(self._held.get((relation, index), "")):
                self._held[relation, index] = mode
                locks.append(Lock(relation, mode, index))
        return Seen(strongest(locks), int(rows[0][6]))

    def question(self) -> tuple[str, ...]:
        """What is to be asked in the transaction before its next statement, if anything is."""
        if not self._found:
            return ()
        some = "'{" + ",".join({str(row[0]): None for row in self._found}) + "}'"
        return (f"EXECUTE qb_now ({some})" if self.prepared else NOW.replace("$1", some),)

    def answer(self, answered: Rows) -> Inside:
        """What the question's answer says about the last statement."""
        names = {oid: f"{schema}.{name}" for oid, schema, name, *_ in self._found}
        before = {oid: file for oid, _s, _n, _k, file, _m in self._found}
        kinds = {oid: kind for oid, _s, _n, kind, _f, _m in self._found}
        self._found = []
        rewrites: list[str] = []
        rebuilds: list[str] = []
        scans: list[Scan] = []
        for row in answered:
            oid, file, count, rows = (int(value or 0) for value in row)
            if file != self._files.get(oid, before[oid]):
                (rebuilds if kinds[oid] in ("i", "I") else rewrites).append(names[oid])
                self._files[oid] = file
            scans_before, rows_before = self._scans.get(oid, (0, 0))
            if kinds[oid] in ("r", "m", "p") and count > scans_before:
                scans.append(Scan(names[oid], rows - rows_before))
            self._scans[oid] = (count, rows)
        return Inside(tuple(sorted(rewrites)), tuple(sorted(rebuilds)), tuple(scans))
