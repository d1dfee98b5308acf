"""what comes next for a backfill: read from the ledger, decided, and written there

pending -> (older writers end, highest key fixed, segments made) -> running -> verifying (sweeps for
rows that came late, until one finds none; then what was written is looked at) -> completed, and
finishing where what comes after it is to run by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import psycopg

from qb_engine.backfill import finish, kinds, records, sync, validate
from qb_engine.backfill.driving.payloads import ENDED, Next
from qb_engine.backfill.limits import limit
from qb_engine.backfill.records import Pass, Row
from qb_engine.backfill.walk import barrier, split, statements
from qb_engine.ledger import in_sync

LOCK_MS = 2_000  # nobody who waits behind us waits longer; then it is tried again
COUNT_MS = 3_000  # an exact total is worth this long
SPLIT_MS = 60_000  # counting off the ranges; after that one range does
LOOK_MS = 3_600_000  # one look at every row
SWEEPS = 20  # when as many find late rows, somebody still writes the old form

Connection = psycopg.Connection[Any]


def advance(
    conn: Connection,
    backfill: str,
    go_on: Callable[[], bool],
    busy: Sequence[int] = (),
    *,
    code: validate.Code | None = None,
) -> Next | None:
    """Do what stands between the segments, and say what comes next; None when stopped in between.

    `code` gives the user's declaration, where `validate` is a method of it.
    `busy` are the lanes that run: what they hold is theirs, and what is wanted waits for them.
    Safe to run twice, at once or one after the other: the backfill's row is locked for each step.
    """
    while go_on():
        row = records.read(conn, backfill)
        if row is None:
            return Next("cancelled")
        if row.state in ENDED:
            return Next("finishing" if finish.due(conn, row) else row.state)
        if row.wanted != "run":
            return Next(row.state) if busy else _halt(conn, backfill)
        tell = _teller(conn, backfill)
        if other := _replaced(conn, row):
            records.fail(conn, backfill, other)
            continue
        if row.frozen and not _in_sync(conn, row, tell, _wanted(conn, row, go_on)):
            continue
        if row.frozen and (left := records.left(conn, backfill)):
            return _go(conn, row, left, busy)
        if not row.frozen:
            if _behind_barrier(conn, row, tell, _wanted(conn, row, go_on)):
                _freeze(conn, row)
        elif (late := _due(conn, row)) is not None:
            if late > SWEEPS:
                records.fail(conn, backfill, _ENDLESS)
            elif barrier.wait(
                conn, row.spec.schema, row.spec.table, tell=tell, go_on=_wanted(conn, row, go_on)
            ):
                _sweep(conn, row, late)
        else:
            _validate(conn, row, code)
    return None


_ENDLESS = (
    f"{SWEEPS} sweeps found rows that came late: something still writes rows that need this "
    "backfill. Have it write the new form first, then start again"
)


def _replaced(conn: Connection, row: Row) -> str:
    """Why it cannot go on, where another table has the name by now and no sweep finds the rest."""
    if kinds.of(row.spec).explains(row.spec) or not (new := records.replaced(conn, row.spec.id)):
        return ""
    names, many = ", ".join(f"{schema}.{table}" for schema, table in new), len(new) > 1
    said = "are other tables" if many else "is another table"
    return (
        f"{names} {said} than when it began, and rows of the new one{'s' * many} may be left out."
        f" Give the old one{'s' * many} {'their names' if many else 'its name'} back, or begin"
        f" again: qb backfill start {row.spec.id} --restart"
    )


def _due(conn: Connection, row: Row) -> int | None:
    """The number of the sweep that is due; None when no row can have come late unseen."""
    done = records.passes(conn, row.spec.id)
    if (late := _late(row, done)) is not None or not row.spec.by_place:
        return late
    last = max((each.number for each in done), default=0)
    if records.rewritten(conn, row.spec.id, last):
        return last + 1
    # rows move behind the cursor when others update them: one look at all of them at once
    unseen = statements.unwritten(row.spec)
    if unseen is None or any(each.quarantined for each in done):
        return None
    with conn.transaction():
        limit(conn, LOCK_MS, LOOK_MS)
        return last + 1 if _one(conn, unseen) else None


def _late(row: Row, done: tuple[Pass, ...]) -> int | None:
    """The number of the sweep that is due, by what the passes found.

    A written row that would be written again cannot be told from a late one, so there is no sweep.
    """
    if not kinds.of(row.spec).explains(row.spec) or any(each.again for each in done):
        return None
    last = max((each.number for each in done), default=0)
    if last and not any(each.rows for each in done if each.number == last):
        return None
    return last + 1


def _halt(conn: Connection, backfill: str) -> Next:
    """Take note of what is wanted: nothing runs any more when this is called."""
    with conn.transaction():
        row = records.read(conn, backfill, lock=True)
        if row is None:
            return Next("cancelled")
        if row.state in ENDED:
            return Next(row.state)
        if row.wanted == "pause" and row.state != "paused":
            records.move(conn, backfill, "paused")
        if row.wanted == "cancel":
            records.move(conn, backfill, "cancelled")
            return Next("cancelled")
    return Next("paused" if row.wanted == "pause" else row.state)


def _go(conn: Connection, row: Row, left: int, busy: Sequence[int]) -> Next:
    """Have the lanes run. What is still claimed, and not by one that is busy, is nobody's."""
    sweeping = any(each.number for each in records.passes(conn, row.spec.id))
    with conn.transaction():
        now = records.read(conn, row.spec.id, lock=True)
        if now and now.state not in ENDED and now.wanted == "run":
            records.move(conn, row.spec.id, "verifying" if sweeping else "running")
            records.reopen(conn, row.spec.id, busy)
    return Next("running", min(left, row.spec.parallel))


def _behind_barrier(
    conn: Connection, row: Row, tell: Callable[[str], None], go_on: Callable[[], bool]
) -> bool:
    """Wait for older writers; False when told to stop. Making a trigger waits for them, too."""
    if row.spec.options.keep_in_sync:
        return sync.install(conn, row.spec, tell=tell, go_on=go_on)
    return barrier.wait(conn, row.spec.schema, row.spec.table, tell=tell, go_on=go_on)


def _in_sync(
    conn: Connection, row: Row, tell: Callable[[str], None], go_on: Callable[[], bool]
) -> bool:
    """Make the trigger where it was asked for since it began; False when told to stop.

    What was written until then is found by the sweep.
    """
    if not row.spec.options.keep_in_sync or in_sync.standing(conn, row.spec.id):
        return True
    return sync.install(conn, row.spec, tell=tell, go_on=go_on)


def _freeze(conn: Connection, row: Row) -> None:
    """Fix the highest key and the segments below it."""
    spec = row.spec
    with conn.transaction():
        now = records.read(conn, spec.id, lock=True)
        if now is None or now.frozen:
            return
        limit(conn, LOCK_MS)
        guess = split.estimate(conn, spec)
        counted = _timed(conn, COUNT_MS, lambda: _one(conn, statements.needing(spec)))
        total = guess if counted is None else counted
        # without its ranges a large table is one: slower, and as right
        whole = replace(spec, parallel=1)
        ranges = _timed(conn, SPLIT_MS, lambda: split.ranges(conn, spec, guess))
        if ranges is None:
            ranges = split.ranges(conn, whole, guess)
        upper = ranges[-1].hi if ranges else None
        records.freeze(conn, spec.id, upper, total, exact=counted is not None)
        records.add_segments(conn, spec.id, 0, ranges)


def _sweep(conn: Connection, row: Row, number: int) -> None:
    """Add a pass over the whole table, beyond the highest key too, in the same ranges."""
    with conn.transaction():
        now = records.read(conn, row.spec.id, lock=True)
        done = records.passes(conn, row.spec.id)
        if now is None or number != max((each.number for each in done), default=0) + 1:
            return
        before = records.ranges(conn, row.spec.id)
        records.add_segments(conn, row.spec.id, number, split.again(conn, row.spec, before))
        records.move(conn, row.spec.id, "verifying")


def _validate(conn: Connection, row: Row, code: validate.Code | None) -> None:
    """Ask `validate`, and end the backfill as completed or failed."""
    with conn.transaction():
        now = records.read(conn, row.spec.id, lock=True)
        if now is None or now.state in ENDED or now.wanted != "run":
            return
        records.move(conn, row.spec.id, "verifying")
    checked = validate.validate(conn, row, code)
    validate.keep(conn, row.spec.id, checked)
    if not checked.ok:
        records.fail(conn, row.spec.id, "; ".join(checked.problems))
        return
    with conn.transaction():
        now = records.read(conn, row.spec.id, lock=True)
        if now is not None and now.wanted == "run":
            records.move(conn, row.spec.id, "completed")


def _timed(conn: Connection, ms: int, ask: Callable[[], Any]) -> Any:
    """The answer, or None when it takes longer than `ms`; inside a transaction."""
    try:
        with conn.transaction():
            limit(conn, LOCK_MS, ms)
            answer = ask()
    except psycopg.errors.QueryCanceled:
        return None
    limit(conn, LOCK_MS, 0)
    return answer


def _one(conn: Connection, query: psycopg.sql.Composed) -> Any:
    return conn.execute(query).fetchall()[0][0]


def _teller(conn: Connection, backfill: str) -> Callable[[str], None]:
    return lambda text: records.note(conn, backfill, text)


def _wanted(conn: Connection, row: Row, go_on: Callable[[], bool]) -> Callable[[], bool]:
    """Whether to go on waiting: not when stopped, nor when the ledger wants something else."""

    def still() -> bool:
        now = records.read(conn, row.spec.id)
        return go_on() and now is not None and now.wanted == "run" and now.state not in ENDED

    return still
