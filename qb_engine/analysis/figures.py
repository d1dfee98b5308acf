"""what the target says of relations: sizes, rows, activity; and of itself: version, leftovers"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.analysis.facts import Figures
from qb_engine.analysis.hazards.hazard import Circumstances
from qb_engine.analysis.named import WANTED, wanted
from qb_engine.database.connect import lost

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

ROW_BYTES = 100  # of a table that nobody has counted: an ordinary row with its header
EXPECTING_S = 10.0  # for the plans of all data changes together

LIMITS = """
SET LOCAL transaction_read_only = on; SET LOCAL lock_timeout = '500ms';
SET LOCAL statement_timeout = '{statement}'
"""

# Every relation of these names with each of its partitions. Sizes of what somebody has locked, or
# waits to lock, are told by the catalog: asking for them would wait, too.
MEMBERS = """
WITH found AS MATERIALIZED (
    SELECT wanted.name, c.oid, c.relkind, c.reltuples, c.relpages
      FROM {wanted}
      JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.nsp
      JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.rel
), members AS MATERIALIZED (
    SELECT f.name, f.relkind AS kind, f.oid, false AS leaf, f.relkind, f.reltuples, f.relpages
      FROM found f
     WHERE f.relkind NOT IN ('p', 'I')
     UNION ALL
    SELECT f.name, f.relkind, c.oid, t.isleaf AND t.level > 0, c.relkind, c.reltuples, c.relpages
      FROM found f CROSS JOIN LATERAL pg_catalog.pg_partition_tree(f.oid) AS t
      JOIN pg_catalog.pg_class c ON c.oid = t.relid
     WHERE f.relkind IN ('p', 'I')
), locked AS MATERIALIZED (
    SELECT l.relation AS oid FROM pg_catalog.pg_locks l
     WHERE l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
       AND l.relation IS NOT NULL
       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                          WHERE d.datname = pg_catalog.current_database())
     UNION
    SELECT i.indrelid FROM pg_catalog.pg_locks l
      JOIN pg_catalog.pg_index i ON i.indexrelid = l.relation
     WHERE l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
)
SELECT c.name, c.kind::text, c.leaf, c.reltuples::float8, c.relpages::bigint, {sizes}, {counters}
  FROM members c
"""

SIZES = """
       CASE WHEN c.oid IN (SELECT oid FROM locked) THEN NULL
            WHEN c.relkind IN ('i', 'I') THEN pg_catalog.pg_relation_size(c.oid)
            ELSE pg_catalog.pg_total_relation_size(c.oid) END,
       CASE WHEN c.oid IN (SELECT oid FROM locked) THEN NULL
            ELSE pg_catalog.pg_relation_size(c.oid) END
"""
COUNTERS = """
       pg_catalog.pg_stat_get_live_tuples(c.oid),
       pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
         + pg_catalog.pg_stat_get_tuples_deleted(c.oid),
       pg_catalog.pg_stat_get_numscans(c.oid)
         + (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_stat_get_numscans(i.indexrelid)), 0)
              FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid),
       extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(
           (SELECT d.stats_reset FROM pg_catalog.pg_stat_database d
             WHERE d.datname = pg_catalog.current_database()),
           pg_catalog.pg_postmaster_start_time()))::float8
"""
WHOLE = MEMBERS.format(wanted=WANTED, sizes=SIZES, counters=COUNTERS)
# what the catalog alone says, to a role that may call none of these functions
BARE = MEMBERS.format(
    wanted=WANTED,
    sizes="NULL::bigint, NULL::bigint",
    counters="NULL::bigint, NULL::bigint, NULL::numeric, NULL::float8",
)
BLOCK = "SELECT pg_catalog.current_setting('block_size')::int"

# indexes of which a concurrent build has left only remains
INVALID = """
SELECT n.nspname || '.' || c.relname
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND c.relkind = 'i'
"""

KINDS = {
    "r": "table",
    "p": "partitioned table",
    "m": "materialized view",
    "v": "view",
    "f": "foreign table",
    "S": "sequence",
    "t": "TOAST table",
    "i": "index",
    "I": "index",
}
STORED = frozenset("rmtfiS")  # relkinds that can have rows of their own
CHANGES = frozenset({"update", "delete", "insert", "merge"})


def figures(conn: Connection, relations: Iterable[str]) -> dict[str, Figures]:
    """What the target says of relations, by the names that were given (`schema.name`, unquoted).

    Those that are not there are left out. `conn` is in no transaction; it only reads, and waits for
    nobody. What its role may not see is None.
    """
    names = sorted(set(relations))
    if not names:
        return {}
    rows, block = _members(conn, names)
    members: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        members.setdefault(row[0], []).append(row)
    return {name: _figures(of, block) for name, of in members.items()}


def circumstances(
    conn: Connection,
    *,
    figures: Mapping[str, Figures] | None = None,
    production: bool = False,
    small_bytes: int | None = None,
    small_rows: int | None = None,
) -> Circumstances:
    """What is known of the target as the place where a migration will run."""
    found = Circumstances()
    with conn.transaction():
        conn.execute(LIMITS.format(statement="10s"))
        invalid = frozenset(str(row[0]) for row in conn.execute(INVALID).fetchall())
    return Circumstances(
        version=conn.info.server_version,
        small_bytes=found.small_bytes if small_bytes is None else small_bytes,
        small_rows=found.small_rows if small_rows is None else small_rows,
        production=production,
        figures=figures or {},
        invalid_indexes=invalid,
    )


def expected_rows(
    conn: Connection, statements: Iterable[tuple[int, Statement]]
) -> dict[int, float]:
    """How many rows the target's planner expects each data change to touch, by its number.

    Nothing is run: the statements are planned, read-only. Those that cannot be planned (they may
    need what an earlier statement makes) are left out.
    """
    found: dict[int, float] = {}
    deadline = time.monotonic() + EXPECTING_S
    for number, statement in statements:
        if statement.kind not in CHANGES or time.monotonic() > deadline:
            continue
        try:
            with conn.transaction(force_rollback=True):
                conn.execute(LIMITS.format(statement="2s"))
                row = conn.execute(f"EXPLAIN (FORMAT JSON) {statement.sql}".encode()).fetchone()
        except psycopg.Error as error:
            if lost(error):
                raise
            continue
        if row is not None:
            found[number] = sum(_changed(row[0][0]["Plan"]))
    return found


def _changed(node: Mapping[str, Any]) -> Iterator[float]:
    """The rows that reach each node of a plan that changes data."""
    for each in node.get("Plans", ()):
        if node["Node Type"] == "ModifyTable" and each["Parent Relationship"] == "Outer":
            yield float(each["Plan Rows"])
        yield from _changed(each)


def _members(conn: Connection, names: list[str]) -> tuple[list[tuple[Any, ...]], int]:
    """A row for each relation and partition, and the size of a page in bytes."""
    for query in (WHOLE, BARE):
        with (
            suppress(psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable),
            conn.transaction(),
        ):
            conn.execute(LIMITS.format(statement="60s"))
            row = conn.execute(BLOCK).fetchone()
            found = conn.execute(query.encode(), wanted(names)).fetchall()
            return found, int(row[0]) if row else 8192
    return [], 8192


def _figures(members: list[tuple[Any, ...]], block: int) -> Figures:
    """A relation from its rows of MEMBERS: its own, and one for each of its partitions."""
    kind = KINDS.get(members[0][1], "other")
    rows: list[float | None] = []
    sizes: list[int | None] = []
    own: list[int | None] = []
    writes: list[float | None] = []
    reads: list[float | None] = []
    for _, relkind, leaf, tuples, pages, size, main, live, changed, scans, since in members:
        if relkind in ("p", "I") and not leaf and len(members) > 1:
            continue  # a partitioned relation has no rows of its own
        if relkind not in STORED and not leaf:
            continue
        rows.append(_rows(tuples, pages, main, live, block))
        sizes.append(size if size is not None else pages * block)
        own.append(main if main is not None else pages * block)
        period = max(since, 1.0) if since is not None else None
        writes.append(None if period is None or changed is None else changed / period)
        reads.append(None if period is None or scans is None else float(scans) / period)
    partitioned = members[0][1] in ("p", "I")
    return Figures(
        kind=kind,
        rows=_sum(rows, partitioned),
        bytes=_int(_sum(sizes, partitioned)),
        table_bytes=_int(_sum(own, partitioned)),
        partitions=sum(1 for row in members if row[2]),
        writes=_sum(writes, partitioned),
        reads=_sum(reads, partitioned),
    )


def _rows(
    tuples: float, pages: int, main: int | None, live: int | None, block: int
) -> float | None:
    """The rows of a relation: as counted last, and as it has grown since; else as it is long.

    A file that has grown since it was counted holds more in proportion, as the planner has it.
    """
    if tuples > 0 or (tuples == 0 and not main):
        grown = main / (pages * block) if main and pages else 1.0
        return tuples * max(grown, 1.0)
    if live:
        return float(live)
    if main is None:
        return None
    return float(max(main // ROW_BYTES, 1)) if main else 0.0


def _sum(values: Iterable[float | None], partitioned: bool) -> float | None:
    """The sum of what is known; None when nothing is, 0 for what has no partition."""
    known = list(values)
    if partitioned and not known:
        return 0.0
    if any(value is None for value in known):
        return None
    return sum(value for value in known if value is not None) if known else None


def _int(value: float | None) -> int | None:
    return None if value is None else int(value)
