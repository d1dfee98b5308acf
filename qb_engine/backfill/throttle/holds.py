"""what holds a backfill up, in the ledger: since when, why, and what would release it"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill.batches.batch import Fenced, Halted

if TYPE_CHECKING:
    from qb_engine.backfill.batches.batch import Held
    from qb_engine.backfill.throttle.signal import Reading

Connection = psycopg.Connection[Any]

# One that is open goes on: a lane that starts over is held since its former self was.
OPEN = """
WITH there AS (
    SELECT id, since FROM qb.hold
    WHERE backfill = %(backfill)s AND segment = %(segment)s AND signal = %(signal)s
      AND says = %(says)s AND until IS NULL
    ORDER BY id LIMIT 1),
made AS (
    INSERT INTO qb.hold (backfill, segment, signal, says, reason, release)
    SELECT %(backfill)s, %(segment)s, %(signal)s, %(says)s, %(reason)s, %(release)s
    WHERE NOT EXISTS (SELECT FROM there) RETURNING id, since),
hold AS (SELECT id, since FROM there UNION ALL SELECT id, since FROM made),
told AS (
    UPDATE qb.segment SET note = %(note)s,
        held_since = CASE WHEN %(says)s = 'stop' THEN (SELECT since FROM hold) END
    WHERE backfill = %(backfill)s AND number = %(segment)s AND epoch = %(epoch)s)
SELECT id FROM hold
"""

TELL = """
UPDATE qb.segment SET note = %s WHERE backfill = %s AND number = %s AND epoch = %s AND note <> %s
"""

CLOSE = """
WITH told AS (
    UPDATE qb.segment SET note = '', held_since = NULL
    WHERE backfill = %(backfill)s AND number = %(segment)s AND epoch = %(epoch)s
      AND (held_since IS NOT NULL OR note <> ''))
UPDATE qb.hold SET until = pg_catalog.clock_timestamp() WHERE id = %(id)s
"""

# What a lane that was killed left open: whoever has the segment now knows better.
FORGET = """
UPDATE qb.hold SET until = pg_catalog.clock_timestamp()
WHERE backfill = %s AND segment = %s AND until IS NULL AND says <> 'unread'
  AND id IS DISTINCT FROM %s
"""

UNREAD = """
INSERT INTO qb.hold (backfill, segment, signal, says, reason)
SELECT %(backfill)s, %(segment)s, %(signal)s, 'unread', %(why)s
WHERE NOT EXISTS (SELECT FROM qb.hold WHERE backfill = %(backfill)s AND signal = %(signal)s
    AND says = 'unread' AND reason = %(why)s)
"""

STANDING = """
SELECT b.wanted, b.state, b.tuned, s.epoch FROM qb.backfill AS b
LEFT JOIN qb.segment AS s ON s.backfill = b.id AND s.number = %s WHERE b.id = %s
"""

NOT_READ = "SELECT signal, reason FROM qb.hold WHERE backfill = %s AND says = 'unread' ORDER BY id"


def unread(conn: Connection, backfill: str) -> tuple[tuple[str, str], ...]:
    """The signals that could not be read, and why; they did not hold it up."""
    return tuple((signal, why) for signal, why in conn.execute(NOT_READ, [backfill]))


def told(signal: str, reading: Reading) -> str:
    """A hold in one line, for the segment."""
    word = "waits for" if reading.says == "stop" else "slowed by"
    text = f"{word} {signal}: {reading.reason}"
    return f"{text}; goes on when {reading.release}" if reading.release else text


def begin(conn: Connection, held: Held, signal: str, reading: Reading) -> int:
    """Write down that a segment is held up; the number of the hold."""
    found = conn.execute(
        OPEN,
        {
            "backfill": held.backfill,
            "segment": held.segment,
            "epoch": held.epoch,
            "note": told(signal, reading),
            "signal": signal,
            "says": reading.says,
            "reason": reading.reason,
            "release": reading.release,
        },
    )
    number: int = found.fetchall()[0][0]
    return number


def tell(conn: Connection, held: Held, text: str) -> None:
    """Say in the segment how things stand now."""
    conn.execute(TELL, [text, held.backfill, held.segment, held.epoch, text])


def end(conn: Connection, held: Held, hold: int) -> None:
    conn.execute(
        CLOSE,
        {"backfill": held.backfill, "segment": held.segment, "epoch": held.epoch, "id": hold},
    )


def forget(conn: Connection, held: Held, kept: int | None) -> None:
    """End what an earlier claim of the segment left open, bar one that goes on."""
    conn.execute(FORGET, [held.backfill, held.segment, kept])


def say_unread(conn: Connection, held: Held, signal: str, why: str) -> None:
    """Say once that a signal cannot be read."""
    conn.execute(
        UNREAD,
        {"backfill": held.backfill, "segment": held.segment, "signal": signal, "why": why},
    )


def standing(conn: Connection, held: Held) -> int:
    """How often it was tuned. Raise Halted or Fenced when the ledger wants no more batches."""
    row = conn.execute(STANDING, [held.segment, held.backfill]).fetchone()
    if row is None or row[3] != held.epoch:
        raise Fenced(f"segment {held.segment} was claimed again")
    wanted, state, tuned, _ = row
    if wanted != "run" or state not in ("running", "verifying"):
        raise Halted(wanted if wanted != "run" else state)
    return int(tuned)
