"""how long relations are to be: as on the target, and for what a migration makes, as estimated"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine.shadow.twin import btree
from qb_engine.shadow.twin.btree import PAGE, aligned
from qb_engine.shadow.twin.files import Length

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

UNKNOWN_WIDTH = 32  # bytes, what PostgreSQL takes for a value it knows nothing of
POSTING_BYTES = 812  # the longest posting list that a B-tree's build makes
TID = 6

# Every index with the widths of its columns, and how distinct their values are.
INDEXES = """
SELECT i.indexrelid, i.indrelid, am.amname::text, i.indisunique, i.indnkeyatts,
       coalesce((SELECT option_value::integer FROM pg_catalog.pg_options_to_table(c.reloptions)
                  WHERE option_name = 'fillfactor'), 0),
       coalesce((SELECT option_value::boolean FROM pg_catalog.pg_options_to_table(c.reloptions)
                  WHERE option_name = 'deduplicate_items'), true)
       AND i.indnatts = i.indnkeyatts
       AND bool_and(k.n > i.indnkeyatts OR coalesce(o.folds, false)),
       array_agg(CASE WHEN a.attlen > 0 THEN a.attlen::real ELSE s.stawidth END ORDER BY k.n),
       array_agg(s.stadistinct ORDER BY k.n),
       pg_catalog.pg_get_expr(i.indpred, i.indrelid)
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_am am ON am.oid = c.relam
 CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY k (attnum, n)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = k.n
  LEFT JOIN LATERAL (
       SELECT true FROM pg_catalog.pg_opclass oc  -- BTEQUALIMAGE_PROC: equal means the same
         JOIN pg_catalog.pg_amproc p ON p.amprocfamily = oc.opcfamily AND p.amprocnum = 4
          AND p.amproclefttype = oc.opcintype AND p.amprocrighttype = oc.opcintype
        WHERE k.n <= i.indnkeyatts
          AND oc.oid = (i.indclass::oid[])[array_lower(i.indclass::oid[], 1) + k.n - 1]
       ) o (folds) ON true
  LEFT JOIN LATERAL (
       SELECT max(st.stawidth)::real, max(st.stadistinct)
         FROM pg_catalog.pg_statistic st
        WHERE st.starelid = CASE WHEN k.attnum = 0 THEN i.indexrelid ELSE i.indrelid END
          AND st.staattnum = CASE WHEN k.attnum = 0 THEN k.n ELSE k.attnum END
       ) s (stawidth, stadistinct) ON true
 WHERE c.oid >= 16384 AND c.relkind = 'i'
 GROUP BY i.indexrelid, i.indrelid, am.amname, i.indisunique, i.indnkeyatts, i.indnatts,
          c.reloptions, i.indpred
"""

FILES = """
SELECT c.oid, pg_catalog.pg_relation_filepath(c.oid), t.bytes
  FROM pg_catalog.pg_class c
  LEFT JOIN qb.twin_relation t ON t.oid = c.oid
 WHERE c.relkind IN ('r', 'm', 'i') AND c.oid >= 16384 AND c.relpersistence <> 't'
   AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'qb')
"""


@dataclass(frozen=True, slots=True)
class Index:
    """An index as its size needs it; `widths` in bytes, by column, None where nothing is known.

    `distinct` counts as pg_statistic does: negative is a share of the rows.
    """

    oid: int
    table: int
    method: str
    unique: bool
    keys: int
    fill: int
    folds: bool  # equal keys are kept once (a B-tree's deduplication)
    widths: tuple[float | None, ...]
    distinct: tuple[float | None, ...]
    predicate: str | None

    @property
    def width(self) -> float:
        """The bytes of a tuple's values, alignment within them left out."""
        return sum(UNKNOWN_WIDTH if w is None else w for w in self.widths)

    @property
    def known(self) -> bool:
        """True when every column's width is known."""
        return None not in self.widths


def indexes(conn: Connection) -> dict[int, Index]:
    """Every index of the database by its oid."""
    found = {}
    for row in conn.execute(INDEXES).fetchall():
        oid, table, method, unique, keys, fill, folds, widths, distinct, predicate = row
        found[oid] = Index(
            oid, table, method, unique, keys, fill, folds, tuple(widths), tuple(distinct), predicate
        )
    return found


def lengths(conn: Connection, pages: Mapping[int, int] | None = None) -> list[Length]:
    """The files of the database and their lengths: as said, else as on the target."""
    known, said = indexes(conn), pages or {}
    found = []
    for oid, path, size in conn.execute(FILES).fetchall():
        wanted = said.get(oid, -(-(size or 0) // PAGE))
        if path is None or not wanted:
            continue
        index, levels = known.get(oid), None
        if index is not None and index.method == "btree":
            keys = [UNKNOWN_WIDTH if w is None else w for w in index.widths[: index.keys]]
            levels = btree.height(wanted, sum(keys))
        found.append(Length(path, wanted, levels))
    return found


def index_pages(index: Index, rows: float, heap_pages: int) -> int:
    """About how many pages an index has right after it was built."""
    if index.method == "btree":
        return _btree(index, rows)
    if index.method == "hash":
        return _hash(rows * 20 / (PAGE * (index.fill or 75) / 100))
    if index.method == "brin":
        ranges = -(-heap_pages // 128)
        return 3 + math.ceil(ranges * (aligned(index.width * 2 + 10) + 4) / PAGE)
    if index.method == "gin":  # lists of rows, packed, and the keys above them
        return _full(rows * 4 + rows * index.width / 10, 1.0) + 2
    return _full(rows * (aligned(8 + index.width) + 4), (index.fill or 90) / 100) + 1


def _btree(index: Index, rows: float) -> int:
    """As a build packs it: fillfactor, equal keys once with a list of their rows."""
    entry = aligned(8 + index.width) + 4
    size = rows * entry
    groups = _distinct(index, rows)
    if index.folds and not index.unique and groups and rows / groups > 1:
        each = rows / groups
        lists = groups * max(1.0, each * TID / (POSTING_BYTES - entry))
        size = min(size, lists * entry + rows * TID)
    leaves = _full(size, (index.fill or 90) / 100, special=16)
    inner = math.ceil(leaves / max(2, int((PAGE - 40) * 0.7 / entry))) if leaves > 1 else 0
    return 1 + leaves + inner


def _hash(buckets: float) -> int:
    """A hash index begins with a page per bucket; their number grows in steps."""
    whole = 1 << max(1, math.ceil(math.log2(max(buckets, 2))))
    step = whole // 8 if whole > 1024 else whole
    return math.ceil(buckets / step) * step + 2


def _distinct(index: Index, rows: float) -> float | None:
    """How many different keys; None when nothing is known of a column."""
    whole = 1.0
    for each in index.distinct[: index.keys]:
        if not each:
            return None
        whole *= each if each > 0 else -each * rows
    return min(whole, rows)


def _full(size: float, fill: float, special: int = 0) -> int:
    return max(1, math.ceil(size / ((PAGE - 24 - special) * fill)))
