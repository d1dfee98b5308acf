"""one batch: one transaction that writes rows, moves the cursor, and is fenced by the epoch

What makes a row written exactly once: the segment's row is locked first and its epoch compared, so
that an older claim (a worker that was given up but lives) cannot write; and the cursor moves in the
same transaction as the rows, so that both are there or neither.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from qb_engine.backfill import kinds
from qb_engine.backfill.spec import Spec
from qb_engine.backfill.walk import parts, statements
from qb_engine.backfill.walk.statements import Key
from qb_engine.errors import RefusedError

if TYPE_CHECKING:
    from qb_engine.migrations.declaration import Backfill

# Settings for the transaction only: a pooler may hand the session to somebody else. A batch that a
# crash of the server loses is lost with its cursor, so waiting for the disk would buy nothing:
# synchronous_commit may be off. The end of a backfill is committed as usual, and with it all this.
# Whatever the database's default isolation: the fence must see what was written while it waited.
BEGIN = sql.SQL(
    "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT set_config('synchronous_commit', 'off', true),"
    " set_config('lock_timeout', {lock_ms}, true),"
    " set_config('statement_timeout', {statement_ms}, true),"
    " set_config('idle_in_transaction_session_timeout', {idle_ms}, true)"
)

# Two statements, so that `wanted` is read after the lock was granted, not before the wait for it.
FENCE = sql.SQL(
    "SELECT cursor, status FROM qb.segment"
    " WHERE backfill = {backfill} AND number = {segment} AND epoch = {epoch} FOR UPDATE;"
    " SELECT wanted, state, pg_current_wal_insert_lsn()::text, tuned FROM qb.backfill"
    " WHERE id = {backfill}"
)

RECORD = sql.SQL(
    "WITH moved AS (UPDATE qb.segment SET cursor = {cursor}, status = {status}, size = {size},"
    " rows_done = rows_done + {rows}, rows_seen = rows_seen + {seen},"
    " rows_again = rows_again + {again}, batches = batches + {one}, note = '',"
    " retries = retries + {attempts} - 1, tries = 0, failing_since = NULL, held_since = NULL"
    " WHERE backfill = {backfill} AND number = {segment} RETURNING backfill, number, batches)"
    " INSERT INTO qb.batch (backfill, segment, number, lo, hi, rows, seen, ms, wal_bytes,"
    " size, attempts, waited_ms, held_by, lag_s, worker)"
    " SELECT backfill, number, batches, {lo}, {hi}, {rows}, {seen}, {ms},"
    " pg_wal_lsn_diff(pg_current_wal_insert_lsn(), {lsn}::pg_lsn),"
    " {keys}, {attempts}, {waited}, {held_by}, {lag}, {worker} FROM moved WHERE {one} = 1;"
    " COMMIT"
)

GONE = """
UPDATE qb.segment SET status = 'done', note = %s, held_since = NULL
WHERE backfill = %s AND number = %s AND epoch = %s
"""

IDLE_MS = 60_000  # a worker that is stopped in mid-batch gives its locks back within this


class Fenced(Exception):
    """Another claim of the segment exists, or it was moved: this one may not write."""


class Halted(Exception):
    """The ledger wants the backfill paused, cancelled or ended."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a batch may wait for a lock, and how long a statement may run, in milliseconds."""

    lock_ms: int = 2_000
    statement_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class Held:
    """A claim of a segment: its range, where it stands, and the epoch that proves the claim."""

    backfill: str
    segment: int
    epoch: int
    lo: Key
    hi: Key
    cursor: Key
    sweep: bool = False
    part: tuple[str | None, str | None] = (None, None)  # schema and name of a partition

    @property
    def after(self) -> Key:
        """Rows after this key are next."""
        return self.lo if self.cursor is None else self.cursor


@dataclass(frozen=True, slots=True)
class Around:
    """What is written down with a batch: how often it was tried, and what it waited for before."""

    attempts: int = 1
    waited_ms: float = 0.0
    held_by: str = ""
    lag_s: float | None = None
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch did. `tuned` counts the changes of its options that the ledger had then.

    `ms` is the time of its transaction; `prepared_ms` went before, with nothing locked.
    """

    cursor: Key
    rows: int
    seen: int
    again: int
    ms: float
    last: bool
    tuned: int = 0
    prepared_ms: float = 0.0


def run(
    conn: psycopg.Connection[Any],
    spec: Spec,
    held: Held,
    size: int,
    limits: Limits,
    *,
    next_size: int | None = None,
    code: Backfill | None = None,
    around: Around = Around(),
) -> Batch:
    """Write the next `size` keys' rows of a claimed segment, in three round trips.

    `code` is the declaration, for a kind whose rows are computed in Python. The segment of a part
    that no longer belongs to the table ends. Raise Fenced or Halted when it may not, or psycopg's
    error; nothing is written then.
    """
    if held.part != parts.WHOLE:
        if not parts.attached(conn, spec.schema, spec.table, held.part):
            return _gone(conn, held)
        try:
            return _run(conn, spec.part(*held.part), held, size, limits, next_size, code, around)
        except psycopg.errors.UndefinedTable:  # dropped since then?
            if parts.attached(conn, spec.schema, spec.table, held.part):
                raise
            return _gone(conn, held)
    return _run(conn, spec, held, size, limits, next_size, code, around)


def _run(
    conn: psycopg.Connection[Any],
    spec: Spec,
    held: Held,
    size: int,
    limits: Limits,
    next_size: int | None,
    code: Backfill | None,
    around: Around,
) -> Batch:
    kind = kinds.of(spec)
    began = time.monotonic()
    ahead: tuple[Any, ...] | None = None
    if kind.prepares:  # the range is fixed first, so that nothing is locked while rows are computed
        ahead = conn.execute(statements.boundary(spec, held.after, held.hi, size)).fetchone() or ()

    def write(prepared: Any) -> Batch:
        started = time.monotonic()
        try:
            edge, lsn, tuned = begin(conn, spec, held, size, limits, ahead)
            hi = held.hi if edge is None else edge
            late = held.sweep or spec.by_place
            wrote = kind.write(conn, spec, held.after, hi, late=late, prepared=prepared)
            if wrote.again and spec.by_place:
                raise _seen_twice(spec)
            seen = size if edge is not None else _seen(conn, spec, held, wrote)
            ms, before_ms = _ms(started, time.monotonic()), _ms(began, started)
            last = edge is None
            batch = Batch(
                hi or held.after, wrote.rows, seen, wrote.again, ms, last, tuned, before_ms
            )
            _record(conn, held, batch, hi, lsn, size, next_size or size, around)
        except BaseException:
            if not conn.closed:
                conn.rollback()
            raise
        return batch

    end = ahead[0] if ahead else held.hi
    return kind.patiently(conn, spec, held.after, end, code, write, late=held.sweep)


def _ms(since: float, until: float) -> float:
    return (until - since) * 1000


def _gone(conn: psycopg.Connection[Any], held: Held) -> Batch:
    """End the segment of a part that was detached or dropped, and say so."""
    note = f"{held.part[1]} was detached or dropped: what was left of it is not written"
    ended = conn.execute(GONE, [note, held.backfill, held.segment, held.epoch])
    if not ended.rowcount:
        raise Fenced(f"segment {held.segment} was claimed again")
    return Batch(held.after, 0, 0, 0, 0.0, last=True)


def _seen_twice(spec: Spec) -> RefusedError:
    return RefusedError(
        f"rows of {spec.schema}.{spec.table} would be written twice",
        where="where of the backfill",
        why="the table is walked by place on disk, a written row gets another place, and these "
        "still fulfil `where` and would be changed again; the batch was rolled back",
        todo="declare a `where` that a written row does not fulfil, or give the table a key",
        code="bad-backfill",
    )


def begin(
    conn: psycopg.Connection[Any],
    spec: Spec,
    held: Held,
    size: int,
    limits: Limits,
    ahead: tuple[Any, ...] | None,
) -> tuple[Key, str, int]:
    """Begin, pass the fence, and find the batch's last key; None when it is the last batch.

    `ahead` is that key, where it was looked for before; empty for the last batch.
    """
    begin = BEGIN.format(
        lock_ms=sql.Literal(str(limits.lock_ms)),
        statement_ms=sql.Literal(str(limits.statement_ms)),
        idle_ms=sql.Literal(str(IDLE_MS)),
    )
    fence = FENCE.format(
        backfill=sql.Literal(held.backfill),
        segment=sql.Literal(held.segment),
        epoch=sql.Literal(held.epoch),
    )
    asked = [begin, fence]
    if ahead is None:
        asked.append(statements.boundary(spec, held.after, held.hi, size))
    cursor = conn.execute(sql.SQL("; ").join(asked))
    cursor.nextset()
    cursor.nextset()
    segment = cursor.fetchone()
    cursor.nextset()
    standing = cursor.fetchone()
    found = ahead
    if ahead is None:
        cursor.nextset()
        found = cursor.fetchone()
    if segment is None or standing is None:
        raise Fenced(f"segment {held.segment} was claimed again")
    if segment[0] != (None if held.cursor is None else list(held.cursor)) or segment[1] == "done":
        raise Fenced(f"segment {held.segment} was moved")
    wanted, state, lsn, tuned = standing
    if wanted != "run" or state not in ("running", "verifying"):
        raise Halted(wanted if wanted != "run" else state)
    return (found[0] if found else None), lsn, tuned


def _seen(conn: psycopg.Connection[Any], spec: Spec, held: Held, wrote: kinds.Wrote) -> int:
    """How many keys the last batch of a segment went over: fewer than its size."""
    if wrote.seen is not None:
        return wrote.seen
    found: int = conn.execute(statements.count(spec, held.after, held.hi)).fetchall()[0][0]
    return found


def _record(
    conn: psycopg.Connection[Any],
    held: Held,
    batch: Batch,
    hi: Key,
    lsn: str,
    keys: int,
    size: int,
    around: Around,
) -> None:
    conn.execute(
        RECORD.format(
            backfill=sql.Literal(held.backfill),
            segment=sql.Literal(held.segment),
            cursor=array(batch.cursor),
            status=sql.Literal("done" if batch.last else "running"),
            size=sql.Literal(size),
            rows=sql.Literal(batch.rows),
            seen=sql.Literal(batch.seen),
            again=sql.Literal(batch.again),
            one=sql.Literal(0 if batch.last and not batch.seen else 1),
            lo=array(held.after),
            hi=array(hi),
            ms=sql.Literal(round(batch.ms, 3)),
            lsn=sql.Literal(lsn),
            keys=sql.Literal(keys),
            attempts=sql.Literal(around.attempts),
            waited=sql.Literal(round(around.waited_ms, 1)),
            held_by=sql.Literal(around.held_by),
            lag=sql.Literal(around.lag_s),
            worker=sql.Literal(around.worker),
        )
    )


def array(key: Key) -> sql.Composed:
    """A key as a text array; an open end as NULL."""
    if key is None:
        return sql.Composed([sql.SQL("NULL::text[]")])
    return sql.SQL("ARRAY[{}]::text[]").format(sql.SQL(", ").join(map(sql.Literal, key)))
