"""`qb locks`: who waits for whom on this target, now"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import short
from qb_engine.report import Column, Report, Table

# Every waiting session with each of the sessions that it waits for.
WAITS = """
SELECT w.pid, coalesce(nullif(w.application_name, ''), '?'),
       coalesce(l.relation::regclass::text, l.locktype), l.mode,
       extract(epoch FROM clock_timestamp() - coalesce(l.waitstart, w.query_start))::float8,
       left(w.query, 200),
       b.pid, coalesce(nullif(b.application_name, ''), '?'), coalesce(b.state, '?'),
       extract(epoch FROM clock_timestamp() - b.xact_start)::float8, left(b.query, 200)
  FROM pg_catalog.pg_stat_activity w
  JOIN pg_catalog.pg_locks l ON l.pid = w.pid AND NOT l.granted
 CROSS JOIN LATERAL unnest(pg_catalog.pg_blocking_pids(w.pid)) AS blocking(pid)
  LEFT JOIN pg_catalog.pg_stat_activity b ON b.pid = blocking.pid
 WHERE w.datname = pg_catalog.current_database()
 ORDER BY 5 DESC, w.pid, b.pid
"""


@dataclass(frozen=True, slots=True)
class Wait:
    """One session that waits for a lock, and one that it waits for. Times in seconds.

    `held_for` is the age of the other's transaction: the lock is let go when that ends.
    """

    pid: int
    application: str
    what: str
    mode: str
    waited: float
    query: str
    by_pid: int | None
    by_application: str
    by_state: str
    held_for: float | None
    by_query: str | None


@dataclass(frozen=True)
class LocksReport(Report):
    """Who waits for whom."""

    name: ClassVar[str] = "locks"
    target: str
    waits: tuple[Wait, ...]

    def headline(self) -> str:
        waiting = len({wait.pid for wait in self.waits})
        if not waiting:
            return f"nobody waits for a lock on {self.target}"
        return f"{waiting} session{'s wait' if waiting > 1 else ' waits'} on {self.target}"

    def tables(self) -> Sequence[Table]:
        columns = (
            *(Column("waits", "count"), Column("application"), Column("for"), Column("mode")),
            *(Column("since", "seconds"), Column("its query", "code")),
            *(Column("held by", "count"), Column("application"), Column("state")),
            *(Column("in transaction", "seconds"), Column("last query", "code")),
        )
        rows = tuple(
            (w.pid, w.application, w.what, w.mode.removesuffix("Lock"), w.waited,
             short(w.query, 40), w.by_pid, w.by_application, w.by_state, w.held_for,
             short(w.by_query or "", 40))
            for w in self.waits
        )  # fmt: skip
        return (Table("waiting", columns, rows, empty="nobody"),)

    def notes(self) -> Sequence[str]:
        idle = {w.by_pid for w in self.waits if w.by_state == "idle in transaction"}
        return [f"pid {pid} is idle in a transaction: whoever left it open must end it"
                for pid in sorted(pid for pid in idle if pid is not None)]  # fmt: skip


@qb_command("locks", short_help="Who waits for whom, now.")
def command(session: Session) -> Report:
    """Show every session that waits for a lock on the target, and who holds it."""
    from qb_engine.database.connect import server_errors

    with (
        session.connect(application_name="qb locks") as conn,
        server_errors("reading the locks", session.target),
    ):
        rows = conn.execute(WAITS).fetchall()
    return LocksReport(session.target.name, tuple(Wait(*row) for row in rows))
