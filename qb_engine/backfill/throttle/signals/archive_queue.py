"""WAL that is not archived yet must not fill the disk"""

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

QUERY = """
SELECT pg_walfile_name(pg_current_wal_lsn()) AS now, last_archived_wal AS done,
       last_failed_wal AS failed,
       last_failed_time > coalesce(last_archived_time, '-infinity') AS failing,
       pg_size_bytes(current_setting('wal_segment_size')) AS segment_size
FROM pg_stat_archiver
WHERE current_setting('archive_mode') <> 'off' AND NOT pg_is_in_recovery()
"""


@dataclass(frozen=True)
class ArchiveQueue(Signal):
    """Segments of WAL that wait to be archived: from the last archived one to the current one.

    Not looked at where `archive_mode` is off.
    """

    name: ClassVar[str] = "archive_queue"

    slow: float | None = option(32.0, optional(number), "segments that wait: half the speed")
    stop: float | None = option(128.0, optional(number), "segments that wait: wait")

    def asking(self, spec: Spec) -> sql.Composable:
        return sql.SQL(QUERY)

    def judge(self, now: Found, before: Found | None = None, *, held: bool = False) -> Reading:
        current = segment(now["now"], now["segment_size"])
        last = segment(now["done"], now["segment_size"])
        if last is None and now["failing"]:  # nothing was archived since the figures were reset
            first = segment(now["failed"], now["segment_size"])
            last = None if first is None else first - 1
        if current is None or last is None:
            return Reading()
        failing = ", and archiving fails" if now["failing"] else ""
        found = against(
            max(0, current - last - 1), self.slow, self.stop, held=held,
            shown=lambda value: f"{int(value):,} segments",
            what=f"the WAL that waits to be archived{failing},",
        )  # fmt: skip
        release = found.release and f"{found.release}: see archive_command and the server's log"
        return Reading(found.says, found.reason, release, found.value)


def segment(name: str | None, size: int) -> int | None:
    """The number of a WAL segment by its file's name; None for another file."""
    if not name or len(name) < 24 or not all(c in "0123456789ABCDEF" for c in name[:24]):
        return None
    return int(name[8:16], 16) * ((1 << 32) // size) + int(name[16:24], 16)


SIGNAL = ArchiveQueue
