"""replicas must keep up with what a backfill writes"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from qb_engine.backfill.throttle.signal import (
    Found,
    Reading,
    Signal,
    against,
    duration,
    names,
    option,
    optional,
    size,
)
from qb_engine.report import format_bytes, format_seconds

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

# replay_lag goes on showing the last lag of a replica that has caught up since
QUERY = """
SELECT r.application_name AS name, r.seconds, r.bytes, r.hidden
FROM (SELECT application_name, state IS NULL AS hidden,
             CASE WHEN replay_lsn >= pg_current_wal_lsn() THEN 0
                  ELSE extract(epoch FROM replay_lag) END::float8 AS seconds,
             pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS bytes
      FROM pg_stat_replication
      WHERE state IS DISTINCT FROM 'backup' AND application_name <> ALL ({ignore}::text[])) AS r
ORDER BY r.hidden, r.seconds DESC NULLS LAST, r.bytes DESC NULLS LAST LIMIT 1
"""


@dataclass(frozen=True)
class ReplicaLag(Signal):
    """The slowest replica's lag of replay, physical or logical, in time and in bytes.

    A replica that is away shows in `slot_wal`, where it has a slot. Other roles' replicas are seen
    by members of pg_monitor only; what is not seen does not hold a backfill up, and that is said.
    """

    name: ClassVar[str] = "replica_lag"

    slow: float | None = option(5.0, optional(duration), "seconds of lag: half the speed")
    stop: float | None = option(15.0, optional(duration), "seconds of lag: wait")
    slow_bytes: int | None = option(None, optional(size), "bytes not replayed: half the speed")
    stop_bytes: int | None = option(None, optional(size), "bytes not replayed: wait")
    ignore: tuple[str, ...] = option((), names, "application names of replicas that may lag")

    def asking(self, spec: Spec) -> sql.Composable:
        return sql.SQL(QUERY).format(ignore=sql.Literal(list(self.ignore)))

    def judge(self, now: Found, before: Found | None = None, *, held: bool = False) -> Reading:
        if now["hidden"]:
            return Reading(unseen="the lag of replicas is shown to members of pg_monitor only")
        lag, behind = now["seconds"] or 0.0, now["bytes"] or 0
        by_time = against(
            lag, self.slow, self.stop, held=held, shown=format_seconds,
            what=f"the lag of replica {now['name']}",
        )  # fmt: skip
        by_size = against(
            behind, self.slow_bytes, self.stop_bytes, held=held, shown=_bytes,
            what=f"what replica {now['name']} has not replayed",
        )  # fmt: skip
        worst = by_size if _rank(by_size) > _rank(by_time) else by_time
        return Reading(worst.says, worst.reason, worst.release, lag)


def _bytes(value: float) -> str:
    return format_bytes(int(value))


def _rank(reading: Reading) -> int:
    return ("go", "slow", "stop").index(reading.says)


SIGNAL = ReplicaLag
