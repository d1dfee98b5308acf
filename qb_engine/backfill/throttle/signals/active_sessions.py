"""the server must have time for its other sessions"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from qb_engine.backfill.throttle.signal import (
    Found,
    Reading,
    Signal,
    against,
    number,
    option,
    optional,
)

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

# a session that waits for a lock or its client asks nothing of the processors
QUERY = """
SELECT count(*) FILTER (WHERE state = 'active'
           AND (wait_event_type IS NULL OR wait_event_type NOT IN ('Lock', 'Client', 'Timeout')))
           AS active,
       count(*) FILTER (WHERE state IS NULL AND usesysid IS DISTINCT FROM
           (SELECT oid FROM pg_roles WHERE rolname = current_user)) AS hidden,
       greatest(current_setting('max_parallel_workers')::int, 8) AS guess
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND application_name NOT LIKE 'qb backfill%'
  AND (backend_type IS NULL OR backend_type IN ('client backend', 'parallel worker'))
"""

PER_CORE = 4.0


@dataclass(frozen=True)
class ActiveSessions(Signal):
    """Sessions that are at work at this moment (qb's own left out) against the cores.

    SQL does not show how many cores a server has: give them as `cores`. Left out, they are taken to
    be `max_parallel_workers`, and at least 8. `slow` and `stop` are in sessions; left out, they are
    4 and 8 for each core. Others' sessions are seen by members of pg_monitor only.
    """

    name: ClassVar[str] = "active_sessions"

    slow: float | None = option(None, optional(number), "active sessions: half the speed")
    stop: float | None = option(None, optional(number), "active sessions: wait")
    cores: float | None = option(None, optional(number), "processors of the server")

    def asking(self, spec: Spec) -> sql.Composable:
        return sql.SQL(QUERY)

    def judge(self, now: Found, before: Found | None = None, *, held: bool = False) -> Reading:
        most = PER_CORE * float(self.cores or now["guess"])
        found = against(
            float(now["active"]), most if self.slow is None else self.slow,
            2 * most if self.stop is None else self.stop, held=held,
            shown=lambda value: f"{value:,.0f}", what="the number of active sessions",
        )  # fmt: skip
        unseen = ""
        if now["hidden"]:
            unseen = "whether other roles' sessions are at work is shown to pg_monitor only"
        return Reading(found.says, found.reason, found.release, found.value, unseen)


SIGNAL = ActiveSessions
