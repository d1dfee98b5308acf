"""a segment goes on past what time heals: locks, slow rows, a lane that is told to stop"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest

from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import recovery, segment
from qb_engine.backfill.batches.batch import Limits
from qb_engine.backfill.batches.segment import Stopped
from tests.backfill.conftest import ID, Case


def begun(case: Case, **given: object) -> None:
    case.counted(100)
    case.written_down(case.filling(**given))  # type: ignore[arg-type]
    assert advance(case.conn, ID, lambda: True)


def lane(case: Case, limits: Limits, wait: Callable[[float], bool] = lambda _: True) -> str:
    return segment.run_lane(case.conn, ID, 0, case.means(limits=limits, wait=wait))


def test_a_locked_row_is_waited_for_and_never_skipped(case: Case) -> None:
    begun(case, batch_size=10)
    waits: list[float] = []
    with closing(psycopg.connect(case.target.conninfo)) as app:
        app.execute("SELECT FROM t WHERE id = 35 FOR UPDATE")

        def wait(seconds: float) -> bool:
            if seconds:
                waits.append(seconds)
                assert "lock timeout" in case.progress().segments[0].note
                assert case.writes()[0] > 0
            if len(waits) == 3:
                app.rollback()
            return True

        assert lane(case, Limits(lock_ms=50), wait) == "done"
    assert len(waits) == 3
    assert case.writes() == {1: 100}
    assert case.progress().segments[0].note == ""


def test_a_batch_that_takes_too_long_is_made_smaller(case: Case) -> None:
    begun(case, slow=0.005, batch_size=100)
    assert lane(case, Limits(statement_ms=300)) == "done"
    assert case.writes() == {1: 100}
    assert case.progress().batches > 1


def test_one_row_that_takes_too_long_gets_more_time(case: Case) -> None:
    begun(case, slow=0.2, batch_size=1)
    case.sql("DELETE FROM t WHERE id > 3")
    assert lane(case, Limits(statement_ms=100)) == "done"
    assert case.writes() == {1: 3}


def test_a_lane_that_is_told_to_stop_ends_after_its_batch(case: Case) -> None:
    begun(case, batch_size=10)
    answers = iter([True, True, True, False, False])
    assert lane(case, Limits(), lambda _: next(answers)) == "stopped"
    assert 0 < case.writes()[1] < 100
    assert lane(case, Limits()) == "done"
    assert case.writes() == {1: 100}


@pytest.mark.parametrize("bad", [1, 37, 100])
def test_the_row_that_cannot_be_written_is_named(case: Case, bad: int) -> None:
    begun(case, batch_size=50)
    case.sql(f"ALTER TABLE t ADD CONSTRAINT fine CHECK (id <> {bad} OR writes = 0)")
    with pytest.raises(Stopped, match="violates check constraint") as raised:
        lane(case, Limits())
    assert raised.value.row == f"row id = {bad} of public.t"
    assert case.writes().get(1, 0) == bad - 1  # what is before it stays written
    assert case.conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_nothing_that_is_locked_for_long_is_waited_for_without_end(case: Case) -> None:
    begun(case, batch_size=10)
    with closing(psycopg.connect(case.target.conninfo)) as app:
        app.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recovery, "ATTEMPTS", 2)
            with pytest.raises(psycopg.errors.LockNotAvailable):
                lane(case, Limits(lock_ms=20))
        app.rollback()
    assert lane(case, Limits()) == "done"
    assert case.writes() == {1: 100}


def test_a_declared_batch_size_is_never_exceeded(case: Case) -> None:
    begun(case, batch_size=7)
    assert lane(case, Limits()) == "done"
    assert case.one("SELECT max(rows) FROM qb.batch") == 7


def test_without_a_batch_size_time_decides(case: Case) -> None:
    case.counted(10_000)
    case.written_down(case.filling())
    assert advance(case.conn, ID, lambda: True)
    assert lane(case, Limits()) == "done"
    sizes = [rows for (rows,) in case.sql("SELECT rows FROM qb.batch ORDER BY segment, number")]
    assert sizes[0] == 500
    assert max(sizes) > 1_000
