"""rows as a DataFrame through the user's Python: read, computed with nothing locked, written back

A row is written only in the version that was read (its place and transaction): one that somebody
else changed meanwhile is read and transformed again, so that a stale result overwrites nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from qb_engine.backfill.frames.columns import Column, columns
from qb_engine.backfill.frames.copying import binary
from qb_engine.backfill.frames.failed import TransformFailed, place
from qb_engine.backfill.frames.reading import Rows, Unreadable, Version, query, read
from qb_engine.backfill.frames.result import Field, Result, marks, matched
from qb_engine.backfill.kinds.kind import Kind, Wrote
from qb_engine.backfill.walk import statements

if TYPE_CHECKING:
    import pandas as pd

    from qb_engine.backfill.kinds.kind import Connection
    from qb_engine.backfill.spec import Spec
    from qb_engine.backfill.walk.statements import Key
    from qb_engine.migrations.declaration import Backfill

__all__ = ["KIND", "Transform", "TransformFailed"]

RUN = """
SELECT concat_ws(' ', current_database(), (SELECT extract(epoch FROM started_at)
    FROM qb.backfill WHERE id = %s))
"""

STAYS = Column("", "boolean", "boolean", "bool")
UNLOCKED = 2  # times that changed rows are transformed again before the range is locked for it


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows that were read and transformed. `result` is of some of them, `ms` what it took."""

    seen: int
    versions: list[Version]
    result: Result
    table: dict[str, Column]
    code: Backfill
    run: str
    ms: float = 0.0

    @property
    def only(self) -> set[Version]:
        """The versions of the rows that are to be written."""
        return {self.versions[place] for place in self.result.places}

    def without(self, fresh: set[Version]) -> Prepared:
        """The same, of the rows only that are still what they were."""
        keep = [i for i, place in enumerate(self.result.places) if self.versions[place] in fresh]
        return replace(self, result=self.result.of(keep))


class Transform(Kind):
    """`transform`, given the `columns` of the rows for which `where` holds."""

    prepares = True

    def queries(self, spec: Spec) -> list[tuple[str, sql.Composed]]:
        text = sql.SQL("SELECT {} FROM {}{}").format(
            sql.SQL(", ").join(map(sql.Identifier, spec.reads)),
            statements.named(spec),
            sql.SQL(" WHERE ") + statements.expression(spec.where) if spec.where else sql.SQL(""),
        )
        return [("columns or where", text)]

    def plan(self, spec: Spec, lo: Key, hi: Key) -> sql.Composed:
        named = [Column(name, "", "", "text") for name in spec.reads]
        return query(spec, lo, hi, named)

    def prepare(
        self,
        conn: Connection,
        spec: Spec,
        lo: Key,
        hi: Key,
        code: Backfill | None,
        *,
        late: bool = False,
    ) -> Prepared:
        if code is None:
            raise TransformFailed(
                f"the backfill of {spec.id} needs its Python",
                why="its rows are computed by transform in backfill.py, which is not here",
                todo="run the worker in the project's folder: qb worker",
                fault="code",
            )
        started = time.monotonic()
        rows, table = rows_of(conn, spec, lo, hi)
        done = transformed(spec, lo, hi, code, rows, table, run=_run(conn, spec), again=late)
        return replace(done, ms=(time.monotonic() - started) * 1000)

    def write(
        self, conn: Connection, spec: Spec, lo: Key, hi: Key, *, late: bool, prepared: Prepared
    ) -> Wrote:
        seen = None if spec.where else prepared.seen
        if not prepared.result.fields or not prepared.result.places:
            return Wrote(0, 0, seen)
        parts = [prepared]
        if not late:
            with _savepoint(conn) as undo:
                rows, again = _written(conn, spec, lo, hi, prepared, 0, late=False)
                if rows == len(prepared.result.places):
                    return Wrote(rows, again, seen)
                undo()
        for attempt in range(UNLOCKED + 2):
            with _savepoint(conn) as undo:
                known: set[Version] = set()
                fresh = []
                for number, part in enumerate(parts):
                    held = _held(conn, spec, lo, hi, part, number)
                    fresh.append(part.without(held))
                    known |= (set(part.versions) - part.only) | held
                if all(len(f.only) == len(p.only) for f, p in zip(fresh, parts)):
                    done = [
                        _written(conn, spec, lo, hi, part, number, late=late, loaded=True)
                        for number, part in enumerate(parts)
                    ]
                    return Wrote(sum(d[0] for d in done), sum(d[1] for d in done), seen)
                undo()
            lock = attempt >= UNLOCKED
            more = _changed(conn, spec, lo, hi, prepared, known, lock=lock)
            parts = [*(part for part in fresh if part.only), *([more] if more else [])]
        raise psycopg.errors.SerializationFailure("rows changed faster than they were transformed")


def rows_of(
    conn: Connection, spec: Spec, lo: Key, hi: Key, *, lock: bool = False
) -> tuple[Rows, dict[str, Column]]:
    """Read the rows of a range, with the columns of the table as they are now."""
    table = columns(conn, spec)
    try:
        wanted = [table[name] for name in spec.reads if name in table]
        return read(conn, spec, lo, hi, wanted, lock=lock), table
    except Unreadable as error:
        raise TransformFailed(
            "a row has a value that Python has none for",
            where=_range(spec, lo, hi),
            why=str(error),
            todo="leave its column out: columns = [...]",
            fault="data",
        ) from None


def _run(conn: Connection, spec: Spec) -> str:
    """What tells a backfill that was started from one before it, and from those elsewhere."""
    if not conn.execute("SELECT to_regclass('qb.backfill') IS NOT NULL").fetchall()[0][0]:
        return uuid.uuid4().hex
    return str(conn.execute(RUN, [spec.id]).fetchall()[0][0])


def transformed(
    spec: Spec,
    lo: Key,
    hi: Key,
    code: Backfill,
    rows: Rows,
    table: dict[str, Column],
    *,
    run: str = "",
    again: bool = False,
) -> Prepared:
    """Have the user's code transform rows; `again` when others of the range were before."""
    key = [column.name for column in spec.key]
    transform: Callable[..., Any] = code.transform
    frame = rows.frame.copy()
    frame.attrs = {
        "idempotency_key": idempotency_key(spec, lo, hi, run, rows.versions if again else ()),
        "lo": None if lo is None else tuple(lo),
        "hi": None if hi is None else tuple(hi),
        "migration": spec.id,
    }
    if not len(frame):
        return Prepared(0, [], Result((), []), table, code, run)

    def where() -> str:
        return f"{place(transform)}, {_range(spec, lo, hi)}"

    marked = marks(rows.frame, table)
    returned = _called(transform, frame, spec, lo, hi)
    name = f"{spec.schema}.{spec.table}"
    result = matched(returned, rows.frame, marked, key, table, name, where)
    return Prepared(len(rows.versions), rows.versions, result, table, code, run)


def idempotency_key(
    spec: Spec, lo: Key, hi: Key, run: str = "", rows: Sequence[Version] = ()
) -> str:
    """The same for the same range however often it is tried; another for other `rows` of it.

    Rows that came late, or changed while their batch was computed, are given in a range that was
    given before: their versions tell these calls apart. `run` tells a rehearsal from the real one.
    """
    parts = [spec.id, spec.checksum, run, spec.schema, spec.table, lo, hi, spec.only, sorted(rows)]
    text = repr([list(p) if isinstance(p, tuple | list) else p for p in parts])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# -- calling ---------------------------------------------------------------------------------------


def _called(
    transform: Callable[..., Any], frame: pd.DataFrame, spec: Spec, lo: Key, hi: Key
) -> object:
    try:
        returned = transform(frame)
        return _awaited(returned) if inspect.isawaitable(returned) else returned
    except (Exception, SystemExit) as error:
        away = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        raise TransformFailed(
            f"transform raised {type(error).__name__}",
            where=f"{place(transform, error)}, {_range(spec, lo, hi)}",
            why=str(error),
            todo="it is tried again; if it goes on, look at what transform talks to"
            if away
            else "mend the line that is named, or the row; look at the rows first: "
            "qb backfill preview",
            fault="transient" if away else "data",
            cause=error,
        ) from error


def _awaited(coroutine: Any) -> object:
    """The result of a coroutine, on a loop of its own, whatever this thread's loop does."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def wait() -> object:
        found: object = await coroutine
        return found

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()


def _range(spec: Spec, lo: Key, hi: Key) -> str:
    """A range of rows in words."""
    name = f"{spec.schema}.{spec.table}"
    if spec.only:
        return f"row {', '.join(spec.only[0])} of {name}"
    ends = [
        f"{word} {', '.join(bound)}"
        for word, bound in (("after", lo), ("up to", hi))
        if bound is not None
    ]
    return f"rows of {name} {' '.join(ends)}" if ends else f"all rows of {name}"


# -- writing ---------------------------------------------------------------------------------------


@contextmanager
def _savepoint(conn: Connection) -> Iterator[Callable[[], None]]:
    """A part of the open transaction that is undone, its locks with it, when that is called for."""
    undone = []
    with conn.transaction() as transaction:
        yield lambda: undone.append(True)
        if undone:
            raise psycopg.Rollback(transaction)


def _sent(result: Result) -> list[tuple[str, Column, list[Any]]]:
    """The columns of the table that results travel in: values, and which of them stay."""
    found: list[tuple[str, Column, list[Any]]] = []
    for i, field in enumerate(result.fields):
        found.append((f"qb_{i}", field.column, field.values))
        if field.same is not None:
            found.append((f"qb_{i}_same", STAYS, field.same))
    return found


def _value(spec: Spec, field: Field, number: int) -> sql.Composable:
    """What a column is set to."""
    value = field.column.written(sql.Identifier("qb_rows", f"qb_{number}"))
    if field.same is None:
        return value
    return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(
        sql.Identifier("qb_rows", f"qb_{number}_same"),
        sql.Identifier(_called_as(spec), field.column.name),
        value,
    )


def _loaded(conn: Connection, part: Prepared, number: int) -> sql.Composed:
    """Send the results into a table that ends with the transaction; its name."""
    name = sql.Composed([sql.Identifier("pg_temp", f"qb_rows_{number}")])
    result = part.result
    made = [
        sql.SQL(", {} {}").format(sql.Identifier(name), sql.SQL(column.carried))
        for name, column, _ in _sent(result)
    ]
    conn.execute(
        sql.SQL(
            "CREATE TEMP TABLE {} (qb_part oid, qb_at tid, qb_version xid{}) ON COMMIT DROP"
        ).format(sql.Identifier(f"qb_rows_{number}"), sql.SQL("").join(made))
    )
    versions = [part.versions[place] for place in result.places]
    with (
        conn.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(name)) as copy,
    ):
        sent = _sent(result)
        for chunk in binary(versions, [each[1] for each in sent], [each[2] for each in sent]):
            copy.write(chunk)
    return name


def _written(
    conn: Connection,
    spec: Spec,
    lo: Key,
    hi: Key,
    part: Prepared,
    number: int,
    *,
    late: bool,
    loaded: bool = False,
) -> tuple[int, int]:
    """Write results into the rows that are what they were; how many, and how many need it still.

    With `late` rows that would not change are left out.
    """
    result = part.result
    if not result.places or not result.fields:
        return 0, 0
    source = sql.Composed([sql.Identifier("pg_temp", f"qb_rows_{number}")])
    if not loaded:
        source = _loaded(conn, part, number)
    values = [(field.column, _value(spec, field, i)) for i, field in enumerate(result.fields)]
    update = sql.SQL("UPDATE {} AS {} SET {} FROM {} AS qb_rows WHERE {}").format(
        statements.table(spec),
        sql.Identifier(_called_as(spec)),
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column.name), value)
            for column, value in values
        ),
        source,
        _same_version(spec, lo, hi),
    )
    if late:
        differs = [
            sql.SQL("{}::text IS DISTINCT FROM {}::{}::text").format(
                sql.Identifier(_called_as(spec), column.name), value, sql.SQL(column.type)
            )
            for column, value in values
        ]
        update += sql.SQL(" AND ({})").format(sql.SQL(" OR ").join(differs))
    if not spec.where:
        return conn.execute(update).rowcount, 0
    done = conn.execute(update + sql.SQL(" RETURNING ") + statements.expression(spec.where))
    return done.rowcount, sum(bool(row[0]) for row in done)


def _held(
    conn: Connection, spec: Spec, lo: Key, hi: Key, part: Prepared, number: int
) -> set[Version]:
    """Send the results, and lock those rows that are still what they were; their versions."""
    if not part.result.places:
        return set()
    source = _loaded(conn, part, number)
    query = sql.SQL(
        "SELECT qb_part, qb_at, qb_version FROM {} AS {} JOIN {} AS qb_rows ON {}"
        " FOR NO KEY UPDATE OF {}"
    ).format(
        statements.table(spec),
        sql.Identifier(_called_as(spec)),
        source,
        _same_version(spec, lo, hi),
        sql.Identifier(_called_as(spec)),
    )
    with conn.cursor(binary=True) as cursor:
        return set(cursor.execute(query).fetchall())


def _changed(
    conn: Connection,
    spec: Spec,
    lo: Key,
    hi: Key,
    before: Prepared,
    known: set[Version],
    *,
    lock: bool,
) -> Prepared | None:
    """Read and transform the rows of a range whose version is not known; None without any."""
    rows, table = rows_of(conn, spec, lo, hi, lock=lock)
    rows = rows.but(known)
    if not rows.versions:
        return None
    return transformed(spec, lo, hi, before.code, rows, table, run=before.run, again=True)


def _called_as(spec: Spec) -> str:
    """What the table is called in a statement, so that `where` may name it."""
    return spec.whole[1] if spec.whole else spec.table


def _same_version(spec: Spec, lo: Key, hi: Key) -> sql.Composed:
    """The rows of the range that nobody changed since they were read.

    The range is what finds them. An update makes another version at another place; a place that
    was freed and taken again has another transaction; freezing keeps the transaction's number.
    """
    name = _called_as(spec)
    return sql.SQL(
        "{} AND {}.tableoid = qb_part AND {}.ctid = qb_at AND {}.xmin = qb_version"
    ).format(
        statements.within(replace(spec, called=name), lo, hi),
        *[sql.Identifier(name)] * 3,
    )


KIND = Transform()
