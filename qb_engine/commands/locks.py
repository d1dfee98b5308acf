"""`qb locks`: who waits for whom on this target, now, and who is at the root of it"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from qb_engine.commands import Session, qb_command
from qb_engine.commands._steps import short
from qb_engine.commands._watched import wanted
from qb_engine.report import Column, Report, Table, format_seconds
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.execution.blockers import Blocker

# Every waiting session with each of the sessions that it waits for; process 0 is prepared.
WAITS = """
SELECT w.pid, coalesce(nullif(w.application_name, ''), '?'),
       coalesce(l.relation::regclass::text, l.locktype), l.mode,
       extract(epoch FROM pg_catalog.clock_timestamp()
               - coalesce(l.waitstart, w.query_start))::float8,
       coalesce(w.query, ''), blocking.pid
  FROM pg_catalog.pg_stat_activity w
  JOIN pg_catalog.pg_locks l ON l.pid = w.pid AND NOT l.granted
 CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS blocking(pid)
 WHERE w.datname = pg_catalog.current_database()
 ORDER BY 5 DESC, w.pid, blocking.pid
"""

PREPARED = """
SELECT gid, owner::text, extract(epoch FROM pg_catalog.clock_timestamp() - prepared)::float8
  FROM pg_catalog.pg_prepared_xacts
 WHERE database = pg_catalog.current_database() ORDER BY prepared
"""
QUERY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Wait:
    """One session that waits for a lock, and one that it waits for. Times in seconds.

    `held_for` is the age of the other's transaction: the lock is let go when that ends. A prepared
    transaction has no process: `by_pid` is 0, and its name stands for the application.
    """

    pid: int
    application: str
    what: str
    mode: str
    waited: float | None
    query: str
    by_pid: int
    by_application: str
    by_state: str
    held_for: float | None
    by_query: str


@dataclass(frozen=True, slots=True)
class Root:
    """Who waits for nobody and keeps others waiting: `waiting` of them, behind each other, too."""

    pid: int
    who: str
    state: str
    age: float | None
    waiting: int
    query: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A transaction that waits for its second phase, and holds its locks until then."""

    gid: str
    owner: str
    age: float


@dataclass(frozen=True)
class LocksReport(Report):
    """Who waits for whom, who is at the root, who holds the runner's lock."""

    name: ClassVar[str] = "locks"
    target: str
    waits: tuple[Wait, ...]
    roots: tuple[Root, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    runner: str = ""

    def headline(self) -> str:
        waiting = len({wait.pid for wait in self.waits})
        if not waiting:
            return f"nobody waits for a lock on {self.target}"
        text = f"{waiting} session{'s wait' if waiting > 1 else ' waits'} on {self.target}"
        if self.roots:
            first = self.roots[0]
            others = f" and {len(self.roots) - 1} more" if len(self.roots) > 1 else ""
            text += f", because of {first.who}{others}"
        return text

    def tables(self) -> Sequence[Table]:
        columns: tuple[Column, ...] = (
            *(Column("who waits"), Column("for"), Column("since", "seconds")),
            *(Column("its query", "code"), Column("held by"), Column("last query", "code")),
        )
        rows: tuple[tuple[Any, ...], ...] = tuple(
            (
                _named(w.pid, w.application),
                wanted(f"{w.mode} on {w.what}"),
                w.waited,
                short(w.query, 40),
                _named(w.by_pid, w.by_application) + _state(w.by_state, w.held_for),
                short(w.by_query, 40) or None,
            )
            for w in self.waits
        )
        found = [Table("waiting", columns, rows, empty="nobody")]
        if self.roots:
            columns = (
                *(Column("who"), Column("state"), Column("in transaction", "seconds")),
                *(Column("keeps waiting", "count"), Column("last query", "code")),
            )
            rows = tuple(
                (r.who, r.state, r.age, r.waiting, short(r.query, 60) or None) for r in self.roots
            )
            found.append(Table("at the root", columns, rows))
        if self.prepared:
            columns = (Column("prepared transaction"), Column("owner"), Column("age", "seconds"))
            rows = tuple((p.gid, p.owner, p.age) for p in self.prepared)
            found.append(Table("prepared", columns, rows))
        return found

    def notes(self) -> Sequence[str]:
        found = []
        for root in self.roots:
            if not root.pid:
                found.append(f"{root.who}: whoever prepared it must commit it or roll it back")
            elif root.state.startswith("idle in transaction"):
                found.append(
                    f"pid {root.pid} is idle in a transaction: whoever left it open must end it, "
                    f"or somebody with SELECT pg_terminate_backend({root.pid})"
                )
        if self.runner:
            found.append(f"migrations are run by {self.runner}")
        return found


@qb_command("locks", short_help="Who waits for whom, now.")
def command(session: Session) -> Report:
    """Show every session that waits for a lock, who holds it, and who is at the root of it all."""
    from qb_engine.database.connect import server_errors

    with (
        session.connect(application_name="qb locks") as conn,
        server_errors("reading the locks", session.target),
    ):
        return look(conn, session.target.name)


def look(conn: Connection, target: str) -> LocksReport:
    """The locks of a database as they are now."""
    from qb_engine.execution.blockers import blockers_of
    from qb_engine.runner.lock import holder

    rows = conn.execute(WAITS).fetchall()
    waits: dict[int, list[int]] = {}
    for row in rows:
        waits.setdefault(row[0], []).append(row[6])
    involved = blockers_of(conn, waits)
    sessions = {blocker.pid: blocker for blocker in involved}
    held = holder(conn)
    return LocksReport(
        target,
        waits=tuple(_wait(row, sessions.get(row[6])) for row in rows),
        roots=_roots(involved, waits),
        prepared=tuple(Prepared(*row) for row in conn.execute(PREPARED).fetchall()),
        runner=str(held) if held else "",
    )


def _wait(row: tuple[Any, ...], by: Blocker | None) -> Wait:
    pid, application, what, mode, waited, query, by_pid = row
    return Wait(
        *(pid, application, what, mode, waited, _shown(query), by_pid),
        by_application=(by.gid or by.application) if by else "?",
        by_state=(by.state or "?") if by else "?",
        held_for=by.age_s if by else None,
        by_query=by.query if by else "",
    )


def _roots(involved: Iterable[Blocker], waits: Mapping[int, Sequence[int]]) -> tuple[Root, ...]:
    """Those who wait for nobody; who keeps most waiting comes first."""
    behind: dict[int, set[int]] = {}
    for waiter in waits:
        todo, seen = [waiter], set()
        while todo:
            for blocker in waits.get(todo.pop(), ()):
                if blocker not in seen:
                    seen.add(blocker)
                    todo.append(blocker)
        for blocker in seen:
            behind.setdefault(blocker, set()).add(waiter)
    found = [
        Root(
            blocker.pid,
            f"pid {blocker.pid} ({blocker.application}, user {blocker.user})"
            if blocker.pid
            else f"prepared transaction '{blocker.gid or '?'}' of user {blocker.user}",
            blocker.state or "?",
            blocker.age_s,
            len(behind.get(blocker.pid, ())),
            blocker.query,
        )
        for blocker in involved
        if blocker.root
    ]
    return tuple(sorted(found, key=lambda root: (-root.waiting, -(root.age or 0.0))))


def _named(pid: int, application: str) -> str:
    """A session by its process, as it is typed into pg_terminate_backend."""
    return f"pid {pid} ({application})" if pid else f"prepared transaction '{application}'"


def _state(state: str, age: float | None) -> str:
    """What the other is at, on a line of its own."""
    told = "" if age is None else f" for {format_seconds(age)}"
    return f"\n{state}{told}" if state.strip("?") else ""


def _shown(query: str) -> str:
    return mask(" ".join(query.split()))[:QUERY_LENGTH]
