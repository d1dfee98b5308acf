"""a statement of the user's own: over the rows of its batches, each once, and no others"""

from __future__ import annotations

import json
from contextlib import closing

import psycopg
import pytest

from qb_engine.backfill.before.preview import preview
from qb_engine.backfill.kinds import statement
from qb_engine.backfill.spec import describe
from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError, StatementError
from tests.backfill.conftest import Case


def test_an_update_with_a_join_walks_its_table_in_batches(case: Case) -> None:
    case.counted(100)
    case.sql("CREATE TABLE s AS SELECT id, 's' || id AS v FROM t WHERE id % 2 = 0")
    text = "UPDATE t AS x SET v = s.v, writes = writes + 1 FROM s WHERE s.id = x.id AND {batch}"
    done = case.driven_here(case.declare(table="t", sql=text, batch_size=7))
    assert done.state == "completed"
    assert done.rows_done == 50
    assert case.writes() == {0: 50, 1: 50}
    assert case.one("SELECT count(*) FROM t WHERE v = 's' || id AND id % 2 = 0") == 50
    assert case.one("SELECT count(*) FROM qb.batch") == 15


def test_where_is_of_the_walked_table_whatever_stands_beside_it(case: Case) -> None:
    """`v` is a column of both; the sweep runs because a written row no longer needs it."""
    case.counted(20)
    case.sql("CREATE TABLE s AS SELECT id, 's' || id AS v FROM t")
    text = "UPDATE t AS x SET v = s.v, writes = writes + 1 FROM s WHERE s.id = x.id AND {batch}"
    case.sql("UPDATE t SET v = 'old' WHERE id <= 5")
    done = case.driven_here(case.declare(table="t", sql=text, where="t.v IS NULL AND v IS NULL"))
    assert (done.state, done.rows_done) == ("completed", 15)
    assert case.writes() == {0: 5, 1: 15}
    assert case.one("SELECT max(pass) FROM qb.segment") == 1


def test_rows_are_deleted_or_moved_by_batches(case: Case) -> None:
    case.counted(30)
    case.sql("CREATE TABLE kept (id int, v text, writes int)")
    case.sql("UPDATE t SET writes = id % 3")
    moving = (
        "WITH gone AS (DELETE FROM t WHERE {batch} AND writes = 0 RETURNING *)"
        " INSERT INTO kept SELECT * FROM gone"
    )
    done = case.driven_here(case.declare(table="t", sql=moving, batch_size=10))
    assert (done.state, done.rows_done) == ("completed", 10)
    assert case.one("SELECT count(*) FROM kept") == 10
    assert case.one("SELECT count(*) FROM t") == 20
    case.sql("DELETE FROM qb.backfill")
    gone = case.declare(table="t", sql="DELETE FROM t WHERE {batch} AND writes = 1")
    assert case.driven_here(gone).rows_done == 10
    assert case.writes() == {2: 10}


def test_what_is_inserted_is_counted_and_what_came_late_is_swept(case: Case) -> None:
    case.sql('CREATE TABLE "Or ders" (a text, "B" int, n int, PRIMARY KEY (a, "B"))')
    case.sql("CREATE TABLE totals (a text, b int, n int, UNIQUE (a, b))")
    case.sql("""INSERT INTO "Or ders" SELECT 'k' || g % 3, g, g FROM generate_series(1, 40) g""")
    case.ledger()
    declared = case.declare(
        table="Or ders",
        sql='INSERT INTO totals SELECT a, "B", n * 100 FROM "Or ders" o WHERE {batch} -- %',
        where='NOT EXISTS (SELECT FROM totals WHERE totals.a = "Or ders".a AND b = "B")',
        batch_size=7,
    )
    case.written_down(declared)
    done = case.driven_here(declared)
    assert (done.state, done.rows_done) == ("completed", 40)
    assert case.one("SELECT sum(n) FROM totals") == 82_000
    assert case.one("SELECT max(pass) FROM qb.segment") == 1
    assert case.one("SELECT sum(rows_again) FROM qb.segment") == 0


def test_an_insert_that_leaves_where_true_is_not_swept_again_and_again(case: Case) -> None:
    case.counted(10)
    case.sql("CREATE TABLE log (id int)")
    declared = case.declare(
        table="t", sql="INSERT INTO log SELECT id FROM t WHERE {batch}", where="id > 5"
    )
    with closing(psycopg.connect(case.target.conninfo)) as somebody:
        somebody.execute("SELECT pg_current_xact_id()")  # a transaction older than all of it
        case.sql("UPDATE t SET v = 'x'")
        done = case.driven_here(declared)
    assert (done.state, case.one("SELECT count(*) FROM log")) == ("completed", 5)


def test_a_partition_is_written_by_its_own_range(case: Case) -> None:
    """The same keys may stand in every partition: only the rows of one of them are meant."""
    case.sql("CREATE TABLE p (k int, id int) PARTITION BY LIST (k)")
    case.sql("CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)")
    case.sql("ALTER TABLE p ADD PRIMARY KEY (k, id)")
    case.ledger()
    text = "UPDATE p SET id = p.id FROM p AS o WHERE o.id = p.id AND {batch}"
    spec = describe(case.conn, case.declare(table="p", sql=text)).part("public", "p1")
    found = statement.KIND.plan(spec, None, None).as_string(None)
    assert (
        found == "UPDATE ONLY public.p1 AS p SET id = p.id FROM p AS o WHERE o.id = p.id AND (true)"
    )


def test_a_statement_that_is_not_bounded_is_refused_where_it_stands(case: Case) -> None:
    case.counted(1)
    with pytest.raises(InputError, match="under OR") as refused:
        case.declare(table="t", sql="UPDATE t SET v = 'x' WHERE {batch} OR v IS NULL")
    assert "backfill.py:6" in refused.value.where
    assert refused.value.why
    assert refused.value.todo


def test_a_preview_shows_rows_before_and_after_and_changes_none(case: Case) -> None:
    case.counted(30)
    case.sql("CREATE TABLE u (id int, v text)")
    seen = preview(case.conn, case.filling(where="id > 3"), 2)
    assert [(c.key, c.before, c.after) for c in seen.changes] == [
        (("4",), {"v": None, "writes": "0"}, {"v": "v4", "writes": "1"}),
        (("5",), {"v": None, "writes": "0"}, {"v": "v5", "writes": "1"}),
    ]
    late = case.declare(table="t", sql="UPDATE t SET v = 'x' WHERE {batch} AND id > 25")
    seen = preview(case.conn, late, 3)
    assert [(c.key, c.columns) for c in seen.changes] == [((str(i),), ("v",)) for i in (26, 27, 28)]
    gone = preview(case.conn, case.declare(table="t", sql="DELETE FROM t WHERE {batch}"), 1)
    assert [(c.before, c.after) for c in gone.changes] == [
        ({"id": "1", "v": None, "writes": "0"}, None)
    ]
    more = case.declare(table="t", sql="INSERT INTO u SELECT id, 'n' FROM t WHERE {batch}")
    seen = preview(case.conn, more, 2)
    assert seen.written == ({"id": "1", "v": "n"}, {"id": "2", "v": "n"})
    assert case.writes() == {0: 30}
    assert case.one("SELECT count(*) FROM u") == 0


def test_a_preview_says_what_is_missing_and_what_fails(case: Case) -> None:
    case.counted(3)
    with pytest.raises(InputError, match="has no column w"):
        preview(case.conn, case.declare(table="t", set={"w": "1"}))
    with pytest.raises(InputError, match="cannot run") as refused:
        preview(case.conn, case.declare(table="t", sql="UPDATE t SET w = 1 WHERE {batch}"))
    assert "w" in refused.value.why
    with pytest.raises(StatementError, match="failed") as failed:
        preview(
            case.conn, case.declare(table="t", sql="UPDATE t SET writes = 1/(id-1) WHERE {batch}")
        )
    assert failed.value.sqlstate == "22012"
    case.sql("DELETE FROM t")
    assert preview(case.conn, case.filling()).tried == 0


def test_a_statement_that_moves_rows_within_the_key_is_refused(case: Case) -> None:
    case.counted(3)
    moving = case.declare(table="t", sql="UPDATE t SET (v, id) = ('x', id + 10) WHERE {batch}")
    with pytest.raises(InputError, match=r"id of public\.t is part of the key"):
        preview(case.conn, moving)


def test_a_statement_that_would_meet_its_own_rows_is_refused(case: Case) -> None:
    case.counted(3)
    copies = "INSERT INTO t (id) SELECT id + 10 FROM t WHERE {batch}"
    with pytest.raises(InputError, match=r"it inserts into public\.t, the table that it walks"):
        preview(case.conn, case.declare(table="t", sql=copies))
    done = case.driven_here(case.declare(table="t", sql=copies, where="id < 10", batch_size=1))
    assert (done.state, done.rows_done) == ("completed", 3)
    assert case.one("SELECT count(*) FROM t") == 6


def test_the_command_shows_the_rows_and_has_them_whole_as_json(case: Case) -> None:
    case.counted(5)
    case.declare(table="t", set={"v": "repeat(id::text, 100)"})
    report = invoke(Session(root=case.project.root), ["backfill", "preview", "--rows", "2"])
    assert report is not None
    assert "2 of 2 rows would change in public.t" in report.headline()
    assert list(report.df.columns) == ["id", "v before", "v after"]
    assert report.df["v after"].str.len().max() < 60
    whole = json.loads(report.to_json())
    assert whole["changes"][1] == {"key": ["2"], "before": {"v": None}, "after": {"v": "2" * 100}}
    assert case.one("SELECT count(v) FROM t") == 0
