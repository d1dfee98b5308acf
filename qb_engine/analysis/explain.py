"""plans on the twin: an application's queries before and after a migration, and its own statements

Nothing is run but the migration's statements, on a copy of the twin with neither rows nor long
files; a second copy, as long as the target, is asked for each plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from qb_engine.analysis.workload import Look, Plan, PlanChange, look
from qb_engine.execution import Block, Executor, Policy, Step
from qb_engine.execution.failure import StepFailed
from qb_engine.migrations.filling import amounts_to
from qb_engine.shadow import Shadow
from qb_engine.shadow.twin import Assignment, Settled, constant, copied, imply, settled, stretched
from qb_engine.sql import Statement, deparse, ident, qualified, read_one
from qb_engine.sql.tree import only, pb, strings

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.migrations import LoadedMigration
    from qb_engine.migrations.declaration import Backfill
    from qb_engine.shadow.twin import Twin

Batches = Callable[["Connection"], Sequence[Statement]]
"""Composes the statements of a backfill's batch, for the database it is to run on."""

STATEMENT_S = 30.0  # on an empty copy nothing honest takes longer
POLICY = Policy(lock_timeout=10.0, statement_timeout=STATEMENT_S, stepped=True, going_on=True)
SESSION = "variable_set"  # what a session keeps, and the next one is told again

STATEMENTS_SCHEMA = """
SELECT n.nspname::text FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'
"""
TOP = """
SELECT s.query, sum(s.calls)::bigint, sum(s.total_exec_time)::float8
  FROM {schema}.pg_stat_statements s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
 WHERE d.datname = current_database() AND s.query IS NOT NULL
 GROUP BY s.queryid, s.query ORDER BY 3 DESC LIMIT %s
"""
COMPUTED = "what the backfill writes is computed by its transform: plans do not know of it"
NO_KEYS = "the backfill's batch is not planned: no statistics tell of its keys"
HIDDEN = "<insufficient privilege>"
NOT_THE_APPLICATIONS = ("pg_catalog", "information_schema", "qb")


@dataclass(frozen=True, slots=True)
class Top:
    """A query of pg_stat_statements: how often it ran, and how long in all (seconds)."""

    statement: Statement
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Own:
    """A statement of the migration itself, planned at its moment; `part` says which."""

    part: str
    plan: Plan


@dataclass(frozen=True)
class Explained:
    """Plans before and after a migration, the worst change first; `own` in the order they run.

    `assumed` says what was estimated on the way, `failed` which statements did not run there.
    """

    changes: tuple[PlanChange, ...] = ()
    own: tuple[Own, ...] = ()
    assumed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def plans(conn: Connection, statements: Sequence[Statement]) -> tuple[Plan, ...]:
    """The plans of statements where `conn` leads to, in a read-only transaction."""
    return look(conn, statements).plans


def on(twin: Twin, statements: Sequence[Statement]) -> tuple[Plan, ...]:
    """The plans of statements on a twin."""
    return _look(Shadow(twin.server, twin.dbname), statements).plans


def top_queries(conn: Connection, limit: int) -> tuple[tuple[Top, ...], str]:
    """The queries that took most time by pg_stat_statements, and why there are not more."""
    row = conn.execute(STATEMENTS_SCHEMA).fetchone()
    if row is None:
        return (), "pg_stat_statements is not installed in the target: give --workload FILE"
    query = TOP.format(schema=ident(row[0])).encode()
    try:
        with conn.transaction():
            rows = conn.execute(query, [limit * 5]).fetchall()
    except psycopg.Error as error:
        why = error.diag.message_primary or str(error)
        return (), f"pg_stat_statements cannot be read: {why}: give --workload FILE"
    hidden = sum(text == HIDDEN for text, _, _ in rows)
    found: list[Top] = []
    for text, calls, milliseconds in rows:
        statement = _query(text)
        if statement is not None and len(found) < limit:
            found.append(Top(statement, calls, milliseconds / 1000))
    said = ""
    if hidden:
        said = f"{hidden} queries of other roles are hidden from this one (pg_read_all_stats)"
    elif not found:
        said = "pg_stat_statements knows no query of an application yet"
    return tuple(found), said


def explain(
    twin: Twin,
    migration: LoadedMigration,
    queries: Sequence[Statement] = (),
    batches: Batches | None = None,
    *,
    on_step: Callable[[int], None] = lambda number: None,
) -> Explained:
    """Take a migration through a copy of the twin and plan queries before and after it.

    Its own statements are planned at the moment they would run, those of its backfill after all
    that runs before it.
    """
    before = _look(Shadow(twin.server, twin.dbname), queries)
    own: list[Own] = []
    with ExitStack() as stack:
        course = Course(twin, stack.enter_context(copied(twin.server, twin.base)))
        number = 0
        for part in migration.before_backfill():
            for group in _groups(part.up):
                number = course.go(group, part.file, number, own)
                on_step(number)
        if migration.backfill is not None and batches is not None:
            with course.view() as view:
                conn = view.connect()
                try:
                    found = plans(conn, batches(conn))
                finally:
                    conn.close()
            own += [Own("backfill", plan) for plan in found]
            if not found:
                course.assumed.append(NO_KEYS)
            course.fill(_filled(migration.backfill))
            if migration.backfill.transform:
                course.assumed.append(COMPUTED)
        for part in migration.after_backfill():
            for group in _groups(part.up):
                number = course.go(group, part.file, number, own)
                on_step(number)
        after = before
        if queries:
            with course.view() as view:
                after = _look(view, queries)
        changes = [PlanChange(old, new) for old, new in zip(before.plans, after.plans)]
        return Explained(
            tuple(sorted(changes, key=worst)),
            tuple(own),
            tuple(dict.fromkeys(course.assumed)),
            tuple(course.failed),
        )


def assignments(statement: Statement) -> tuple[Assignment, ...]:
    """What an UPDATE sets columns to: a constant, another column of the row, or a computation."""
    node = statement.node
    if not isinstance(node, pb.UpdateStmt):
        return ()
    table = qualified(node.relation.schemaname or None, node.relation.relname)
    found = []
    for target in map(only, node.target_list):
        value = only(target.val)
        while isinstance(value, pb.TypeCast):
            value = only(value.arg)
        if isinstance(value, pb.A_Const) and value.isnull:
            continue  # as a new column is, anyway
        if (text := constant(target.val)) is not None:
            found.append(Assignment(table, target.name, "constant", text))
        elif isinstance(value, pb.ColumnRef) and (names := strings(value.fields)):
            found.append(Assignment(table, target.name, "column", names[-1]))
        else:
            found.append(Assignment(table, target.name, "computed"))
    return tuple(found)


def _filled(declared: Backfill) -> tuple[Assignment, ...]:
    """What a backfill sets columns to; what a transform does is not known."""
    return assignments(read_one(amounts_to(declared)))


def worst(change: PlanChange) -> tuple[int, float]:
    """The order of changes: what fails now, what is dearer by most, what is cheaper, the rest."""
    rank = {"fails now": 0, "other plan": 1, "dearer": 1, "cheaper": 1, "same": 1}
    return rank.get(change.verdict, 2), -(change.ratio or 0.0)


class Course:
    """A migration's way through a copy of the twin, which may be planned on at any step."""

    def __init__(self, twin: Twin, dbname: str) -> None:
        self._twin = twin
        self._shadow = Shadow(twin.server, dbname)
        self._told: list[Statement] = []  # what each new session is told first
        self._emptied: set[int] = set()
        self.assumed: list[str] = []
        self.failed: list[str] = []

    def go(self, group: Sequence[Statement], part: str, number: int, own: list[Own]) -> int:
        """Plan a group's statements when they are queries, then run them; return the last number.

        A group is queries only, or none.
        """
        if group and _plannable(group[0]):
            with self.view() as view:
                asked = [_query_of(statement) for statement in group]
                own += [Own(part, plan) for plan in _look(view, asked).plans]
        return self.run(group, part, number)

    def run(self, statements: Sequence[Statement], part: str, number: int) -> int:
        """Run statements on the copy, each committed; go on after one that fails."""
        acting, watching = self._shadow.connect(), self._shadow.connect()
        admin = self._twin.server.connect(self._shadow.dbname)
        executor = Executor(acting, watching, POLICY, opener=self._shadow.connect)
        try:
            for statement in self._told:
                acting.execute(statement.sql.encode())
            for statement in statements:
                number += 1
                files = _files(admin) if statement.kind == "truncate" else {}
                outside = statement.refuses_transaction
                step = Step(number, statement, part, outside)
                try:
                    (seen,) = executor.run(Block(number, (step,), not outside))
                    error = seen.error
                except StepFailed as failed:
                    if acting.closed:
                        raise
                    error = failed.why
                if error:
                    self.failed.append(f"statement {number} did not run: {error}")
                    continue
                if files:
                    now = _files(admin)
                    self._emptied |= {oid for oid, file in files.items() if now.get(oid) != file}
                if statement.kind == SESSION:
                    self._told.append(statement)
                self.imply(admin, assignments(statement))
        finally:
            executor.close()
            for conn in (acting, watching, admin):
                conn.close()
        return number

    def fill(self, assigned: Sequence[Assignment]) -> None:
        """Have every row filled as said: a backfill's work, as far as statistics tell of it."""
        admin = self._twin.server.connect(self._shadow.dbname)
        try:
            self.imply(admin, assigned)
        finally:
            admin.close()

    def imply(self, admin: Connection, assigned: Sequence[Assignment]) -> None:
        self.assumed += [text for each in assigned if (text := imply(admin, each))]

    @contextmanager
    def view(self) -> Iterator[Shadow]:
        """What the copy is now, as long as on the target: a database to ask for plans."""
        done: Settled = settled(self._twin, self._shadow.dbname, frozenset(self._emptied))
        self.assumed += done.assumed
        with stretched(
            self._twin.server, self._shadow.dbname, done.lengths, self._twin.facts.settings
        ) as dbname:
            yield Shadow(self._twin.server, dbname)


def _groups(statements: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Statements in their order, those with a plan apart from the others."""
    group: list[Statement] = []
    for statement in statements:
        if group and _plannable(group[0]) != _plannable(statement):
            yield group
            group = []
        group.append(statement)
    if group:
        yield group


def _plannable(statement: Statement) -> bool:
    return statement.is_dml or statement.has_plan


def _query_of(statement: Statement) -> Statement:
    """What is planned of a statement: of a table or view that is made from a query, that one."""
    if not statement.has_plan:
        return statement
    inner = only(statement.node.query)
    if not isinstance(inner, pb.SelectStmt):
        return statement
    return read_one(deparse(inner), statement.source)


def _look(shadow: Shadow, statements: Sequence[Statement]) -> Look:
    if not statements:
        return Look()
    conn = shadow.connect()
    try:
        return look(conn, statements)
    finally:
        conn.close()


def _files(conn: Connection) -> dict[int, int]:
    rows = conn.execute(
        "SELECT oid, pg_catalog.pg_relation_filenode(oid) FROM pg_catalog.pg_class"
        " WHERE relkind IN ('r', 'm') AND oid >= 16384"
    ).fetchall()
    return {int(oid): int(file or 0) for oid, file in rows}


def _query(text: str) -> Statement | None:
    """A query of an application; None for what has no plan or asks only the server itself."""
    from qb_engine.sql import SqlError

    try:
        statement = read_one(text)
    except SqlError:
        return None
    names = statement.relations
    if not statement.is_dml or not names:
        return None
    own = all(s in NOT_THE_APPLICATIONS or (not s and n.startswith("pg_")) for s, n in names)
    return None if own else statement
