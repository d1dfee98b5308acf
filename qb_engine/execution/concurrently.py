"""statements that say CONCURRENTLY: whom they wait for, what they leave behind, how they go on

They commit in between and wait for other transactions, by locks and by snapshots. A limit for that
wait would leave an invalid index, so whoever is in the way is looked for before.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from qb_engine.execution.blockers import Blocker, length, sentence, sessions_of
from qb_engine.sql import Statement, qualified

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

OLD_S = 60.0  # younger transactions are waited for by the statement itself: they will end soon
POLL_S = 0.25
TELL_S = 10.0
CLEAN_UP_S = 300.0  # dropping what is invalid waits for the table's transactions, too

# what a transaction may hold on the table when a build looks for those that write to it
WRITING = (
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)

# The tables that a statement works on: those it names (or the table of the index), all of a schema
# or of the database; their partitions and TOAST tables with them. Names as `conn` resolves them.
TABLES = """
WITH named AS (
  SELECT coalesce(i.indrelid, c.oid) AS oid FROM pg_catalog.unnest(%(names)s::text[]) AS n(name)
    JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n.name)
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
   UNION
  SELECT oid FROM pg_catalog.pg_class
   WHERE relkind IN ('r', 'm')
     AND (%(all)s OR relnamespace = pg_catalog.to_regnamespace(%(schema)s))
), parts AS (
  SELECT oid FROM named
   UNION SELECT p.relid FROM named CROSS JOIN LATERAL pg_catalog.pg_partition_tree(named.oid) AS p
)
SELECT oid::bigint FROM parts
 UNION SELECT c.reltoastrelid::bigint FROM parts JOIN pg_catalog.pg_class c USING (oid)
        WHERE c.reltoastrelid <> 0
"""

# Somebody builds the index `i` now. Of other roles' builds only the process is seen, and its locks.
BUILDING = """EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
                 WHERE p.index_relid = i.indexrelid
                    OR p.relid IS NULL AND p.datname = pg_catalog.current_database()
                   AND EXISTS (SELECT FROM pg_catalog.pg_locks l
                                WHERE l.pid = p.pid AND l.relation = i.indrelid AND l.granted
                                  AND l.mode = 'ShareUpdateExclusiveLock'))"""

# Invalid indexes, but not those that somebody builds now.
INVALID = f"""
SELECT i.indexrelid::bigint, n.nspname::text, c.relname::text, i.indrelid::bigint
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND c.relkind = 'i' AND i.indrelid = ANY (%(tables)s::bigint[])
   AND NOT {BUILDING}
 ORDER BY 1
"""

# Sessions with a snapshot; vacuums and plain concurrent builds are not waited for.
SNAPSHOTS = """
SELECT a.pid FROM pg_catalog.pg_stat_activity a
 WHERE a.backend_xmin IS NOT NULL AND a.datname = pg_catalog.current_database()
   AND a.backend_type <> 'autovacuum worker' AND a.leader_pid IS NULL
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.pid = a.pid)
   AND NOT (%(plain)s AND EXISTS (
         SELECT FROM pg_catalog.pg_stat_progress_create_index p
           JOIN pg_catalog.pg_index i ON i.indexrelid = p.index_relid
          WHERE p.pid = a.pid AND p.command LIKE '%%CONCURRENTLY'
            AND i.indexprs IS NULL AND i.indpred IS NULL))
"""
HOLDING = """
SELECT DISTINCT pid FROM pg_catalog.pg_locks
 WHERE locktype = 'relation' AND granted AND pid IS NOT NULL AND mode = ANY (%(modes)s::text[])
   AND relation::bigint = ANY (%(tables)s::bigint[])
   AND database = (SELECT oid FROM pg_catalog.pg_database
                    WHERE datname = pg_catalog.current_database())
"""
PREPARED = """
SELECT DISTINCT p.gid, p.owner::text,
       extract(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::float8
  FROM pg_catalog.pg_prepared_xacts p
  JOIN pg_catalog.pg_locks own
    ON own.locktype = 'transactionid' AND own.pid IS NULL AND own.transactionid = p.transaction
  JOIN pg_catalog.pg_locks h
    ON h.pid IS NULL AND h.virtualtransaction = own.virtualtransaction AND h.locktype = 'relation'
   AND h.mode = ANY (%(modes)s::text[]) AND h.relation::bigint = ANY (%(tables)s::bigint[])
 WHERE p.database = pg_catalog.current_database()
 ORDER BY 3 DESC
"""
LEFT_BY_REINDEX = re.compile(r"_cc(new|old)\d*$")  # the new index, or the old one after the swap
EVERY_MODE = ("AccessShareLock", "RowShareLock", "ShareLock", *WRITING)

# a partition on its way out: False while it is attached, True when only the last step is left
DETACHING = """
SELECT inhdetachpending FROM pg_catalog.pg_inherits
 WHERE inhparent = pg_catalog.to_regclass(%s) AND inhrelid = pg_catalog.to_regclass(%s)
"""

# the index of that name, on that table
NAMED = f"""
SELECT i.indisvalid, n.nspname::text, c.relname::text, {BUILDING}
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = %s AND i.indrelid = pg_catalog.to_regclass(%s)
"""


class Concurrent:
    """One statement that says CONCURRENTLY, seen before it starts and after it failed.

    `acting` runs it, and resolves its names; `watching` looks, and cleans up. `kept` says that
    their sessions are theirs, so that settings may be changed for a while.
    """

    def __init__(
        self,
        acting: Connection,
        watching: Connection,
        statement: Statement,
        tell: Callable[[str], None] = lambda text: None,
        *,
        kept: bool = True,
    ) -> None:
        self._kept = kept
        self._acting = acting
        self._watching = watching
        self._statement = statement
        self._tell = tell
        self._applies = statement.refuses_transaction.startswith("CONCURRENTLY")
        self._tables = tables_of(acting, statement) if self._applies else ()
        self._before = {oid for oid, *_ in self._invalid()} if self._applies else set()

    def in_the_way(self, older_than_s: float = OLD_S) -> tuple[Blocker, ...]:
        """Whom it would wait for: transactions that have lasted for longer than this."""
        return in_the_way(
            self._watching,
            self._statement,
            self._tables,
            {self._pid(self._acting), self._pid(self._watching)},
            older_than_s,
        )

    def wait(
        self,
        deadline_s: float,
        stop: threading.Event | None = None,
        meanwhile: Callable[[tuple[Blocker, ...]], object] = lambda found: None,
    ) -> tuple[Blocker, ...]:
        """Wait for whoever is in the way now, not for those who come later.

        Who is waited for is told at once, and now and then. `meanwhile` gets them each time: to end
        them, where that is wanted. Return those that are left at the deadline, or when stopped.
        """
        found = self.in_the_way()
        first = {blocker.key for blocker in found}
        started, told = time.monotonic(), 0.0
        pause = stop or threading.Event()
        while found:
            now = time.monotonic()
            if not told or now - told > TELL_S:
                left = max(deadline_s - (now - started), 0.0)
                for blocker in found:
                    self._tell(
                        f"CONCURRENTLY has to wait for {sentence(blocker)}; "
                        f"not started for {length(left)} at most"
                    )
                told = now
            meanwhile(found)
            if now - started >= deadline_s or pause.wait(POLL_S):
                break
            found = tuple(b for b in self.in_the_way() if b.key in first)
        return found

    def sql(self) -> str:
        """What is to be sent now; empty when there is nothing left to do.

        The statement, or what finishes it where an earlier try got half way: a partition that is
        only to be finalized. An invalid index that has the name of the new one is dropped first.
        """
        statement = self._statement
        if detach := _detached(statement):
            row = self._acting.execute(DETACHING, list(detach)).fetchone()
            if row and row[0]:
                return f"ALTER TABLE {detach[0]} DETACH PARTITION {detach[1]} FINALIZE"
        elif statement.kind == "index" and statement.node.idxname:
            row = self._acting.execute(NAMED, _index(statement)).fetchone()
            if row and not row[0] and not row[3]:
                self._tell(f"{row[1]}.{row[2]} is invalid, left by a build that failed: dropped")
                self._drop(row[1], row[2])
        return statement.sql

    def unfinished(self) -> str:
        """Why it is not done although the server did not object; empty when it is.

        With IF NOT EXISTS an index that is invalid, or still being built, is good enough for it.
        """
        statement = self._statement
        if statement.kind != "index" or not statement.node.idxname:
            return ""
        row = self._acting.execute(NAMED, _index(statement)).fetchone()
        if row is None or row[0]:
            return ""
        what = "somebody else is still building it" if row[3] else "a build of it has failed"
        return f"the index {row[1]}.{row[2]} exists and is invalid: {what}"

    def clean_up(self, seconds: float = CLEAN_UP_S) -> list[str]:
        """Drop what a try that failed has left invalid; say what was done, and what is left.

        What takes longer than so many seconds, because others use the table, is left.
        Whatever stands in the way is said, not raised: it is not what failed.
        """
        if self._watching.closed or not self._applies:
            return []
        said = []
        try:
            for oid, schema, name, _table in self._invalid():
                if oid in self._before or not self._ours(name):
                    continue
                if self._statement.kind == "drop":
                    said.append(f"{schema}.{name} is invalid now: the next try drops it")
                else:
                    self._drop(schema, name, seconds)
                    said.append(f"dropped what was left invalid: {schema}.{name}")
            if detach := _detached(self._statement):
                row = self._watching.execute(DETACHING, list(detach)).fetchone()
                if row and row[0]:
                    said.append(f"{detach[1]} is half detached: the next try finalizes it")
        except psycopg.Error as error:
            said.append(f"an invalid index is left: {error.diag.message_primary or error}")
        return said

    def _invalid(self) -> list[tuple[int, str, str, int]]:
        return self._watching.execute(INVALID, {"tables": list(self._tables)}).fetchall()

    def _ours(self, name: str) -> bool:
        """True for an index that this statement may have left, by its name."""
        statement = self._statement
        if statement.kind == "reindex":
            return LEFT_BY_REINDEX.search(name) is not None
        if statement.kind == "index":
            return name == (statement.node.idxname or name)
        return (statement.kind == "drop") and name in [known for _, known in statement.relations]

    def _drop(self, schema: str, name: str, seconds: float = CLEAN_UP_S) -> None:
        sql = f"DROP INDEX CONCURRENTLY IF EXISTS {qualified(schema, name)}"
        with _unlimited(self._watching, self._kept), _limited(self._watching, seconds):
            self._watching.execute(sql.encode())

    @staticmethod
    def _pid(conn: Connection) -> int:
        row = conn.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
        assert row is not None
        return int(row[0])


def tables_of(conn: Connection, statement: Statement) -> tuple[int, ...]:
    """The oids of the tables that a statement works on, as this connection resolves the names."""
    node = statement.node
    whole = statement.kind == "reindex" and not statement.relations
    names = [qualified(schema or None, name) for schema, name in statement.relations]
    if _detached(statement):
        names = names[:1]  # others are waited for on the parent only
    schema = qualified(None, node.name) if whole and node.name else None
    arguments = {"names": names, "all": whole and schema is None, "schema": schema}
    return tuple(row[0] for row in conn.execute(TABLES, arguments).fetchall())


def in_the_way(
    conn: Connection,
    statement: Statement,
    tables: tuple[int, ...],
    own: set[int],
    older_than_s: float = OLD_S,
) -> tuple[Blocker, ...]:
    """The transactions that a statement with CONCURRENTLY waits for; the oldest first.

    All wait for locks on their tables (a build only for those that write), prepared transactions
    included; builds wait for snapshots of this database besides, of whatever table.
    """
    builds = statement.kind in ("index", "reindex")
    modes = WRITING if statement.kind == "index" else EVERY_MODE
    where = {"tables": list(tables), "modes": list(modes)}
    pids = {row[0] for row in conn.execute(HOLDING, where).fetchall()}
    if builds:
        arguments = {"plain": _plain(statement)}
        pids |= {row[0] for row in conn.execute(SNAPSHOTS, arguments).fetchall()}
    found = [
        blocker
        for blocker in sessions_of(conn, pids - own)
        if blocker.age_s is not None and blocker.age_s > older_than_s
    ]
    for gid, owner, age in conn.execute(PREPARED, where).fetchall():
        name = "prepared transaction"
        found.append(Blocker(0, name, owner, "prepared", age, gid=gid, backend_type="prepared"))
    return tuple(sorted(found, key=lambda blocker: -(blocker.age_s or 0.0)))


def _plain(statement: Statement) -> bool:
    """True for an index of columns on a whole table: such builds do not wait for each other."""
    node = statement.node
    return (
        statement.kind == "index"
        and not node.HasField("where_clause")
        and all(param.index_elem.name for param in node.index_params)
    )


def _index(statement: Statement) -> list[str]:
    """The name of the index, and its table, of a CREATE INDEX."""
    relation = statement.node.relation
    return [statement.node.idxname, qualified(relation.schemaname or None, relation.relname)]


def _detached(statement: Statement) -> tuple[str, str] | None:
    """The parent and the partition of a DETACH PARTITION, as SQL text."""
    if statement.kind != "alter_table" or len(statement.relations) < 2:
        return None
    parent, partition = (qualified(s or None, name) for s, name in statement.relations[:2])
    return parent, partition


@contextmanager
def _unlimited(conn: Connection, kept: bool) -> Iterator[None]:
    """Wait for locks without a limit: one would leave the index as it is."""
    if not kept:
        yield
        return
    names = ("lock_timeout", "statement_timeout")
    query = "SELECT pg_catalog.current_setting(%s), pg_catalog.current_setting(%s)"
    before = conn.execute(query, names).fetchone() or ()
    for name in names:
        conn.execute("SELECT pg_catalog.set_config(%s, '0', false)", [name])
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):  # the session may be gone
            for name, value in zip(names, before):
                conn.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])


@contextmanager
def _limited(conn: Connection, seconds: float) -> Iterator[None]:
    """Cancel what runs on a connection after a while; its session's settings stay as they are."""
    timer = threading.Timer(seconds, conn.cancel_safe)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
