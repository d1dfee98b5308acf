"""what a backfill would make of a few rows: before and after, and nothing of it stays"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from qb_engine.backfill import kinds
from qb_engine.backfill.before import checks
from qb_engine.backfill.limits import limit
from qb_engine.backfill.spec import Spec, describe
from qb_engine.backfill.walk import statements
from qb_engine.errors import StatementError
from qb_engine.migrations.filling import Kind

if TYPE_CHECKING:
    from qb_engine.migrations import LoadedMigration
    from qb_engine.migrations.declaration import Backfill

LOCK_MS = 2_000
STATEMENT_MS = 30_000
LARGEST = 2_000  # rows that a statement is tried on until it has changed enough of them

Connection = psycopg.Connection[Any]
Texts = dict[str, str | None]
"""The columns of a row, as the server writes their values."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row by its key: what was in it, and what would be; None where it is not there."""

    key: tuple[str, ...]
    before: Texts | None
    after: Texts | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that differ; all of them in a row that goes."""
        old, new = self.before or {}, self.after or {}
        return tuple(name for name in (old or new) if old.get(name) != new.get(name))


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of rows. `written` are rows that a statement writes elsewhere.

    `tried` is how many rows were looked at for them.
    """

    migration: str
    kind: Kind
    table: str
    key: tuple[str, ...]
    changes: tuple[Change, ...]
    shown: tuple[str, ...]
    written: tuple[Texts, ...] = ()
    tried: int = 0
    notes: tuple[str, ...] = ()


def preview(conn: Connection, migration: LoadedMigration, rows: int = 10) -> Preview:
    """Show what a backfill would make of the first `rows` rows that need it.

    It need not be started, only its columns be there. Raise InputError when it does not fit the
    table, StatementError for what the server says about the rows, TransformFailed.
    """
    spec = describe(conn, migration)
    assert migration.backfill is not None  # describe has seen to it
    checks.sound(conn, spec)
    with _told(spec):
        if spec.kind == "set":
            return _set(conn, spec, rows)
        if spec.kind == "sql":
            return _sql(conn, spec, rows)
        return _transform(conn, spec, rows, migration.backfill)


def _set(conn: Connection, spec: Spec, rows: int) -> Preview:
    """Read the rows, and the expressions over them: nothing is written or locked."""
    names = [column.name for column in spec.set]
    values: list[sql.Composable] = []
    for column in spec.set:
        values += [
            sql.SQL("{}::text").format(sql.Identifier(column.name)),
            sql.SQL("{}::{}::text").format(statements.expression(column.sql), sql.SQL(column.type)),
        ]
    query = sql.SQL("SELECT {}, {} FROM {} WHERE {} LIMIT {}").format(
        statements.key_text(spec),
        sql.SQL(", ").join(values),
        statements.table(spec),
        _needing(spec),
        sql.Literal(rows),
    )
    with _undone(conn, read_only=True):
        found = conn.execute(query).fetchall()
    changes = [
        Change(tuple(key), dict(zip(names, given[::2])), dict(zip(names, given[1::2])))
        for key, *given in found
    ]
    return _preview(spec, changes, names, len(found))


def _sql(conn: Connection, spec: Spec, rows: int) -> Preview:
    """Run the statement on few rows, on more where it leaves these as they are; undo it."""
    from qb_engine.backfill.kinds import statement

    own = statement.read(spec)
    elsewhere = not own.writes or (spec.by_place and own.verb == "update")
    keys = _keys(conn, spec, LARGEST)
    size = rows
    while True:
        only = replace(spec, only=tuple(keys[:size]))
        written: list[Texts] = []

        def run(one: Spec = only, into: list[Texts] = written) -> None:
            if elsewhere:
                into += _returned(conn, statement.returning(one))
            else:
                kinds.of(one).write(conn, one, None, None, late=False, prepared=None)

        changes = [each for each in _around(conn, only, run) if each.columns]
        if max(len(changes), len(written)) >= rows or size >= len(keys):
            break
        size *= 20
    if spec.by_place:
        changes = []  # a row that is written has another place, so it is not found again
    notes = ["it was run and rolled back: its triggers fired, its sequences went on"]
    if written:
        notes.append(
            f"rows as the {own.verb.upper()} leaves them"
            + ("" if own.verb == "insert" else "; what they were before it is not known")
        )
    made = _preview(spec, changes[:rows], (), min(size, len(keys)), *notes)
    return replace(made, written=tuple(written[:rows]))


def _transform(conn: Connection, spec: Spec, rows: int, code: Backfill) -> Preview:
    """Have the rows transformed, write them, and undo it."""
    checks.sendable(conn, spec)
    keys = _keys(conn, spec, rows)
    if not keys:
        return _preview(spec, [], (), 0)
    # another checksum makes another idempotency key: a trial is not taken for the real thing
    one = replace(spec, only=tuple(keys), checksum=uuid.uuid4().hex)
    kind = kinds.of(one)

    def write(prepared: Any) -> list[Change]:
        def run() -> None:
            kind.write(conn, one, None, None, late=False, prepared=prepared)

        return _around(conn, one, run)

    changes = kind.patiently(conn, one, None, None, code, write)
    note = f"transform was called with {len(keys)} rows: what it does elsewhere was done"
    return _preview(spec, changes, (), len(keys), note)


# -- parts -----------------------------------------------------------------------------------------


def _preview(
    spec: Spec, changes: Sequence[Change], shown: Sequence[str], tried: int, *notes: str
) -> Preview:
    key = tuple(column.name for column in spec.key)
    names = shown or list(
        dict.fromkeys(name for each in changes for name in each.columns if name not in key)
    )
    return Preview(
        spec.id,
        spec.kind,
        f"{spec.schema}.{spec.table}",
        key,
        tuple(changes),
        tuple(names),
        tried=tried,
        notes=(*notes, *([spec.unseen] if spec.unseen else [])),
    )


def _needing(spec: Spec) -> sql.Composable:
    return statements.expression(spec.where) if spec.where else sql.SQL("true")


def _keys(conn: Connection, spec: Spec, count: int) -> list[tuple[str, ...]]:
    """The keys of some rows that need it."""
    query = sql.SQL("SELECT {} FROM {} WHERE {} LIMIT {}").format(
        statements.key_text(spec), statements.table(spec), _needing(spec), sql.Literal(count)
    )
    with _undone(conn, read_only=True):
        return [tuple(key) for (key,) in conn.execute(query)]


def _around(conn: Connection, one: Spec, run: Callable[[], None]) -> list[Change]:
    """The rows of some keys before and after something that is undone."""
    if not one.only:
        return []
    with _undone(conn):
        before = _texts(conn, one)
        run()
        after = _texts(conn, one)
    return [Change(key, row, after.get(key)) for key, row in before.items()]


def _texts(conn: Connection, one: Spec) -> dict[tuple[str, ...], Texts]:
    query = sql.SQL(
        "SELECT {}, (SELECT json_object_agg(key, value) FROM json_each_text(to_json(qb_row)))"
        " FROM {} AS qb_row WHERE {}"
    ).format(statements.key_text(one), statements.table(one), statements.within(one, None, None))
    found: dict[tuple[str, ...], Texts] = {tuple(key): row for key, row in conn.execute(query)}
    return {key: found[key] for key in one.only if key in found}


def _returned(conn: Connection, text: str) -> list[Texts]:
    done = conn.execute(sql.Composed([sql.SQL(text)]))
    names = [column.name for column in done.description or ()]
    return [
        {name: None if value is None else str(value) for name, value in zip(names, row)}
        for row in done
    ]


@contextmanager
def _undone(conn: Connection, *, read_only: bool = False) -> Iterator[None]:
    """A transaction that waits for no lock for long, and is rolled back."""
    with conn.transaction(force_rollback=True):
        if read_only:
            conn.execute("SET TRANSACTION READ ONLY")
        limit(conn, LOCK_MS, STATEMENT_MS)
        yield


@contextmanager
def _told(spec: Spec) -> Iterator[None]:
    """Say what the server refused about the rows."""
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        detail = error.diag.message_detail
        raise StatementError(
            f"the preview of the backfill of {spec.id} failed",
            sqlstate=error.sqlstate,
            where=f"{spec.kind} in backfill.py",
            why=(error.diag.message_primary or str(error)) + (f" ({detail})" if detail else ""),
            todo="mend it in backfill.py, or the row; or see that nobody holds it",
        ) from None
