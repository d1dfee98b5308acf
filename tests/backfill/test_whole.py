"""a backfill from its start to its end, with a real worker, Temporal and PostgreSQL"""

from __future__ import annotations

from tests.backfill.conftest import Case


def counted(case: Case, rows: int, extra: str = "") -> None:
    """A table whose rows count how often they were written."""
    case.sql(f"CREATE TABLE t (id int PRIMARY KEY, v text, writes int NOT NULL DEFAULT 0{extra})")
    case.sql(f"INSERT INTO t (id) SELECT generate_series(1, {rows})")
    case.ledger()


def test_every_row_is_written_exactly_once(case: Case) -> None:
    counted(case, 10_000)
    done = case.start(
        case.declare(
            table="t", set={"v": "'v' || id", "writes": "writes + 1"}, batch_size=500, parallel=2
        )
    )
    assert done.progress.state in ("pending", "running", "verifying", "completed")
    ended = case.ended()
    assert (ended.state, ended.rows_done, ended.rows_total) == ("completed", 10_000, 10_000)
    assert case.sql("SELECT writes, count(*) FROM t GROUP BY 1") == [(1, 10_000)]
    assert case.one("SELECT count(*) FROM t WHERE v = 'v' || id") == 10_000
    assert case.one("SELECT sum(rows)::int FROM qb.batch") == 10_000
