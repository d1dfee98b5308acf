"""where the key ranges of a backfill begin and end"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from qb_engine.backfill.records import Range
from qb_engine.backfill.spec import Spec
from qb_engine.backfill.walk import parts, statements
from qb_engine.backfill.walk.statements import LAST, Key
from qb_engine.sql import qualified

RANGES_PER_LANE = 4  # a lane that is done early takes a range that is still open
SMALL = 4  # batches; a table of fewer is one range
LARGE = 64  # batches; from here on one lane's table, too, is split: for lanes that come later
LANES = 4  # so many can share it then
SAMPLE_ROWS = 30_000  # with these, 16 ranges differ by some percent in rows
SAMPLE_BLOCKS = 1_000  # at least: rows of one block are often alike

# The rows of a table and all below it as the planner knows them; a guess of those of one that was
# never analyzed.
ESTIMATE = (
    """
SELECT sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples
    ELSE pg_relation_size(c.oid) / %(bytes)s END)::bigint
FROM """
    + parts.BELOW
    + " AS below JOIN pg_class AS c ON c.oid = below.oid AND c.relkind = 'r'"
)

# Of one table alone: its rows as far as known, its blocks, and its file.
SIZE = """
SELECT reltuples, relpages, pg_relation_size(oid) / current_setting('block_size')::bigint,
    pg_relation_filenode(oid)::bigint
FROM pg_class WHERE oid = %s::regclass
"""

BYTES_PER_ROW = 100  # a guess for a table that was never analyzed

Connection = psycopg.Connection[Any]


def estimate(conn: Connection, spec: Spec) -> int:
    """How many rows the table has, as far as the catalog knows."""
    given = {"schema": spec.schema, "table": spec.table, "bytes": BYTES_PER_ROW}
    return int(conn.execute(ESTIMATE, given).fetchall()[0][0] or 0)


def how_many(rows: int, batch_size: int, parallel: int) -> int:
    """Into how many ranges a table is split."""
    if rows <= batch_size * (SMALL if parallel > 1 else LARGE):
        return 1
    lanes = LANES if parallel == 1 else parallel
    return max(1, min(lanes * RANGES_PER_LANE, rows // batch_size))


def ranges(conn: Connection, spec: Spec, rows: int) -> list[Range]:
    """The key ranges of a table, from its first row to the one that is the last one now.

    Of a table with parts, those of each part, which has a last row of its own. A part that is
    empty has none, like a table that is.
    """
    wanted = how_many(rows, spec.batch_size, spec.parallel)
    members = parts.walked(conn, spec)
    if not members:
        return _ranges(conn, spec, wanted, parts.WHOLE)
    sizes = [max(1, _size(conn, member.schema, member.name)[1]) for member in members]
    found = []
    for member, size in zip(members, sizes):
        share = max(1, round(wanted * size / sum(sizes)))
        found += _ranges(conn, spec.part(*member.part), share, member.part)
    return found


def again(conn: Connection, spec: Spec, before: Sequence[Range]) -> list[Range]:
    """The ranges of a sweep: as before, but the last of each part ends where the part does.

    A part that came since then is one range; one that is gone has none.
    """
    last = {each.part: each for each in before}
    found = []
    for part in [member.part for member in parts.walked(conn, spec)] or [parts.WHOLE]:
        schema, table = part if part != parts.WHOLE else (spec.schema, spec.table)
        node = _size(conn, schema, table)[2] if spec.by_place else None
        mine = [each for each in before if each.part == part] or [Range(None, None, part)]
        found += [
            replace(each, hi=None if each is last.get(part) else each.hi, node=node)
            for each in mine
        ]
    return found


def _size(conn: Connection, schema: str | None, table: str | None) -> tuple[float, int, int | None]:
    """Rows per block, blocks and the file of a table, without what is below it."""
    row = conn.execute(SIZE, [qualified(schema, table or "")]).fetchone()
    rows, pages, blocks, node = row or (-1, 0, 0, None)
    dense = rows / pages if rows > 0 and pages > 0 else statements.ROWS_PER_BLOCK
    return dense, int(blocks or 0), node


def _ranges(conn: Connection, spec: Spec, wanted: int, part: parts.Part) -> list[Range]:
    found = conn.execute(statements.highest(spec)).fetchone()
    if found is None:
        return []
    upper: Key = found[0]
    if spec.by_place:
        _, blocks, node = _size(conn, spec.schema, spec.table)
        inner = {blocks * i // wanted for i in range(1, wanted)} - {0, blocks}
        ends: list[Key] = [*([f"({block - 1},{LAST})"] for block in sorted(inner)), upper]
    else:
        ends, node = [*_inner(conn, spec, wanted, upper), upper], None
    return [Range(lo, hi, part, node) for lo, hi in zip([None, *ends[:-1]], ends)]


def _inner(conn: Connection, spec: Spec, wanted: int, upper: Key) -> list[Key]:
    """The keys that cut a table into `wanted` parts of about as many rows, in order.

    From the rows of some blocks, spread over the table: whatever the key and its statistics
    are like, this reads the same little of a table of any size, and all of a small one. The server
    compares and orders; where many rows have the same key (it is not unique), there are fewer.
    """
    if wanted == 1:
        return []
    found = parts.members(conn, spec.schema, spec.table)
    tree = not spec.alone and parts.is_tree(found, spec.schema, spec.table)
    sizes = [
        _size(conn, *part)
        for part in ([each.part for each in found] if tree else [(spec.schema, spec.table)])
    ]
    blocks = sum(size for _, size, _ in sizes)
    if not blocks:
        return []
    dense = sum(dense * size for dense, size, _ in sizes) / blocks
    taken = max(SAMPLE_BLOCKS, round(SAMPLE_ROWS / max(dense, 1)))
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in spec.key)
    if tree:
        sampled = _random(spec, columns, min(100.0, 100.0 * taken / blocks))
    else:
        sampled = _sample(spec, columns, blocks, max(1.0, blocks / taken))
    query = sql.SQL(
        "WITH sampled AS (SELECT {columns}, row_number() OVER (ORDER BY {order}) AS qb_place,"
        " count(*) OVER () AS qb_rows FROM ({sampled}) AS rows),"
        " picked AS (SELECT DISTINCT ON ({compared}) {columns} FROM sampled"
        " WHERE mod(qb_place * {wanted}, qb_rows) < {wanted} AND qb_place < qb_rows AND {below}"
        " ORDER BY {compared})"
        " SELECT {key} FROM picked ORDER BY {order}"
    ).format(
        columns=columns,
        order=statements.key_order(spec),
        compared=sql.SQL(", ").join(statements.key_columns(spec)),
        sampled=sampled,
        wanted=sql.Literal(wanted),
        below=statements.below(spec, upper or ()),
        key=statements.key_text(spec),
    )
    return [row[0] for row in conn.execute(query)]


def _sample(spec: Spec, columns: sql.Composed, blocks: int, step: float) -> sql.Composed:
    """The keys in one of every `step` blocks of a table, any of them: keys may come in periods.

    OFFSET 0 has each block read by itself.
    """
    return sql.SQL(
        "SELECT {columns} FROM (SELECT"
        " floor((i + (hashint4(i) & 65535) / 65536.0) * {step})::bigint AS block"
        " FROM generate_series(0, {last}) AS i) AS blocks CROSS JOIN LATERAL ("
        "SELECT {columns} FROM {table}"
        " WHERE ctid >= format('(%s,0)', block)::tid AND ctid < format('(%s,0)', block + 1)::tid"
        " OFFSET 0) AS read"
    ).format(
        columns=columns,
        table=statements.table(spec),
        step=sql.Literal(step),
        last=sql.Literal(max(0, int(blocks / step) - 1)),
    )


def _random(spec: Spec, columns: sql.Composed, percent: float) -> sql.Composed:
    """The keys in so many of the blocks of a table and all below it, which it has the rights on."""
    return sql.SQL("SELECT {} FROM {} TABLESAMPLE SYSTEM ({}) REPEATABLE (0)").format(
        columns, statements.table(spec), sql.Literal(percent)
    )
