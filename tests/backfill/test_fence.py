"""what keeps a row from being written twice: the epoch, the cursor, the flag in the ledger"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest

from qb_engine.backfill import records
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import batch
from qb_engine.backfill.batches.batch import Fenced, Halted, Limits
from qb_engine.backfill.spec import Spec, describe
from qb_engine.backfill.walk import barrier
from tests.backfill.conftest import ID, Case, until


def begun(case: Case, **given: object) -> Spec:
    """A backfill whose segments are there, none of them claimed."""
    case.counted(100)
    migration = case.filling(**{"batch_size": 10, **given})
    case.written_down(migration)
    assert advance(case.conn, ID, lambda: True)
    return describe(case.conn, migration)


def claim(case: Case, lane: int = 0) -> batch.Held:
    found = records.claim(case.conn, ID, lane, "somebody")
    assert found is not None
    return found[0]


def test_an_older_claim_cannot_write(case: Case) -> None:
    spec = begun(case)
    zombie = claim(case)
    heir = claim(case)
    assert (zombie.segment, heir.epoch) == (heir.segment, zombie.epoch + 1)
    with pytest.raises(Fenced):
        batch.run(case.conn, spec, zombie, 10, Limits())
    assert case.writes() == {0: 100}
    assert batch.run(case.conn, spec, heir, 10, Limits()).rows == 10
    assert case.writes() == {0: 90, 1: 10}


def test_a_claim_from_before_a_restart_cannot_write(case: Case) -> None:
    """The segments have the numbers, and are claimed as often, as those that it was given."""
    spec = begun(case)
    zombie = claim(case)
    case.sql(f"DELETE FROM qb.backfill WHERE id = '{ID}'")
    records.make(case.conn, spec, 0, "nobody", "nobody")
    assert advance(case.conn, ID, lambda: True)
    heir = claim(case)
    assert (zombie.segment, zombie.cursor) == (heir.segment, heir.cursor)
    with pytest.raises(Fenced):
        batch.run(case.conn, spec, zombie, 10, Limits())
    assert case.writes() == {0: 100}


def test_a_claim_from_before_an_accepted_edit_cannot_write(case: Case) -> None:
    """A lane may have computed the rows of its next batch in the old form by then."""
    spec = begun(case)
    zombie = claim(case)
    batch.run(case.conn, spec, zombie, 10, Limits())
    edited = case.filling(set={"v": "'new'", "writes": "writes + 1"}, batch_size=10)
    records.rewrite(case.conn, describe(case.conn, edited))
    with pytest.raises(Fenced):
        batch.run(case.conn, spec, replace(zombie, cursor=("10",)), 10, Limits())
    assert claim(case).cursor == ["10"]
    assert case.writes() == {0: 90, 1: 10}


def test_a_pause_is_seen_in_any_isolation(case: Case) -> None:
    """A batch that waited for its segment reads what was wanted meanwhile, not before."""
    spec = begun(case)
    held = claim(case)
    found: list[BaseException] = []

    def write(conn: psycopg.Connection[object]) -> None:
        try:
            batch.run(conn, spec, held, 10, Limits())
        except Halted as halted:
            found.append(halted)

    with closing(psycopg.connect(case.target.conninfo, autocommit=True)) as other:
        other.execute("SET default_transaction_isolation TO 'repeatable read'")
        with case.conn.transaction():
            case.sql(f"SELECT FROM qb.segment WHERE backfill = '{ID}' FOR UPDATE")
            writing = threading.Thread(target=write, args=(other,))
            writing.start()
            with closing(psycopg.connect(case.target.conninfo, autocommit=True)) as third:
                until(
                    "the batch waits",
                    lambda: (
                        third.execute(
                            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                            " AND datname = current_database()"
                        ).rowcount
                    ),
                )
            records.want(case.conn, ID, "pause")
        writing.join()
    assert [str(each) for each in found] == ["pause"]
    assert case.writes() == {0: 100}


def test_a_claim_waits_for_the_batch_in_flight(case: Case) -> None:
    """The heir begins after the rows that the zombie wrote in its last transaction."""
    spec = begun(case, slow=0.05)
    zombie = claim(case)
    with closing(psycopg.connect(case.target.conninfo, autocommit=True)) as other:
        writing = threading.Thread(target=batch.run, args=(other, spec, zombie, 10, Limits()))
        writing.start()
        until(
            "the batch writes",
            lambda: case.one(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event = 'PgSleep'"
            ),
        )
        heir = claim(case)
        writing.join()
    assert heir.cursor == ["10"]
    batch.run(case.conn, spec, heir, 10, Limits())
    assert case.writes() == {0: 80, 1: 20}


def test_a_claim_that_missed_a_move_cannot_write(case: Case) -> None:
    spec = begun(case)
    held = claim(case)
    batch.run(case.conn, spec, held, 10, Limits())
    with pytest.raises(Fenced):
        batch.run(case.conn, spec, held, 10, Limits())
    assert case.writes() == {0: 90, 1: 10}


@pytest.mark.parametrize("wanted", ["pause", "cancel"])
def test_nothing_is_written_once_something_else_is_wanted(case: Case, wanted: str) -> None:
    spec = begun(case)
    held = claim(case)
    case.sql(f"UPDATE qb.backfill SET wanted = '{wanted}'")
    with pytest.raises(Halted, match=wanted):
        batch.run(case.conn, spec, held, 10, Limits())
    assert case.writes() == {0: 100}


def test_a_batch_that_fails_leaves_its_cursor_and_an_open_connection(case: Case) -> None:
    spec = begun(case)
    held = claim(case)
    case.sql("ALTER TABLE t ADD CONSTRAINT none CHECK (writes = 0)")
    with pytest.raises(psycopg.errors.CheckViolation):
        batch.run(case.conn, spec, held, 10, Limits())
    assert case.sql("SELECT cursor, rows_done FROM qb.segment") == [(None, 0)]
    assert case.one("SELECT count(*) FROM qb.batch") == 0


def test_a_lane_that_starts_over_takes_back_its_segment(case: Case) -> None:
    begun(case)
    case.sql("UPDATE qb.segment SET hi = '{50}'; INSERT INTO qb.segment (backfill, number, lo, hi)"
             f" VALUES ('{ID}', 1, '{{50}}', '{{100}}')")  # fmt: skip
    first, second = claim(case, lane=0), claim(case, lane=1)
    assert (first.segment, second.segment) == (0, 1)
    assert claim(case, lane=1).segment == 1
    assert records.claim(case.conn, ID, 2, "late") is None


def test_rows_of_open_transactions_are_waited_for(case: Case) -> None:
    case.counted(10)
    told: list[str] = []
    with closing(psycopg.connect(case.target.conninfo)) as writer:
        writer.execute("INSERT INTO t (id) VALUES (11)")
        waiting = threading.Thread(
            target=barrier.wait,
            args=(case.conn, "public", "t"),
            kwargs={"tell": told.append, "go_on": lambda: True},
        )
        waiting.start()
        until("it is told who is waited for", lambda: told)
        assert str(writer.info.backend_pid) in told[0]
        assert waiting.is_alive()
        writer.commit()
        waiting.join(30)
    assert not waiting.is_alive()
    assert told[-1] == ""


def test_those_who_read_or_come_later_are_not_waited_for(case: Case) -> None:
    case.counted(10)
    with closing(psycopg.connect(case.target.conninfo)) as reader:
        reader.execute("SELECT * FROM t")
        assert barrier.wait(case.conn, "public", "t", tell=print, go_on=lambda: False)


IN_FLIGHT = {
    "through the table": "INSERT INTO t (id, at) VALUES (11, 5)",
    "into the partition": "INSERT INTO low (id, at) VALUES (11, 5)",
    "prepared": "INSERT INTO t (id, at) VALUES (11, 5); PREPARE TRANSACTION 'in_flight'",
    "in a subtransaction": "SAVEPOINT a; INSERT INTO t VALUES (11, 5); RELEASE a",
}


@pytest.mark.parametrize("how", IN_FLIGHT)
def test_a_row_in_flight_is_below_the_highest_key(case: Case, how: str) -> None:
    """Also of a partitioned table, and without a sweep: it is written, as it is waited for."""
    case.sql(
        "CREATE TABLE t (id int, at int, writes int NOT NULL DEFAULT 0, PRIMARY KEY (id, at))"
        " PARTITION BY RANGE (at);"
        "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10);"
        "INSERT INTO t SELECT n, 1 FROM generate_series(1, 10) AS n"
    )
    case.ledger()
    migration = case.filling(set={"writes": "writes + 1"})
    with closing(psycopg.connect(case.target.conninfo)) as writer:
        writer.execute(IN_FLIGHT[how])
        with closing(psycopg.connect(case.target.conninfo, autocommit=True)) as other:
            ended: list[str] = []
            here = replace(case, conn=other)
            filling = threading.Thread(
                target=lambda: ended.append(here.driven_here(migration).state)
            )
            filling.start()
            note = (
                "SELECT coalesce(max(note), '') LIKE 'waiting for transactions%' FROM qb.backfill"
            )
            until("it waits", lambda: case.one(note))
            assert case.one("SELECT count(*) FROM qb.segment") == 0
            if how == "prepared":
                case.sql("COMMIT PREPARED 'in_flight'")
            else:
                writer.commit()
            filling.join(60)
    assert ended == ["completed"]
    assert case.sql("SELECT DISTINCT writes, count(*) FROM t GROUP BY 1") == [(1, 11)]
    assert case.one("SELECT hi FROM qb.segment") == ["11", "5"]
