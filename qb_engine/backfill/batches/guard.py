"""the plan of a batch: it must find its rows by the key, or a batch costs as much as the table

Looked at before the first batch of a lane, every so many, and after one that took far longer than
it should: a plan is chosen anew as a table grows and its statistics age. A look is one EXPLAIN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from qb_engine.backfill import kinds
from qb_engine.backfill.limits import limit
from qb_engine.backfill.walk import statements
from qb_engine.errors import RefusedError
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.backfill.batches.batch import Batch, Held
    from qb_engine.backfill.spec import Spec
    from qb_engine.backfill.walk.statements import Key

Connection = psycopg.Connection[Any]

EVERY = 200  # batches between two looks: with batches of a quarter of a second, some 50 s
SLOW = 8.0  # times the aim: then it is looked at once more
LOOK_MS = 2_000  # for a look; without one it goes on
SMALL = 1_280  # blocks, 10 MB: read as a whole in a few milliseconds
LARGE = 16_384  # blocks, 128 MB: a backfill that reads these for every batch is stopped
SHARE = 0.2  # of the table's rows in a batch: reading all of it may be right

SIZE = """
SELECT pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint,
    c.reltuples, pg_catalog.pg_stat_get_last_analyze_time(c.oid) IS NULL
        AND pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid) IS NULL
FROM pg_catalog.pg_class AS c
WHERE c.oid = pg_catalog.to_regclass(%s)
"""

CONDITIONS = ("Index Cond", "TID Cond", "Recheck Cond")
OFF = "SET enable_seqscan = off"
ON = "RESET enable_seqscan"


@dataclass(frozen=True, slots=True)
class Explained:
    """How a batch finds its rows: by which node, with which condition.

    `blocks` is the size of the table; `elsewhere` are other tables of which it reads every row.
    """

    ok: bool
    node: str
    condition: str
    cost: float
    rows: float
    blocks: int = 0
    remedy: str = ""
    hint: str = ""
    elsewhere: tuple[str, ...] = ()
    plan: Any = None


class Guard:
    """The looks of one lane, and the remedy that its connection has."""

    def __init__(self) -> None:
        self._left = 0  # batches until the next look
        self._remedied: Connection | None = None
        self._part: tuple[str | None, str | None] | None = None

    def before(self, conn: Connection, spec: Spec, held: Held, keys: int) -> None:
        """Look at the plan of the next batch, when it is due.

        Raise RefusedError when it reads all of a large table, and nothing helps.
        """
        if self._left > 0 and self._part == held.part and self._remedied in (None, conn):
            self._left -= 1
            return
        self._left, self._part = EVERY, held.part
        self.close(conn)
        found = look(conn, spec.part(*held.part), held.after, held.hi, keys)
        if found is None:
            return
        if found.remedy:
            conn.execute(OFF)
            self._remedied = conn
        keep(conn, spec.id, found)
        if not found.ok and found.blocks > LARGE:
            raise _refused(spec.part(*held.part), found)

    def after(self, spec: Spec, did: Batch) -> None:
        """A batch that took far too long has the next one looked at, though not each of many."""
        if did.ms > SLOW * spec.options.target_ms and self._left < EVERY - 10:
            self._left = 0

    def close(self, conn: Connection) -> None:
        """Leave the connection as it was found."""
        if self._remedied is conn and not conn.closed:
            conn.execute(ON)
        self._remedied = None


def look(conn: Connection, spec: Spec, lo: Key, hi: Key, keys: int) -> Explained | None:
    """How the batch of so many keys after `lo` would find its rows; None when that cannot be said.

    Where it would read the whole of a table that is not small, it is tried what helps.
    """
    try:
        with conn.transaction():
            limit(conn, LOOK_MS, LOOK_MS)
            edge = conn.execute(statements.boundary(spec, lo, hi, keys)).fetchone()
            end = edge[0] if edge else hi
            if lo is None and end is None:
                return None  # all of it, at once
            query = sql.SQL("EXPLAIN (FORMAT JSON) ") + kinds.of(spec).plan(spec, lo, end)
            found = _sized(conn, spec, read(_plan(conn, query), spec), keys)
            if found.ok:
                return found
            conn.execute("SET LOCAL enable_seqscan = off")
            better = read(_plan(conn, query), spec)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        return None
    except psycopg.errors.UndefinedTable:  # a partition that was dropped: the batch says so
        if spec.whole is None:
            raise
        return None
    if better.ok:
        return replace(better, blocks=found.blocks, remedy=OFF, hint=found.hint)
    return found


def read(plan: Any, spec: Spec) -> Explained:
    """What a plan, as PostgreSQL gives it in JSON, says of how the rows of a range are found."""
    first = "ctid" if spec.by_place else spec.key[0].name
    named = re.compile(rf"(?<![\w\"]){re.escape(_quoted(first))}(?![\w\"])")
    best: Explained | None = None
    elsewhere = []
    for node in _nodes(plan):
        relation = node.get("Relation Name")
        kind = str(node["Node Type"])
        if relation is None or not kind.endswith("Scan"):
            continue
        if relation != spec.table and kind == "Seq Scan":
            elsewhere.append(relation)
        condition = next((str(node[name]) for name in CONDITIONS if name in node), "")
        bounded = bool(named.search(condition))
        index = f" using {node['Index Name']}" if "Index Name" in node else ""
        found = Explained(
            bounded,
            f"{kind}{index} on {relation}",
            condition or str(node.get("Filter", "")),
            float(node["Total Cost"]),
            float(node["Plan Rows"]),
        )
        if relation == spec.table and (best is None or found.ok or not best.ok):
            best = found
    if best is None:  # pruned away, or known to be empty
        best = Explained(True, str(plan["Node Type"]), "", float(plan["Total Cost"]), 0.0)
    return replace(best, elsewhere=tuple(dict.fromkeys(elsewhere)), plan=plan)


def keep(conn: Connection, backfill: str, found: Explained) -> None:
    """Write down what the last look has found."""
    conn.execute(
        "UPDATE qb.backfill SET explained = %s::jsonb"
        " || jsonb_build_object('at', clock_timestamp()) WHERE id = %s",
        [Jsonb(asdict(found)), backfill],
    )


# -- parts -------------------------------------------------------------------------------------


def _plan(conn: Connection, query: sql.Composed) -> Any:
    return conn.execute(query).fetchall()[0][0][0]["Plan"]


def _sized(conn: Connection, spec: Spec, found: Explained, keys: int) -> Explained:
    """A table that is small, or mostly in the batch, may be read as a whole."""
    if found.ok:
        return found
    table = sql.Identifier(spec.schema, spec.table).as_string(conn)
    blocks, rows, unknown = conn.execute(SIZE, [table]).fetchall()[0]
    fine = blocks <= SMALL or (rows > 0 and keys > SHARE * rows)
    hint = f"ANALYZE {table}" if unknown or rows < 0 else ""
    return replace(found, ok=fine, blocks=blocks, hint=hint)


def _nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _quoted(name: str) -> str:
    """As the server writes a name in a plan."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else '"' + name.replace('"', '""') + '"'


def _refused(spec: Spec, found: Explained) -> RefusedError:
    hint = f"{found.hint}, then" if found.hint else "see its plan (qb backfill status), then"
    return RefusedError(
        f"a batch would read all of {spec.schema}.{spec.table} ({found.blocks:,} blocks)",
        where=mask(f"{found.node}: {found.condition}" if found.condition else found.node),
        why="its plan does not use the key, so every batch would cost as much as the whole table",
        todo=f"{hint} qb backfill start {spec.id}",
        code="backfill-plan",
    )
