"""how long statements will take: their work, times what this kind of work was measured to take"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.analysis.facts import Examined, Facts, Figures, WorkKind
from qb_engine.analysis.figures import LIMITS, figures
from qb_engine.sql import SqlError, read_one

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

CHANGE = "changes"  # rows that an UPDATE, INSERT or DELETE writes
NO_WORK_S = 0.05  # a statement that changes only the catalog takes less
CONCURRENTLY = 2.5  # a concurrent build reads the table twice, and waits for those at work
FEW_ROWS = 1_000  # a step that changed fewer says nothing of a rate
LITTLE_WAL = 8 * 1024 * 1024  # an ALTER TABLE that wrote less has not rewritten a table
SHORT_S = 0.05  # a step that took less says nothing of a rate

HISTORY = """
SELECT s.sql, s.seconds, s.rows, s.wal_bytes
  FROM qb.step s
 WHERE s.status = 'done' AND s.seconds >= %s
 ORDER BY s.started_at DESC LIMIT 300
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast one kind of work goes; None where only the other was measured.

    An estimate made from it lies between `low` and `high` times what it says.
    """

    rows_per_s: float | None = None
    bytes_per_s: float | None = None
    low: float = 1.0
    high: float = 1.0

    def seconds(self, rows: float | None, size: float | None) -> tuple[float, float] | None:
        """From the sooner to the later of what rows and bytes say; None when neither is known."""
        found = [
            amount / rate
            for amount, rate in ((rows, self.rows_per_s), (size, self.bytes_per_s))
            if amount is not None and rate
        ]
        return (min(found) * self.low, max(found) * self.high) if found else None


@dataclass(frozen=True)
class Rates:
    """The rate of each kind of work, by the kind's name; `origin` says where each was measured."""

    by_kind: Mapping[str, Rate] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)

    def over(self, other: Rates) -> Rates:
        """These rates, and of the other ones those of kinds that are not among them."""
        return Rates({**other.by_kind, **self.by_kind}, {**other.origin, **self.origin})


def estimate(step: Examined, rates: Rates) -> tuple[float, float] | None:
    """How long a step will take, in seconds, as (low, high); None where too little is known.

    Waiting for locks is not in it.
    """
    facts = step.facts
    low, high = 0.0, NO_WORK_S
    factor = CONCURRENTLY if facts.refuses_transaction else 1.0
    for work in facts.work:
        if work.kind is WorkKind.PROVED:
            continue
        of = facts.figures.get(work.relation)
        rate = rates.by_kind.get(str(work.kind))
        if of is None or rate is None:
            return None
        size = _rewritten(facts, work.relation, of) if work.kind is WorkKind.REWRITE else (
            of.table_bytes if of.table_bytes is not None else of.bytes
        )  # fmt: skip
        found = rate.seconds(of.rows, size)
        if found is None:
            return None
        low, high = low + found[0], high + found[1] * factor
    changed = _changed(step)
    if changed is not None:
        rate = rates.by_kind.get(CHANGE)
        if rate is None:
            return None
        few = rate.seconds(changed[0], None)
        many = rate.seconds(changed[1], None)
        if few is None or many is None:
            return None
        low, high = low + few[0], high + many[1]
    return low, high


def with_seconds(examined: Iterable[Examined], rates: Rates) -> tuple[Examined, ...]:
    """The same steps, each with the estimate of its seconds."""
    return tuple(
        replace(step, facts=replace(step.facts, seconds=estimate(step, rates))) for step in examined
    )


def _rewritten(facts: Facts, relation: str, of: Figures) -> float | None:
    """The bytes of a table and its TOAST, without the indexes: these are work of their own."""
    if of.bytes is None:
        return of.table_bytes
    indexes = {w.index for w in facts.works(WorkKind.REBUILD) if w.relation == relation}
    known = [facts.figures[name].bytes or 0 for name in indexes if name in facts.figures]
    return max(of.bytes - sum(known), of.table_bytes or 0)


def _changed(step: Examined) -> tuple[float, float] | None:
    """How many rows a data change writes, as (fewest, most); None for other statements."""
    if step.statement.kind not in ("insert", "update", "delete", "merge"):
        return None
    if step.facts.rows is not None:
        return step.facts.rows, step.facts.rows
    known = [f.rows for f in step.facts.figures.values() if f.rows and f.kind != "index"]
    return 0.0, max(known, default=0.0)


# -- what the target's own history says --------------------------------------------------------


def history(conn: Connection) -> Rates:
    """Rates of what ran on this target lately, from its ledger; none when there is none.

    The ledger keeps seconds, rows and the log's growth of each step: rows tell how fast data
    changes went, the log how fast tables were rewritten, today's sizes how fast indexes were built.
    """
    try:
        with conn.transaction():
            conn.execute(LIMITS.format(statement="5s"))
            row = conn.execute("SELECT pg_catalog.to_regclass('qb.step') IS NOT NULL").fetchone()
            if not (row and row[0]):
                return Rates()
            steps = conn.execute(HISTORY, [SHORT_S]).fetchall()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable):
        return Rates()  # a role that may not read the ledger has no history
    tables = {name for sql, *_ in steps for name in _indexed(sql)}
    return rates_of(steps, figures(conn, tables))


def rates_of(steps: Iterable[tuple[Any, ...]], sizes: Mapping[str, Figures]) -> Rates:
    """Rates from steps, each (sql, seconds, rows, bytes of WAL); pure."""
    rows: dict[str, list[float]] = {}
    sized: dict[str, list[float]] = {}
    for sql, seconds, count, wal in steps:
        kind = _kind(sql)
        if kind in ("update", "insert", "delete") and (count or 0) >= FEW_ROWS:
            rows.setdefault(CHANGE, []).append(count / seconds)
        elif kind == "alter_table" and (wal or 0) >= LITTLE_WAL:
            sized.setdefault(str(WorkKind.REWRITE), []).append(wal / seconds)
        elif kind == "index":
            for name in _indexed(sql):
                of = sizes.get(name)
                if of is not None and of.table_bytes and of.table_bytes >= LITTLE_WAL:
                    sized.setdefault(str(WorkKind.BUILD), []).append(of.table_bytes / seconds)
    found: dict[str, Rate] = {}
    for kind, measured in rows.items():
        found[kind] = Rate(rows_per_s=median(measured), **_spread(measured))
    for kind, measured in sized.items():
        found[kind] = Rate(bytes_per_s=median(measured), **_spread(measured))
    if build := found.get(str(WorkKind.BUILD)):
        found[str(WorkKind.REBUILD)] = build
    return Rates(found, dict.fromkeys(found, "this target's history"))


def _spread(measured: list[float]) -> dict[str, float]:
    """How far single measurements lay from their median, and no less than half and twice."""
    middle = median(measured)
    return {"low": min(middle / max(measured), 0.5), "high": max(middle / min(measured), 2.0)}


def _kind(sql: str) -> str:
    statement = _read(sql)
    return statement.kind if statement else "unknown"


def _indexed(sql: str) -> tuple[str, ...]:
    """The table of a CREATE INDEX, as `schema.name`."""
    statement = _read(sql)
    if statement is None or statement.kind != "index":
        return ()
    return tuple(f"{schema or 'public'}.{name}" for schema, name in statement.relations[:1])


def _read(sql: str) -> Statement | None:
    try:
        return read_one(sql)
    except SqlError:  # of a grammar that is newer than ours
        return None
