"""WAL that replication slots hold back must not fill the disk"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from psycopg import sql

from qb_engine.backfill.throttle.signal import (
    Found,
    Reading,
    Signal,
    against,
    names,
    option,
    optional,
    size,
)
from qb_engine.report import format_bytes

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec

QUERY = """
SELECT slot_name::text AS name, active, wal_status, safe_wal_size AS safe,
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS bytes
FROM pg_replication_slots
WHERE restart_lsn IS NOT NULL AND wal_status IS DISTINCT FROM 'lost'
  AND slot_name::text <> ALL ({ignore}::text[])
ORDER BY wal_status = 'unreserved' DESC, safe_wal_size NULLS LAST, restart_lsn LIMIT 1
"""


@dataclass(frozen=True)
class SlotWal(Signal):
    """WAL that the server keeps for a replication slot, and how near it is to losing the slot.

    A slot that is about to be lost (`wal_status` unreserved, or less left than `left`) stops a
    backfill: its replica or subscriber would have to be built anew.
    """

    name: ClassVar[str] = "slot_wal"

    slow: int | None = option(16 << 30, optional(size), "bytes kept for a slot: half the speed")
    stop: int | None = option(64 << 30, optional(size), "bytes kept for a slot: wait")
    left: int | None = option(1 << 30, optional(size), "bytes until the slot is lost: wait")
    ignore: tuple[str, ...] = option((), names, "names of slots that may be lost")

    def asking(self, spec: Spec) -> sql.Composable:
        return sql.SQL(QUERY).format(ignore=sql.Literal(list(self.ignore)))

    def judge(self, now: Found, before: Found | None = None, *, held: bool = False) -> Reading:
        name = f"slot {now['name']}"
        whose = "" if now["active"] else ", which nobody reads"
        safe, kept = now["safe"], float(now["bytes"])
        freed = f"{name} is read further, or dropped"
        if now["wal_status"] == "unreserved":
            return Reading("stop", f"{name}{whose}, is about to be lost", freed, kept)
        # what was let go at the bound itself would be held again by the next batch
        if (
            self.left is not None
            and safe is not None
            and safe < self.left * (HYSTERESIS if held else 1)
        ):
            reason = f"{name}{whose}, is lost after {format_bytes(max(0, safe))} more of WAL"
            return Reading("stop", reason, freed, kept)
        found = against(
            kept, self.slow, self.stop, held=held, shown=lambda value: format_bytes(int(value)),
            what=f"the WAL kept for {name}{whose},",
        )  # fmt: skip
        release = f"{found.release}: {freed}" if found.release else ""
        return Reading(found.says, found.reason, release, kept)


HYSTERESIS = 1.5

SIGNAL = SlotWal
