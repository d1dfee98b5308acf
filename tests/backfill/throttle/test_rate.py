"""--max-rate holds for all lanes together, and a change of it counts at once"""

from __future__ import annotations

from qb_engine.backfill.advance import advance
from qb_engine.backfill.throttle import bucket, tuning
from tests.backfill.conftest import ID, Case, until
from tests.backfill.throttle.test_holding import Lane, running

# rows that were written while a rate was held, of the time that passed: without the first second,
# in which every lane writes a batch before anything is to be paid
RATE = """
SELECT sum(rows) / extract(epoch FROM max(at) - min(at)) FROM qb.batch
WHERE at > (SELECT min(at) + interval '1 s' FROM qb.batch)
"""


def limited(case: Case, rate: float, lanes: int = 4, rows: int = 200_000) -> None:
    case.counted(rows)
    case.written_down(case.filling(max_rate=rate, parallel=lanes))
    assert advance(case.conn, ID, lambda: True)


def test_four_lanes_together_keep_the_rate(case: Case) -> None:
    limited(case, 2_000)
    with running(case, lanes=4):
        until(
            "it went on for seconds",
            lambda: case.one("SELECT max(at) - min(at) > interval '4 s' FROM qb.batch"),
            60,
        )
    assert 1_800 <= float(case.one(RATE)) <= 2_200
    assert case.one("SELECT count(DISTINCT segment) FROM qb.batch") == 4
    assert case.one("SELECT count(*) FROM qb.batch WHERE held_by = 'rate'") > 20
    assert case.one("SELECT max(rows) FROM qb.batch") <= 2_000 * bucket.BATCH_S


def test_a_rate_that_is_taken_away_is_not_waited_for(case: Case) -> None:
    limited(case, 1, lanes=1, rows=2_000)
    with running(case) as lane:
        until("a batch is to be paid for", lambda: case.one("SELECT count(*) FROM qb.rate"))
        until("it is written", lambda: case.one("SELECT count(*) FROM qb.batch"))
        tuning.tune(case.conn, ID, tuning.changes(max_rate="off"))
        until("the lane ends", lambda: lane.ended, 20)
    assert case.writes() == {1: 2_000}


def test_a_lane_that_waits_for_its_rows_hears_of_a_pause(case: Case) -> None:
    limited(case, 0.01, lanes=1, rows=2_000)
    lane = Lane(case)
    lane.start()
    until("it is to be paid for", lambda: case.one("SELECT count(*) FROM qb.rate"))
    case.sql("UPDATE qb.backfill SET wanted = 'pause'")
    lane.join(10)
    assert lane.ended == "pause"


def test_the_bucket_keeps_no_more_than_a_moment(case: Case) -> None:
    limited(case, 100)
    assert 0.9 <= bucket.charge(case.conn, ID, 100, 100.0) <= 1.0
    assert 1.8 <= bucket.charge(case.conn, ID, 100, 100.0) <= 2.0
    case.sql("UPDATE qb.rate SET due = now() - interval '1 hour'")
    assert -1.0 <= bucket.charge(case.conn, ID, 10, 100.0) <= -0.8
    bucket.empty(case.conn, ID)
    assert bucket.left(case.conn, ID) == 0


def test_a_batch_is_small_enough_for_its_rate() -> None:
    assert bucket.keys(1_000, 4, 1.0) == 62
    assert bucket.keys(1_000, 4, 0.5) == 125
    assert bucket.keys(1_000, 4, 0.0) == 6_250  # a stretch where none match says little
    assert bucket.keys(0.5, 4, 1.0) == 1
