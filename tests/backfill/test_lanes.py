"""lanes that come and go while others run: who works is left alone, and nothing stays unclaimed"""

from __future__ import annotations

from typing import Any

import pytest

from qb_engine.backfill import orders, records
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import batch, segment
from qb_engine.backfill.batches.batch import Fenced, Limits
from qb_engine.errors import InputError, RefusedError
from tests.backfill.conftest import ID, Case


def begun(case: Case, lanes: int) -> tuple[records.Row, list[batch.Held]]:
    """A backfill in four segments, of which some are claimed."""
    case.counted(100)
    migration = case.filling(batch_size=10, parallel=lanes)
    case.written_down(migration)
    assert advance(case.conn, ID, lambda: True)
    case.sql("DELETE FROM qb.segment")
    ranges = [records.Range(*(None if k is None else [str(k)] for k in pair)) for pair in CUTS]
    records.add_segments(case.conn, ID, 0, ranges)
    row = records.read(case.conn, ID)
    assert row is not None
    claims = [records.claim(case.conn, ID, lane, "somebody") for lane in range(lanes)]
    return row, [claim[0] for claim in claims if claim]


CUTS = ((None, 25), (25, 50), (50, 75), (75, 100))


def look(case: Case, *busy: int) -> tuple[str, int]:
    step = advance(case.conn, ID, lambda: True, busy)
    assert step is not None
    return step.state, step.lanes


def test_a_look_at_the_ledger_leaves_the_lanes_that_run_alone(case: Case) -> None:
    row, (first, second) = begun(case, 2)
    assert look(case, 0) == ("running", 2)
    assert batch.run(case.conn, row.spec, first, 10, Limits()).rows == 10
    with pytest.raises(Fenced):  # nobody knew of it
        batch.run(case.conn, row.spec, second, 10, Limits())
    found = records.claim(case.conn, ID, 1, "another")
    assert found is not None
    assert found[0].segment == second.segment


def test_a_pause_waits_for_the_lanes_that_run(case: Case) -> None:
    begun(case, 2)
    case.sql("UPDATE qb.backfill SET wanted = 'pause'")
    assert look(case, 0, 1) == ("running", 0)
    assert case.one("SELECT state FROM qb.backfill") == "running"
    assert look(case) == ("paused", 0)


def test_a_lane_that_is_one_too_many_gives_its_segment_back(case: Case) -> None:
    row, (_, second) = begun(case, 2)
    seen: list[int] = []

    def told(did: batch.Batch, _: Any) -> None:
        seen.append(did.rows)
        if len(seen) == 1:
            orders.obey(case.conn, ID, "tune", {"parallel": 1})

    ended = segment.run_lane(case.conn, ID, 1, case.means(told=told))
    assert ended == "surplus"
    assert 1 <= len(seen) <= 2
    state = f"SELECT status, lane FROM qb.segment WHERE number = {second.segment}"
    assert case.sql(state) == [("open", None)]
    assert look(case, 0) == ("running", 1)
    assert row.spec.parallel == 2


def test_a_lane_that_is_fenced_off_does_not_fight_its_heir(case: Case) -> None:
    begun(case, 1)

    def told(did: batch.Batch, _: Any) -> None:
        assert records.claim(case.conn, ID, 0, "the heir")

    assert segment.run_lane(case.conn, ID, 0, case.means(told=told)) == "fenced"


def test_orders_that_make_no_sense_are_refused(case: Case) -> None:
    begun(case, 1)
    with pytest.raises(InputError, match="'colour' is nothing that can be tuned"):
        orders.obey(case.conn, ID, "tune", {"colour": 1})
    assert orders.obey(case.conn, ID, "cancel", {}) == "cancelled"
    assert orders.obey(case.conn, ID, "cancel", {}) == "cancelled"
    with pytest.raises(RefusedError, match="is cancelled"):
        orders.obey(case.conn, ID, "resume", {})
