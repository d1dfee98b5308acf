"""plans before and after a migration, on the twin: what is new is as large as it will be"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.analysis.explain import Explained, assignments, explain, top_queries
from qb_engine.analysis.workload import PlanChange
from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.errors import InputError
from qb_engine.migrations.model import LoadedMigration, Part
from qb_engine.report import Bars, Tree
from qb_engine.shadow import Scratch
from qb_engine.shadow.twin import copied, settled
from qb_engine.sql import read, read_one
from tests.twinned import scratches, twin_home, twin_of, twinned

Connection = psycopg.Connection[tuple[Any, ...]]
Explain = Callable[..., Explained]

__all__ = ["scratches", "twin_home", "twinned"]

TARGET = """
CREATE TABLE people (
    id integer PRIMARY KEY, town text NOT NULL, born date, score numeric, state text, code text
) WITH (autovacuum_enabled = off);
INSERT INTO people
SELECT n, 'town ' || n % 40, '1950-01-01'::date + n % 20000, (n * 7919 % 100000) / 10.0,
       CASE WHEN n % 50 = 0 THEN 'open' ELSE 'done' END, md5(n::text)
  FROM generate_series(1, 60000) n;
CREATE INDEX people_born ON people (born);
ANALYZE people;
"""


@pytest.fixture(scope="module")
def people(shared_database: Target) -> Target:
    """A target with 60,000 people that no test changes: its twin is made once."""
    with psycopg.connect(shared_database.conninfo, autocommit=True) as conn:
        conn.execute(TARGET.encode())
    return shared_database


@pytest.fixture
def through(people: Target, scratches: Scratch) -> Explain:
    """Take SQL through the twin of the people."""
    return lambda up, queries="": taken(scratches, people, up, queries)


def taken(scratches: Scratch, target: Target, up: str, queries: str) -> Explained:
    """Take SQL through the twin of a target, with queries before and after it."""
    part = Part("migration", "m.sql", read(up))
    migration = LoadedMigration("m", "", "m", Path("m.sql"), "sql", (part,))
    with twin_of(scratches, target) as made:
        return explain(made, migration, read(queries))


def only(found: Explained) -> PlanChange:
    assert not found.failed
    (change,) = found.changes
    return change


INDEXES = (
    "CREATE INDEX made0 ON people (town)",
    "CREATE UNIQUE INDEX made1 ON people (code)",
    "CREATE INDEX made2 ON people (code) WITH (fillfactor = 60)",
    "CREATE INDEX made3 ON people (score)",
    "CREATE INDEX made4 ON people (state, id)",
    "CREATE INDEX made5 ON people (id) INCLUDE (town)",
    "CREATE INDEX made6 ON people (born) WHERE state = 'open'",
    "CREATE INDEX made7 ON people (code) WHERE id > 45000",
    "CREATE INDEX made8 ON people USING hash (id)",
    "CREATE INDEX made9 ON people USING brin (id)",
)
SIZES = """
SELECT relname::text, pg_relation_size(oid) / 8192 FROM pg_class WHERE relname ~ '^made' ORDER BY 1
"""
ESTIMATES = "SELECT name, relpages FROM qb.twin_relation WHERE name ~ '^made' ORDER BY 1"


def test_new_indexes_are_about_as_large_as_they_will_be(
    scratches: Scratch, people: Target, connection: Connection
) -> None:
    with twin_of(scratches, people) as made, copied(scratches, made.base) as dbname:
        with scratches.connect(dbname) as admin:
            admin.execute("; ".join(INDEXES).encode())
        settled(made, dbname, frozenset())
        with scratches.connect(dbname) as admin:
            found: list[tuple[str, int]] = admin.execute(ESTIMATES).fetchall()
    estimates = dict(found)
    connection.execute(TARGET.encode())
    connection.execute("; ".join(INDEXES).encode())
    for name, pages in connection.execute(SIZES.encode()).fetchall():
        assert abs(estimates[name] - pages) <= max(0.1 * pages, 2), name


def test_an_index_that_will_be_used_is_seen_to_be_used(through: Explain) -> None:
    query = "SELECT * FROM people WHERE town = 'town 3' AND born > '2000-01-01'"
    change = only(through("CREATE INDEX made ON people (town, born)", query))
    assert change.verdict == "other plan"
    assert change.after.indexes == ("made",)
    assert change.ratio is not None
    assert change.ratio < 0.9


def test_the_plan_afterwards_is_the_one_that_the_target_then_has(
    scratches: Scratch, database: Target, connection: Connection
) -> None:
    if connection.info.server_version < 180_000:
        pytest.skip("the planner of PostgreSQL 18 counts costs otherwise than older ones")
    connection.execute(TARGET.encode())
    up = (
        "CREATE INDEX by_town ON people (town); CREATE INDEX few ON people (id)"
        " WHERE state = 'open'; ALTER TABLE people ALTER score TYPE double precision;"
    )
    queries = [
        "SELECT * FROM people WHERE town = 'town 3' ORDER BY id",
        "SELECT count(*) FROM people WHERE state = 'open' AND id BETWEEN 20000 AND 30000",
        "SELECT * FROM people WHERE score < 5000",
        "SELECT town, count(*) FROM people GROUP BY town",
    ]
    found = taken(scratches, database, up, ";".join(queries))
    afterwards = {change.after.statement.sql: change.after for change in found.changes}
    connection.execute(up.encode())
    connection.execute("ANALYZE people (score)")
    for query in queries:
        row = connection.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchone()
        assert row is not None
        plan = row[0][0]["Plan"]
        ours = afterwards[query]
        assert ours.tree is not None
        # a rewrite extends the file by up to 64 pages at a time: a quarter of so small a table
        assert ours.cost == pytest.approx(plan["Total Cost"], rel=0.3)
        assert ours.rows == pytest.approx(plan["Plan Rows"], rel=0.05)


def test_new_columns_take_the_statistics_that_their_defaults_imply(through: Explain) -> None:
    found = through(
        "ALTER TABLE people ADD tier text NOT NULL DEFAULT 'free', ADD note text,"
        " ADD key uuid DEFAULT gen_random_uuid()",
        "SELECT * FROM people WHERE tier = 'free'; SELECT * FROM people WHERE tier = 'gold';"
        "SELECT * FROM people WHERE note IS NOT NULL",
    )
    rows = [change.after.rows for change in sorted(found.changes, key=line)]
    assert rows == [60_000, 1, 1]
    said = " / ".join(found.assumed)
    assert "tier is new: statistics as of its default in every row" in said
    assert "note is new: statistics as of NULL in every row" in said
    assert "key is new: no statistics" in said


def line(change: PlanChange) -> int:
    """Where a query stands in its text."""
    return change.before.statement.source.line * 1000 + len(change.before.statement.sql)


def test_an_update_fills_new_columns_with_a_constant_or_as_another_column_is(
    through: Explain,
) -> None:
    found = through(
        "ALTER TABLE people ADD kind text, ADD number bigint, ADD low text;"
        "UPDATE people SET kind = 'old', number = id::bigint, low = lower(code)",
        "SELECT * FROM people WHERE kind = 'old' AND number < 30000",
    )
    assert only(found).after.rows == pytest.approx(30_000, rel=0.01)
    said = " / ".join(found.assumed)
    assert "kind: statistics as of one value in every row" in said
    assert "number: statistics of id, which it is filled from" in said
    assert "low: no statistics: what it is filled with is computed" in said
    (own,) = found.own
    assert own.plan.rows == 60_000
    assert own.plan.nodes[0].startswith("Update")


def test_what_a_truncation_empties_is_planned_empty(through: Explain) -> None:
    found = through("TRUNCATE people", "SELECT * FROM people WHERE town = 'town 3'")
    assert only(found).after.cost < only(found).before.cost / 10
    assert "public.people: without rows from here on" in found.assumed


def test_a_query_that_will_fail_comes_first_and_makes_the_report_not_ok(
    twinned: Session, connection: Connection, tmp_path: Path
) -> None:
    connection.execute(TARGET.encode())
    (twinned.project.migrations / "20240101_drop.sql").write_text(
        "ALTER TABLE people DROP COLUMN town; DROP INDEX people_born;"
    )
    workload = tmp_path / "queries.sql"
    workload.write_text(
        "SELECT * FROM people WHERE id = 1;\n"
        "SELECT * FROM people WHERE born = $1;\n"
        "SELECT town FROM people;\n"
    )
    report = invoke(twinned, ["explain", "drop", "--workload", str(workload)])
    assert report is not None
    assert not report.ok
    queries = report.as_dict()["queries"]
    assert [q["verdict"] for q in queries] == ["fails now", "other plan", "same"]
    assert queries[1]["ratio"] > 5
    assert queries[1]["before"]["indexes"] == ["people_born"]
    charts = report.charts()
    assert isinstance(charts[0], Bars)
    assert charts[0].labels[1] == "2 after"
    assert sum(isinstance(chart, Tree) for chart in charts) == 2
    assert "fails now" in str(report)


def test_each_statement_is_planned_at_its_moment(through: Explain) -> None:
    found = through(
        "UPDATE people SET state = 'x' WHERE town = 'town 9';"
        "CREATE INDEX made ON people (town);"
        "UPDATE people SET state = 'x' WHERE town = 'town 9';"
    )
    first, second = (own.plan for own in found.own)
    assert "made" not in first.indexes
    assert second.indexes == ("made",)


def test_a_table_that_is_made_from_a_query_shows_the_querys_plan(through: Explain) -> None:
    found = through("CREATE TABLE young AS SELECT * FROM people WHERE born > '2000-01-01'")
    (own,) = found.own
    assert "Bitmap Heap Scan on public.people" in own.plan.nodes
    assert "public.young is new" in " ".join(through("CREATE TABLE young (); SELECT 1").assumed)


def test_what_a_session_sets_holds_for_what_follows(through: Explain) -> None:
    found = through(
        "CREATE SCHEMA other; SET search_path = other; CREATE TABLE t (id integer);"
        "INSERT INTO t VALUES (1); CREATE INDEX u ON t (id);"
    )
    assert not found.failed


def test_a_statement_that_fails_there_is_said_and_the_rest_goes_on(through: Explain) -> None:
    found = through("ALTER TABLE nowhere ADD c integer; CREATE INDEX made ON people (town)",
                    "SELECT * FROM people WHERE town = 'town 3'")  # fmt: skip
    assert len(found.failed) == 1
    assert "nowhere" in found.failed[0]
    assert found.changes[0].after.indexes == ("made",)


def test_a_backfills_batch_is_planned_by_its_key(twinned: Session, connection: Connection) -> None:
    connection.execute(TARGET.encode())
    folder = twinned.project.migrations / "20240101_fill"
    folder.mkdir()
    (folder / "migration.sql").write_text("ALTER TABLE people ADD upper_code text;")
    (folder / "backfill.py").write_text(
        "from qb_engine.migrations import Backfill\n\n\n"
        "class Fill(Backfill):\n"
        "    table = 'people'\n    set = {'upper_code': 'upper(code)'}\n    batch_size = 600\n"
    )
    report = invoke(twinned, ["explain", "fill"])
    assert report is not None
    (batch,) = [s for s in report.as_dict()["statements"] if s["part"] == "backfill"]
    assert batch["indexes"] == ["people_pkey"]
    assert batch["rows"] == pytest.approx(600, rel=0.2)


def test_a_query_is_planned_on_the_target_and_never_run(
    twinned: Session, connection: Connection
) -> None:
    connection.execute(TARGET.encode())
    report = invoke(twinned, ["explain", "DELETE FROM people WHERE id BETWEEN 30000 AND 30010"])
    assert report is not None
    (plan,) = report.as_dict()["plans"]
    assert plan["indexes"] == ["people_pkey"]
    assert not report.as_dict()["twin"]
    assert "Index Scan" in str(report)
    assert connection.execute("SELECT count(*) FROM people").fetchone() == (60_000,)
    again = invoke(
        twinned, ["explain", "--twin", "DELETE FROM people WHERE id BETWEEN 30000 AND 30010"]
    )
    assert again is not None
    (same,) = again.as_dict()["plans"]
    assert same == plan


def test_an_index_that_is_only_thought_of_is_tried_on_the_twin(
    twinned: Session, connection: Connection, tmp_path: Path
) -> None:
    connection.execute(TARGET.encode())
    text = "CREATE INDEX thought ON people (town)"
    with pytest.raises(InputError, match="more than queries"):
        invoke(twinned, ["explain", text])
    workload = tmp_path / "queries.sql"
    workload.write_text("SELECT * FROM people WHERE town = 'town 3'")
    report = invoke(twinned, ["explain", "--twin", text, "--workload", str(workload)])
    assert report is not None
    assert report.as_dict()["queries"][0]["after"]["indexes"] == ["thought"]
    assert connection.execute("SELECT to_regclass('thought')").fetchone() == (None,)


def test_the_targets_own_queries_are_the_workload_where_they_are_known(
    connection: Connection, database: Any
) -> None:
    found, said = top_queries(connection, 5)
    assert found == ()
    assert "--workload FILE" in said
    if not connection.execute(
        "SELECT FROM pg_settings WHERE name = 'pg_stat_statements.max'"
    ).fetchone():
        pytest.skip("this PostgreSQL does not preload pg_stat_statements")
    connection.execute("CREATE EXTENSION pg_stat_statements; CREATE TABLE t (id integer)")
    for _ in range(3):
        connection.execute("SELECT count(*) FROM t WHERE id = 5")
    found, said = top_queries(connection, 5)
    assert [(top.statement.sql, top.calls) for top in found] == [
        ("SELECT count(*) FROM t WHERE id = $1", 3)
    ]
    assert said == ""


def test_what_an_update_sets_is_read_from_its_tree() -> None:
    update = "UPDATE a.t SET x = 'a', y = b::bigint, z = t.c, w = lower(d), v = NULL"
    found = assignments(read_one(update))
    assert [(each.column, each.kind, each.text) for each in found] == [
        ("x", "constant", "a"),
        ("y", "column", "b"),
        ("z", "column", "c"),
        ("w", "computed", ""),
    ]
