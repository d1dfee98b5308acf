"""statistics read through the target's catalog, kept in the twin, and given to its relations

Only views and columns that every role may read are used; of a column that the role may not read,
pg_stats has no row. Values travel as text and get their types back on the twin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg

from qb_engine.shadow.twin import order
from qb_engine.shadow.twin.gap import Gap
from qb_engine.sql import ident

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

LOCK_MS = 2_000  # whose table somebody holds has the length that its last VACUUM saw
BATCH = 400  # relations whose statistics are given in one transaction: each is locked in it

# Values are written the same on both sides.
FORMATS = """
SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL timezone = 'UTC';
SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL search_path = ''
"""

TABLES = """
CREATE SCHEMA qb;
CREATE TABLE qb.twin (facts jsonb NOT NULL);
CREATE TABLE qb.twin_setting (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE qb.twin_relation (
    schema text, name text, kind "char", bytes bigint, relpages integer, reltuples real,
    relallvisible integer, place bigint, oid oid, filenode oid, columns smallint
);
CREATE TABLE qb.twin_column (
    schema text, name text, kind "char", attname text, attnum smallint, inherited boolean,
    null_frac real, avg_width integer, n_distinct real, most_common_vals text,
    most_common_freqs real[], histogram_bounds text, correlation real, most_common_elems text,
    most_common_elem_freqs real[], elem_count_histogram real[], range_length_histogram text,
    range_empty_frac real, range_bounds_histogram text, oid oid
);
CREATE TABLE qb.twin_implied (oid oid, attnum smallint, PRIMARY KEY (oid, attnum));
CREATE TABLE qb.twin_extended (
    schema text, name text, of_schema text, of_name text, inherited boolean,
    ndistinct bytea, dependencies bytea, most_common integer, expressions integer, keys smallint[]
);
"""

_OURS = """
 nspname NOT IN ('pg_catalog', 'information_schema', 'qb') AND nspname !~ '^pg_(toast|temp)'
"""

RELATIONS = f"""
SELECT n.nspname, c.relname, c.relkind,
       CASE WHEN c.relkind IN ('r', 'm', 'i') THEN {{length}} END,
       c.relpages::bigint * current_setting('block_size')::integer / 8192, c.reltuples,
       c.relallvisible::bigint * current_setting('block_size')::integer / 8192, c.oid
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 'i', 'p', 'I', 'f') AND c.relpersistence <> 't' AND {_OURS}
"""
_NOW = "pg_catalog.pg_relation_size(c.oid)"
_LAST = "c.relpages::bigint * current_setting('block_size')::integer"

COLUMNS = f"""
SELECT s.schemaname, s.tablename, c.relkind, s.attname,
       CASE WHEN c.relkind IN ('i', 'I') THEN a.attnum END, s.inherited,
       s.null_frac, s.avg_width, s.n_distinct,
       {{values}}, s.correlation, {{elements}}, s.elem_count_histogram, {{ranges}}
  FROM pg_catalog.pg_stats s
  JOIN pg_catalog.pg_namespace n ON n.nspname = s.schemaname
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
 WHERE {_OURS}
"""
_VALUES = "s.most_common_vals::text, s.most_common_freqs, s.histogram_bounds::text"
_ELEMENTS = "s.most_common_elems::text, s.most_common_elem_freqs"
_RANGES = "s.range_length_histogram::text, s.range_empty_frac, s.range_bounds_histogram::text"

EXTENDED = f"""
SELECT s.statistics_schemaname, s.statistics_name, s.schemaname, s.tablename, s.inherited,
       s.n_distinct::bytea, s.dependencies::bytea, cardinality(s.most_common_freqs),
       cardinality(s.exprs), e.stxkeys::smallint[]
  FROM pg_catalog.pg_stats_ext s
  JOIN pg_catalog.pg_namespace n ON n.nspname = s.statistics_schemaname
  JOIN pg_catalog.pg_statistic_ext e ON e.stxnamespace = n.oid AND e.stxname = s.statistics_name
 WHERE {_OURS}
"""

# Columns of tables with statistics of their own whose statistics this role is not shown.
UNREADABLE = f"""
SELECT n.nspname, c.relname, count(*) FILTER (WHERE NOT readable),
       bool_or(c.relrowsecurity AND row_security_active(c.oid))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped,
  LATERAL (SELECT pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') AS readable) p
 WHERE c.relkind IN ('r', 'm', 'p', 'i') AND c.relpersistence <> 't' AND c.reltuples > 0 AND {_OURS}
   AND (c.relkind <> 'i' OR EXISTS (SELECT FROM pg_catalog.pg_index i
                                     WHERE i.indexrelid = c.oid AND 0 = ANY (i.indkey)))
 GROUP BY 1, 2, c.relkind
HAVING bool_or(NOT readable) OR bool_or(c.relrowsecurity AND row_security_active(c.oid))
 ORDER BY 1, 2
"""

RANGES = f"""
SELECT count(*) FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE t.typtype IN ('r', 'm') AND a.attnum > 0 AND c.relkind IN ('r', 'm', 'p') AND {_OURS}
"""

FOUND = """
UPDATE qb.twin_relation t SET oid = c.oid, columns = c.relnatts,
       filenode = pg_catalog.pg_relation_filenode(c.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = t.schema AND c.relname = t.name
"""
PLACED = """
UPDATE qb.twin_column t SET oid = a.attrelid, attnum = a.attnum
  FROM qb.twin_relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
 WHERE r.schema = t.schema AND r.name = t.name AND NOT a.attisdropped AND a.attnum > 0
   AND CASE WHEN t.attnum IS NULL THEN a.attname = t.attname ELSE a.attnum = t.attnum END
"""
INDEXED = "CREATE INDEX ON qb.twin_relation (oid); CREATE INDEX ON qb.twin_column (oid)"
# Nobody shall vacuum or analyze what has statistics and no rows.
LEFT_ALONE = """
UPDATE pg_catalog.pg_class SET reloptions = array_append(
       array(SELECT o FROM unnest(reloptions) o WHERE o !~ '^autovacuum_enabled='),
       'autovacuum_enabled=false')
 WHERE relkind IN ('r', 'm', 't') AND oid >= 16384
"""

# Relations by their place on the twin; names may have changed since the statistics were read.
GIVE_RELATIONS = """
SELECT pg_catalog.pg_restore_relation_stats(
       'schemaname', n.nspname::text, 'relname', c.relname::text,
       'relpages', t.relpages, 'reltuples', t.reltuples, 'relallvisible', t.relallvisible)
  FROM qb.twin_relation t JOIN pg_catalog.pg_class c ON c.oid = t.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE t.oid = ANY (%s)
"""
OWNERS = """
SELECT pg_catalog.pg_get_userbyid(relowner)::text, array_agg(oid ORDER BY oid)
  FROM pg_catalog.pg_class WHERE oid = ANY (%s) GROUP BY 1 ORDER BY 1
"""
LACKING = """
CREATE TEMPORARY TABLE lacking ON COMMIT DROP AS
SELECT t.*, n.nspname::text AS in_schema, c.relname::text AS relation
  FROM qb.twin_column t JOIN pg_catalog.pg_class c ON c.oid = t.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = t.attnum
 WHERE t.oid = ANY (%s) AND NOT a.attisdropped
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_statistic s WHERE s.starelid = t.oid
                      AND s.staattnum = t.attnum AND s.stainherit = t.inherited)
"""
GIVE_COLUMNS = """
SELECT t.schema, t.name, t.attname FROM pg_temp.lacking t
 WHERE NOT pg_catalog.pg_restore_attribute_stats(
       'schemaname', t.in_schema, 'relname', t.relation, 'attnum', t.attnum,
       'inherited', t.inherited, 'null_frac', t.null_frac, 'avg_width', t.avg_width,
       'n_distinct', t.n_distinct, 'most_common_vals', t.most_common_vals,
       'most_common_freqs', t.most_common_freqs, 'histogram_bounds', t.histogram_bounds,
       'correlation', t.correlation, 'most_common_elems', t.most_common_elems,
       'most_common_elem_freqs', t.most_common_elem_freqs,
       'elem_count_histogram', t.elem_count_histogram,
       'range_length_histogram', t.range_length_histogram,
       'range_empty_frac', t.range_empty_frac,
       'range_bounds_histogram', t.range_bounds_histogram)
 ORDER BY 1, 2, 3
"""


def copy(target: Connection, base: Connection, *, values: bool) -> list[Gap]:
    """Read the target's statistics into tables of the base; return what this role is not shown.

    Read-only, in one transaction; nothing waits for longer than LOCK_MS. Without `values`, no
    value of a row leaves the target.
    """
    version = target.info.server_version
    parts = {
        "values": _VALUES if values else "NULL, NULL, NULL",
        "elements": _ELEMENTS if values else "NULL, NULL",
        "ranges": _RANGES if values and version >= 170_000 else "NULL, NULL, NULL",
    }
    base.execute(TABLES)
    with target.transaction(), base.transaction():
        target.execute("SET TRANSACTION READ ONLY")
        target.execute(FORMATS + f"; SET LOCAL lock_timeout = {LOCK_MS}")
        gaps = _relations(target, base)
        _pipe(target, base, COLUMNS.format(**parts), "twin_column", 19)
        _pipe(target, base, EXTENDED, "twin_extended", 10)
        gaps += _unreadable(target)
        gaps += _ranges(target) if values else []
        order.restore(base)
        base.execute(FOUND)
        base.execute(PLACED)
        base.execute(INDEXED)
        base.execute(LEFT_ALONE)
    base.execute("VACUUM ANALYZE qb.twin_relation, qb.twin_column")
    return gaps


def give(base: Connection, oids: list[int]) -> list[Gap]:
    """Give relations what was read of them; a column that has statistics already keeps them."""
    missing = []
    for owner, owned in base.execute(OWNERS, [oids]).fetchall():
        for part in _batches(owned):
            with base.transaction():
                base.execute(FORMATS)
                base.execute("SET LOCAL client_min_messages = error")  # a warning may quote a value
                base.execute(GIVE_RELATIONS, [part])
                base.execute(LACKING, [part])
                base.execute("GRANT SELECT ON pg_temp.lacking TO PUBLIC")
                # a domain's check is the target's code: it runs as who owns the table
                base.execute(f"SET LOCAL ROLE {ident(owner)}".encode())
                missing += base.execute(GIVE_COLUMNS).fetchall()
    return [
        Gap(f"{schema}.{name}.{column}", "statistics that its type here does not accept in full")
        for schema, name, column in missing
    ]


def _batches(oids: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(oids), BATCH):
        yield oids[first : first + BATCH]


def _relations(target: Connection, base: Connection) -> list[Gap]:
    """Relations with the length of their files now, or as VACUUM saw them where one is locked."""
    try:
        with target.transaction(), base.transaction():
            _pipe(target, base, RELATIONS.format(length=_NOW), "twin_relation", 8)
    except psycopg.errors.LockNotAvailable:
        _pipe(target, base, RELATIONS.format(length=_LAST), "twin_relation", 8)
        return [Gap("sizes of files", "a table is locked: sizes as the last VACUUM saw them")]
    return []


def _unreadable(target: Connection) -> list[Gap]:
    found = []
    for schema, name, columns, rows in target.execute(UNREADABLE).fetchall():
        why = "its rows are guarded by policies" if rows else ""
        if columns:
            why = f"this role may not read {columns} of its columns"
        found.append(Gap(f"{schema}.{name}", f"{why}: their statistics are not shown to it"))
    return found


def _ranges(target: Connection) -> list[Gap]:
    """pg_stats shows the statistics of ranges from 17 on."""
    if target.info.server_version >= 170_000:
        return []
    row = target.execute(RANGES).fetchone()
    if not (row and row[0]):
        return []
    return [Gap("range statistics", f"this version shows none, of {row[0]} columns")]


def _pipe(target: Connection, base: Connection, query: str, table: str, columns: int) -> None:
    """Copy the rows of a query on the target into the first columns of a table of the base."""
    names = [
        str(row[0])
        for row in base.execute(
            "SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = %s::regclass"
            " AND attnum BETWEEN 1 AND %s ORDER BY attnum",
            [f"qb.{table}", columns],
        ).fetchall()
    ]
    into = f"COPY qb.{table} ({', '.join(names)}) FROM STDIN"
    with (
        target.cursor().copy(f"COPY ({query}) TO STDOUT".encode()) as given,
        base.cursor().copy(into.encode()) as taken,
    ):
        for block in given:
            taken.write(block)
