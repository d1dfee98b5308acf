"""the queries of an application before and after a migration: their plans, and the indexes' use

A workload is a file of queries, with $1 for what changes from one to the next. Nothing of it is
run: the server plans it, in a read-only transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.database.connect import lost
from qb_engine.errors import InputError
from qb_engine.execution.explain import explained
from qb_engine.report import Node
from qb_engine.sql import Source, Statement, qualified, read

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

DEARER = 1.2  # a plan whose cost grew by this factor is worth a look, though it is the same plan

# Planning takes no longer than this, whoever holds the tables; parameters are planned as unknown.
LIMITS = """
SET LOCAL transaction_read_only = on; SET LOCAL lock_timeout = '1s';
SET LOCAL statement_timeout = '10s'; SET LOCAL plan_cache_mode = force_generic_plan
"""
PREPARED = """
SELECT cardinality(p.parameter_types) FROM pg_catalog.pg_prepared_statements p
 WHERE p.name = 'qb_workload'
"""

# the indexes of the tables that are named (or of the tables of the indexes that are)
INDEXES = """
SELECT DISTINCT i.indexrelid::bigint, n.nspname::text, c.relname::text, tn.nspname::text,
       t.relname::text, pg_catalog.pg_stat_get_numscans(i.indexrelid),
       pg_catalog.pg_relation_size(i.indexrelid), i.indisvalid
  FROM unnest(%s::text[]) AS named(name)
  JOIN pg_catalog.pg_class r ON r.oid = to_regclass(named.name)
  LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = r.oid
  JOIN pg_catalog.pg_index i ON i.indrelid = coalesce(x.indrelid, r.oid)
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
 WHERE c.relkind = 'i'
 ORDER BY 4, 5, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the server would run a query now: the cost it expects, and its nodes from the top.

    `error` says why it has no plan.
    """

    statement: Statement
    cost: float = 0.0
    nodes: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    tree: Node | None = None
    error: str = ""
    rows: float = 0.0  # that the server expects the query to return or to write


@dataclass(frozen=True, slots=True)
class IndexUse:
    """An index, and how often it was used since the server's counters began."""

    oid: int
    name: str
    table: str
    scans: int
    bytes: int
    valid: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """A workload at one moment."""

    plans: tuple[Plan, ...] = ()
    indexes: tuple[IndexUse, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A query's plan before and after."""

    before: Plan
    after: Plan

    @property
    def ratio(self) -> float | None:
        """The cost afterwards by the cost before; None where one is not known."""
        if self.before.error or self.after.error or not self.before.cost:
            return None
        return self.after.cost / self.before.cost

    @property
    def verdict(self) -> str:
        """`fails now`, `works now`, `fails`, `other plan`, `dearer`, `cheaper` or `same`."""
        if self.before.error or self.after.error:
            if self.before.error and self.after.error:
                return "fails"
            return "fails now" if self.after.error else "works now"
        if self.before.nodes != self.after.nodes:
            return "other plan"
        ratio = self.ratio or 1.0
        return "dearer" if ratio > DEARER else "cheaper" if ratio < 1 / DEARER else "same"

    @property
    def gone(self) -> tuple[str, ...]:
        """Nodes of the plan before that the plan after does not have."""
        return tuple(node for node in self.before.nodes if node not in self.after.nodes)

    @property
    def come(self) -> tuple[str, ...]:
        """Nodes that only the plan after has."""
        return tuple(node for node in self.after.nodes if node not in self.before.nodes)


@dataclass(frozen=True, slots=True)
class IndexChange:
    """An index before and after: `new`, `dropped`, `rebuilt` under its name, or `kept`."""

    before: IndexUse | None
    after: IndexUse | None

    @property
    def use(self) -> IndexUse:
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def state(self) -> str:
        if self.before is None or self.after is None:
            return "new" if self.before is None else "dropped"
        return "kept" if self.before.oid == self.after.oid else "rebuilt"


@dataclass(frozen=True, slots=True)
class Compared:
    """A workload before and after."""

    plans: tuple[PlanChange, ...] = ()
    indexes: tuple[IndexChange, ...] = ()

    @property
    def broken(self) -> tuple[PlanChange, ...]:
        """Queries that could be planned before and cannot any more."""
        return tuple(change for change in self.plans if change.verdict == "fails now")


def load(path: Path) -> tuple[Statement, ...]:
    """The queries of a workload file. Raise InputError when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "the workload cannot be read",
            where=str(path),
            why=str(error),
            todo="name a file of queries, saved as UTF-8",
            code="broken-file",
        ) from None
    return read(text, Source(str(path)))


def look(conn: Connection, statements: Sequence[Statement], tables: Iterable[str] = ()) -> Look:
    """The plans of a workload, and the use of the indexes of its tables and of these (as SQL text).

    Inside a transaction it sees what that has changed; it changes nothing itself.
    """
    names = {qualified(s or None, n) for each in statements for s, n in each.relations}
    with conn.transaction(force_rollback=True):
        conn.execute(LIMITS)
        plans = _plans(conn, statements)
        found = conn.execute(INDEXES, [sorted(names | set(tables))]).fetchall()
    indexes = tuple(
        IndexUse(oid, f"{schema}.{name}", f"{of}.{table}", scans, size, valid)
        for oid, schema, name, of, table, scans, size, valid in found
    )
    return Look(plans, indexes)


def compare(before: Look, after: Look) -> Compared:
    """What is different afterwards; the plans in the workload's order, the indexes by name."""
    was = {use.name: use for use in before.indexes}
    now = {use.name: use for use in after.indexes}
    oids = {use.oid: use.name for use in after.indexes}
    renamed = {name: oids[use.oid] for name, use in was.items() if use.oid in oids}
    changes = [IndexChange(use, now.get(renamed.get(name, name))) for name, use in was.items()]
    known = {change.after.name for change in changes if change.after}
    changes += [IndexChange(None, use) for name, use in now.items() if name not in known]
    return Compared(
        tuple(PlanChange(old, new) for old, new in zip(before.plans, after.plans)),
        tuple(sorted(changes, key=lambda change: (change.use.table, change.use.name))),
    )


class Workload:
    """The queries that are planned before and after, and the tables whose indexes count besides."""

    def __init__(self, queries: Sequence[Statement], tables: Iterable[str] = ()) -> None:
        self._queries = tuple(queries)
        self._tables = tuple(tables)
        self._before: Look | None = None

    def before(self, conn: Connection) -> None:
        """Remember how things are."""
        self._before = look(conn, self._queries, self._tables)

    def after(self, conn: Connection) -> Compared | None:
        """What is different now; None when nobody looked before."""
        if self._before is None:
            return None
        return compare(self._before, look(conn, self._queries, self._tables))


def _plans(conn: Connection, statements: Sequence[Statement]) -> tuple[Plan, ...]:
    """All plans; once one does not come in time, the others are not waited for."""
    found: list[Plan] = []
    late = ""
    for statement in statements:
        if late:
            found.append(Plan(statement, error=late))
            continue
        try:
            found.append(_plan(conn, statement))
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
            found.append(Plan(statement, error=error.diag.message_primary or str(error)))
            late = "not planned: a query before it had no plan in time"
    return tuple(found)


def _plan(conn: Connection, statement: Statement) -> Plan:
    if not statement.is_dml:
        return Plan(statement, error="not a query: it has no plan")
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(b"PREPARE qb_workload AS " + statement.sql.encode())
            row = conn.execute(PREPARED).fetchone()
            values = ", ".join(["NULL"] * int(row[0] if row else 0))
            execute = f"EXECUTE qb_workload ({values})" if values else "EXECUTE qb_workload"
            row = conn.execute(f"EXPLAIN (FORMAT JSON, VERBOSE) {execute}".encode()).fetchone()
            assert row is not None
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        raise
    except psycopg.Error as error:
        if lost(error):
            raise
        return Plan(statement, error=error.diag.message_primary or str(error))
    finally:
        if not conn.closed and conn.execute(PREPARED).fetchone():
            conn.execute("DEALLOCATE qb_workload")  # a rollback does not
    top = row[0][0]["Plan"]
    nodes = tuple(_nodes(top))
    indexes = tuple(dict.fromkeys(_indexes(top)))
    return Plan(
        statement,
        float(top["Total Cost"]),
        nodes,
        indexes,
        explained(row[0], ran=False).tree,
        rows=_rows(top),
    )


def _rows(top: dict[str, Any]) -> float:
    """What a query returns or writes: a ModifyTable without RETURNING itself returns nothing."""
    if top["Node Type"] == "ModifyTable" and top.get("Plans"):
        return float(top["Plans"][0]["Plan Rows"])
    return float(top["Plan Rows"])


def _nodes(plan: dict[str, Any]) -> Iterator[str]:
    """A plan from the top, each node as its kind and what it reads."""
    label = plan["Node Type"] if plan["Node Type"] != "ModifyTable" else plan["Operation"]
    if "Join Type" in plan and plan["Join Type"] != "Inner":
        label += f" {plan['Join Type']}"
    if "Relation Name" in plan:
        label += f" on {plan.get('Schema', '')}.{plan['Relation Name']}"
    if "Index Name" in plan:
        label += f" using {plan['Index Name']}"
    yield label
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _indexes(plan: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    for child in plan.get("Plans", ()):
        yield from _indexes(child)
