"""a query of the user's own that says go, slow or stop"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg

from qb_engine.backfill.throttle.signal import (
    GO,
    Found,
    Reading,
    Says,
    Signal,
    against,
    duration,
    number,
    option,
    optional,
    text,
)

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec


@dataclass(frozen=True)
class Sql(Signal):
    """A query of your own, run in a read-only transaction with a statement timeout.

    Its first row says go, slow or stop, with a reason and what would release it in the columns
    after, where it has them; or a boolean, true for go; or a number, held against `slow` and
    `stop`. No row, or NULL, is go. When it fails, the backfill goes on at half the speed, and says
    so. Off unless `query` is given.
    """

    name: ClassVar[str] = "sql"
    default: ClassVar[bool] = False
    unread: ClassVar[Says] = "slow"

    query: str = option("", text, "the query")
    slow: float | None = option(None, optional(number), "a number at which to halve the speed")
    stop: float | None = option(None, optional(number), "a number at which to wait")
    timeout: float = option(1.0, duration, "seconds that the query may take")

    def ask(self, conn: psycopg.Connection[Any], spec: Spec) -> Found | None:
        if not self.query:
            return None
        with conn.transaction():
            conn.execute(
                "SELECT set_config('transaction_read_only', 'on', true),"
                " set_config('statement_timeout', %s, true)",
                [str(max(1, int(self.timeout * 1000)))],
            )
            # for an answer in binary the server takes one statement only
            row = conn.execute(self.query.encode(), binary=True).fetchone()
        return None if row is None else {"row": list(row)}

    def judge(self, now: Found, before: Found | None = None, *, held: bool = False) -> Reading:
        says, *more = now["row"]
        reason, release = (str(each) if each is not None else "" for each in (*more, "", "")[:2])
        if says is None or says is True or says == "go":
            return GO
        if says is False:
            return Reading("stop", reason or "your query says false", release or "it says true")
        if says in ("slow", "stop"):
            return Reading(says, reason or f"your query says {says}", release or "it says go")
        if isinstance(says, str):
            raise ValueError(f"it returned {says!r}; go, slow, stop, a boolean or a number is read")
        found = against(
            float(says), self.slow, self.stop, held=held, shown=lambda value: f"{value:g}",
            what=reason or "what your query returns",
        )  # fmt: skip
        return Reading(found.says, found.reason, release or found.release, found.value)


SIGNAL = Sql
