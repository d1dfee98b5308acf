"""what a step really did: locks, rewrites, scans, rows, WAL, time"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from qb_engine.report import Node

# PostgreSQL's table lock modes, weakest first; a number is a strength for charts and sorting.
MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)


def strength(mode: str) -> int:
    """1 (ACCESS SHARE) to 8 (ACCESS EXCLUSIVE); 0 for a mode that is not a table's."""
    return MODES.index(mode) + 1 if mode in MODES else 0


@dataclass(frozen=True, slots=True)
class Lock:
    """The strongest lock held on a relation that existed before the transaction."""

    relation: str
    mode: str
    index: bool = False

    @property
    def sql_mode(self) -> str:
        """The mode as the documentation writes it: ACCESS EXCLUSIVE."""
        words: list[str] = []
        for letter in self.mode.removesuffix("Lock"):
            if letter.isupper():
                words.append(letter)
            else:
                words[-1] += letter
        return " ".join(words).upper()


@dataclass(frozen=True, slots=True)
class Scan:
    """A sequential scan of a relation, with the rows that it read."""

    relation: str
    rows: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What one step did.

    `seconds` is wall time in the client. `start` counts seconds from the first step of the run.
    `locks` are those first taken or strengthened by this step. `rewrites` are tables that were
    written anew, `rebuilds` indexes. `wal_bytes` is exact for what
    EXPLAIN ANALYZE ran, otherwise what the whole server wrote meanwhile. `buffers` counts pages
    of 8 kB touched, where EXPLAIN ANALYZE could count them. `blocked_s` is the longest that another
    session was seen to wait for the run while the step ran, `waiters` how many such sessions were.
    `error` is what the server said when the step failed, with its SQLSTATE and detail.
    """

    number: int
    sql: str
    place: str
    part: str
    transaction: int | None
    seconds: float = 0.0
    start: float = 0.0
    held_until: float = 0.0
    rows: int | None = None
    locks: tuple[Lock, ...] = ()
    rewrites: tuple[str, ...] = ()
    rebuilds: tuple[str, ...] = ()
    scans: tuple[Scan, ...] = ()
    wal_bytes: int | None = None
    buffers: int | None = None
    attempts: int = 1
    messages: tuple[str, ...] = ()
    blocked_s: float = 0.0
    waiters: int = 0
    explain: Node | None = field(default=None, repr=False)
    error: str = ""
    sqlstate: str = ""
    detail: str = ""
    skipped: str = ""

    @property
    def table_locks(self) -> dict[str, str]:
        return {lock.relation: lock.mode for lock in self.locks if not lock.index}

    @property
    def index_locks(self) -> dict[str, str]:
        return {lock.relation: lock.mode for lock in self.locks if lock.index}

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "number": self.number,
            "sql": self.sql,
            "place": self.place,
            "part": self.part,
            "transaction": self.transaction,
            "seconds": round(self.seconds, 6),
            "rows": self.rows,
            "locks": self.table_locks,
            "index_locks": self.index_locks,
            "rewrites": list(self.rewrites),
            "index_rebuilds": list(self.rebuilds),
            "scans": [scan.relation for scan in self.scans],
            "wal_bytes": self.wal_bytes,
            "buffers": self.buffers,
            "attempts": self.attempts,
            "messages": list(self.messages),
            "blocked_s": round(self.blocked_s, 3),
            "waiters": self.waiters,
            "error": self.error,
            "skipped": self.skipped,
        }


def strongest(locks: list[Lock]) -> tuple[Lock, ...]:
    """One lock per relation, its strongest, in the order of strength and name."""
    best: dict[tuple[str, bool], Lock] = {}
    for lock in locks:
        key = (lock.relation, lock.index)
        if key not in best or strength(lock.mode) > strength(best[key].mode):
            best[key] = lock
    return tuple(sorted(best.values(), key=lambda k: (k.index, -strength(k.mode), k.relation)))
