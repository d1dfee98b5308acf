"""a twin's copy after a migration changed it: sizes and statistics of what is new, and said so"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qb_engine.shadow.twin import sizes, statistics
from qb_engine.shadow.twin.btree import PAGE, aligned
from qb_engine.shadow.twin.files import Length
from qb_engine.shadow.twin.implied import constant, empty, numbered, same
from qb_engine.shadow.twin.sizes import UNKNOWN_WIDTH, Index
from qb_engine.sql import qualified, read_one
from qb_engine.sql.tree import only

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# Every relation as it is now, beside what the twin knows of it.
RELATIONS = """
SELECT c.oid, n.nspname::text || '.' || c.relname::text, c.relkind::text,
       t.oid IS NOT NULL, t.filenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid),
       coalesce(t.bytes, 0), coalesce(t.reltuples, 0),
       coalesce((SELECT option_value::integer FROM pg_catalog.pg_options_to_table(c.reloptions)
                  WHERE option_name = 'fillfactor'), 100)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN qb.twin_relation t ON t.oid = c.oid
 WHERE c.relkind IN ('r', 'm', 'i') AND c.oid >= 16384 AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('qb', 'pg_toast', 'pg_catalog', 'information_schema')
 ORDER BY 2
"""
WIDTHS = """
SELECT a.attlen, a.attalign::text, s.stawidth, coalesce(s.stanullfrac, 0)
  FROM pg_catalog.pg_attribute a
  LEFT JOIN pg_catalog.pg_statistic s ON s.starelid = a.attrelid AND s.staattnum = a.attnum
       AND NOT s.stainherit
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# Columns that were not there when the statistics were read, and what they hold in every row.
NEW_COLUMNS = """
SELECT a.attrelid, a.attnum, concat_ws('.', n.nspname, c.relname, a.attname),
       (a.attmissingval::text::text[])[1], pg_catalog.pg_get_expr(d.adbin, d.adrelid),
       a.attidentity <> '', a.attgenerated <> ''
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN qb.twin_relation t ON t.oid = c.oid
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attnum > t.columns AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_statistic s
                    WHERE s.starelid = a.attrelid AND s.staattnum = a.attnum)
   AND EXISTS (SELECT FROM qb.twin_column k WHERE k.oid = t.oid)
   AND NOT EXISTS (SELECT FROM qb.twin_implied i
                    WHERE i.oid = a.attrelid AND i.attnum = a.attnum)
 ORDER BY 3
"""
CHANGED_TYPES = """
UPDATE qb.twin_column k SET avg_width = a.attlen
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = k.oid AND a.attnum = k.attnum AND a.attlen > 0 AND k.avg_width <> a.attlen
"""
LOST = """
SELECT DISTINCT k.schema || '.' || k.name || '.' || a.attname
  FROM qb.twin_column k JOIN pg_catalog.pg_attribute a
    ON a.attrelid = k.oid AND a.attnum = k.attnum AND NOT a.attisdropped
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_statistic s
                    WHERE s.starelid = k.oid AND s.staattnum = k.attnum
                      AND s.stainherit = k.inherited) ORDER BY 1
"""
EXPRESSIONS = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_index WHERE indexrelid = %s AND 0 = ANY (indkey))
"""
NAMED = """
SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s
"""
REMEMBER = """
INSERT INTO qb.twin_relation (schema, name, kind, bytes, relpages, reltuples, relallvisible, oid,
                              filenode, columns)
SELECT n.nspname, c.relname, c.relkind, %(pages)s::bigint * 8192, %(pages)s::bigint, %(rows)s,
       0, c.oid, pg_catalog.pg_relation_filenode(c.oid), c.relnatts
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = %(oid)s
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or an index after the change, beside what the twin knew of it."""

    oid: int
    name: str
    kind: str
    known: bool
    new_file: bool
    bytes: int
    rows: float
    fill: int

    @property
    def pages(self) -> int:
        return -(-self.bytes // PAGE)


@dataclass(frozen=True, slots=True)
class Settled:
    """The lengths that the files are to have, and what was assumed on the way, as sentences."""

    lengths: tuple[Length, ...]
    assumed: tuple[str, ...]


def kept_rows(conn: Connection, indexes: Iterable[Index]) -> dict[int, float]:
    """How many rows each partial index has, as the planner expects; `conn` leads to long files."""
    found = {}
    for index in indexes:
        row = conn.execute(NAMED, [index.table]).fetchone()
        if row is None:
            continue
        query = f"EXPLAIN (FORMAT JSON) SELECT FROM ONLY {qualified(*row)} WHERE {index.predicate}"
        plan = conn.execute(query.encode()).fetchone()
        assert plan is not None
        found[index.oid] = float(plan[0][0]["Plan"]["Plan Rows"])
    return found


def settle(
    conn: Connection, emptied: frozenset[int], kept: Mapping[int, float] | None = None
) -> tuple[Settled, tuple[Index, ...]]:
    """Give what a change left, made or emptied its statistics and say how long it is to be.

    `conn` leads to a changed copy with short files. `kept` gives rows by partial index; without it,
    new partial indexes stay short, and are the second value.
    """
    carried = [name for (name,) in conn.execute(LOST).fetchall()]
    conn.execute(CHANGED_TYPES)
    assumed = _columns(conn)
    relations = [Relation(*row) for row in conn.execute(RELATIONS).fetchall()]
    tables = {r.oid: r for r in relations if r.kind != "i"}
    known = sizes.indexes(conn)
    wanted: dict[int, int] = {}
    rows: dict[int, float] = {}
    asked: list[Index] = []
    for table in list(tables.values()):
        if table.oid in emptied:
            tables[table.oid] = replace(table, bytes=0, rows=-1.0)
            wanted[table.oid], rows[table.oid] = 0, -1.0
            assumed.append(f"{table.name}: without rows from here on")
        elif not table.known:
            assumed.append(f"{table.name} is new: planned without rows and statistics")
        elif table.new_file and table.rows >= 0:
            pages = _rewritten(conn, table)
            tables[table.oid] = replace(table, bytes=pages * PAGE)
            wanted[table.oid], rows[table.oid] = pages, table.rows
            assumed.append(f"{table.name} is rewritten: about {pages:,} pages, from its widths")
    for each in relations:
        index = known.get(each.oid)
        if index is None or (each.known and not each.new_file and index.table not in emptied):
            continue
        table_ = tables.get(index.table)
        if table_ is None or not table_.known or index.table in emptied:
            wanted[each.oid], rows[each.oid] = 0, 0.0
            continue
        count = max(table_.rows, 0.0)
        if index.predicate:
            if kept is None:
                asked.append(index)
                continue
            count = kept.get(each.oid, count)
        pages = sizes.index_pages(index, count, table_.pages)
        if each.known and each.pages:
            pages = min(pages, each.pages)  # a build leaves no more than there was
        wanted[each.oid], rows[each.oid] = pages, count
        assumed.append(_built(conn, each, index, pages))
    for oid, pages in wanted.items():
        conn.execute("DELETE FROM qb.twin_relation WHERE oid = %s", [oid])
        conn.execute(REMEMBER, {"oid": oid, "pages": pages, "rows": rows[oid]})
    again = conn.execute("SELECT oid FROM qb.twin_relation WHERE oid IS NOT NULL").fetchall()
    refused = {gap.name for gap in statistics.give(conn, [int(oid) for (oid,) in again])}
    for name in carried:
        if name in refused:
            assumed.append(f"{name}: no statistics, its new type does not take the old ones")
        else:
            assumed.append(f"{name}: its old type's statistics; ANALYZE will make new ones")
    lengths = sizes.lengths(conn, wanted)
    return Settled(tuple(lengths), tuple(assumed)), tuple(asked)


def _built(conn: Connection, relation: Relation, index: Index, pages: int) -> str:
    text = f"index {relation.name}: about {pages:,} pages, estimated"
    if not index.known:
        text += f" with {UNKNOWN_WIDTH} bytes for what has no statistics"
    if index.method in ("gin", "gist", "spgist"):
        text += " roughly"
    row = conn.execute(EXPRESSIONS, [relation.oid]).fetchone()
    if row and row[0] and not relation.known:
        text += "; its expressions have no statistics before ANALYZE"
    return text


def _rewritten(conn: Connection, table: Relation) -> int:
    """The pages of a table that was just written anew, by the widths of its columns."""
    columns = conn.execute(WIDTHS, [table.oid]).fetchall()
    nulls = any(share for *_, share in columns)
    end = 23.0 + (-(-len(columns) // 8) if nulls else 0)
    start = end = aligned(end)
    for length, align, known, null in columns:
        width = length if length > 0 else UNKNOWN_WIDTH if known is None else known
        # a short value of varying length stands where the one before it ends
        step = {"d": 8, "i": 4, "s": 2}.get(align, 1) if length > 0 or width > 126 else 1
        placed = -(-end // step) * step + width
        end += (placed - end) * (1 - null)
    tuple_bytes = aligned(max(end, start)) + 4
    on_a_page = max(1, int((PAGE - 24) * table.fill / 100 / tuple_bytes))
    return math.ceil(table.rows / on_a_page)


def _columns(conn: Connection) -> list[str]:
    """Give new columns the statistics that their defaults imply."""
    said = []
    for oid, attnum, name, value, default, identity, generated in conn.execute(
        NEW_COLUMNS
    ).fetchall():
        if default and value is None:
            value = constant(only(read_one(f"SELECT {default}").node.target_list[0]).val)
        if identity:
            numbered(conn, oid, attnum)
            said.append(f"{name} is new: statistics as of a number of its own in each row")
        elif generated or (default and value is None):
            said.append(f"{name} is new: no statistics, its values are computed")
        elif value is not None:
            same(conn, oid, attnum, value)
            said.append(f"{name} is new: statistics as of its default in every row")
        else:
            empty(conn, oid, attnum)
            said.append(f"{name} is new: statistics as of NULL in every row")
    return said
