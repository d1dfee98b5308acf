"""how far a backfill is: the facts of one query, the range of its end against what came true"""

from __future__ import annotations

import math
import time

import pytest

from qb_engine import backfill
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import segment
from qb_engine.backfill.reporting import telling
from qb_engine.backfill.reporting.measure import LOOKED_AT, Progress
from tests.backfill.conftest import ID, Case

ROWS = 4_000


def test_the_true_end_lies_in_the_range_for_most_looks(case: Case) -> None:
    """A real run whose batches take now 5, now 25 milliseconds."""
    case.counted(ROWS)
    slow = "pg_sleep(0.00003 + 0.0001 * (id / 400 % 3))::text"
    migration = case.declare(table="t", set={"v": f"'v' || {slow}"}, batch_size=50)
    looks: list[tuple[float, Progress]] = []

    def look(_seconds: float) -> bool:
        looks.append((time.monotonic(), case.progress()))
        return True

    case.written_down(migration)
    assert advance(case.conn, ID, lambda: True)
    segment.run_lane(case.conn, ID, 0, case.means(migration, wait=look))
    ended = time.monotonic()
    begun = [(at, found) for at, found in looks if found.fraction > 0.05]
    assert len(begun) > 50
    met = [
        found
        for at, found in begun
        if found.eta_low is not None
        and found.eta_high is not None
        and found.eta_low <= ended - at <= found.eta_high
    ]
    assert len(met) >= 0.8 * len(begun)
    assert all(f.eta_low <= f.eta <= f.eta_high for f in met)  # type: ignore[operator]


def test_a_moment_has_all_that_is_known(case: Case) -> None:
    case.counted(100)
    case.written_down(case.filling(batch_size=10))
    case.sql(
        "INSERT INTO qb.segment (backfill, number, lo, hi, cursor, status, rows_done, rows_seen,"
        " batches, size, retries, worker, note, held_since)"
        f" VALUES ('{ID}', 0, NULL, '{{50}}', '{{50}}', 'done', 50, 50, 5, 10, 1, 'a', '', NULL),"
        f" ('{ID}', 1, '{{50}}', NULL, '{{60}}', 'running', 10, 10, 1, 20, 2, 'b', '', now())"
    )
    case.sql(
        "INSERT INTO qb.hold (backfill, segment, signal, says, reason, release, until)"
        f" VALUES ('{ID}', 1, 'lag', 'stop', '9 s', 'below 5 s', NULL),"
        f" ('{ID}', 1, 'lag', 'stop', 'old', '', now()), ('{ID}', 0, 'wal', 'slow', 'x', '', NULL)"
    )
    case.sql(
        "INSERT INTO qb.quarantine"
        " (backfill, segment, key, table_schema, table_name, sqlstate, error)"
        f" VALUES ('{ID}', 0, '{{7}}', 'public', 't', '22012', 'division by zero')"
    )
    case.sql("UPDATE qb.backfill SET state = 'running', rows_total = 100, total_exact = true")
    found = case.progress()
    assert (found.rows_done, found.rows_total, found.exact) == (60, 100, True)
    assert (found.batches, found.retries, found.quarantined, found.batch_size) == (6, 3, 1, 20)
    (hold,) = found.holds
    assert (hold.signal, hold.says, hold.reason, hold.release) == (
        "lag",
        "stop",
        "9 s",
        "below 5 s",
    )
    assert hold.segments == (1,)
    assert [each.share for each in found.segments] == [1.0, 0.2]
    assert found.segments[1].held_s is not None


def test_a_hundred_thousand_batches_cost_no_more_than_a_few_thousand(case: Case) -> None:
    """The server reads the newest batches by their index, whatever else the ledger holds."""
    case.counted(10)
    case.written_down(case.filling())
    case.sql(f"INSERT INTO qb.segment (backfill, number) VALUES ('{ID}', 0)")
    case.sql(
        "INSERT INTO qb.batch (backfill, segment, number, rows, seen, ms, at)"
        f" SELECT '{ID}', 0, n, 100, 100, 5, now() - (100000 - n) * interval '10 ms'"
        " FROM generate_series(1, 100000) AS n"
    )
    case.sql("ANALYZE qb.batch")
    case.sql("UPDATE qb.backfill SET state = 'running'")
    read = "SELECT pg_stat_get_tuples_fetched('qb.batch'::regclass)"
    case.sql("SELECT pg_stat_force_next_flush()")
    before = case.one(read)
    found = backfill.progress(case.conn, ID)
    case.sql("SELECT pg_stat_force_next_flush()")
    assert found is not None
    assert math.isclose(found.rate, 10_000, rel_tol=0.5)
    assert case.one(read) - before <= LOOKED_AT + 100
    assert len(found.rates) == 24


@pytest.mark.parametrize("state", ["paused", "completed", "failed", "cancelled"])
def test_what_stands_still_has_no_end_in_sight(case: Case, state: str) -> None:
    case.counted(10)
    case.written_down(case.filling())
    case.sql(f"UPDATE qb.backfill SET state = '{state}'")
    found = case.progress()
    assert (found.eta, found.eta_low, found.eta_high) == (None, None, None)


def test_one_that_nobody_drives_has_no_end(case: Case) -> None:
    case.counted(1_000)
    case.written_down(case.filling(batch_size=100))
    assert advance(case.conn, ID, lambda: True)
    left = iter([True, True, True])
    means = case.means(wait=lambda _seconds: next(left, False))
    assert segment.run_lane(case.conn, ID, 0, means) == "stopped"
    case.sql("UPDATE qb.batch SET at = at - interval '40 s'")
    found = case.progress()
    assert (found.state, found.stranded, found.rate, found.eta) == ("running", True, 0.0, None)
    assert "no batch for 4" in " ".join(telling.waits(found))
    case.sql(
        "INSERT INTO qb.worker (id, lanes, concurrency, rss_bytes, cpu_share)"
        " VALUES ('here:1', 1, 16, 1, 0)"
    )
    assert not case.progress().stranded
