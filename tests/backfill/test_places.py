"""tables without a key: rows by their place on disk, known as written by `where`"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.backfill.batches.segment import Stopped
from qb_engine.backfill.spec import Spec, describe
from qb_engine.backfill.walk import statements
from qb_engine.backfill.walk.keys import CTID
from qb_engine.errors import InputError
from tests.backfill.conftest import Case
from tests.backfill.test_parts import between_batches


def described(case: Case, **given: object) -> Spec:
    return describe(case.conn, case.declare(**{"table": "t", "set": {"v": "'x'"}, **given}))


def keyless(case: Case, rows: int, fillfactor: int = 20) -> None:
    """A table `t` without a key, of some fifty rows a block, whose rows count their writes."""
    case.sql(
        "CREATE TABLE t (id int, v text, other int, writes int NOT NULL DEFAULT 0)"
        f" WITH (fillfactor = {fillfactor}, autovacuum_enabled = false)"
    )
    case.sql(f"INSERT INTO t (id) SELECT generate_series(1, {rows})")
    case.ledger()


def test_a_table_without_a_key_is_walked_by_place_and_said(case: Case) -> None:
    keyless(case, 3_000)
    ended = case.driven_here(case.filling(batch_size=200, parallel=2, where="v IS NULL"))
    assert (ended.state, ended.error, ended.rows_done) == ("completed", "", 3_000)
    assert case.writes() == {1: 3_000}
    assert len([each for each in ended.segments if each.sweep == 0]) == 8
    assert case.one("SELECT key_said FROM qb.backfill") == (
        "walked by place on disk (ctid), it has no key: a row that moves is known by `where`, "
        "which a written row must not fulfil"
    )


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_rows_are_enough(case: Case, rows: int) -> None:
    keyless(case, rows)
    assert case.driven_here(case.filling(where="v IS NULL")).state == "completed"
    assert case.writes() == ({1: rows} if rows else {})


def test_without_where_it_is_refused_with_what_to_do(case: Case) -> None:
    keyless(case, 1)
    with pytest.raises(InputError, match="no key to walk by") as raised:
        described(case)
    assert "cannot be told" in raised.value.why
    assert "say with `where`" in raised.value.todo
    with pytest.raises(InputError, match="no key to walk by"):
        described(case, key="ctid")


def test_places_may_be_asked_for_though_there_is_a_key(case: Case) -> None:
    case.counted(10)
    spec = described(case, key="ctid", where="v IS NULL")
    assert spec.by_place
    assert "as declared" in spec.key_said


def test_a_where_that_stays_true_is_refused_before_a_row_is_written_twice(case: Case) -> None:
    keyless(case, 500)
    migration = case.filling(where="id > 100", batch_size=50)
    with pytest.raises(Stopped, match="would be written twice"):
        case.driven_here(migration)
    assert case.writes().keys() == {0}


def test_rows_that_others_move_are_found(case: Case) -> None:
    """An update of another column puts rows behind the cursor, before it, and above the bound."""
    keyless(case, 3_000)
    ended = between_batches(
        case,
        case.filling(batch_size=100, parallel=2, where="v IS NULL"),
        "batches = 3 AND number = 1",
        "UPDATE t SET other = 1 WHERE id % 3 = 0; DELETE FROM t WHERE id % 10 = 1;"
        "INSERT INTO t (id) SELECT generate_series(5001, 5100)",
    )
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 2_800}


@pytest.mark.parametrize("how", ["VACUUM FULL t", "CLUSTER t USING t_other"])
@pytest.mark.parametrize("sweep", [0, 1])
def test_a_table_that_is_rewritten_meanwhile_is_walked_again(
    case: Case, how: str, sweep: int
) -> None:
    """In the first pass or in the sweep: no row is written twice, and none is left out."""
    keyless(case, 3_000)
    case.sql("CREATE INDEX t_other ON t (id DESC); DELETE FROM t WHERE id % 2 = 0")
    migration = case.filling(batch_size=100, where="v IS NULL")
    ended = between_batches(case, migration, f"batches = 3 AND pass = {sweep}", how)
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 1_500}
    files = case.one("SELECT count(DISTINCT node) FROM qb.segment")
    assert files == 2
    last = case.one("SELECT max(pass) FROM qb.segment")
    assert case.one(f"SELECT node FROM qb.segment WHERE pass = {last}") == case.one(
        "SELECT pg_relation_filenode('t')::bigint"
    )


def test_a_row_that_moves_behind_the_last_sweep_is_not_left_out(case: Case) -> None:
    """One look at all rows at once comes after the sweeps."""
    keyless(case, 5_000, fillfactor=100)
    case.sql("UPDATE t SET v = 'there', writes = 1; DELETE FROM t WHERE id <= 500")
    case.sql("VACUUM t")  # free space at the beginning, where new rows go

    def insert() -> None:
        with psycopg.connect(case.target.conninfo) as other:
            other.execute("INSERT INTO t (id) SELECT generate_series(6001, 6010)")

    migration = case.filling(batch_size=500, where="v IS NULL")
    ended = between_batches(case, migration, "pass = 1 AND cursor[1]::tid > '(30,0)'", insert)
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 4_510}
    assert case.sql("SELECT pass, sum(rows_done)::int FROM qb.segment GROUP BY 1 ORDER BY 1") == [
        (0, 0), (1, 0), (2, 10), (3, 0)
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 50, 1_000])
def test_batches_by_place_cover_each_range_once(case: Case, size: int) -> None:
    keyless(case, 700, fillfactor=30)
    case.sql("DELETE FROM t WHERE id BETWEEN 100 AND 300")
    case.sql("VACUUM ANALYZE t")
    spec = described(case, where="v IS NULL")
    assert spec.key == (CTID,)
    hi = case.conn.execute(statements.highest(spec)).fetchall()[0][0]
    at, counts = None, []
    while edge := case.conn.execute(statements.boundary(spec, at, hi, size)).fetchone():
        counts.append(_count(case, spec, at, edge[0]))
        at = edge[0]
    counts.append(_count(case, spec, at, hi))
    assert sum(counts) == 499
    assert max(counts) <= max(size * 2, 1)
    shown = case.conn.execute(b"EXPLAIN " + statements.write(spec, ["(1,5)"], hi).as_bytes())
    assert "Tid Range Scan" in "\n".join(line for (line,) in shown)


def _count(case: Case, spec: Spec, lo: Any, hi: Any) -> int:
    found: int = case.conn.execute(statements.count(spec, lo, hi)).fetchall()[0][0]
    return found
