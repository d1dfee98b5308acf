"""what did not run here and counts as applied: adopted, imported, accepted; each with its event"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import qb_engine
from qb_engine.ledger.decisions import durably
from qb_engine.ledger.history import Run, way_back
from qb_engine.ledger.install import as_sql
from qb_engine.schema import snapshot

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target
    from qb_engine.migrations import LoadedMigration

What = Literal["adopted", "imported"]

# every row at once: there may be thousands
ADOPT = """
WITH given AS (
    SELECT * FROM pg_catalog.jsonb_to_recordset(%(rows)s) AS g(
           migration text, name text, checksum text, raw_checksum text, down_checksum text,
           status text, who text, at timestamptz, seconds float8, note text, n bigint)
), made AS (
    INSERT INTO qb.history (migration, name, checksum, raw_checksum, down_checksum, direction,
           status, who, host, qb_version, started_at, finished_at, seconds)
    SELECT migration, name, checksum, raw_checksum, down_checksum, 'up', status,
           coalesce(nullif(who, ''), session_user), %(host)s, %(version)s,
           coalesce(at, pg_catalog.clock_timestamp()), coalesce(at, pg_catalog.clock_timestamp()),
           seconds
      FROM given ORDER BY n
    RETURNING run, migration
), told AS (
    INSERT INTO qb.event (host, what, migration, run, reason, detail)
    SELECT %(host)s, %(what)s, m.migration, m.run, %(reason)s,
           %(detail)s::jsonb || pg_catalog.jsonb_build_object('note', g.note)
      FROM made m JOIN given g USING (migration) ORDER BY m.run
)
SELECT pg_catalog.max(run) FROM made
"""

# the schema as it stands is where replays begin; what ran before is in it
BASELINE = """
WITH moved AS (UPDATE qb.meta SET baseline_sql = %(sql)s, baseline_snapshot = %(snapshot)s)
INSERT INTO qb.event (host, what, run, reason, detail)
SELECT %(host)s, 'baseline', pg_catalog.max(run), %(reason)s, %(detail)s FROM qb.history
"""

# applied by another tool since it was taken over: what comes after the baseline, in its order
TAKEN = "taken over"
REVERTED = "taken back"
BACK = """
WITH made AS (
    INSERT INTO qb.history (migration, name, checksum, direction, status, who, host, qb_version,
                            finished_at, seconds)
    SELECT DISTINCT ON (h.migration) h.migration, h.name, h.checksum, 'down', 'rolled back',
           %(who)s, %(host)s, %(version)s, pg_catalog.clock_timestamp(), 0
      FROM qb.history h WHERE h.migration = ANY (%(ids)s) ORDER BY h.migration, h.run DESC
    RETURNING run, migration
)
INSERT INTO qb.event (host, what, migration, run, detail)
SELECT %(host)s, %(what)s, migration, run, %(detail)s FROM made
"""

# whether anything that the ledger knows stands, or stood, in the other tool's history, since that
# was given back the last time
SHARED = """
WITH released AS (
    SELECT coalesce(pg_catalog.max(id), 0) AS id, coalesce(pg_catalog.max(run), 0) AS run
      FROM qb.event WHERE what = 'released'
)
SELECT EXISTS (SELECT FROM qb.history h, released r
                WHERE h.migration = ANY (%s) AND h.status <> 'running' AND h.run > r.run)
    OR EXISTS (SELECT FROM qb.event e, released r
                WHERE e.what IN ('adopted', 'imported') AND e.detail ->> 'from' = 'typeorm'
                  AND e.id > r.id)
"""

# of every run since the last way back, so that neither direction is taken for edited
ACCEPT = """
WITH since AS (
    SELECT coalesce(pg_catalog.max(run), 0) AS run FROM qb.history
     WHERE migration = %(migration)s AND direction = 'down'
), changed AS (
    UPDATE qb.history h SET checksum = %(checksum)s, down_checksum = %(down_checksum)s,
           raw_checksum = %(raw_checksum)s
      FROM since WHERE h.migration = %(migration)s AND h.direction = 'up' AND h.run > since.run
)
INSERT INTO qb.event (host, what, migration, run, reason, detail)
VALUES (%(host)s, 'checksum accepted', %(migration)s, %(run)s, %(reason)s, %(detail)s)
"""

REFILL = "UPDATE qb.backfill SET checksum = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Adoption:
    """A migration that counts as applied from now on: when and by whom, as far as it is known."""

    migration: str
    name: str
    checksum: str
    raw_checksum: str
    down_checksum: str
    status: str = "applied"
    who: str = ""
    at: datetime | None = None
    seconds: float | None = None
    note: str = ""

    @classmethod
    def of(cls, migration: LoadedMigration, raw: str = "", **more: Any) -> Adoption:
        """One of a migration whose file can be read, as it is now."""
        return cls(
            migration.id,
            migration.name,
            migration.checksum,
            migration.raw_checksum or raw,
            way_back(migration),
            "contracted" if migration.backfill is not None else "applied",
            **more,
        )


@dataclass(frozen=True, slots=True)
class Inherited:
    """What the baseline holds: runs up to `covered`, and the runs that only say so."""

    covered: int = 0
    runs: frozenset[int] = frozenset()


def adopt(
    conn: Connection,
    target: Target,
    rows: Sequence[Adoption],
    what: What,
    *,
    reason: str = "",
    detail: dict[str, Any] | None = None,
    also: Callable[[], object] = lambda: None,
) -> int:
    """Record migrations as applied, and the schema as it stands as the baseline; the last run.

    Call it with the runner's lock held and a ledger made. What `also` does is done with it, or not
    at all.
    """
    schema = snapshot(conn)
    ddl = as_sql(conn, target)
    with durably(conn):
        also()
        told = {"host": platform.node(), "reason": reason, "detail": json.dumps(detail or {})}
        conn.execute(BASELINE, {"sql": ddl, "snapshot": schema.to_json(), **told})
        given = json.dumps([{**asdict(each), "n": n} for n, each in enumerate(rows)], default=str)
        row = conn.execute(
            ADOPT, {"rows": given, "version": qb_engine.__version__, "what": what, **told}
        ).fetchone()
        last = int(row[0]) if row and row[0] is not None else 0
        if last:
            conn.execute(
                "UPDATE qb.history SET fingerprint_after = %s WHERE run = %s",
                [schema.fingerprint, last],
            )
            conn.execute(
                "INSERT INTO qb.snapshot (run, fingerprint, snapshot) VALUES (%s, %s, %s)",
                [last, schema.fingerprint, schema.to_json()],
            )
    return last


def take_over(conn: Connection, rows: Sequence[Adoption], detail: dict[str, Any]) -> int:
    """Record migrations as applied that another tool has applied since; the last run.

    They are replayed like those that qb ran: the baseline stays where it is.
    """
    given = json.dumps([{**asdict(each), "n": n} for n, each in enumerate(rows)], default=str)
    told = {"host": platform.node(), "reason": "", "detail": json.dumps(detail)}
    with durably(conn):
        row = conn.execute(
            ADOPT, {"rows": given, "version": qb_engine.__version__, "what": TAKEN, **told}
        ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def take_back(conn: Connection, ids: Sequence[str], detail: dict[str, Any]) -> None:
    """Record migrations as rolled back that another tool has reverted."""
    given = {
        "ids": list(ids), "who": f"reverted by {detail.get('from', 'another tool')}",
        "host": platform.node(), "version": qb_engine.__version__, "what": REVERTED,
        "detail": json.dumps(detail),
    }  # fmt: skip
    with durably(conn):
        conn.execute(BACK, given)


def taken_over(conn: Connection) -> frozenset[int]:
    """The runs that only say that another tool has applied a migration."""
    found = conn.execute("SELECT run FROM qb.event WHERE what = %s", [TAKEN]).fetchall()
    return frozenset(run for (run,) in found)


def shared(conn: Connection, ids: Iterable[str]) -> bool:
    """True when the ledger knows of TypeORM's history: it took it over, or qb has written to it."""
    row = conn.execute(SHARED, [list(ids)]).fetchone()
    return bool(row and row[0])


def inherited(conn: Connection) -> Inherited:
    """The runs whose work the baseline holds."""
    row = conn.execute(
        "SELECT pg_catalog.max(run) FROM qb.event WHERE what = 'baseline'"
    ).fetchone()
    covered = int(row[0]) if row and row[0] is not None else 0
    runs = conn.execute(
        "SELECT run FROM qb.event WHERE what IN ('adopted', 'imported') AND run > %s", [covered]
    ).fetchall()
    return Inherited(covered, frozenset(run for (run,) in runs))


def own_runs(conn: Connection, standing: Iterable[Run]) -> tuple[str, ...]:
    """The migrations among these that qb itself ran, so that the baseline cannot be moved."""
    told = inherited(conn)
    return tuple(r.migration for r in standing if r.run not in told.runs)


def accept(conn: Connection, run: Run, migration: LoadedMigration, reason: str) -> None:
    """Take a file as it is now for what a run applied; who said so, when and why is kept."""
    now = {
        "checksum": migration.checksum,
        "down_checksum": way_back(migration),
        "raw_checksum": migration.raw_checksum,
    }
    old = {name: getattr(run, name) for name in now}
    given = {
        "migration": run.migration,
        "run": run.run,
        "host": platform.node(),
        "reason": reason,
        "detail": json.dumps({"old": old, "new": now}),
        **now,
    }
    with durably(conn):
        conn.execute(ACCEPT, given)
        conn.execute(REFILL, [migration.fill_checksum, migration.id])
