"""watching one backend from a second connection: its locks, its files, its scans

The second connection sees the catalog as it was before the watched transaction, so a relation that
it can see existed before, under the name and in the file that it had then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qb_engine.database.message import Command, ask, rows
from qb_engine.execution.observation import Lock, Scan, strength, strongest

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from qb_engine.database.connect import Connection

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
SELECT l.oid, l.schema, l.name, l.kind, l.file, l.mode, w.bytes
  FROM ({WAL}) AS w(bytes)
  LEFT JOIN ({LOCKS.replace("%(pid)s", "$1").replace("%(waiting)s", "false")})
    AS l(oid, schema, name, kind, file, mode) ON true
"""
PREPARE_LOOK = f"PREPARE qb_look (int) AS {LOOK}"

# the same relations as the watched transaction itself sees them, with its own scan counters;
# however many there are, the plan is the same, so that it is made once
NOW = """
SELECT c.oid::bigint, c.relfilenode::bigint, pg_catalog.pg_stat_get_xact_numscans(c.oid),
       pg_catalog.pg_stat_get_xact_tuples_returned(c.oid)
  FROM pg_catalog.pg_class c
 WHERE c.oid = ANY (ARRAY(SELECT pg_catalog.unnest($1::pg_catalog.oid[])))
   AND c.relkind IN ('r', 'p', 'm', 'i', 'I', 'S')
"""
PREPARE_NOW = f"PREPARE qb_now (pg_catalog.oid[]) AS {NOW}"

# what a session sees of itself after a statement: the time and the server's log, with its locks,
# each with the file and the scan counters of its relation; then the time again, in a row of its own
OWN = f"""
SELECT l.relation::bigint, l.mode::text, pg_catalog.pg_relation_filenode(l.relation)::bigint,
       pg_catalog.pg_stat_get_xact_numscans(l.relation),
       pg_catalog.pg_stat_get_xact_tuples_returned(l.relation), w.at, w.bytes
  FROM (SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8, ({WAL})) AS w(at, bytes)
  LEFT JOIN pg_catalog.pg_locks l
    ON l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted
   AND l.relation >= 16384
 UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, extract(epoch FROM pg_catalog.clock_timestamp())::float8, NULL
"""  # what the server made itself has a lower number
PREPARE_OWN = f"PREPARE qb_own AS {OWN}"

# the time and the server's log, before the first statement
START = f"SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8, ({WAL})"

# what these relations were before the watched transaction, where they existed
KNOWN = """
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text, c.relfilenode::bigint
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY (ARRAY(SELECT pg_catalog.unnest($1::pg_catalog.oid[])))
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'qb')
"""
PREPARE_KNOWN = f"PREPARE qb_known (pg_catalog.oid[]) AS {KNOWN}"


# relations that the asking transaction, or what its session did shortly before, has scanned
SCANNED = """
SELECT c.oid::bigint, pg_catalog.pg_stat_get_xact_numscans(c.oid),
       pg_catalog.pg_stat_get_xact_tuples_returned(c.oid)
  FROM pg_catalog.pg_class c
 WHERE c.relkind IN ('r', 'p', 'm') AND pg_catalog.pg_stat_get_xact_numscans(c.oid) > 0
"""

# the counters of a transaction that has ended are not those of the session's next one
FLUSH = "SELECT pg_catalog.pg_stat_force_next_flush()"


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


@dataclass(frozen=True, slots=True)
class Own:
    """What a session has seen of itself after one statement.

    `at` and `until` are seconds on the server's clock when it began to look, and when it was done;
    `held` has a row for each lock: the relation's number, the mode, its file, its scan counters.
    """

    at: float
    until: float
    wal: int
    held: tuple[tuple[int, str, int, int, int], ...]


class Observer:
    """Watches a backend through `watching`, statement by statement.

    Either from outside: after each `look` there may be a `question` for the watched session itself,
    which its next message carries along. Or the session looks at itself after each statement, by
    `own_look`, and `settle` makes of it what `look` and `answer` would have said.

    `look_prepared` says that `watching` has executed PREPARE_LOOK and PREPARE_KNOWN, and
    `now_prepared` that the watched session has executed PREPARE_NOW and PREPARE_OWN. `overlooked`
    are relations (oids) that are locked and read beside the statements, not by them.
    """

    def __init__(self, watching: Connection) -> None:
        self._watching = watching
        self.look_prepared = self.now_prepared = False
        self.overlooked: frozenset[int] = frozenset()
        self.begin(0)

    def begin(self, pid: int) -> None:
        """Forget what was seen: a new transaction starts, in the server's process `pid`."""
        self._pid = pid
        self._found: list[tuple[Any, ...]] = []  # a row for each lock
        self._held: dict[tuple[str, bool], str] = {}
        self._files: dict[int, int] = {}
        self._known: dict[int, tuple[str, str, int] | None] = {}  # name, kind, file before
        self._scans: dict[int, tuple[int, int]] = {}

    def look(self) -> Seen:
        """What has changed since the last look, within the running transaction."""
        pid = str(self._pid)
        asked = f"EXECUTE qb_look ({pid})" if self.look_prepared else LOOK.replace("$1", pid)
        seen = rows(ask(self._watching, [asked])[0])
        self._found = [row for row in seen if row[0] and int(row[0]) not in self.overlooked]
        locks = []
        for _oid, schema, name, relkind, _file, mode, _wal in self._found:
            index = relkind in ("i", "I")
            relation = f"{schema}.{name}"
            if strength(mode) > strength(self._held.get((relation, index), "")):
                self._held[relation, index] = mode
                locks.append(Lock(relation, mode, index))
        return Seen(strongest(locks), int(seen[0][6] or 0))

    def question(self) -> tuple[str, ...]:
        """What is to be asked in the transaction before its next statement, if anything is."""
        if not self._found:
            return ()
        some = "'{" + ",".join({row[0]: None for row in self._found}) + "}'"
        return (f"EXECUTE qb_now ({some})" if self.now_prepared else NOW.replace("$1", some),)

    def answer(self, answered: PGresult) -> Inside:
        """What the question's answer says about the last statement."""
        known = {int(row[0]): row for row in self._found}
        self._found = []
        rewrites: list[str] = []
        rebuilds: list[str] = []
        scans: list[Scan] = []
        for row in rows(answered):
            oid, file, count, read = (int(value or 0) for value in row)
            _, schema, name, kind, before, _, _ = known[oid]
            if file != self._files.get(oid, int(before)):
                (rebuilds if kind in ("i", "I") else rewrites).append(f"{schema}.{name}")
                self._files[oid] = file
            scans_before, read_before = self._scans.get(oid, (0, 0))
            if kind in ("r", "m", "p") and count > scans_before:
                scans.append(Scan(f"{schema}.{name}", read - read_before))
            self._scans[oid] = (count, read)
        return Inside(tuple(sorted(rewrites)), tuple(sorted(rebuilds)), tuple(scans))

    def own_look(self) -> Command:
        """What the watched session asks after a statement, to be read by `own`."""
        return Command("qb_own" if self.now_prepared else OWN, self.now_prepared)

    def settle(self, looks: Sequence[Own]) -> list[tuple[Seen, Inside]]:
        """What each of these looks has found that the one before it had not."""
        new = {oid for each in looks for oid, *_ in each.held if oid not in self._known}
        if new:
            self._learn(new)
        return [self._added(each) for each in looks]

    def rebase(self, watched: Connection) -> None:
        """What was scanned until now in this transaction was not scanned by its next statement."""
        for oid, count, read in watched.execute(SCANNED).fetchall():
            self._scans[oid] = (count, read)

    def _learn(self, oids: Iterable[int]) -> None:
        some = "'{" + ",".join(map(str, sorted(oids))) + "}'"
        asked = f"EXECUTE qb_known ({some})" if self.look_prepared else KNOWN.replace("$1", some)
        self._known |= dict.fromkeys(oids)
        for oid, schema, name, kind, file in rows(ask(self._watching, [asked])[0]):
            self._known[int(oid or 0)] = (f"{schema}.{name}", str(kind), int(file or 0))

    def _added(self, look: Own) -> tuple[Seen, Inside]:
        locks: list[Lock] = []
        rewrites: set[str] = set()
        rebuilds: set[str] = set()
        scans: dict[int, Scan] = {}
        for oid, mode, file, count, read in look.held:
            known = self._known[oid]
            if known is None or oid in self.overlooked:
                continue  # it was made by the transaction itself
            relation, kind, before = known
            index = kind in ("i", "I")
            if strength(mode) > strength(self._held.get((relation, index), "")):
                self._held[relation, index] = mode
                locks.append(Lock(relation, mode, index))
            if file and file != self._files.get(oid, before):  # none when it was dropped
                (rebuilds if index else rewrites).add(relation)
                self._files[oid] = file
            scans_before, read_before = self._scans.get(oid, (0, 0))
            if count > scans_before and kind in ("r", "m", "p"):
                scans[oid] = Scan(relation, read - read_before)
            self._scans[oid] = (count, read)
        inside = Inside(tuple(sorted(rewrites)), tuple(sorted(rebuilds)), tuple(scans.values()))
        return Seen(strongest(locks), look.wal), inside


def own(answer: PGresult) -> Own:
    """What `own_look` was answered."""
    *seen, last = rows(answer)
    held = tuple(
        (int(oid), str(mode), int(file or 0), int(count or 0), int(read or 0))
        for oid, mode, file, count, read, _at, _wal in seen
        if oid is not None
    )
    return Own(float(seen[0][5] or 0), float(last[5] or 0), int(seen[0][6] or 0), held)
