"""a lane that is held says so, answers within a moment, and goes on when it is let go"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from qb_engine.backfill import records
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import segment
from qb_engine.backfill.throttle import holds, tuning
from tests.backfill.conftest import ID, Case, until
from tests.backfill.throttle import spans

GATE = {"sql": {"query": "SELECT says, 'because', 'the gate opens' FROM gate"}}


class Lane(threading.Thread):
    """A lane on a connection of its own, as a worker has it."""

    def __init__(self, case: Case, number: int = 0) -> None:
        super().__init__(daemon=True)
        self.case, self.number = case, number
        self.stop = threading.Event()
        self.ended = ""
        self.throttled = False

    def wait(self, seconds: float) -> bool:
        self.throttled = self.throttled or seconds > 0
        return not self.stop.wait(seconds)

    def run(self) -> None:
        means = self.case.means(wait=self.wait)
        with closing(psycopg.connect(self.case.target.conninfo, autocommit=True)) as conn:
            self.ended = segment.run_lane(conn, ID, self.number, means)


def gated(case: Case, says: str = "stop", rows: int = 3_000, **given: Any) -> None:
    """A backfill that a table opens and closes."""
    case.counted(rows)
    case.sql(f"CREATE TABLE gate AS SELECT '{says}' AS says")
    case.written_down(case.filling(**{"throttle": GATE, "batch_size": 100, **given}))
    assert advance(case.conn, ID, lambda: True)


@contextmanager
def running(case: Case, lanes: int = 1) -> Iterator[Lane]:
    started = [Lane(case, number) for number in range(lanes)]
    for lane in started:
        lane.start()
    try:
        yield started[0]
    finally:
        for lane in started:
            lane.stop.set()
            lane.join(20)
            assert not lane.is_alive()


def held(case: Case) -> Any:
    return until("a signal holds it", lambda: spans.current(case.conn, ID))[0]


def gate(case: Case, says: str) -> None:
    case.sql(f"UPDATE gate SET says = '{says}'")


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qb_engine.backfill.throttle.signal.Signal.every_s", 0.05)
    monkeypatch.setattr("qb_engine.backfill.throttle.throttle.POLL_S", 0.05)


def test_a_lane_that_is_held_says_why_and_goes_on_when_let_go(case: Case) -> None:
    gated(case)
    with running(case) as lane:
        found = held(case)
        assert (found.signal, found.says, found.reason) == ("sql", "stop", "because")
        assert found.release == "the gate opens"
        assert found.segments == (0,)
        note, since = case.sql("SELECT note, held_since FROM qb.segment WHERE held_since NOTNULL")[
            0
        ]
        assert note == "waits for sql: because; goes on when the gate opens"
        assert since >= found.since
        assert case.writes() == {0: 3_000}
        assert case.sql(
            "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start NOTNULL AND state <> 'active'"
        ) == []  # fmt: skip
        gate(case, "go")
        until("the lane ends", lambda: lane.ended)
        assert lane.ended == "done"
    assert case.writes() == {1: 3_000}
    assert spans.current(case.conn, ID) == ()
    (past,) = spans.past(case.conn, ID)
    assert past.until is not None
    assert past.until > past.since
    assert case.sql("SELECT held_by FROM qb.batch WHERE waited_ms > 10 ORDER BY at") == [("sql",)]
    assert case.sql("SELECT note, held_since FROM qb.segment") == [("", None)]


@pytest.mark.parametrize("wanted", ["pause", "cancel"])
def test_a_lane_that_is_held_hears_what_is_wanted(case: Case, wanted: Any) -> None:
    gated(case)
    with running(case) as lane:
        held(case)
        records.want(case.conn, ID, wanted)
        until("the lane ends", lambda: lane.ended, 10)
        assert lane.ended == wanted
    assert case.writes() == {0: 3_000}
    assert spans.past(case.conn, ID)[0].until is not None


def test_a_lane_that_is_held_is_let_go_by_a_tune(case: Case) -> None:
    gated(case)
    with running(case) as lane:
        held(case)
        found = tuning.tune(case.conn, ID, tuning.changes(off=["sql"]))
        assert next(str(each) for each in found) == "sql: on -> off"
        until("the lane ends", lambda: lane.ended, 20)
    assert case.writes() == {1: 3_000}


def test_a_lane_that_is_held_and_fenced_ends(case: Case) -> None:
    gated(case)
    with running(case) as lane:
        held(case)
        records.reopen(case.conn, ID)
        until("the lane ends", lambda: lane.ended, 10)
        assert lane.ended == "fenced"
    assert case.writes() == {0: 3_000}


def test_what_a_killed_lane_left_open_is_ended_by_the_next(case: Case) -> None:
    gated(case)
    case.sql(
        f"INSERT INTO qb.hold (backfill, segment, signal, says, reason)"
        f" VALUES ('{ID}', 0, 'window', 'stop', 'of another time')"
    )
    gate(case, "go")
    with running(case) as lane:
        until("the lane ends", lambda: lane.ended, 20)
    assert case.one("SELECT count(*) FROM qb.hold WHERE until IS NULL") == 0


def test_a_lane_that_starts_over_is_held_since_its_former_self_was(case: Case) -> None:
    gated(case)
    with running(case):
        before = held(case)
    assert spans.current(case.conn, ID) == (before,)
    epoch = case.one("SELECT epoch FROM qb.segment")
    with running(case) as lane:
        until("it is claimed again", lambda: case.one("SELECT epoch FROM qb.segment") == epoch + 1)
        until("it is told again", lambda: lane.throttled)
        assert spans.current(case.conn, ID) == (before,)
        assert case.one("SELECT held_since FROM qb.segment") == before.since
        gate(case, "go")
        until("the lane ends", lambda: lane.ended)
    assert len(spans.past(case.conn, ID)) == 1


def test_slow_is_slower_and_recorded_once(case: Case) -> None:
    gated(case, "slow", rows=1_000)
    with running(case) as lane:
        until("the lane ends", lambda: lane.ended, 30)
    assert case.writes() == {1: 1_000}
    (past,) = spans.past(case.conn, ID)
    assert (past.says, past.signal) == ("slow", "sql")
    assert past.until is not None
    assert case.one("SELECT count(*) FROM qb.batch WHERE held_by = 'sql' AND waited_ms >= 40") >= 10


def test_a_closed_window_holds_every_lane_until_it_is_taken_away(case: Case) -> None:
    hour = case.one("SELECT extract(hour FROM clock_timestamp() AT TIME ZONE 'UTC')::int")
    closed = f"{(hour + 3) % 24:02}:00-{(hour + 4) % 24:02}:00 UTC"
    gated(case, "go", window=closed)
    with running(case) as lane:
        found = held(case)
        assert found.signal == "window"
        assert "it opens: " in found.release
        tuning.tune(case.conn, ID, tuning.changes(window="off"))
        until("the lane ends", lambda: lane.ended, 20)
    assert case.writes() == {1: 3_000}


def test_a_signal_that_cannot_be_read_is_said_once(case: Case) -> None:
    gated(case, throttle={"sql": {"query": "SELECT nothing FROM nowhere"}})
    with running(case) as lane:
        until("the lane ends", lambda: lane.ended, 30)
    assert case.writes() == {1: 3_000}
    # on a busy machine another signal may be late, too
    found = [(signal, why) for signal, why in holds.unread(case.conn, ID) if "nowhere" in why]
    assert [signal for signal, _ in found] == ["sql"]


def test_the_size_follows_the_target_time(case: Case) -> None:
    case.counted(900)
    case.written_down(case.filling(slow=0.001, target_ms=50))
    assert advance(case.conn, ID, lambda: True)
    with running(case) as lane:
        until("the lane ends", lambda: lane.ended)
    sizes = [size for (size,) in case.sql("SELECT size FROM qb.batch ORDER BY number")]
    assert sizes[0] == 500
    assert all(size <= 125 for size in sizes[2:-1])


def test_when_all_say_go_next_to_nothing_is_asked(case: Case) -> None:
    """One look at the start; nothing between the batches that follow within its time."""
    case.sql("SELECT pg_stat_force_next_flush()")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qb_engine.backfill.throttle.signal.Signal.every_s", 3600.0)
        asked: list[str] = []
        execute = psycopg.Connection.execute

        def counted(self: Any, query: Any, *args: Any, **given: Any) -> Any:
            text = query.as_string(None) if hasattr(query, "as_string") else str(query)
            asked.append(text)
            return execute(self, query, *args, **given)

        case.counted(3_000)
        case.written_down(case.filling(batch_size=100))
        assert advance(case.conn, ID, lambda: True)
        patch.setattr(psycopg.Connection, "execute", counted)
        assert segment.run_lane(case.conn, ID, 0, case.means()) == "done"
    assert len([text for text in asked if "pg_stat_replication" in text]) == 1
    batches = case.one("SELECT count(*) FROM qb.batch")
    assert len(asked) <= 3 * batches + 20


def test_time_that_is_waited_is_written_down(case: Case) -> None:
    gated(case)
    with running(case) as lane:
        held(case)
        gate(case, "go")
        until("the lane ends", lambda: lane.ended)
    (past,) = spans.past(case.conn, ID)
    assert past.until is not None
    lasted = (past.until - past.since).total_seconds()
    waited = case.one("SELECT waited_ms FROM qb.batch WHERE held_by = 'sql'")
    assert waited >= lasted * 1000
