"""rows as a DataFrame through the user's Python: read, computed with nothing locked, written back

A row is written only in the version that was read (its place and transaction): one that somebody
else changed meanwhile is read and transformed again, so that a stale result overwrites nothing. The
transaction ends before that; only rows that change each time are computed while they are locked.
"""

from __future__ import annotations

import hashlib
import inspect
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any

from psycopg import sql

from qb_engine.backfill.frames.columns import Column, columns
from qb_engine.backfill.frames.failed import TransformFailed, place
from qb_engine.backfill.frames.reading import Rows, Unreadable, Version, query, read
from qb_engine.backfill.frames.result import Result, marks, matched
from qb_engine.backfill.frames.writing import Transformed, held, savepoint, written
from qb_engine.backfill.kinds.kind import Kind, Stale, Wrote
from qb_engine.backfill.walk import statements
from qb_engine.report import format_seconds

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

UNLOCKED = 2  # times that changed rows are transformed again before the range is locked for it
LOCKED_S = 15.0  # a call that took longer is not made while others wait for its rows


@dataclass(frozen=True, slots=True)
class Ready:
    """What is to be written: of the rows as they were first, then of those that changed meanwhile.

    `known` are the versions that were transformed, `seconds` what the last call took.
    """

    seen: int
    parts: tuple[Transformed, ...]
    known: frozenset[Version]
    code: Backfill
    run: str
    seconds: float
    again: int = 0  # times that rows were read anew because they had changed


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
        before: Ready | None = None,
    ) -> Ready:
        if code is None:
            raise TransformFailed(
                f"the backfill of {spec.id} needs its Python",
                why="its rows are computed by transform in backfill.py, which is not here",
                todo="run the worker in the project's folder: qb worker",
                fault="code",
            )
        if before is not None:
            return _again(conn, spec, lo, hi, before)
        began = time.monotonic()
        rows, table = rows_of(conn, spec, lo, hi)
        run = _run(conn, spec)
        part = transformed(spec, lo, hi, code, rows, table, run=run, again=late)
        took, versions = time.monotonic() - began, rows.versions
        return Ready(len(versions), (part,), frozenset(versions), code, run, took)

    def write(
        self, conn: Connection, spec: Spec, lo: Key, hi: Key, *, late: bool, prepared: Ready
    ) -> Wrote:
        seen = None if spec.where else prepared.seen
        parts = [part for part in prepared.parts if part.writes]
        if not parts:
            return Wrote(0, 0, seen)
        if not late and not prepared.again:
            with savepoint(conn) as undo:
                rows, again = written(conn, spec, lo, hi, parts[0], 0, late=False)
                if rows == len(parts[0].result.places):
                    return Wrote(rows, again, seen)
                undo()
        with savepoint(conn) as undo:
            there = [held(conn, spec, lo, hi, part, n) for n, part in enumerate(parts)]
            if all(len(found) == len(part.result.places) for part, found in zip(parts, there)):
                return _all(conn, spec, lo, hi, parts, seen, late=late, loaded=True)
            undo()
        fresh = tuple(part.still(found) for part, found in zip(parts, there))
        ready = replace(prepared, parts=fresh)
        if ready.again < UNLOCKED:
            raise Stale(ready)
        locked = _again(conn, spec, lo, hi, ready, lock=True)
        return _all(conn, spec, lo, hi, locked.parts, seen, late=late)


def _all(
    conn: Connection,
    spec: Spec,
    lo: Key,
    hi: Key,
    parts: Sequence[Transformed],
    seen: int | None,
    *,
    late: bool,
    loaded: bool = False,
) -> Wrote:
    """Write the results of several calls, of rows that are held by now."""
    done = [
        written(conn, spec, lo, hi, part, n, late=late, loaded=loaded)
        for n, part in enumerate(parts)
        if part.writes
    ]
    return Wrote(sum(rows for rows, _ in done), sum(again for _, again in done), seen)


def _again(
    conn: Connection, spec: Spec, lo: Key, hi: Key, before: Ready, *, lock: bool = False
) -> Ready:
    """Read the rows of a range anew, and transform those that changed; with `lock` none can then.

    Raise TransformFailed where that would hold the lock for too long: with fewer rows it may not.
    """
    if lock and before.seconds > LOCKED_S:
        raise TransformFailed(
            f"rows changed each of the {UNLOCKED + 1} times while transform computed them",
            where=f"{place(before.code.transform)}, {_range(spec, lo, hi)}",
            why=f"it took {format_seconds(before.seconds)}; others can be kept from the rows, so "
            f"that they do not change, for {format_seconds(LOCKED_S)} at most",
            todo="have it answer sooner, or leave out rows that are written all the time: where",
            fault="slow",
        )
    began = time.monotonic()
    rows, table = rows_of(conn, spec, lo, hi, lock=lock)
    parts = before.parts
    if lock:  # some may have changed until the lock was there
        parts = tuple(part.still(set(rows.versions)) for part in parts)
    rows = rows.but(before.known)
    if rows.versions:
        part = transformed(spec, lo, hi, before.code, rows, table, run=before.run, again=True)
        parts = (*parts, part)
    return replace(
        before,
        parts=parts,
        known=before.known | set(rows.versions),
        seconds=time.monotonic() - began,
        again=before.again + 1,
    )


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
) -> Transformed:
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
        return Transformed([], Result((), []))

    def where() -> str:
        return f"{place(transform)}, {_range(spec, lo, hi)}"

    marked = marks(rows.frame, table)
    returned = _called(transform, frame, spec, lo, hi)
    name = f"{spec.schema}.{spec.table}"
    result = matched(returned, rows.frame, marked, key, table, name, where)
    return Transformed(rows.versions, result)


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
    except BaseException as error:  # a SystemExit or a cancelled future is none of ours
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise  # somebody's Ctrl-C
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
        outside = False
    except RuntimeError:  # so it says that there is none
        outside = True
    if outside:
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


KIND = Transform()
