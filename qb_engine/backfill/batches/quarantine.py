"""rows that cannot be written: set aside in the batch's own transaction, and written later"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from qb_engine.backfill import kinds
from qb_engine.backfill.batches import batch, failures, recovery
from qb_engine.backfill.batches.batch import Held, Limits
from qb_engine.backfill.limits import limit
from qb_engine.backfill.spec import Spec
from qb_engine.backfill.walk import statements
from qb_engine.errors import QbError, RefusedError
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.migrations.declaration import Backfill

Connection = psycopg.Connection[Any]
State = Literal["open", "skipped", "written", "gone"]

TRIES = 5  # of a row that is written again, while others lock it
LARGEST = 1_000_000  # bytes of a row's text that are kept; the row itself is in the table

# Two lanes that set rows aside at once do not pass `max_errors` together.
COUNT = """
SELECT pg_advisory_xact_lock(hashtextextended('qb.quarantine ' || %(backfill)s, 0)),
    count(*) FILTER (WHERE state = 'open'),
    coalesce(bool_or(state = 'open' AND key = %(key)s::text[] AND table_schema = %(schema)s
        AND table_name = %(table)s), false)
FROM qb.quarantine WHERE backfill = %(backfill)s
"""

PUT = """
INSERT INTO qb.quarantine AS q (backfill, key, table_schema, table_name, segment, sqlstate, error,
    "row", state)
VALUES (%(backfill)s, %(key)s, %(schema)s, %(table)s, %(segment)s, %(sqlstate)s, %(error)s,
    %(row)s, %(state)s)
ON CONFLICT (backfill, table_schema, table_name, key) DO UPDATE SET sqlstate = excluded.sqlstate,
    error = excluded.error, "row" = excluded."row", state = excluded.state, at = clock_timestamp()
"""

PASS = """
UPDATE qb.segment SET cursor = %(key)s, rows_seen = rows_seen + 1, status = 'running',
    quarantined = quarantined + %(one)s, retries = retries + %(failed)s, tries = 0,
    failing_since = NULL, note = ''
WHERE backfill = %(backfill)s AND number = %(segment)s
"""

LIST = """
SELECT key, table_schema, table_name, sqlstate, error, "row", state, at FROM qb.quarantine
WHERE backfill = %s {which} ORDER BY at, key
"""

HOLD = """
SELECT FROM qb.quarantine WHERE backfill = %s AND key = %s AND table_schema = %s
    AND table_name = %s AND state = 'open' FOR UPDATE
"""

# A row that is written at last counts for the segment that passed it, with a batch of its own.
WRITTEN = """
WITH settled AS (
    UPDATE qb.quarantine SET state = %(state)s, at = clock_timestamp()
    WHERE backfill = %(backfill)s AND key = %(key)s AND table_schema = %(schema)s
        AND table_name = %(table)s
    RETURNING segment
), counted AS (
    UPDATE qb.segment SET rows_done = rows_done + %(rows)s, batches = batches + 1,
        quarantined = greatest(quarantined - 1, 0)
    FROM settled WHERE backfill = %(backfill)s AND number = settled.segment
    RETURNING number, batches
)
INSERT INTO qb.batch (backfill, segment, number, lo, hi, rows, seen, ms, size, worker)
SELECT %(backfill)s, number, batches, %(key)s, %(key)s, %(rows)s, 1, 0, 1, %(worker)s FROM counted
"""

STILL = """
UPDATE qb.quarantine SET sqlstate = %s, error = %s, at = clock_timestamp()
WHERE backfill = %s AND key = %s AND table_schema = %s AND table_name = %s AND state = 'open'
"""


class Full(Exception):
    """As many rows as `max_errors` allows are in quarantine already."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A row in quarantine. `row` is as it was, `key` in the server's text."""

    key: tuple[str, ...]
    schema: str
    table: str
    sqlstate: str
    error: str
    row: dict[str, Any] | None
    state: State
    at: datetime


@dataclass(frozen=True, slots=True)
class Again:
    """What became of the rows that were tried again."""

    written: int = 0
    gone: tuple[Aside, ...] = ()
    failing: tuple[Aside, ...] = ()


def set_aside(
    conn: Connection,
    spec: Spec,
    held: Held,
    limits: Limits,
    error: BaseException,
    key: Sequence[str],
    *,
    state: State = "open",
    failed: int = 1,
) -> Held | None:
    """Put the row that is next into quarantine and move the cursor past it, in one transaction.

    The claim as it is then; None when another row is next by now. Raise Fenced or Halted as a
    batch does, Full when too many are there, or psycopg's error; nothing is written then.
    """
    spec = spec.part(*held.part)
    said = mask(failures.told(error))
    of = _named(spec, held.backfill, key) | {
        "segment": held.segment,
        "state": state,
        "failed": failed,
        "sqlstate": failures.code(error),
        "error": said,
    }
    try:
        edge, _, _ = batch.begin(conn, spec, held, 1, limits, None)
        if edge is None or list(edge) != list(key):
            conn.rollback()
            return None
        _, open_rows, there = conn.execute(COUNT, of).fetchall()[0]
        if state == "open" and not there and open_rows >= spec.options.max_errors:
            raise Full
        row = _row(conn, replace(spec, only=(tuple(key),)))
        conn.execute(PUT, {**of, "row": None if row is None else Jsonb(row)})
        conn.execute(PASS, {**of, "one": int(state == "open" and not there)})
        conn.execute("COMMIT")
    except BaseException:
        if not conn.closed:
            conn.rollback()
        raise
    return replace(held, cursor=tuple(key))


def keys(conn: Connection, spec: Spec) -> tuple[tuple[str, ...], ...]:
    """The rows of a table or partition that a sweep leaves alone."""
    found = conn.execute(
        "SELECT key FROM qb.quarantine WHERE backfill = %s AND table_schema = %s"
        " AND table_name = %s AND state IN ('open', 'skipped')",
        [spec.id, spec.schema, spec.table],
    )
    return tuple(tuple(key) for (key,) in found)


def rows(conn: Connection, backfill: str, *, only_open: bool = False) -> tuple[Aside, ...]:
    """The rows that were set aside, the oldest first."""
    which = sql.SQL("AND state = 'open'" if only_open else "")
    found = conn.execute(sql.SQL(LIST).format(which=which), [backfill])
    return tuple(Aside(tuple(key), *rest) for key, *rest in found)


def open_text(conn: Connection, backfill: str) -> str:
    """Why a backfill is not completed, when rows are in quarantine; empty when none is."""
    found = conn.execute(
        "SELECT count(*) FROM qb.quarantine WHERE backfill = %s AND state = 'open'", [backfill]
    )
    count = found.fetchall()[0][0]
    if not count:
        return ""
    said, them = ("1 row is", "it") if count == 1 else (f"{count:,} rows are", "them")
    return (
        f"{said} in quarantine: qb backfill quarantine {backfill} shows {them}; mend {them}, then "
        f"qb backfill retry {backfill} --quarantined"
    )


def write_again(
    conn: Connection,
    spec: Spec,
    limits: Limits,
    *,
    code: Backfill | None = None,
    worker: str = "",
) -> Again:
    """Write the rows in quarantine by their keys, each in a transaction with its record.

    Only while the backfill stands as failed, so that no worker writes the same. Raise RefusedError
    when it does not any more, or psycopg's error when it is not the row's fault.
    """
    written, gone, failing = 0, [], []
    for aside in rows(conn, spec.id, only_open=True):
        one = replace(spec.part(aside.schema, aside.table), only=(aside.key,))
        try:
            state = _patiently(lambda: _write(conn, one, aside, limits, code, worker))  # noqa: B023
        except (psycopg.Error, QbError) as error:
            if failures.judge(error) is not failures.Verdict.DATA:
                raise
            sqlstate, said = failures.code(error), mask(failures.told(error))
            conn.execute(
                STILL, [sqlstate, said, spec.id, list(aside.key), aside.schema, aside.table]
            )
            failing.append(replace(aside, sqlstate=sqlstate, error=said))
            continue
        written += state == "written"
        if state == "gone":
            gone.append(aside)
    return Again(written, tuple(gone), tuple(failing))


def _patiently(write: Callable[[], State | None]) -> State | None:
    """Try some times while others are in the way."""
    for tries in range(1, TRIES):
        try:
            return write()
        except psycopg.Error as error:
            if failures.judge(error) is not failures.Verdict.AGAIN:
                raise
            time.sleep(recovery.backoff(tries))
    return write()


def _write(
    conn: Connection, one: Spec, aside: Aside, limits: Limits, code: Backfill | None, worker: str
) -> State | None:
    """Write one row and say so in the ledger; None when somebody else did meanwhile."""
    write = partial(_written, conn, one, aside, limits, worker)
    return kinds.of(one).patiently(conn, one, None, None, code, write)


def _written(
    conn: Connection, one: Spec, aside: Aside, limits: Limits, worker: str, prepared: Any
) -> State | None:
    """What `_write` does in one transaction."""
    with conn.transaction():
        limit(conn, limits.lock_ms, limits.statement_ms)
        stands = conn.execute(
            "SELECT state FROM qb.backfill WHERE id = %s FOR SHARE", [one.id]
        ).fetchone()
        if stands is None or stands[0] != "failed":
            raise RefusedError(
                f"the backfill of {one.id} is {stands[0] if stands else 'gone'} by now",
                why="somebody else went on with it while rows were written again",
                todo="look at it: qb backfill status",
                code="backfill-state",
            )
        named = _named(one, one.id, aside.key)
        mine = [one.id, list(aside.key), aside.schema, aside.table]
        if conn.execute(HOLD, mine).fetchone() is None:
            return None
        there = conn.execute(statements.count(one, None, None)).fetchall()[0][0]
        wrote = 0
        if there:
            kind, late = kinds.of(one), one.by_place
            wrote = kind.write(conn, one, None, None, late=late, prepared=prepared).rows
        state: State = "written" if there else "gone"
        conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
        conn.execute(WRITTEN, {**named, "state": state, "rows": wrote, "worker": worker})
    return state


def _row(conn: Connection, one: Spec) -> dict[str, Any] | None:
    """The row as it is, as JSON; None when it is large, or the role may not read all of it."""
    read = sql.SQL("SELECT to_jsonb(qb_row.*) FROM {} AS qb_row WHERE {}").format(
        statements.table(one), statements.within(one, None, None)
    )
    small = sql.SQL("SELECT r FROM ({}) AS found (r) WHERE octet_length(r::text) < {}")
    try:
        with conn.transaction():
            found = conn.execute(small.format(read, sql.Literal(LARGEST))).fetchone()
    except psycopg.Error:
        if conn.closed:
            raise
        return None
    return found[0] if found else None


def _named(spec: Spec, backfill: str, key: Sequence[str]) -> dict[str, Any]:
    return {"backfill": backfill, "key": list(key), "schema": spec.schema, "table": spec.table}
