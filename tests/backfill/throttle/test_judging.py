"""what each signal makes of what it sees: pure functions of a row"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from qb_engine.backfill.throttle import settings
from qb_engine.backfill.throttle.signal import Reading, Signal, against, size
from qb_engine.backfill.throttle.signals.active_sessions import ActiveSessions
from qb_engine.backfill.throttle.signals.archive_queue import ArchiveQueue, segment
from qb_engine.backfill.throttle.signals.autovacuum import Autovacuum
from qb_engine.backfill.throttle.signals.replica_lag import ReplicaLag
from qb_engine.backfill.throttle.signals.slot_wal import SlotWal
from qb_engine.backfill.throttle.signals.sql import Sql
from qb_engine.backfill.throttle.signals.wal_rate import WalRate

GB = 1 << 30
EXPECTED = {
    "active_sessions", "archive_queue", "autovacuum", "lock_waiters", "rate", "replica_lag",
    "slot_wal", "sql", "wal_rate", "window",
}  # fmt: skip


def test_every_signal_is_found_by_its_file() -> None:
    assert set(settings.known()) == EXPECTED


@pytest.mark.parametrize("kind", settings.known().values(), ids=settings.known())
def test_every_signal_tells_what_it_is_and_what_its_options_are(kind: type[Signal]) -> None:
    assert len((kind.__doc__ or "").split()) > 10
    assert not (kind.__doc__ or "").startswith(f"{kind.__name__}(")
    for each in fields(kind):
        assert each.metadata["about"]
        assert each.default == each.metadata["read"](each.default)


def lag(seconds: float | None, behind: int = 0, **options: Any) -> Reading:
    row = {"name": "r1", "seconds": seconds, "bytes": behind, "hidden": False}
    return ReplicaLag(**options).judge(row)


def test_a_replica_that_lags_slows_and_then_stops() -> None:
    assert lag(None).says == lag(1).says == "go"
    assert lag(6).says == "slow"
    stopped = lag(20)
    assert stopped.says == "stop"
    assert stopped.value == 20
    assert "replica r1" in stopped.reason
    assert stopped.release == "it is below 15.0 s"


def test_a_replica_may_be_judged_by_what_it_has_not_replayed() -> None:
    assert lag(0, 5 * GB).says == "go"
    assert lag(0, 5 * GB, stop_bytes=GB).says == "stop"


def test_lag_that_may_not_be_seen_is_said_and_does_not_hold() -> None:
    row = {"name": "r1", "seconds": None, "bytes": None, "hidden": True}
    reading = ReplicaLag().judge(row)
    assert reading.says == "go"
    assert "pg_monitor" in reading.unseen


def test_what_stops_goes_on_stopping_until_it_is_well_below() -> None:
    def judged(value: float, held: bool) -> str:
        return against(value, 5, 15, held=held, what="it", shown=str).says

    assert judged(10, held=False) == "slow"
    assert judged(10, held=True) == "stop"
    assert judged(4, held=True) == "go"


def slot(**given: Any) -> Reading:
    row = {"name": "s", "active": True, "wal_status": "reserved", "safe": None, "bytes": GB}
    return SlotWal().judge({**row, **given})


def test_a_slot_that_is_about_to_be_lost_stops() -> None:
    assert slot().says == "go"
    assert slot(bytes=20 * GB, wal_status="extended").says == "slow"
    assert slot(bytes=70 * GB).says == "stop"
    assert slot(wal_status="unreserved", safe=-5).says == "stop"
    low = slot(safe=GB // 2, active=False)
    assert low.says == "stop"
    assert "nobody reads" in low.reason
    assert "dropped" in low.release


def queue(done: str | None, now: str = "000000010000000200000010", **given: Any) -> Reading:
    row = {"now": now, "done": done, "failed": None, "failing": False, "segment_size": 16 << 20}
    return ArchiveQueue().judge({**row, **given})


def test_segments_that_wait_for_the_archive_are_counted_across_files() -> None:
    assert segment("000000010000000200000010", 16 << 20) == 2 * 256 + 16
    assert segment("00000002.history", 16 << 20) is None
    assert queue("00000001000000020000000F").value == 0
    assert queue("0000000100000001000000E0").says == "slow"
    assert queue("000000010000000100000010").says == "stop"
    assert queue("000000010000000100000010.00000028.backup").says == "stop"


def test_an_archive_that_fails_is_told() -> None:
    reading = queue("000000010000000100000010", failing=True)
    assert "archiving fails" in reading.reason
    assert queue(None, failing=True, failed="000000010000000100000010").says == "stop"
    assert queue(None).says == "go"


def test_the_rate_of_wal_needs_two_looks() -> None:
    signal = WalRate(slow=10 << 20, stop=100 << 20)
    first = {"bytes": 0, "at": 100.0}
    assert signal.judge(first).says == "go"
    assert signal.judge({"bytes": 40 << 20, "at": 102.0}, first).says == "slow"
    assert signal.judge({"bytes": 10 << 20, "at": 102.0}, first).says == "go"
    assert signal.judge({"bytes": 400 << 20, "at": 102.0}, first).says == "stop"


def vacuum(dead: int = 0, live: int = 1_000_000, **given: Any) -> dict[str, Any]:
    row = {"dead": dead, "live": live, "running": 0, "wraparound": 0, "hidden": 0}
    return {**row, **given}


def test_dead_rows_that_vacuum_cannot_clear_slow_it() -> None:
    assert Autovacuum().judge(vacuum(1_000_000)).says == "go"
    reading = Autovacuum().judge(vacuum(3_000_000))
    assert reading.says == "slow"
    assert "snapshot" in reading.release
    assert Autovacuum(dead_stop=2.5).judge(vacuum(3_000_000)).says == "stop"
    assert Autovacuum().judge(vacuum(50_000, live=1)).says == "go"


def test_a_vacuum_of_the_table_is_given_way_to_where_asked() -> None:
    running = vacuum(running=1)
    assert Autovacuum().judge(running).says == "go"
    assert Autovacuum(running="stop").judge(running).says == "stop"
    assert Autovacuum().judge(vacuum(running=1, wraparound=1)).says == "slow"
    assert "pg_read_all_stats" in Autovacuum().judge(vacuum(hidden=1)).unseen


def test_sessions_are_held_against_the_cores() -> None:
    def active(count: int, hidden: int = 0, **options: Any) -> Reading:
        row = {"active": count, "hidden": hidden, "guess": 8}
        return ActiveSessions(**options).judge(row)

    assert active(31).says == "go"
    assert active(32).says == "slow"
    assert active(64).says == "stop"
    assert active(8, cores=2.0).says == "slow"
    assert active(5, slow=3.0).says == "slow"
    assert active(5, stop=5.0, slow=4.0).says == "stop"
    assert "pg_monitor" in active(1, hidden=2).unseen


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (["go"], "go"),
        ([None], "go"),
        ([True], "go"),
        ([False], "stop"),
        (["slow", "because", "then"], "slow"),
        (["stop"], "stop"),
        ([3], "go"),
        ([7], "slow"),
        (["9.5"], None),
        ([10.5], "stop"),
    ],
)
def test_a_query_of_the_users_own_says_it_in_one_of_three_ways(
    row: list[Any], says: str | None
) -> None:
    signal = Sql(query="-", slow=5, stop=10)
    if says is None:
        with pytest.raises(ValueError, match="a boolean or a number"):
            signal.judge({"row": row})
        return
    reading = signal.judge({"row": row})
    assert reading.says == says
    if len(row) > 1:
        assert (reading.reason, reading.release) == ("because", "then")
    assert (reading.says == "go") or (reading.reason and reading.release)


def test_sizes_are_read_as_they_are_written() -> None:
    assert size("64MB") == 64 << 20
    assert size("1.5 GB") == 3 << 29
    assert size(17) == 17
    for bad in ("big", "-1MB", "12 parsecs", True, None):
        with pytest.raises(ValueError, match="a size is expected"):
            size(bad)
