"""what every kind of backfill can do, whatever it writes"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec
    from qb_engine.backfill.walk.statements import Key
    from qb_engine.migrations.declaration import Backfill

Connection = psycopg.Connection[Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wrote:
    """What a write did: rows written, and those of them that would be written again.

    `seen` is how many keys the range holds, where the kind knows it.
    """

    rows: int
    again: int = 0
    seen: int | None = None


class Stale(Exception):
    """Rows changed after they were prepared; `prepared` says which of it still holds."""

    def __init__(self, prepared: Any) -> None:
        super().__init__("rows changed while they were computed")
        self.prepared = prepared


class Kind(ABC):
    """Five things, the same five for every kind; the last two as here, where it says nothing."""

    prepares: ClassVar[bool] = False
    """True when it has something to do before the transaction, with the range known by then."""

    @abstractmethod
    def queries(self, spec: Spec) -> list[tuple[str, sql.Composed]]:
        """What part of the declaration becomes which statement: planned before the start."""

    @abstractmethod
    def plan(self, spec: Spec, lo: Key, hi: Key) -> sql.Composed:
        """The statement that reads or writes the rows of a range, to be explained."""

    @abstractmethod
    def write(
        self, conn: Connection, spec: Spec, lo: Key, hi: Key, *, late: bool, prepared: Any
    ) -> Wrote:
        """Write the rows of a range, in the transaction that is open.

        `late` leaves out rows that it would not change: a sweep looks for late ones. Raise Stale
        when rows changed since they were prepared; the transaction is of no use then.
        """

    def prepare(
        self,
        conn: Connection,
        spec: Spec,
        lo: Key,
        hi: Key,
        code: Backfill | None,
        *,
        late: bool = False,
        before: Any = None,
    ) -> Any:
        """Read the rows of a range and compute what they become; nothing is locked meanwhile.

        `before` is what was prepared, where rows changed before it was written.
        """
        return None

    def patiently(
        self,
        conn: Connection,
        spec: Spec,
        lo: Key,
        hi: Key,
        code: Backfill | None,
        write: Callable[[Any], T],
        *,
        late: bool = False,
    ) -> T:
        """Prepare, and `write` with that; outside of it, again, while rows changed meanwhile."""
        prepared = self.prepare(conn, spec, lo, hi, code, late=late)
        while True:
            try:
                return write(prepared)
            except Stale as stale:
                prepared = self.prepare(conn, spec, lo, hi, code, late=late, before=stale.prepared)

    def explains(self, spec: Spec) -> bool:
        """True when a written row can be told from one that still needs it (else no sweep)."""
        return bool(spec.where)
