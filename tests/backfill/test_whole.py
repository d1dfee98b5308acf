"""a backfill from its start to its end, with a real worker, Temporal and PostgreSQL"""

from __future__ import annotations

import pytest

from qb_engine import backfill
from qb_engine.errors import RefusedError
from tests.backfill.conftest import ID, Case, until


def test_every_row_is_written_exactly_once(driven: Case) -> None:
    driven.counted(10_000)
    done = driven.start(driven.filling(batch_size=500, parallel=2))
    assert done.progress.state in ("pending", "running", "verifying", "completed")
    ended = driven.ended()
    assert (ended.state, ended.rows_done, ended.rows_total) == ("completed", 10_000, 10_000)
    assert driven.writes() == {1: 10_000}
    assert driven.one("SELECT count(*) FROM t WHERE v = 'v' || id") == 10_000
    assert driven.one("SELECT sum(rows)::int FROM qb.batch") == 10_000
    assert ended.eta is None
    assert ended.rate > 0


def test_a_paused_backfill_holds_and_a_resumed_one_ends(driven: Case) -> None:
    driven.counted(1_000)
    migration = driven.filling(slow=0.002, batch_size=20)
    driven.start(migration)
    until("rows are written", lambda: driven.progress().rows_done > 0)

    paused = backfill.pause(driven.project, driven.target, migration, conn=driven.conn)
    assert paused.progress.state == "paused"
    written = driven.writes()
    assert written.get(1) == paused.progress.rows_done
    assert written.get(0, 0) > 0
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'qb backfill' AND pid <> pg_backend_pid()"
    )
    until("its lanes have ended", lambda: driven.one(others) == 0)
    assert driven.writes() == written
    again = driven.start(migration)
    assert again.progress.state == "paused"
    assert any("resume" in note for note in again.notes)

    resumed = backfill.resume(driven.project, driven.target, migration, conn=driven.conn)
    assert resumed.progress.state in ("running", "verifying", "completed")
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 1_000}


def test_a_cancelled_backfill_stops_and_can_be_started_from_where_it_stands(driven: Case) -> None:
    driven.counted(1_000)
    migration = driven.filling(slow=0.002, batch_size=20)
    driven.start(migration)
    until("rows are written", lambda: driven.progress().rows_done > 0)
    cancelled = backfill.cancel(driven.project, driven.target, migration, conn=driven.conn)
    assert cancelled.progress.state == "cancelled"
    written = driven.writes()
    assert written.get(0, 0) > 0

    done = driven.start(migration)
    assert any("goes on from where it was cancelled" in note for note in done.notes)
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 1_000}
    assert any("completed already" in n for n in driven.start(migration).notes)


def test_a_failed_backfill_says_why_and_goes_on_when_the_reason_is_gone(driven: Case) -> None:
    driven.counted(100)
    driven.sql("ALTER TABLE t ADD CONSTRAINT small CHECK (writes = 0 OR id < 70)")
    migration = driven.filling(batch_size=10)
    driven.start(migration)
    failed = driven.ended()
    assert failed.state == "failed"
    assert 'violates check constraint "small"' in failed.error
    assert failed.rows_done == driven.writes()[1] < 70
    assert failed.error.endswith("at row id = 70 of public.t")

    driven.sql("ALTER TABLE t DROP CONSTRAINT small")
    driven.start(migration)
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 100}


def test_an_edited_declaration_is_noticed(driven: Case) -> None:
    driven.counted(1_000)
    driven.start(driven.filling(slow=0.002, batch_size=20))
    until("rows are written", lambda: driven.progress().rows_done > 0)
    backfill.pause(driven.project, driven.target, driven.filling(), conn=driven.conn)
    edited = driven.declare(table="t", set={"v": "'other'", "writes": "writes + 1"})
    with pytest.raises(RefusedError, match="was edited"):
        backfill.resume(driven.project, driven.target, edited, conn=driven.conn)
    told = backfill.status(driven.project, driven.target, edited, conn=driven.conn)
    assert "backfill.py was edited since the start" in told.notes

    backfill.cancel(driven.project, driven.target, edited, conn=driven.conn)
    with pytest.raises(RefusedError, match="was edited"):
        driven.start(edited)
    driven.start(edited, restart=True)
    assert driven.ended().state == "completed"
    assert driven.one("SELECT count(*) FROM t WHERE v = 'other'") == 1_000
    assert driven.one(f"SELECT sum(rows)::int FROM qb.batch WHERE backfill = '{ID}'") == 1_000
