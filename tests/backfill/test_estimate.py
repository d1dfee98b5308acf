"""what a backfill will come to, from batches that are rolled back"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qb_engine.backfill.before import estimate as estimates
from qb_engine.backfill.before.estimate import Sampled, estimate, timed
from qb_engine.backfill.spec import describe
from qb_engine.errors import InputError
from tests.backfill.conftest import ID, Case


@pytest.fixture
def busy(case: Case) -> Case:
    """A table with a trigger of the user's, an index on what is written, and a publication."""
    case.counted(20_000)
    case.sql(
        "ANALYZE t; CREATE INDEX t_v ON t (v); CREATE PUBLICATION p FOR TABLE t;"
        "CREATE TABLE log (id int);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END$$;"
        "CREATE TRIGGER note AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();"
        "CREATE TRIGGER other AFTER UPDATE OF id ON t FOR EACH ROW EXECUTE FUNCTION note()"
    )
    return case


def test_it_says_what_will_come_and_leaves_nothing(busy: Case, qb: Any) -> None:
    busy.filling(set={"v": "'v' || id || random()"}, where="v IS NULL")
    report = qb("backfill", "estimate", ID)
    found = report.as_dict()
    assert (found["rows"], found["exact"]) == (20_000, True)
    assert len(found["samples"]) == 5
    assert found["samples"][0]["rows"] == 1_000
    assert 0 < found["seconds_low"] <= found["seconds_high"]
    assert 0 < found["wal_bytes_low"] <= found["wal_bytes_high"]
    assert [(t["name"], t["calls"]) for t in found["triggers"]] == [("note", 20_000)]
    assert list(found["around"]["indexes"]) == ["t_v"]
    assert list(found["around"]["publications"]) == ["p"]
    assert found["change_events"] == 20_000
    assert list(found["volatile"]) == ["v: random (volatile)"]
    assert found["hot"] == 0.0
    assert any("t_v hold what is written" in note for note in report.notes())
    assert busy.one("SELECT count(*) FROM t WHERE v IS NOT NULL") == 0
    assert busy.one("SELECT count(*) FROM log") == 0


def test_without_samples_nothing_is_run(busy: Case) -> None:
    spec = describe(busy.conn, busy.filling(set={"v": "'v' || id"}))
    found = estimate(busy.conn, spec, sampling=False)
    assert found.samples == ()
    assert found.seconds_low is None
    assert [(t.name, t.calls) for t in found.triggers] == [("note", 20_000)]
    touched = "SELECT count(*) FROM t WHERE xmax <> 0"  # also by what was rolled back
    assert busy.one(touched) == 0
    assert estimate(busy.conn, spec).samples
    assert busy.one(touched) > 0


def test_what_was_expected_is_kept_with_the_backfill(busy: Case) -> None:
    migration = busy.filling(set={"v": "'v' || id"}, where="v IS NULL")
    estimates.keep(busy.conn, estimate(busy.conn, describe(busy.conn, migration)))
    busy.written_down(migration)
    estimates.take_over(busy.conn, ID)
    (kept,) = busy.sql("SELECT estimated FROM qb.backfill")[0]
    assert (kept["rows"], kept["sampled"]) == (20_000, 5)
    assert kept["seconds_high"] > 0


def test_times_are_a_range_from_the_fastest_to_the_slowest(case: Case) -> None:
    case.counted(1)
    spec = replace(describe(case.conn, case.filling()), parallel=2)
    empty = estimate(case.conn, spec, sampling=False)
    samples = (Sampled("", 1000, 1000, 10.0, 1000, 0), Sampled("5", 1000, 500, 100.0, 1000, 0))
    found = timed(replace(empty, rows=1_000_000, keys=1_000_000, samples=samples), spec)
    assert found.seconds_low is not None
    assert found.seconds_high is not None
    assert 5 <= found.seconds_low < 6
    assert 100 <= found.seconds_high < 110
    assert (found.batches_low, found.batches_high) == (43, 401)  # the first ones are small
    assert (found.wal_bytes_low, found.wal_bytes_high) == (1_000_000, 2_000_000)


def test_even_a_few_rows_take_a_start_and_an_end(case: Case) -> None:
    case.counted(1)
    spec = describe(case.conn, case.filling(where="v IS NULL"))
    empty = estimate(case.conn, spec, sampling=False)
    found = timed(replace(empty, rows=10, keys=10, samples=(Sampled("", 10, 10, 1, 9, 0),)), spec)
    assert found.seconds_low is not None
    assert found.seconds_high is not None
    assert 0.2 <= found.seconds_low < 2 <= found.seconds_high < 5
    assert (found.batches_low, found.batches_high) == (1, 1)


def test_a_row_that_cannot_be_written_is_told_and_spoils_no_estimate(case: Case) -> None:
    case.counted(2_000)
    spec = describe(case.conn, case.filling(set={"v": "(1 / (id - 500))::text"}))
    found = estimate(case.conn, spec)
    assert "soon after the first row there is a row that cannot be written: division by zero" in (
        found.said
    )
    assert found.samples


def test_an_insert_leaves_no_dead_rows(case: Case, qb: Any) -> None:
    case.counted(2_000)
    case.sql("CREATE TABLE copied (id int); ANALYZE t")
    case.declare(table="t", sql="INSERT INTO copied SELECT id FROM t WHERE {batch}")
    report = qb("backfill", "estimate", ID)
    found = report.as_dict()
    assert (found["rows"], found["dead_rows"], found["hot"]) == (2_000, 0, None)
    assert "dead rows" not in {row[0] for row in report.tables()[0].rows}


def test_sql_that_cannot_run_says_where(case: Case, qb: Any) -> None:
    case.counted(10)
    case.filling(set={"v": "nothing"})
    with pytest.raises(InputError, match="cannot run") as raised:
        qb("backfill", "estimate", ID)
    assert raised.value.where == "set or where in backfill.py"


def test_dead_rows_of_partitions_have_a_size(case: Case) -> None:
    case.sql(
        "CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100000);"
        "INSERT INTO p SELECT generate_series(1, 2000); ANALYZE p"
    )
    spec = describe(case.conn, case.declare(table="p", set={"v": "'v'"}))
    assert 20 < estimate(case.conn, spec, sampling=False).dead_bytes / 2_000 < 100
