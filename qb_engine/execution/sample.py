"""one look at a backend: what it holds, for whom it waits, who waits for it, what it costs

Everybody may read pg_locks, so who waits for whom is known without any privilege. What
pg_stat_activity tells of other roles' sessions needs pg_read_all_stats; without it a session that
waits still counts, and its query is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qb_engine.execution.observation import strength
from qb_engine.execution.progress import Progress
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

QUERY_LENGTH = 80  # of somebody else's query, once its secrets are masked
SAME_WAIT_S = 0.5  # two looks at one wait agree about its beginning within this

# I/O as the server counts it. It adds up what a session did when its transaction ends, not before;
# only PostgreSQL 18 and later know it for a single session.
SESSION_IO = """
(SELECT pg_catalog.json_build_array('session', pg_catalog.sum(io.read_bytes),
        pg_catalog.sum(io.write_bytes) + pg_catalog.sum(io.extend_bytes))
   FROM pg_catalog.pg_stat_get_backend_io(%(pid)s) AS io)
"""
CLIENTS_IO = """
(SELECT pg_catalog.json_build_array('all sessions', pg_catalog.sum(io.reads * io.op_bytes),
        pg_catalog.sum((io.writes + io.extends) * io.op_bytes))
   FROM pg_catalog.pg_stat_io io WHERE io.backend_type = 'client backend')
"""
DATABASE_IO = """
(SELECT pg_catalog.json_build_array('database', d.blks_read
        * pg_catalog.current_setting('block_size')::bigint, NULL)
   FROM pg_catalog.pg_stat_database d WHERE d.datname = pg_catalog.current_database())
"""

# One row: the tables it holds, who waits for it (behind others, too), whether it waits itself and
# for which table, where the server's log stands, what the session is at, I/O.
LOOK = """
WITH RECURSIVE locks AS MATERIALIZED (
    SELECT l.pid, l.locktype, l.database, l.relation, l.mode, l.granted, l.waitstart
      FROM pg_catalog.pg_locks l
), waiting AS MATERIALIZED (
    SELECT DISTINCT l.pid FROM locks l WHERE NOT l.granted
), edges AS MATERIALIZED (
    SELECT w.pid, b.pid AS blocker FROM waiting w
     CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b(pid)
), behind (pid) AS (
    SELECT e.pid FROM edges e WHERE e.blocker = %(pid)s
     UNION
    SELECT e.pid FROM edges e JOIN behind b ON e.blocker = b.pid
), blocked AS (
    SELECT coalesce(a.leader_pid, a.pid) AS pid, pg_catalog.max(a.application_name) AS application,
           pg_catalog.max(coalesce(extract(
               epoch FROM pg_catalog.clock_timestamp() - l.waitstart), 0)) AS seconds,
           pg_catalog.max(pg_catalog.left(a.query, 1000)) AS query,
           pg_catalog.max(CASE l.locktype WHEN 'transactionid' THEN 'a row that it changed'
                               WHEN 'virtualxid' THEN 'its end'
                               ELSE l.mode || coalesce(' on ' || n.nspname || '.' || c.relname,
                                                       ' (' || l.locktype || ')') END) AS wants
      FROM behind b
      JOIN locks l ON l.pid = b.pid AND NOT l.granted
      JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
      LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
      LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE b.pid <> ALL (%(ours)s::int[]) AND b.pid <> pg_catalog.pg_backend_pid()
       AND (a.backend_type IN ('client backend', 'parallel worker')
            OR a.backend_type IS NULL AND a.usesysid IS NOT NULL)
     GROUP BY 1
)
SELECT (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(
                   n.nspname || '.' || c.relname, l.mode)), '[]')
          FROM locks l
          JOIN pg_catalog.pg_class c ON c.oid = l.relation
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE l.pid = %(pid)s AND l.granted AND l.locktype = 'relation'
           AND c.relkind NOT IN ('i', 'I')
           AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                              WHERE d.datname = pg_catalog.current_database())
           AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'qb')),
       (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(
                   b.pid, b.application, b.seconds, b.query, b.wants)
                                 ORDER BY b.seconds DESC, b.pid), '[]') FROM blocked b),
       EXISTS (SELECT FROM waiting w WHERE w.pid = %(pid)s),
       (SELECT pg_catalog.json_build_array(n.nspname, c.relname, l.mode) FROM locks l
          JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE l.pid = %(pid)s AND NOT l.granted AND l.locktype = 'relation' LIMIT 1),
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0 ELSE pg_catalog.pg_wal_lsn_diff(
            pg_catalog.pg_current_wal_insert_lsn(), '0/0') END::bigint,
       (SELECT pg_catalog.concat_ws(': ', a.wait_event_type, a.wait_event)
          FROM pg_catalog.pg_stat_activity a WHERE a.pid = %(pid)s),
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A session that waits for the run, or that the run waits for.

    `seconds`: how long it has waited (from pg_locks.waitstart), or how old its transaction is; 0
    where that may not be seen. `wants` is the lock that it asks for.
    """

    pid: int
    application: str
    seconds: float
    query: str = ""
    wants: str = ""

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.application})" + (f": {self.query}" if self.query else "")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. `at` counts seconds from the executor's first step, as observations do.

    `held` maps tables to the strongest lock on them. `wal_bytes` is what the whole server has
    written since the first look. `io` says what the session was `at` (a wait event, or empty when
    it computed) and what was `read` and `written` since then, in bytes, `of` the session, all
    sessions or the database: the server counts a transaction's I/O when that ends. `cancelled` says
    that this look ended the statement.
    """

    at: float
    step: int
    held: dict[str, str] = field(default_factory=dict)
    waits_for: tuple[Waiting, ...] = ()
    blocked: tuple[Waiting, ...] = ()
    wal_bytes: int = 0
    io: dict[str, Any] = field(default_factory=dict)
    progress: Progress | None = None
    cancelled: bool = False

    @property
    def longest(self) -> float:
        """Seconds that the session which waits longest has waited."""
        return max((each.seconds for each in self.blocked), default=0.0)

    def like(self, other: Sample) -> bool:
        """True when a reader of the timeline would see no difference between the two."""
        return (
            (self.step, self.held, self.cancelled) == (other.step, other.held, other.cancelled)
            and _phase(self.progress) == _phase(other.progress)
            and _pids(self.waits_for) == _pids(other.waits_for)
            and _pids(self.blocked) == _pids(other.blocked)
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found, before it is put beside the looks before it."""

    held: dict[str, str]
    blocked: tuple[Waiting, ...]
    waits: bool
    wanted: tuple[str, str, str] | None  # schema, table and mode of the table lock it waits for
    wal: int
    at: str  # the wait event of the session; empty when it computes
    io: tuple[str, int, int | None]


@dataclass(frozen=True, slots=True)
class Wait:
    """One session's wait for the run, from `start` to the last look that saw it waiting.

    `step` is the statement that ran then; `cancelled` says that it was given up for this wait.
    """

    who: Waiting
    start: float
    end: float
    step: int
    cancelled: bool = False

    @property
    def seconds(self) -> float:
        """How long it was seen to wait."""
        return self.who.seconds


def look(conn: Connection, pid: int, ours: Iterable[int] = ()) -> Seen:
    """Look at a backend through another connection; `ours` are sessions that do not count."""
    version = conn.info.server_version
    io = SESSION_IO if version >= 180_000 else CLIENTS_IO if version >= 160_000 else DATABASE_IO
    row = conn.execute((LOOK + io).encode(), {"pid": pid, "ours": [pid, *ours]}).fetchone()
    assert row is not None
    held, blocked, waits, wanted, wal, at, (of, read, written) = row
    modes: dict[str, str] = {}
    for name, mode in held:
        modes[name] = max(mode, modes.get(name, ""), key=strength)
    return Seen(
        modes,
        tuple(
            Waiting(each, name or "?", float(seconds), _readable(query), wants or "")
            for each, name, seconds, query, wants in blocked
        ),
        waits,
        (wanted[0], wanted[1], wanted[2]) if wanted else None,
        int(wal),
        at or "",
        (of, int(read or 0), None if written is None else int(written)),
    )


def waits(samples: Iterable[Sample]) -> tuple[Wait, ...]:
    """Who was kept waiting, each wait once, the longest first."""
    open_: dict[int, Wait] = {}
    found: list[Wait] = []
    for sample in samples:
        for who in sample.blocked:
            start = sample.at - who.seconds
            last = open_.pop(who.pid, None)
            if last is not None and (
                who.seconds < last.seconds or start - last.start > SAME_WAIT_S
            ):
                found.append(last)
                last = None
            open_[who.pid] = Wait(
                who,
                start if last is None else last.start,
                sample.at,
                sample.step,
                sample.cancelled or (last is not None and last.cancelled),
            )
    return tuple(sorted([*found, *open_.values()], key=lambda w: (-w.seconds, w.start, w.who.pid)))


def thinned(samples: Sequence[Sample], most: int) -> tuple[Sample, ...]:
    """About so many samples at most: every n-th, and those at which something was cancelled."""
    every = -(-len(samples) // most)
    return tuple(s for i, s in enumerate(samples) if s.cancelled or i % every == 0)


def _readable(query: str | None) -> str:
    if not query or query.startswith("<"):  # <insufficient privilege>, in the server's language
        return ""
    return mask(" ".join(query.split()))[:QUERY_LENGTH]


def _phase(progress: Progress | None) -> str:
    return progress.phase if progress else ""


def _pids(sessions: Iterable[Waiting]) -> list[int]:
    return [each.pid for each in sessions]
