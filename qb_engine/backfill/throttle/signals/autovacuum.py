"""vacuum must be able to clear away the dead rows that a backfill leaves"""

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
    says,
)

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

# The count of live rows begins anew when the server has crashed, and falls while rows are deleted:
# what the planner knows of the table is held against it.
QUERY = """
WITH tree AS MATERIALIZED (
    SELECT to_regclass({table})::oid AS oid
    UNION SELECT relid::oid FROM pg_partition_tree(to_regclass({table})))
SELECT coalesce(sum(s.n_dead_tup), 0)::bigint AS dead,
    greatest(coalesce(sum(s.n_live_tup), 0), coalesce(sum(c.reltuples)
        FILTER (WHERE c.relkind = 'r' AND c.reltuples > 0), 0))::bigint AS live,
    (SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid IN (SELECT oid FROM tree)) AS running,
    (SELECT count(*) FROM pg_stat_progress_vacuum AS p JOIN pg_stat_activity AS a USING (pid)
     WHERE p.relid IN (SELECT oid FROM tree) AND a.query LIKE '%to prevent wraparound%')
        AS wraparound,
    (SELECT count(*) FROM pg_stat_progress_vacuum
     WHERE datname = current_database() AND relid IS NULL) AS hidden
FROM pg_stat_all_tables AS s JOIN pg_class AS c ON c.oid = s.relid
WHERE s.relid IN (SELECT oid FROM tree)
"""


@dataclass(frozen=True)
class Autovacuum(Signal):
    """A vacuum of the table that runs, and its dead rows against the live ones.

    A backfill writes each row once, so by itself it leaves at most one dead row for each live one.
    More than `dead_slow` for each says that vacuum cannot clear them away: an old snapshot, mostly.
    Tables with fewer dead rows than `least` are left alone.
    """

    name: ClassVar[str] = "autovacuum"

    running: str = option("go", says, "what a running vacuum of the table says")
    wraparound: str = option("slow", says, "what a vacuum to prevent wraparound says")
    dead_slow: float | None = option(2.0, optional(number), "dead rows per live one: half speed")
    dead_stop: float | None = option(None, optional(number), "dead rows per live one: wait")
    least: float = option(100_000.0, number, "dead rows below which none of this matters")

    def asking(self, spec: Spec) -> sql.Composable:
        table = sql.Identifier(spec.schema, spec.table).as_string(None)
        return sql.SQL(QUERY).format(table=sql.Literal(table))

    def judge(self, now: Found, before: Found | None = None, *, held: bool = False) -> Reading:
        dead, live = float(now["dead"]), float(now["live"])
        readings: list[Reading] = []
        for runs, said, what in (
            (now["wraparound"], self.wraparound, "a vacuum of the table to prevent wraparound"),
            (now["running"], self.running, "a vacuum of the table"),
        ):
            if runs and said != "go":
                readings.append(Reading(says(said), f"{what} runs", "it is over"))
        if dead >= self.least:
            share = against(
                dead / max(live, 1.0), self.dead_slow, self.dead_stop, held=held,
                shown=lambda value: f"{value:.1f} for each live one",
                what=f"the number of dead rows ({int(dead):,})",
            )  # fmt: skip
            hint = "vacuum clears them; it cannot while an older snapshot is open"
            readings.append(
                Reading(share.says, share.reason, share.release and f"{share.release}: {hint}")
            )
        worst = max(readings, key=lambda r: ("go", "slow", "stop").index(r.says), default=Reading())
        unseen = ""
        if now["hidden"] and (self.running != "go" or self.wraparound != "go"):
            unseen = "which table a vacuum works on is shown to members of pg_read_all_stats only"
        return Reading(worst.says, worst.reason, worst.release, dead / max(live, 1.0), unseen)


SIGNAL = Autovacuum
