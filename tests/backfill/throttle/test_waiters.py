"""who waits behind a batch is seen while it runs, and the batch gives way"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from qb_engine.backfill.advance import advance
from qb_engine.backfill.throttle import watcher
from tests.backfill.conftest import ID, Case, until
from tests.backfill.throttle import spans
from tests.backfill.throttle.test_holding import running


class Application(threading.Thread):
    """A session that writes one row, which a batch may hold."""

    def __init__(self, case: Case, row: int, name: str = "shop") -> None:
        super().__init__(daemon=True)
        self.case, self.row, self.name_ = case, row, name
        self.done = False

    def run(self) -> None:
        with closing(
            psycopg.connect(self.case.target.conninfo, autocommit=True, application_name=self.name_)
        ) as conn:
            conn.execute("UPDATE t SET v = 'app' WHERE id = %s", [self.row])
        self.done = True


@pytest.fixture
def blocking(case: Case) -> Iterator[Case]:
    """A first batch that would hold its rows for three seconds."""
    case.counted(120)
    given = {"lock_waiters": {"slow": 0.1, "cancel": 0.4}}
    migration = case.filling(slow=0.025, throttle=given, where="writes = 0", batch_size=120)
    case.written_down(migration)
    assert advance(case.conn, ID, lambda: True)
    yield case
    assert watcher._shared == {}


def test_a_batch_that_somebody_waits_for_is_cancelled_and_made_smaller(blocking: Case) -> None:
    case = blocking
    with running(case):
        until("a batch holds the row", lambda: not case.one(
            "SELECT count(*) FROM (SELECT id FROM t WHERE id = 1 FOR UPDATE SKIP LOCKED) AS free"
        ))  # fmt: skip
        application = Application(case, 1)
        application.start()
        until("the application goes on", lambda: application.done, 8)
        until("a smaller batch is written", lambda: case.one("SELECT count(*) FROM qb.batch"))
        (found,) = spans.current(case.conn, ID)
    assert found.signal == "lock_waiters"
    assert "1 session waited" in found.reason
    assert "cancelled" in found.reason
    assert case.one("SELECT size FROM qb.batch ORDER BY number LIMIT 1") <= 30
    assert case.one("SELECT sum(retries) FROM qb.segment") == 0


def test_orders_to_a_backfill_are_nobody_who_waits(blocking: Case) -> None:
    case = blocking
    with running(case):
        until("a batch holds the row", lambda: not case.one(
            "SELECT count(*) FROM (SELECT id FROM t WHERE id = 1 FOR UPDATE SKIP LOCKED) AS free"
        ))  # fmt: skip
        order = Application(case, 1, "qb backfill")
        order.start()
        until("the batch ends, whole", lambda: case.one("SELECT count(*) FROM qb.batch"))
    assert case.one("SELECT max(size) FROM qb.batch") == 120
    order.join(10)


def test_one_connection_watches_for_all_lanes_and_ends_with_them(blocking: Case) -> None:
    case = blocking
    with running(case, lanes=2):
        until("somebody watches", lambda: case.one(
            f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{watcher.NAME}'"
            " AND datname = current_database()"
        ))  # fmt: skip
        assert len(watcher._shared) == 1
