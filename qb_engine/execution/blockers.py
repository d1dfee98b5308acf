"""who stands in a session's way, down to the one that waits for nobody; and ending it, when asked

PostgreSQL's own pg_blocking_pids says who blocks whom, those ahead in a lock's queue included. It
knows a prepared transaction as process 0; which one that is, pg_locks tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

QUERY_LENGTH = 200
GRACE_S = 2.0  # a cancelled statement has rolled back within this, or its session is ended
POLL_S = 0.02

# every session that waits for another, from the asked ones on, with the one that it waits for
CHAIN = """
WITH RECURSIVE chain (pid, blocker) AS (
  SELECT first.pid, b.pid FROM pg_catalog.unnest(%(pids)s::int[]) AS first(pid)
   CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(first.pid)) AS b(pid)
   UNION
  SELECT c.blocker, b.pid FROM chain c
   CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(c.blocker)) AS b(pid)
   WHERE c.blocker <> 0
)
SELECT pid, blocker FROM chain ORDER BY 1, 2
"""

SESSIONS = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), '?'), coalesce(a.usename::text, '?'),
       coalesce(pg_catalog.host(a.client_addr), ''), coalesce(a.state, ''),
       extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8,
       coalesce(a.query, ''),
       coalesce(a.backend_type, ''), r.rolsuper, a.backend_start::text, a.xact_start::text
  FROM pg_catalog.pg_stat_activity a
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
 WHERE a.pid = ANY (%(pids)s::int[])
"""

# prepared transactions that hold what one of these sessions waits for, or a part of it
PREPARED = """
SELECT DISTINCT w.pid, p.gid, p.owner::text,
       extract(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::float8
  FROM pg_catalog.pg_locks w
  JOIN pg_catalog.pg_locks h
    ON h.granted AND h.pid IS NULL AND h.locktype = w.locktype
   AND h.database IS NOT DISTINCT FROM w.database AND h.relation IS NOT DISTINCT FROM w.relation
   AND h.page IS NOT DISTINCT FROM w.page AND h.tuple IS NOT DISTINCT FROM w.tuple
   AND h.transactionid IS NOT DISTINCT FROM w.transactionid
   AND h.classid IS NOT DISTINCT FROM w.classid AND h.objid IS NOT DISTINCT FROM w.objid
   AND h.objsubid IS NOT DISTINCT FROM w.objsubid
   AND h.virtualxid IS NOT DISTINCT FROM w.virtualxid
  JOIN pg_catalog.pg_locks own
    ON own.locktype = 'transactionid' AND own.pid IS NULL AND own.granted
   AND own.virtualtransaction = h.virtualtransaction
  JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = own.transactionid
 WHERE NOT w.granted AND w.pid = ANY (%(pids)s::int[])
 ORDER BY 4 DESC
"""

# Only the same transaction of the same session: a pid may be somebody else's by now.
SAME = "WHERE a.pid = %(pid)s AND a.backend_start = %(born)s::timestamptz"
SAME_TRANSACTION = SAME + " AND a.xact_start = %(began)s::timestamptz"
FROM = "FROM pg_catalog.pg_stat_activity a"
CANCEL = f"SELECT pg_catalog.pg_cancel_backend(a.pid) {FROM} {SAME_TRANSACTION}"
END = f"SELECT pg_catalog.pg_terminate_backend(a.pid) {FROM} {SAME_TRANSACTION}"
STILL = f"SELECT a.state {FROM} {SAME_TRANSACTION}"

BACKUPS = ("pg_dump", "pg_dumpall", "pg_basebackup", "pgbackrest", "barman", "wal-g")


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session, or a prepared transaction (`gid`), that others wait for.

    `age_s` counts from the start of its transaction, None where it may not be seen; `waits_for` are
    the sessions that it waits for itself; `superuser` is None where that is not known.
    """

    pid: int
    application: str
    user: str
    state: str = ""
    age_s: float | None = None
    query: str = ""
    backend_type: str = ""
    superuser: bool | None = None
    host: str = ""
    waits_for: tuple[int, ...] = ()
    gid: str = ""
    born: str = ""
    began: str | None = None

    @property
    def root(self) -> bool:
        """True when it waits for nobody: the others move on when it does."""
        return not self.waits_for

    @property
    def key(self) -> tuple[int, str, str | None, str]:
        """What tells this transaction from any other."""
        return (self.pid, self.born, self.began, self.gid)


@dataclass(frozen=True, slots=True)
class Ended:
    """What was done about a blocker: `cancelled`, `terminated` or `left`, and why."""

    blocker: Blocker
    how: str
    why: str = ""


def blockers(watching: Connection, pid: int) -> tuple[Blocker, ...]:
    """Whom a session waits for, and whom those wait for; the roots first, the oldest first."""
    return blockers_of(watching, [pid])


def blockers_of(watching: Connection, pids: Iterable[int]) -> tuple[Blocker, ...]:
    """The same for several sessions at once; none of them is among the answers unless it blocks."""
    pairs = watching.execute(CHAIN, {"pids": list(pids)}).fetchall()
    if not pairs:
        return ()
    waits: dict[int, list[int]] = {}
    for waiter, blocker in pairs:
        waits.setdefault(waiter, []).append(blocker)
    involved = {blocker for _, blocker in pairs}
    rows = watching.execute(SESSIONS, {"pids": sorted(involved - {0})}).fetchall()
    found = [_session(row, tuple(waits.get(row[0], ()))) for row in rows]
    if 0 in involved:
        found += _prepared(watching, [waiter for waiter, blocker in pairs if blocker == 0])
    return _oldest_first(found)


def sessions_of(watching: Connection, pids: Iterable[int]) -> tuple[Blocker, ...]:
    """Sessions that stand in the way without a lock, by their snapshots; the oldest first."""
    rows = watching.execute(SESSIONS, {"pids": list(pids)}).fetchall()
    return _oldest_first(_session(row, ()) for row in rows)


def _oldest_first(found: Iterable[Blocker]) -> tuple[Blocker, ...]:
    return tuple(sorted(found, key=lambda b: (not b.root, -(b.age_s or 0.0), b.pid)))


def _session(row: tuple[Any, ...], waits_for: tuple[int, ...]) -> Blocker:
    pid, application, user, host, state, age, query, kind, superuser, born, began = row
    return Blocker(
        pid=pid,
        application=application,
        user=user,
        state=state,
        age_s=age,
        query=mask(" ".join(query.split()))[:QUERY_LENGTH],
        backend_type=kind,
        superuser=superuser,
        host=host,
        waits_for=waits_for,
        born=born or "",
        began=began,
    )


def _prepared(watching: Connection, waiters: list[int]) -> list[Blocker]:
    seen = {}
    for _waiter, gid, owner, age in watching.execute(PREPARED, {"pids": waiters}).fetchall():
        seen[gid] = Blocker(
            0, "prepared transaction", owner, "prepared", age, gid=gid, backend_type="prepared"
        )
    return list(seen.values()) or [
        Blocker(0, "prepared transaction", "?", "prepared", backend_type="prepared")
    ]


def sentence(blocker: Blocker) -> str:
    """Who it is, what it does and since when, and its query."""
    age = "" if blocker.age_s is None else f" for {length(blocker.age_s)}"
    if not blocker.pid:
        name = f" '{blocker.gid}'" if blocker.gid else ""
        return f"prepared transaction{name} of user {blocker.user}{age}"
    place = f", from {blocker.host}" if blocker.host else ""
    kind = f", {blocker.backend_type}" if blocker.backend_type not in ("", "client backend") else ""
    state = {"active": "in a transaction", "": "of whom no more may be seen"}
    text = f"pid {blocker.pid} ({blocker.application}, user {blocker.user}{place}{kind})"
    text += f" {state.get(blocker.state, blocker.state)}{age}"
    if blocker.waits_for:
        text += ", itself waiting for " + " and ".join(_named(pid) for pid in blocker.waits_for)
    return f"{text}: {blocker.query[:80]}" if blocker.query else text


def _named(pid: int) -> str:
    return f"pid {pid}" if pid else "a prepared transaction"


def length(seconds: float) -> str:
    """A length of time, as short as it can be told: `3 s`, `12 min`, `5 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


# -- ending them -------------------------------------------------------------------------------


def spared(blocker: Blocker, older_than_s: float) -> str:
    """Why a blocker must be left alone; empty when it may be ended."""
    if not blocker.pid:
        return "only its owner may decide: COMMIT PREPARED or ROLLBACK PREPARED"
    if blocker.backend_type == "walsender":
        return "it replicates, or takes a base backup"
    if blocker.backend_type.startswith("autovacuum"):
        wraparound = "to prevent wraparound" in blocker.query
        return "it keeps transaction ids from running out" if wraparound else (
            "the server itself cancels an autovacuum that is in the way"
        )  # fmt: skip
    if blocker.superuser is None or not blocker.backend_type or blocker.age_s is None:
        return "too little may be seen of it (pg_read_all_stats shows all)"
    if blocker.superuser:
        return "it is a superuser's"
    if blocker.backend_type != "client backend":
        return f"it is the server's own ({blocker.backend_type})"
    name = blocker.application.lower()
    if name == "qb" or name.startswith("qb "):
        return "it is another qb"
    if name.startswith(BACKUPS):
        return "it takes a backup"
    if not blocker.root:
        return "it waits itself, and moves on with the one that it waits for"
    if blocker.age_s < older_than_s:
        return f"it is not older than {length(older_than_s)}"
    return ""


def terminate(
    watching: Connection,
    found: Iterable[Blocker],
    older_than_s: float,
    tell: Callable[[str], None],
) -> tuple[Ended, ...]:
    """End the blockers that may be ended and whose transactions are older than this.

    A running statement is cancelled first: its transaction is rolled back, its client keeps its
    session. A session that holds on, or is idle in its transaction, is terminated. `tell` hears of
    each, and of those that the privileges do not reach.
    """
    done = []
    for blocker in found:
        if why := spared(blocker, older_than_s):
            done.append(Ended(blocker, "left", why))
            continue
        try:
            how = _end(watching, blocker)
        except psycopg.errors.InsufficientPrivilege as error:
            why = f"{error.diag.message_primary}; a role with pg_signal_backend may"
            tell(f"cannot end {sentence(blocker)}: {why}")
            done.append(Ended(blocker, "left", why))
            continue
        if how:
            tell(f"{how} {sentence(blocker)}")
            done.append(Ended(blocker, how))
        else:
            done.append(Ended(blocker, "left", "it has ended meanwhile"))
    return tuple(done)


def _end(watching: Connection, blocker: Blocker) -> str:
    """Cancel, and terminate what stays; empty when there is nothing to end any more."""
    names = {"pid": blocker.pid, "born": blocker.born, "began": blocker.began}
    if blocker.state == "active":
        if not watching.execute(CANCEL, names).fetchone():
            return ""
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            row = watching.execute(STILL, names).fetchone()
            if row is None or row[0] == "idle in transaction (aborted)":
                return "cancelled the statement of"
            time.sleep(POLL_S)  # between two looks at a condition
    row = watching.execute(END, names).fetchone()
    return "terminated" if row and row[0] else ""
