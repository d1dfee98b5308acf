"""runs and their steps: written while they happen, read as they stand"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg

import qb_engine
from qb_engine.database.message import literal
from qb_engine.ledger.install import exists
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution import Observation
    from qb_engine.migrations import LoadedMigration
    from qb_engine.schema import Snapshot

_RUN = """
SELECT h.run, h.migration, h.name, h.checksum, h.direction, h.status, h.who, h.started_at,
       h.seconds, h.fingerprint_before, h.fingerprint_after, h.error,
       coalesce(s.kept, 0) AS kept, coalesce(s.cut_off, 0) AS cut_off,
       coalesce(s.first_part, '') AS first_part, h.down_checksum, h.raw_checksum
  FROM qb.history h
"""
_STEPS = """
SELECT run, pg_catalog.count(*) FILTER (WHERE status = 'done') AS kept,
       pg_catalog.count(*) FILTER (WHERE status = 'running' AND NOT transactional) AS cut_off,
       (pg_catalog.array_agg(part ORDER BY number))[1] AS first_part
  FROM qb.step
"""

# for a few runs: by index
RUNS = f"{_RUN} LEFT JOIN LATERAL ({_STEPS} WHERE run = h.run GROUP BY run) s ON true"

# the run that says how each migration stands: the last one that ended, or that kept something;
# for all migrations at once, so the steps are read in one pass
STANDING = f"""
SELECT DISTINCT ON (r.migration) r.*
  FROM ({_RUN} LEFT JOIN ({_STEPS} GROUP BY run) s ON s.run = h.run) r
 WHERE r.status IN ('applied', 'expanded', 'contracted', 'rolled back')
    OR r.kept > 0 OR r.cut_off > 0
 ORDER BY r.migration, r.run DESC
"""


# steps from JSON (%s); what is done stays as it is
RECORD = """
INSERT INTO qb.step AS s (run, number, part, sql, place, status, transactional, seconds, rows,
                          wal_bytes, attempts, locks, messages, error, before)
SELECT g.run, g.number, g.part, g.sql, g.place, g.status, g.transactional, g.seconds, g.rows,
       g.wal_bytes, g.attempts, g.locks, g.messages, g.error, coalesce(g.before, '{}')
  FROM pg_catalog.jsonb_to_recordset(%s) AS g(
       run bigint, number int, part text, sql text, place text, status text, transactional bool,
       seconds float8, rows bigint, wal_bytes bigint, attempts int, locks jsonb, messages jsonb,
       error text, before jsonb)
    ON CONFLICT (run, number) DO UPDATE SET status = excluded.status, sql = excluded.sql,
       part = excluded.part, place = excluded.place, transactional = excluded.transactional,
       started_at = excluded.started_at, seconds = excluded.seconds, rows = excluded.rows,
       wal_bytes = excluded.wal_bytes, attempts = excluded.attempts, locks = excluded.locks,
       messages = excluded.messages, error = excluded.error,
       before = CASE excluded.before WHEN '{}' THEN s.before ELSE excluded.before END
 WHERE s.status <> 'done'
"""

# how long a run has worked: what it had before it stopped, and since it went on
SECONDS = """
worked + extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(continued_at, started_at))
"""
FINISH = f"""
UPDATE qb.history SET status = %s, error = %s, finished_at = pg_catalog.clock_timestamp(),
       seconds = {SECONDS}
"""

# a try of the same run changes nothing of its time; of one whose end nobody saw its steps are known
RESUME = """
WITH told AS (
    INSERT INTO qb.event (host, what, migration, run, detail)
    SELECT %(host)s, 'went on', migration, run,
           pg_catalog.jsonb_build_object('stopped_at', error, 'was', status)
      FROM qb.history WHERE run = %(run)s AND status <> 'running' AND %(tell)s
)
UPDATE qb.history h
   SET status = 'running', error = '', checksum = %(checksum)s, raw_checksum = %(raw_checksum)s,
       down_checksum = %(down_checksum)s,
       worked = CASE WHEN h.status = 'running' THEN h.worked
                     ELSE coalesce(h.seconds, (SELECT pg_catalog.sum(s.seconds) FROM qb.step s
                                                WHERE s.run = h.run), 0) END,
       continued_at = CASE WHEN h.status = 'running' THEN h.continued_at
                           ELSE pg_catalog.clock_timestamp() END
 WHERE h.run = %(run)s
"""

# a block's steps, the parts that it completes, and the end of the run if it is the last one; a run
# that was ended meanwhile breaks FENCE, and its row is locked from here to COMMIT
KEEP = f"""
WITH steps AS ({RECORD.replace("%s", "$1")}),
parts AS (
    INSERT INTO qb.part (run, file, kind, state, transaction)
    SELECT $3, g.file, g.kind, g.state, g.transaction
      FROM pg_catalog.jsonb_to_recordset($2)
        AS g(file text, kind text, state text, transaction text)
        ON CONFLICT (run, file) DO UPDATE SET state = excluded.state, at = excluded.at
)
UPDATE qb.history
   SET status = CASE WHEN status <> 'running' THEN 'not running'
                     WHEN $4 = '' THEN status ELSE $4 END,
       error = '',
       finished_at = CASE WHEN $4 = '' THEN finished_at ELSE pg_catalog.clock_timestamp() END,
       seconds = CASE WHEN $4 = '' THEN seconds
                      ELSE {SECONDS} END
 WHERE run = $3
RETURNING CASE WHEN $4 <> '' THEN seconds END
"""
FENCE = "history_status_check"  # the constraint that lets nobody write for a run that has ended

# a run that starts; its number is DEFAULT, or was reserved for it
BEGIN = """
INSERT INTO qb.history (run, migration, name, checksum, raw_checksum, down_checksum, direction,
                        status, host, qb_version, fingerprint_before)
OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8, $9, $10)
RETURNING run
"""
PREPARE = (
    f"PREPARE qb_keep (jsonb, jsonb, bigint, text) AS {KEEP}",
    f"PREPARE qb_begin (bigint, text, text, text, text, text, text, text, text, text) AS {BEGIN}",
)
_GAP = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a migration, up or down.

    `kept` counts the steps that were committed, `cut_off` those outside a transaction of which
    nobody saw the end.
    """

    run: int
    migration: str
    name: str
    checksum: str
    direction: str
    status: str
    who: str
    started_at: datetime
    seconds: float | None
    fingerprint_before: str | None
    fingerprint_after: str | None
    error: str
    kept: int
    cut_off: int
    first_part: str
    down_checksum: str
    raw_checksum: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a migration stands on this database.

    `status` is `applied`, `expanded` (its backfill comes next), `contracted` (its post part ran
    after the backfill), `partial` (it stopped after statements that were committed, on its way up),
    `partial down` or `rolled back`.
    """

    migration: str
    status: str
    checksum: str
    last: Run


@dataclass(frozen=True, slots=True)
class PartRow:
    """One file of a run, whole: `transaction` is `one`, `each statement` or `mixed`."""

    file: str
    kind: str
    state: str
    transaction: str

    def as_dict(self) -> dict[str, str]:
        """The row by its columns."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class StepRow:
    """One recorded statement of a run."""

    number: int
    part: str
    sql: str
    place: str
    status: str
    transactional: bool
    seconds: float | None
    rows: int | None
    wal_bytes: int | None
    attempts: int
    locks: dict[str, str]
    error: str
    messages: list[str]
    before: dict[str, Any]


def way_back(migration: LoadedMigration) -> str:
    """The checksum of a migration's way back; empty when it has none."""
    return migration.down_checksum if migration.down else ""


def begin(
    conn: Connection, migration: LoadedMigration, direction: str, fingerprint: str | None
) -> int:
    """Record that a run starts, committed at once so that a crash leaves a trace; its number."""
    text = beginning(conn, None, migration, direction, fingerprint)
    row = conn.execute(text.encode()).fetchone()
    assert row is not None
    return int(row[0])


def reserve(conn: Connection, count: int) -> list[int]:
    """The numbers of runs that are about to start; none for a role that may only insert."""
    rows = conn.execute(
        "SELECT pg_catalog.nextval(s.name) FROM pg_catalog.generate_series(1, %s),"
        " (SELECT pg_catalog.pg_get_serial_sequence('qb.history', 'run')) AS s(name)"
        " WHERE pg_catalog.has_sequence_privilege(s.name, 'USAGE')",
        [count],
    ).fetchall()
    return sorted(int(row[0]) for row in rows)


def beginning(
    conn: Connection,
    run: int | None,
    migration: LoadedMigration,
    direction: str,
    fingerprint: str | None,
    *,
    prepared: bool = False,
) -> str:
    """The same as SQL, for a session that has executed PREPARE if it is `prepared`."""
    given = (
        migration.id,
        migration.name,
        migration.checksum,
        migration.raw_checksum,
        way_back(migration),
        direction,
        platform.node(),
        qb_engine.__version__,
        fingerprint,
    )
    values = [str(run or "DEFAULT"), *("NULL" if v is None else literal(conn, v) for v in given)]
    return f"EXECUTE qb_begin ({', '.join(values)})" if prepared else _filled(BEGIN, values)


def parts(conn: Connection, run: int) -> tuple[PartRow, ...]:
    """The files of a run that are whole."""
    rows: list[tuple[Any, ...]] = conn.execute(
        "SELECT file, kind, state, transaction FROM qb.part WHERE run = %s ORDER BY at, file", [run]
    ).fetchall()
    return tuple(PartRow(*row) for row in rows)


def resume(conn: Connection, run: int, migration: LoadedMigration, *, tell: bool = True) -> None:
    """Record that a run which stopped half way goes on, with the file as it is now.

    What it had stopped at stays among the decisions, unless somebody else is to `tell`; the time
    until now is not that of the run.
    """
    given = {
        "run": run,
        "tell": tell,
        "host": platform.node(),
        "checksum": migration.checksum,
        "raw_checksum": migration.raw_checksum,
        "down_checksum": way_back(migration),
    }
    conn.execute(RESUME, given)


def finish(conn: Connection, run: int, status: str, error: str = "") -> None:
    """Record how a run ended that did not end with its last block.

    A run that has ended stays as it ended: a commit whose answer was lost is still a commit.
    """
    conn.execute(f"{FINISH} WHERE run = %s AND status = 'running'", [status, error, run])


def record_steps(
    conn: Connection,
    run: int,
    observations: Iterable[Observation],
    status: str = "done",
    before: dict[str, Any] | None = None,
) -> None:
    """Record steps with what was observed; `before` is what a step found that starts now."""
    rows = [_row(run, o, status) | {"before": before or {}} for o in observations]
    conn.execute(RECORD, [json.dumps(rows)])


def keep(
    conn: Connection,
    run: int,
    observations: Iterable[Observation],
    parts: Iterable[PartRow],
    status: str,
) -> float | None:
    """Record a block that is about to be committed, in one statement; seconds when that ends it.

    `parts` are the files whose last statement is in the block, `status` what the run becomes when
    it was the last block, else empty. Raise CheckViolation of FENCE when the run is not running.
    """
    row = conn.execute(keeping(conn, run, observations, parts, status).encode()).fetchone()
    return float(row[0]) if row and row[0] is not None else None


def fenced_off(error: BaseException) -> bool:
    """True when a run was not recorded because it is not running any more."""
    if not isinstance(error, psycopg.errors.CheckViolation):
        return False
    return (error.diag.schema_name, error.diag.constraint_name) == ("qb", FENCE)


def keeping(
    conn: Connection,
    run: int,
    observations: Iterable[Observation],
    parts: Iterable[PartRow],
    status: str,
    *,
    prepared: bool = False,
) -> str:
    """The same as SQL, for a session that has executed PREPARE if it is `prepared`."""
    steps = json.dumps([_row(run, o, "done") for o in observations])
    given = (
        literal(conn, steps),
        literal(conn, json.dumps([part.as_dict() for part in parts])),
        str(run),
        literal(conn, status),
    )
    return f"EXECUTE qb_keep ({', '.join(given)})" if prepared else _filled(KEEP, given)


def _filled(query: str, given: Sequence[str]) -> str:
    """A query with SQL in the place of its parameters."""
    return _GAP.sub(lambda gap: given[int(gap[1]) - 1], query)


def flush(conn: Connection) -> None:
    """Have everything on disk that was committed before, as the server's settings want it."""
    with conn.transaction():
        conn.execute("SET LOCAL synchronous_commit TO DEFAULT")
        conn.execute("UPDATE qb.meta SET version = version")  # what changes nothing waits for none


def _row(run: int, o: Observation, status: str) -> dict[str, Any]:
    """One step as its row."""
    return {
        "run": run,
        "number": o.number,
        "part": o.part,
        "sql": mask(o.sql),
        "place": o.place,
        "status": status,
        "transactional": o.transaction is not None,
        "seconds": o.seconds,
        "rows": o.rows,
        "wal_bytes": o.wal_bytes,
        "attempts": o.attempts,
        "locks": o.table_locks,
        "messages": [mask(text) for text in o.messages],
        "error": mask(o.error) if o.error else "",
    }


def snapshot_after(conn: Connection, run: int, schema: Snapshot, probe: str = "") -> None:
    """Keep what the schema became, to compare with what is there later."""
    with conn.transaction():
        conn.execute(
            "UPDATE qb.history SET fingerprint_after = %s WHERE run = %s",
            [schema.fingerprint, run],
        )
        conn.execute(
            "INSERT INTO qb.snapshot (run, fingerprint, probe, snapshot) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (run) DO UPDATE SET fingerprint = excluded.fingerprint,"
            " probe = excluded.probe, snapshot = excluded.snapshot",
            [run, schema.fingerprint, probe, schema.to_json()],
        )


def last_fingerprint(conn: Connection) -> tuple[str, str] | None:
    """The probe and the fingerprint of the schema that was kept last; None when there is none."""
    if not exists(conn):
        return None
    row = conn.execute(
        "SELECT probe, fingerprint FROM qb.snapshot ORDER BY run DESC LIMIT 1"
    ).fetchone()
    return (row[0], row[1]) if row else None


def standing(conn: Connection) -> dict[str, Standing]:
    """How each migration stands that ever left something here, by id."""
    found = {}
    for row in conn.execute(STANDING).fetchall():
        run = Run(*row)
        status = run.status
        if status in ("failed", "stopped", "running"):
            status = "partial" if run.direction == "up" else "partial down"
        found[run.migration] = Standing(run.migration, status, run.checksum, run)
    return found


def history(conn: Connection, migration: str | None = None) -> tuple[Run, ...]:
    """All runs, the newest first."""
    where = " WHERE h.migration = %(id)s" if migration else ""
    rows = conn.execute(RUNS + where + " ORDER BY h.run DESC", {"id": migration}).fetchall()
    return tuple(Run(*row) for row in rows)


def steps(conn: Connection, run: int) -> tuple[StepRow, ...]:
    """The recorded statements of a run, in order."""
    rows: list[tuple[Any, ...]] = conn.execute(
        "SELECT number, part, sql, place, status, transactional, seconds, rows, wal_bytes,"
        " attempts, locks, error, messages, before FROM qb.step WHERE run = %s ORDER BY number",
        [run],
    ).fetchall()
    return tuple(StepRow(*row) for row in rows)


def close_stale(conn: Connection) -> None:
    """Record that runs whose runner is gone have ended. Call it with the runner's lock held."""
    conn.execute(
        "UPDATE qb.history SET status = 'stopped', error = 'its runner ended without a word',"
        " finished_at = pg_catalog.clock_timestamp() WHERE status = 'running'"
    )


def status_of(conn: Connection, run: int) -> str:
    """How a run stands now."""
    row = conn.execute("SELECT status FROM qb.history WHERE run = %s", [run]).fetchone()
    return str(row[0]) if row else ""


def kept_steps(conn: Connection, run: int) -> dict[int, StepRow]:
    """The statements of a run that were committed, and the one that was running, by number."""
    return {s.number: s for s in steps(conn, run) if s.status in ("done", "running")}
