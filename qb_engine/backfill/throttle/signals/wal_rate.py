"""the server as a whole must not write WAL faster than it may"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from qb_engine.backfill.throttle.signal import (
    Found,
    Reading,
    Signal,
    against,
    option,
    optional,
    size,
)
from qb_engine.report import format_bytes

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

QUERY = """
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS bytes,
       extract(epoch FROM clock_timestamp())::float8 AS at
"""


@dataclass(frozen=True)
class WalRate(Signal):
    """WAL of the whole server in bytes per second, this backfill's and everybody else's.

    Off unless `slow` or `stop` is given: what a server may write depends on its disks, its replicas
    and its archive.
    """

    name: ClassVar[str] = "wal_rate"
    default: ClassVar[bool] = False

    slow: int | None = option(None, optional(size), "bytes per second: half the speed")
    stop: int | None = option(None, optional(size), "bytes per second: wait")

    def asking(self, spec: Spec) -> sql.Composable:
        return sql.SQL(QUERY)

    def judge(self, now: Found, before: Found | None = None, *, held: bool = False) -> Reading:
        if before is None or now["at"] <= before["at"]:
            return Reading()
        rate = (now["bytes"] - before["bytes"]) / (now["at"] - before["at"])
        return against(
            rate, self.slow, self.stop, held=held, what="the server's WAL",
            shown=lambda value: f"{format_bytes(int(value))}/s",
        )  # fmt: skip


SIGNAL = WalRate
