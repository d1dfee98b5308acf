"""up, down, up: what a way back does not restore is named, object by object, on a shadow only"""

from __future__ import annotations

from typing import Any

import pytest

from qb_engine.errors import InputError
from qb_engine.schema import snapshot


def sql(up: str, down: str) -> str:
    return f"-- qb:up\n{up};\n-- qb:down\n{down};\n"


def sentences(report: Any, migration: str = "") -> str:
    return " | ".join(f.what for f in report.findings() if migration in f.migration)


def outcomes(report: Any) -> dict[str, tuple[str, str]]:
    return {t.migration: (t.single, t.chain) for t in report.found.trips}


def test_downs_that_lead_back_are_exact_alone_and_together(qb, write, connection) -> None:
    connection.execute("CREATE TABLE old (id int PRIMARY KEY); INSERT INTO old VALUES (1)")
    write("20240101_a.sql", sql("CREATE TABLE a (id int)", "DROP TABLE a"))
    write("20240102_b.sql", sql("ALTER TABLE old ADD b text", "ALTER TABLE old DROP b"))
    write("20240103_c.sql", sql("CREATE INDEX ON a (id)", "DROP INDEX a_id_idx"))
    before = snapshot(connection)
    report = qb("roundtrip")
    assert report.ok, str(report)
    assert set(outcomes(report).values()) == {("exact", "exact")}
    assert report.headline() == "3 of 3 migrations came back exactly"
    assert snapshot(connection) == before
    assert connection.execute("SELECT count(*) FROM old").fetchone() == (1,)


@pytest.mark.parametrize(
    ("up", "down", "said"),
    [
        ("ALTER TABLE t ALTER n DROP NOT NULL", "SELECT 1", "allows NULL, expected NOT NULL"),
        ("ALTER TABLE t ALTER n SET DEFAULT 5", "ALTER TABLE t ALTER n DROP DEFAULT",
         "no default, expected 1"),
        ("ALTER TABLE t DROP n", "ALTER TABLE t ADD n int NOT NULL DEFAULT 1",
         "index public.t.t_n is missing"),
        ("ALTER TABLE t ALTER at TYPE text", "ALTER TABLE t ALTER at TYPE timestamp USING null",
         "type is timestamp without time zone, expected timestamp with time zone"),
        ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 3'",
         "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
         "function public.f()"),
    ],
)  # fmt: skip
def test_what_downs_typically_forget_is_named(
    qb, write, connection, up: str, down: str, said: str
) -> None:
    connection.execute(
        "CREATE TABLE t (id int, n int NOT NULL DEFAULT 1, at timestamptz);"
        "CREATE INDEX t_n ON t (n);"
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    write("20240101_a.sql", sql(up, down))
    report = qb("roundtrip")
    assert report.exit_code == 1
    assert outcomes(report)["20240101_a"] == ("inexact", "inexact")
    assert said in sentences(report)


def test_a_column_that_comes_back_last_is_a_note_and_no_fault(qb, write, connection) -> None:
    connection.execute("CREATE TABLE t (a int, b int, c int)")
    write("20240101_a.sql", sql("ALTER TABLE t DROP b", "ALTER TABLE t ADD b int"))
    report = qb("roundtrip")
    assert report.ok
    assert any("adds columns at the end" in note for note in report.notes())


def test_a_failing_down_is_named_with_its_statement_and_line(qb, write) -> None:
    write("20240101_a.sql", sql("CREATE TABLE a (id int)", "DROP TABLE a"))
    write(
        "20240102_b.sql",
        "-- qb:up\nALTER TABLE a ADD b int;\n-- qb:down\nSELECT 1;\nALTER TABLE a DROP bb;\n",
    )
    write("20240103_c.sql", sql("CREATE TABLE c ()", "DROP TABLE c"))
    report = qb("roundtrip")
    assert outcomes(report) == {
        "20240101_a": ("exact", "exact"),
        "20240102_b": ("down fails", "down fails"),
        "20240103_c": ("exact", "exact"),
    }
    (found,) = report.findings()
    assert "20240102_b.sql:5" in found.where
    assert "ALTER TABLE a DROP bb" in found.where
    assert '"bb" of relation "a" does not exist' in found.what


def test_irreversible_ones_are_skipped_and_said_and_part_the_chain(qb, write) -> None:
    for n in (1, 2, 4, 5):
        write(f"2024010{n}_t{n}.sql", sql(f"CREATE TABLE t{n} ()", f"DROP TABLE t{n}"))
    write("20240103_t3.sql", "CREATE TABLE t3 ()")
    report = qb("roundtrip")
    assert report.ok
    assert outcomes(report)["20240103_t3"] == ("irreversible", "irreversible")
    assert [len(chain.migrations) for chain in report.found.chains] == [2, 2]
    assert any("20240103_t3 is irreversible: " in note for note in report.notes())


def test_single_steps_and_the_whole_chain_are_two_different_tests(qb, write) -> None:
    """Each way back leads back alone; together, the row of the second is in the first one's way."""
    write("20240101_a.sql", sql("CREATE TABLE a (n int NOT NULL)", "DROP TABLE a"))
    write(
        "20240102_b.sql",
        sql("ALTER TABLE a ALTER n DROP NOT NULL", "ALTER TABLE a ALTER n SET NOT NULL"),
    )
    write("20240103_c.sql", sql("INSERT INTO a VALUES (NULL)", "SELECT 1"))
    report = qb("roundtrip")
    assert report.exit_code == 1
    assert {m: o[0] for m, o in outcomes(report).items()} == {
        "20240101_a": "exact",
        "20240102_b": "exact",
        "20240103_c": "exact",
    }
    assert outcomes(report)["20240102_b"][1] == "down fails"
    assert outcomes(report)["20240101_a"][1] == "not reached"
    assert "contains null values" in sentences(report, "20240102_b")
    assert "not all of them together" in report.headline()


def test_rows_that_a_single_step_leaves_are_not_held_against_others(qb, write) -> None:
    write("20240101_a.sql", sql("CREATE TABLE a (id int)", "DROP TABLE a"))
    write("20240102_b.sql", sql("INSERT INTO a VALUES (1)", "SELECT 1"))
    write(
        "20240103_c.sql",
        sql("ALTER TABLE a ADD UNIQUE (id)", "ALTER TABLE a DROP CONSTRAINT a_id_key"),
    )
    report = qb("roundtrip")
    assert outcomes(report)["20240103_c"][0] == "exact"


def test_a_chain_names_who_left_what(qb, write) -> None:
    write("20240101_a.sql", sql("CREATE TABLE a (id int)", "DROP TABLE a"))
    write("20240102_b.sql", sql("CREATE TABLE b (); CREATE TYPE kind AS ENUM ()", "DROP TABLE b"))
    write("20240103_c.sql", sql("CREATE TABLE c ()", "DROP TABLE c"))
    report = qb("roundtrip")
    assert outcomes(report)["20240102_b"] == ("up fails", "up fails")
    assert 'type "kind" already exists' in sentences(report, "20240102_b")
    assert outcomes(report)["20240101_a"][0] == outcomes(report)["20240103_c"][0] == "exact"
    (chain,) = report.found.chains
    assert chain.outcome == "up fails"
    assert "enum public.kind is not expected" in sentences(report, "20240102_b")


def test_what_cannot_go_up_ends_the_way(qb, write) -> None:
    write("20240101_a.sql", sql("CREATE TABLE a ()", "DROP TABLE a"))
    write("20240102_b.sql", sql("CREATE TABLE b (id nothing)", "DROP TABLE b"))
    write("20240103_c.sql", sql("CREATE TABLE c ()", "DROP TABLE c"))
    report = qb("roundtrip")
    assert report.exit_code == 1
    assert outcomes(report) == {
        "20240101_a": ("exact", "exact"),
        "20240102_b": ("up fails", "not reached"),
        "20240103_c": ("not reached", "not reached"),
    }


def test_only_the_named_ones_are_tried(qb, write) -> None:
    for n in (1, 2, 3):
        write(f"2024010{n}_t{n}.sql", sql(f"CREATE TABLE t{n} ()", f"DROP TABLE t{n}, nothing"))
    report = qb("roundtrip", "t2")
    assert {m: o[0] for m, o in outcomes(report).items()} == {
        "20240101_t1": "not asked",
        "20240102_t2": "down fails",
    }
    assert len(report.tables()[0].rows) == 1


def test_applied_migrations_are_tried_from_the_baseline_on(qb, write, connection) -> None:
    connection.execute("CREATE TABLE old (id int)")
    write("20240101_a.sql", sql("ALTER TABLE old ADD b int", "ALTER TABLE old DROP b"))
    qb("run")
    write("20240102_b.sql", sql("ALTER TABLE old ADD c int", "ALTER TABLE old DROP c"))
    report = qb("roundtrip")
    assert report.ok
    assert "before its first migration" in report.found.start
    assert connection.execute("SELECT b FROM old").description is not None


def test_an_empty_start_needs_nothing_of_the_target(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_a.sql", sql("CREATE TABLE a ()", "DROP TABLE a"))
    assert not qb("roundtrip").ok
    assert qb("roundtrip", "--empty").ok


def test_statements_outside_a_transaction_run_as_they_would(qb, write) -> None:
    write("20240101_a.sql", sql("CREATE TABLE a (id int)", "DROP TABLE a"))
    write(
        "20240102_b.sql",
        sql(
            "CREATE INDEX CONCURRENTLY i ON a (id); VACUUM a",
            "DROP INDEX CONCURRENTLY i",
        ),
    )
    body = "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'; CALL p()"
    write("20240103_c.sql", "-- qb:transaction false\n" + sql(body, "DROP PROCEDURE p()"))
    report = qb("roundtrip")
    assert report.ok, str(report)


def test_roles_are_made_for_the_while_and_server_wide_statements_left_out(
    qb, write, connection
) -> None:
    role = f"reader_{connection.info.dbname}"
    write(
        "20240101_a.sql",
        sql(
            f"CREATE TABLE a (); CREATE ROLE {role} SUPERUSER; GRANT SELECT ON a TO {role}",
            f"DROP TABLE a; DROP ROLE {role}",
        ),
    )
    report = qb("roundtrip")
    assert report.ok, str(report)
    assert any("changes the whole server: CREATE ROLE" in note for note in report.notes())
    query = "SELECT count(*) FROM pg_roles WHERE rolname = %s"
    assert connection.execute(query, [role]).fetchone() == (0,)


def test_a_recorded_method_reads_the_shadow(qb, write, connection) -> None:
    write("20240101_a.sql", sql("CREATE TABLE a (x int, y int)", "DROP TABLE a"))
    write(
        "20240102_b.py",
        "from qb_engine import Migration\n\n\nclass B(Migration):\n"
        "    def up(self, q):\n"
        '        names = q.rows("SELECT attname::text FROM pg_attribute '
        "WHERE attrelid = to_regclass('a') AND attnum > 0\")\n"
        "        for (name,) in names:\n"
        "            q(f'CREATE INDEX i_{name} ON a ({name})')\n"
        "        q('SELECT 1')\n\n"
        "    down = 'DROP INDEX i_x, i_y'\n",
    )
    report = qb("roundtrip")
    assert report.ok, str(report)


def test_nothing_stays_open(qb, write, session) -> None:
    write("20240101_a.sql", sql("CREATE TABLE a ()", "DROP TABLE b"))
    opened: list[Any] = []
    watch = session.watch
    session.watch = lambda conn: opened.append(conn) or watch(conn)
    qb("roundtrip")
    assert opened
    assert all(conn.closed for conn in opened)


def test_the_files_of_a_broken_migration_are_said_at_once(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABEL a ()")
    with pytest.raises(InputError, match="syntax error"):
        qb("roundtrip")


def test_what_was_adopted_is_in_the_start_and_not_tried_again(qb, write, connection) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_a.sql", sql("CREATE TABLE a (id int)", "DROP TABLE a, nothing"))
    write("20240102_b.sql", sql("ALTER TABLE a ADD b int", "ALTER TABLE a DROP b"))
    qb("baseline", "20240101_a", "--yes")
    report = qb("roundtrip")
    assert outcomes(report) == {
        "20240101_a": ("adopted", "adopted"),
        "20240102_b": ("exact", "exact"),
    }
    assert report.ok
    assert any("--empty tries" in note for note in report.notes())
    assert outcomes(qb("roundtrip", "--empty"))["20240101_a"][0] == "down fails"
