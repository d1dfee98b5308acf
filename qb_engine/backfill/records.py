"""the ledger's rows of a backfill: made, read, claimed, and moved from state to state"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from qb_engine.backfill.batches.batch import Held
from qb_engine.backfill.limits import limit
from qb_engine.backfill.options import Options
from qb_engine.backfill.spec import SetColumn, Spec
from qb_engine.backfill.walk.keys import KeyColumn
from qb_engine.backfill.walk.statements import Key

State = Literal["pending", "running", "paused", "verifying", "completed", "failed", "cancelled"]
Connection = psycopg.Connection[Any]

THERE = "SELECT to_regclass('qb.backfill') IS NOT NULL"

MAKE = """
INSERT INTO qb.backfill (id, checksum, schema_name, table_name, key_columns, key_types,
    key_collations, key_nulls_first, key_said,
    set_columns, set_types, set_sql, where_sql, validate_sql, batch_size, batch_limit, parallel,
    rows_total, task_queue, workflow_id, kind, statement, reads, options)
VALUES (%(id)s, %(checksum)s, %(schema)s, %(table)s, %(key_columns)s, %(key_types)s,
    %(key_collations)s, %(key_nulls_first)s, %(key_said)s,
    %(set_columns)s, %(set_types)s, %(set_sql)s, %(where)s, %(validate)s, %(batch_size)s,
    %(batch_limit)s, %(parallel)s, %(rows_total)s, %(task_queue)s, %(workflow_id)s,
    %(kind)s, %(statement)s, %(reads)s, %(options)s)
ON CONFLICT (id) DO NOTHING
"""

READ = """
SELECT id, checksum, schema_name, table_name, key_columns, key_types, key_collations,
    key_nulls_first, key_said, set_columns, set_types,
    set_sql, where_sql, validate_sql, batch_size, batch_limit, parallel, kind, statement, reads,
    options, tuned, then_post, state, wanted, frozen_at IS NOT NULL AS frozen, upper_bound,
    task_queue, workflow_id, error
FROM qb.backfill WHERE id = %s
"""

# A claim raises the epoch: whoever held the segment before can write no more. A lane that starts
# over takes back what it had, however long its former self still holds the row.
CLAIM = """
UPDATE qb.segment AS s
SET epoch = epoch + 1, status = 'running', lane = %(lane)s, worker = %(worker)s
WHERE backfill = %(backfill)s AND number = (
    SELECT number FROM qb.segment WHERE backfill = %(backfill)s AND {which}
    ORDER BY number LIMIT 1 FOR UPDATE {skip})
RETURNING number, epoch, lo, hi, cursor, pass, part_schema, part_table,
    coalesce(size, (SELECT max(size) FROM qb.segment WHERE backfill = s.backfill))
"""
CLAIM_OWN = CLAIM.format(which="status = 'running' AND lane = %(lane)s", skip="")
CLAIM_OPEN = CLAIM.format(which="status = 'open'", skip="SKIP LOCKED")

# What was running is open again, and whoever still works on it is fenced off.
REOPEN = """
UPDATE qb.segment SET epoch = epoch + 1, status = 'open', lane = NULL
WHERE backfill = %s AND status = 'running' AND coalesce(lane, -1) <> ALL (%s)
"""

RELEASE = """
UPDATE qb.segment SET status = 'open', lane = NULL
WHERE backfill = %s AND number = %s AND epoch = %s AND status = 'running'
"""

LEFT = "SELECT count(*) FROM qb.segment WHERE backfill = %s AND status <> 'done'"

# An epoch that no segment of that number had before: where a restart made the segments anew,
# somebody may still hold a claim of the old ones.
ADD = """
INSERT INTO qb.segment
    (backfill, number, pass, lo, hi, part_schema, part_table, relation, node, epoch)
VALUES (%(backfill)s, %(number)s, %(pass)s, %(lo)s, %(hi)s, %(schema)s, %(table)s,
    to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(%(table)s)), %(node)s,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
"""

# Sweeps of a try that ended count no more, but their batches stay; whoever still works is fenced.
PAST = """
UPDATE qb.segment SET pass = -pass, epoch = epoch + 1, status = 'done', lane = NULL, note = '',
    held_since = NULL
WHERE backfill = %s AND pass > 0
"""

FREEZE = """
UPDATE qb.backfill SET frozen_at = clock_timestamp(), upper_bound = %s, rows_total = %s,
    total_exact = %s, relation = to_regclass(format('%%I.%%I', schema_name, table_name))
WHERE id = %s
"""

MOVE = """
UPDATE qb.backfill SET state = %(state)s, note = '', error = %(error)s,
    error_code = %(code)s, finished_at = CASE WHEN %(ended)s THEN clock_timestamp() END
WHERE id = %(id)s
"""

# The parts whose file is another one than when the pass began: VACUUM FULL, CLUSTER or a rewrite
# put the rows into other places meanwhile.
REWRITTEN = """
SELECT DISTINCT coalesce(s.part_schema, b.schema_name), coalesce(s.part_table, b.table_name)
FROM qb.segment AS s JOIN qb.backfill AS b ON b.id = s.backfill
WHERE s.backfill = %s AND s.pass = %s AND s.node IS DISTINCT FROM pg_relation_filenode(
    to_regclass(format('%%I.%%I', coalesce(s.part_schema, b.schema_name),
        coalesce(s.part_table, b.table_name))))::bigint
    AND s.node IS NOT NULL
"""

# Tables and partitions whose name another has by now: what was written is in the old one.
REPLACED = """
SELECT schema_name, table_name FROM qb.backfill
WHERE id = %(id)s AND relation <> to_regclass(format('%%I.%%I', schema_name, table_name))
UNION
SELECT part_schema, part_table FROM qb.segment
WHERE backfill = %(id)s AND pass = 0
    AND relation <> to_regclass(quote_ident(part_schema) || '.' || quote_ident(part_table))
ORDER BY 1, 2
"""

PASSES = """
SELECT pass, sum(rows_done)::bigint, sum(rows_again)::bigint, sum(quarantined)::bigint
FROM qb.segment WHERE backfill = %s AND pass >= 0
GROUP BY pass ORDER BY pass
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A backfill as the ledger has it."""

    spec: Spec
    state: State
    wanted: str
    frozen: bool
    upper: Key
    task_queue: str
    workflow_id: str
    error: str
    tuned: int = 0
    then_post: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """A key range before it is a segment: rows after `lo` up to `hi`, of one partition or all."""

    lo: Key
    hi: Key
    part: tuple[str | None, str | None] = (None, None)
    node: int | None = None  # the file that places on disk are in


@dataclass(frozen=True, slots=True)
class Pass:
    """One walk over the table: 0 is the main one, the others look for rows that came late."""

    number: int
    rows: int
    again: int
    quarantined: int = 0


def there(conn: Connection) -> bool:
    """True when the target has a ledger that knows of backfills."""
    return bool(conn.execute(THERE).fetchall()[0][0])


def make(conn: Connection, spec: Spec, rows_total: int, task_queue: str, workflow_id: str) -> bool:
    """Write a backfill down; False when it is there already, and stays as it is."""
    made = conn.execute(
        MAKE,
        {
            "id": spec.id,
            "checksum": spec.checksum,
            "schema": spec.schema,
            "table": spec.table,
            "key_columns": [c.name for c in spec.key],
            "key_types": [c.type for c in spec.key],
            "key_collations": [c.collation for c in spec.key],
            "key_nulls_first": any(c.nulls_first for c in spec.key),
            "key_said": spec.key_said,
            "set_columns": [c.name for c in spec.set],
            "set_types": [c.type for c in spec.set],
            "set_sql": [c.sql for c in spec.set],
            "where": spec.where,
            "validate": spec.validate,
            "batch_size": spec.batch_size,
            "batch_limit": spec.batch_limit,
            "parallel": spec.parallel,
            "rows_total": rows_total,
            "task_queue": task_queue,
            "workflow_id": workflow_id,
            "kind": spec.kind,
            "statement": spec.statement,
            "reads": list(spec.reads),
            "options": Jsonb(spec.options.to_json()),
        },
    )
    return made.rowcount == 1


def rewrite(conn: Connection, spec: Spec) -> None:
    """Have the batches that follow write what an edited declaration says; cursors stay.

    Claims do not: a lane may have computed rows in the old form, which come too late then.
    """
    conn.execute(
        "UPDATE qb.backfill SET checksum = %s, set_columns = %s, set_types = %s, set_sql = %s,"
        " where_sql = %s, validate_sql = %s, kind = %s, statement = %s, reads = %s,"
        " tuned = tuned + 1, edited_at = clock_timestamp() WHERE id = %s",
        [
            spec.checksum,
            [c.name for c in spec.set],
            [c.type for c in spec.set],
            [c.sql for c in spec.set],
            *(spec.where, spec.validate, spec.kind, spec.statement, list(spec.reads), spec.id),
        ],
    )
    reopen(conn, spec.id)


def read(conn: Connection, backfill: str, *, lock: bool = False) -> Row | None:
    """A backfill by the id of its migration; with `lock`, nobody else moves it meanwhile."""
    found = conn.execute(READ + (" FOR UPDATE" if lock else ""), [backfill]).fetchone()
    if found is None:
        return None
    (
        name, checksum, schema, table, key_columns, key_types, collations, nulls_first, key_said,
        set_columns, set_types, set_sql,
        where, validate, batch_size, limit, parallel, kind, statement, reads, options, tuned,
        then_post, state, wanted, frozen, upper, queue, workflow, error,
    ) = found  # fmt: skip
    spec = Spec(
        name,
        checksum,
        schema,
        table,
        tuple(map(KeyColumn, key_columns, key_types, collations, repeat(nulls_first))),
        tuple(map(SetColumn, set_columns, set_types, set_sql)),
        where,
        validate,
        batch_size,
        limit,
        parallel,
        kind,
        statement,
        tuple(reads),
        Options.of(options),
        key_said=key_said,
    )
    return Row(spec, state, wanted, frozen, upper, queue, workflow, error, tuned, then_post)


def claim(conn: Connection, backfill: str, lane: int, worker: str) -> tuple[Held, int] | None:
    """Claim a segment for a lane: the claim, and the size of its next batch (0: none yet).

    The one that the lane had before, or one that is open; None when there is none.
    """
    given = {"backfill": backfill, "lane": lane, "worker": worker}
    found = conn.execute(CLAIM_OWN, given).fetchone() or conn.execute(CLAIM_OPEN, given).fetchone()
    if found is None:
        return None
    number, epoch, lo, hi, cursor, sweep, schema, table, size = found
    held = Held(backfill, number, epoch, lo, hi, cursor, sweep=sweep > 0, part=(schema, table))
    return held, size or 0


def reclaim(
    conn: Connection, held: Held, worker: str, lock_ms: int
) -> Held | Literal["done", "fenced"]:
    """Take back the segment that a lost connection worked on, with its cursor as it is by now.

    `done` when its last batch was committed after all; `fenced` when somebody else has it.
    """
    with conn.transaction():  # what is left of that connection may hold the row for a while
        limit(conn, lock_ms)
        found = conn.execute(
            "UPDATE qb.segment SET epoch = epoch + 1, worker = %s"
            " WHERE backfill = %s AND number = %s AND epoch = %s AND status <> 'open'"
            " RETURNING epoch, cursor, status",
            [worker, held.backfill, held.segment, held.epoch],
        ).fetchone()
    if found is None:
        return "fenced"
    epoch, cursor, status = found
    return "done" if status == "done" else replace(held, epoch=epoch, cursor=cursor)


def reopen(conn: Connection, backfill: str, busy: Sequence[int] = ()) -> None:
    """Take every segment from whoever may still work on it, unless it is one of these lanes."""
    conn.execute(REOPEN, [backfill, list(busy)])


def release(conn: Connection, held: Held) -> None:
    """Give a claimed segment back, for another lane to go on with."""
    conn.execute(RELEASE, [held.backfill, held.segment, held.epoch])


def left(conn: Connection, backfill: str) -> int:
    """How many segments are not done."""
    count: int = conn.execute(LEFT, [backfill]).fetchall()[0][0]
    return count


def passes(conn: Connection, backfill: str) -> tuple[Pass, ...]:
    return tuple(Pass(*row) for row in conn.execute(PASSES, [backfill]))


def replaced(conn: Connection, backfill: str) -> list[tuple[str, str]]:
    """The table, or partitions of it, in whose place another of its name has come."""
    return conn.execute(REPLACED, {"id": backfill}).fetchall()


def rewritten(conn: Connection, backfill: str, number: int) -> list[tuple[str, str]]:
    """The tables that a pass by place on disk cannot vouch for: their rows were put elsewhere."""
    return conn.execute(REWRITTEN, [backfill, number]).fetchall()


def freeze(conn: Connection, backfill: str, upper: Key, total: int, *, exact: bool) -> None:
    """Fix the highest key: what is above it came later."""
    conn.execute(FREEZE, [None if upper is None else list(upper), total, exact, backfill])


def add_segments(conn: Connection, backfill: str, number: int, ranges: Sequence[Range]) -> None:
    """Add the segments of a pass."""
    count = conn.execute("SELECT count(*) FROM qb.segment WHERE backfill = %s", [backfill])
    first = count.fetchall()[0][0]
    for place, each in enumerate(ranges, start=first):
        conn.execute(
            ADD,
            {
                "backfill": backfill,
                "number": place,
                "pass": number,
                "lo": _list(each.lo),
                "hi": _list(each.hi),
                "schema": each.part[0],
                "table": each.part[1],
                "node": each.node,
            },
        )


def leave_sweeps(conn: Connection, backfill: str) -> None:
    """Have the sweeps begin anew; what they did until now stays in the history."""
    conn.execute(PAST, [backfill])


def ranges(conn: Connection, backfill: str) -> tuple[Range, ...]:
    """The ranges that the main pass went over, in order."""
    found = conn.execute(
        "SELECT lo, hi, part_schema, part_table FROM qb.segment"
        " WHERE backfill = %s AND pass = 0 ORDER BY number",
        [backfill],
    )
    return tuple(Range(lo, hi, (schema, table)) for lo, hi, schema, table in found)


def tune(conn: Connection, backfill: str, spec: Spec) -> None:
    """Write down how it goes from now on; batches that begin later see it."""
    conn.execute(
        "UPDATE qb.backfill SET batch_size = %s, batch_limit = %s, parallel = %s, options = %s,"
        " tuned = tuned + 1 WHERE id = %s",
        [
            *(spec.batch_size, spec.batch_limit, spec.parallel),
            *(Jsonb(spec.options.to_json()), backfill),
        ],
    )


def fail(conn: Connection, backfill: str, error: str, sqlstate: str = "") -> None:
    """End a backfill as failed, with the reason and its SQLSTATE; one that is cancelled as that."""
    with conn.transaction():
        now = read(conn, backfill, lock=True)
        if now is not None and now.wanted != "cancel":
            move(conn, backfill, "failed", error, sqlstate)
        elif now is not None and now.state != "cancelled":
            move(conn, backfill, "cancelled")


def move(conn: Connection, backfill: str, state: State, error: str = "", code: str = "") -> None:
    """Put a backfill into a state."""
    conn.execute(
        MOVE,
        {
            "id": backfill,
            "state": state,
            "error": error,
            "code": code,
            "ended": state in ("completed", "failed", "cancelled"),
        },
    )


def want(conn: Connection, backfill: str, wanted: Literal["run", "pause", "cancel"]) -> None:
    conn.execute("UPDATE qb.backfill SET wanted = %s WHERE id = %s", [wanted, backfill])
    if wanted == "run":  # what was tried before does not count any more
        conn.execute(
            "UPDATE qb.segment SET tries = 0, failing_since = NULL"
            " WHERE backfill = %s AND tries > 0",
            [backfill],
        )


def note(conn: Connection, backfill: str, text: str) -> None:
    """Say what a backfill waits for."""
    conn.execute("UPDATE qb.backfill SET note = %s WHERE id = %s", [text, backfill])


def _list(key: Key) -> list[str] | None:
    return None if key is None else list(key)
