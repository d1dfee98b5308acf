"""who is in the way of a plan's locks right now, and whom these would keep waiting"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.analysis.explain import HIDDEN, STATEMENTS_SCHEMA
from qb_engine.analysis.facts import Examined
from qb_engine.analysis.named import WANTED, wanted
from qb_engine.database.connect import lost
from qb_engine.execution.blockers import Blocker, sessions_of
from qb_engine.execution.concurrently import in_the_way, tables_of
from qb_engine.execution.observation import MODES, strength
from qb_engine.sql import SqlError, ident, read_one
from qb_engine.sql.relations import used, writes

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

STRONG = strength("ShareUpdateExclusiveLock")  # weaker modes get along with reading and writing
OLD_S = 1.0  # a transaction that ends sooner is waited for without anybody noticing
POLL_S = 0.5  # between two looks
STATEMENTS = 5_000  # of pg_stat_statements that are read, the most frequent first
SHOWN = 200  # characters of an application's query

_CONFLICTS = {  # PostgreSQL's own table of locks, by the first letters of the modes
    "AccessShareLock": "AX", "RowShareLock": "X AX", "RowExclusiveLock": "S SRX X AX",
    "ShareUpdateExclusiveLock": "SUX S SRX X AX", "ShareLock": "RX SUX SRX X AX",
    "ShareRowExclusiveLock": "RX SUX S SRX X AX",
    "ExclusiveLock": "RS RX SUX S SRX X AX", "AccessExclusiveLock": "AS RS RX SUX S SRX X AX",
}  # fmt: skip
_SHORT = dict(zip(("AS", "RS", "RX", "SUX", "S", "SRX", "X", "AX"), MODES, strict=True))

# who holds or awaits a lock on one of these relations; a prepared transaction has no process
HOLDING = f"""
SELECT n.nspname || '.' || c.relname, l.pid, l.mode::text, l.granted, l.virtualtransaction::text,
       c.relkind IN ('r', 'm') AND pg_catalog.age(c.relfrozenxid)
         > pg_catalog.current_setting('autovacuum_freeze_max_age')::int
  FROM {WANTED}
  JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.nsp
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.rel
  JOIN pg_catalog.pg_locks l ON l.relation = c.oid AND l.locktype = 'relation'
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                      WHERE d.datname = pg_catalog.current_database())
 WHERE l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
"""
PREPARED = """
SELECT own.virtualtransaction::text, p.gid, p.owner::text,
       extract(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::float8
  FROM pg_catalog.pg_prepared_xacts p
  JOIN pg_catalog.pg_locks own ON own.locktype = 'transactionid' AND own.pid IS NULL
   AND own.transactionid = p.transaction
 WHERE p.database = pg_catalog.current_database()
"""
# what keeps old row versions alive for somebody elsewhere
HORIZONS = """
SELECT 'replication slot', s.slot_name::text, s.active,
       greatest(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin))::bigint
  FROM pg_catalog.pg_replication_slots s
 WHERE s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL
 UNION ALL
SELECT 'standby', coalesce(nullif(r.application_name, ''), '?'), true,
       pg_catalog.age(r.backend_xmin)::bigint
  FROM pg_catalog.pg_stat_replication r
"""
TRAFFIC = """
SELECT s.query, pg_catalog.sum(s.calls)::float8,
       extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.max(i.stats_reset))::float8
  FROM {schema}.pg_stat_statements s CROSS JOIN {schema}.pg_stat_statements_info i
 WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d
                  WHERE d.datname = pg_catalog.current_database())
   AND s.query IS NOT NULL
 GROUP BY s.queryid, s.query ORDER BY 2 DESC LIMIT {limit}
"""


@dataclass(frozen=True, slots=True)
class Need:
    """A strong lock of a plan: taken by a step, and held until its transaction ends.

    `seconds` is how long it is held, from its own step on, as (low, high); None where nobody knows.
    """

    relation: str
    mode: str
    step: int
    index: bool = False
    seconds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class InTheWay:
    """A transaction that a lock, or a statement with CONCURRENTLY, would wait for now.

    `mode` is what it holds, or awaits (`waits`); empty for a snapshot alone. `passes` says why it
    needs no waiting for: it is young, or gives way by itself.
    """

    who: Blocker
    relation: str
    mode: str
    step: int
    waits: bool = False
    passes: str = ""


@dataclass(frozen=True, slots=True)
class Horizon:
    """A replication slot or a standby; `age` is how many transactions old its snapshot is."""

    kind: str
    name: str
    active: bool
    age: int | None


@dataclass(frozen=True, slots=True)
class Query:
    """A statement of the application that would wait for a lock: calls per second."""

    sql: str
    relation: str
    per_s: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """What would wait for one lock: queries per second, and about how many in all, (low, high)."""

    need: Need
    per_s: float
    waiting: tuple[float, float] | None
    queries: tuple[Query, ...] = ()


@dataclass(frozen=True)
class Impact:
    """The locks of a plan against what is going on; `source` says whence the traffic is known."""

    needs: tuple[Need, ...]
    in_the_way: tuple[InTheWay, ...]
    horizons: tuple[Horizon, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    source: str = ""

    @property
    def blocking(self) -> tuple[InTheWay, ...]:
        """Those that would really be waited for."""
        return tuple(each for each in self.in_the_way if not each.passes)

    @property
    def quiet(self) -> bool:
        return not self.blocking


def conflicts(one: str, other: str) -> bool:
    """True when two modes cannot be held by two transactions at once."""
    return other in {_SHORT[short] for short in _CONFLICTS.get(one, "").split()}


def needs(examined: Sequence[Examined]) -> tuple[Need, ...]:
    """The strong locks that steps take, each once per transaction, and how long they are held."""
    found: list[Need] = []
    for number, step in enumerate(examined):
        held = [step] if step.transaction is None else [
            each for each in examined[number:] if each.transaction == step.transaction
        ]  # fmt: skip
        seconds = _sum([each.facts.seconds for each in held])
        for lock in step.facts.locks:
            if strength(lock.mode) >= STRONG:
                found.append(Need(lock.relation, lock.mode, step.number, lock.index, seconds))
    return tuple(found)


def impact(conn: Connection, examined: Sequence[Examined], *, traffic: bool = True) -> Impact:
    """Look at what is going on on the target, against the locks of a plan; `conn` only reads."""
    locks = needs(examined)
    found = _holding(conn, locks) + _concurrent(conn, examined)
    unique = {(each.who.key, each.relation, each.mode): each for each in reversed(found)}
    ways = sorted(unique.values(), key=lambda e: (bool(e.passes), -(e.who.age_s or 0.0)))
    if not traffic:
        return Impact(locks, tuple(ways))
    queries, source = _queries(conn, {need.relation for need in locks})
    rates = _traffic(locks, queries) if queries is not None else _by_counters(locks, examined)
    return Impact(locks, tuple(ways), _horizons(conn), rates, source)


def until_quiet(
    conn: Connection,
    examined: Sequence[Examined],
    within_s: float,
    *,
    stop: threading.Event | None = None,
    look: Callable[[Impact], object] = lambda found: None,
) -> Impact:
    """Look again and again until nobody is in the way, for no longer than this; the last look.

    `look` hears of each. `stop` ends the wait.
    """
    deadline = time.monotonic() + within_s
    pause = stop or threading.Event()
    while True:
        found = impact(conn, examined, traffic=False)
        look(found)
        left = deadline - time.monotonic()
        if found.quiet or left <= 0 or pause.wait(min(POLL_S, left)):
            return found


# -- who is in the way -------------------------------------------------------------------------


def _holding(conn: Connection, held: Sequence[Need]) -> list[InTheWay]:
    names = sorted({need.relation for need in held})
    rows = conn.execute(HOLDING.encode(), wanted(names)).fetchall() if names else []
    sessions = {b.pid: b for b in sessions_of(conn, {row[1] for row in rows if row[1]})}
    prepared = {row[0]: _prepared(row) for row in conn.execute(PREPARED).fetchall()}
    found = []
    for relation, pid, mode, granted, transaction, frozen in rows:
        need = next((n for n in held if n.relation == relation and conflicts(n.mode, mode)), None)
        who = sessions.get(pid) if pid else prepared.get(transaction)
        if need is None or who is None:
            continue
        passes = _passes(who, frozen)
        found.append(InTheWay(who, relation, mode, need.step, not granted, passes))
    return found


def _prepared(row: tuple[Any, ...]) -> Blocker:
    _, gid, owner, age = row
    name = "prepared transaction"
    return Blocker(0, name, owner, "prepared", age, gid=gid, backend_type="prepared")


def _passes(who: Blocker, frozen: bool) -> str:
    """Why a transaction need not be waited for; empty when it must be."""
    if who.backend_type == "autovacuum worker":
        if frozen or "to prevent wraparound" in who.query:
            return ""
        return "an autovacuum, which gives way by itself"
    if who.pid and who.age_s is not None and who.age_s < OLD_S:
        return "it has just begun"
    return ""


def _concurrent(conn: Connection, examined: Iterable[Examined]) -> list[InTheWay]:
    """Whom statements with CONCURRENTLY would wait for: old transactions and snapshots."""
    found = []
    own = {conn.info.backend_pid}
    for step in examined:
        if not step.statement.refuses_transaction.startswith("CONCURRENTLY"):
            continue
        tables = tables_of(conn, step.statement)
        relation = next((lock.relation for lock in step.facts.locks if not lock.index), "")
        for who in in_the_way(conn, step.statement, tables, own, OLD_S):
            found.append(InTheWay(who, relation, "", step.number))
    return found


def _horizons(conn: Connection) -> tuple[Horizon, ...]:
    return tuple(Horizon(*row) for row in conn.execute(HORIZONS).fetchall())


# -- who would wait ----------------------------------------------------------------------------


def _queries(conn: Connection, relations: set[str]) -> tuple[list[tuple[Query, str]] | None, str]:
    """The application's statements on these relations, each with the lock it takes; and whence."""
    counters = "the tables' counters of scans and of rows written"
    row = conn.execute(STATEMENTS_SCHEMA).fetchone()
    if row is None:
        return None, f"{counters} (pg_stat_statements is not installed)"
    query = TRAFFIC.format(schema=ident(row[0]), limit=STATEMENTS)
    try:
        with conn.transaction():
            rows = conn.execute(query.encode()).fetchall()
    except psycopg.Error as error:
        if lost(error):
            raise
        return None, f"{counters} (pg_stat_statements: {error.diag.message_primary or error})"
    hidden = sum(text == HIDDEN for text, _, _ in rows)
    if hidden and hidden * 2 > len(rows):
        return None, f"{counters} (pg_stat_statements hides other roles' queries)"
    tables = {relation.partition(".")[2].lower() for relation in relations}
    found = [
        (Query(text, relation, calls / max(since or 1.0, 1.0)), mode)
        for text, calls, since in rows
        if any(table in text.lower() for table in tables)  # reading them all takes its time
        for relation, mode in modes(text, relations).items()
    ]
    return found, "pg_stat_statements" + (f" ({hidden} queries are hidden)" if hidden else "")


def modes(text: str, relations: Iterable[str]) -> dict[str, str]:
    """The locks that a statement of an application takes on these relations (`schema.name`).

    A name without a schema may mean a relation of any. What the grammar cannot read takes none.
    """
    try:
        statement = read_one(text)
    except SqlError:
        return {}
    if statement.kind not in ("select", "insert", "update", "delete", "merge"):
        return {}
    read, changed = used(statement.node).tables, [place for place, _ in writes(statement.node)]
    locking = "FOR UPDATE" in text.upper() or "FOR SHARE" in text.upper()
    found = {}
    for relation in relations:
        schema, _, table = relation.partition(".")
        named = {(None, table), ("", table), (schema, table)}
        if named & set(changed):
            found[relation] = "RowExclusiveLock"
        elif named & set(read):
            found[relation] = "RowShareLock" if locking else "AccessShareLock"
    return found


def _traffic(locks: Iterable[Need], queries: Iterable[tuple[Query, str]]) -> tuple[Traffic, ...]:
    known = list(queries)
    found = []
    for need in _strongest(locks):
        waiting = [q for q, m in known if q.relation == need.relation and conflicts(need.mode, m)]
        per_s = sum(query.per_s for query in waiting)
        found.append(Traffic(need, per_s, _times(per_s, need.seconds), tuple(waiting)))
    return tuple(sorted(found, key=lambda each: -each.per_s))


def _by_counters(locks: Iterable[Need], examined: Iterable[Examined]) -> tuple[Traffic, ...]:
    """From how often the tables were read, and how many rows were written, per second."""
    figures = {name: f for step in examined for name, f in step.facts.figures.items()}
    found = []
    for need in _strongest(locks):
        of = figures.get(need.relation)
        if of is None or of.writes is None or of.reads is None:
            continue
        per_s = 0.0
        if conflicts(need.mode, "RowExclusiveLock"):
            per_s += of.writes
        if conflicts(need.mode, "AccessShareLock"):
            per_s += of.reads
        found.append(Traffic(need, per_s, _times(per_s, need.seconds)))
    return tuple(sorted(found, key=lambda each: -each.per_s))


def _strongest(locks: Iterable[Need]) -> list[Need]:
    """The strongest lock on each table that keeps readers or writers waiting."""
    best: dict[str, Need] = {}
    for need in locks:
        if need.index or not conflicts(need.mode, "RowExclusiveLock"):
            continue
        known = best.get(need.relation)
        if known is None or strength(need.mode) > strength(known.mode):
            best[need.relation] = need
    return list(best.values())


def _times(per_s: float, seconds: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if seconds is None else (per_s * seconds[0], per_s * seconds[1])


def _sum(ranges: Iterable[tuple[float, float] | None]) -> tuple[float, float] | None:
    low = high = 0.0
    for each in ranges:
        if each is None:
            return None
        low, high = low + each[0], high + each[1]
    return low, high


def as_dict(found: Impact) -> Mapping[str, Any]:
    """As JSON shows it."""
    return {
        "locks": [
            {"relation": n.relation, "mode": n.mode, "step": n.step, "seconds": n.seconds}
            for n in found.needs
        ],
        "in_the_way": [
            {
                "pid": each.who.pid or None, "prepared": each.who.gid or None,
                "application": each.who.application, "user": each.who.user,
                "state": each.who.state, "seconds": each.who.age_s, "query": each.who.query,
                "relation": each.relation, "mode": each.mode or None, "waits": each.waits,
                "step": each.step, "passes": each.passes or None,
            }
            for each in found.in_the_way
        ],
        "horizons": [
            {"kind": h.kind, "name": h.name, "active": h.active, "transactions": h.age}
            for h in found.horizons
        ],
        "traffic": [
            {
                "relation": t.need.relation, "mode": t.need.mode, "per_second": t.per_s,
                "queries_waiting": t.waiting,
                "queries": [{"sql": q.sql[:SHOWN], "per_second": q.per_s} for q in t.queries[:10]],
            }
            for t in found.traffic
        ],
        "traffic_from": found.source,
    }  # fmt: skip
