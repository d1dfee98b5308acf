"""every kind of table and key, driven in this process: the same ledger, without Temporal"""

from __future__ import annotations

import os

import pytest

from qb_engine.backfill import records
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import segment
from qb_engine.backfill.spec import describe
from qb_engine.errors import InputError, RefusedError
from tests.backfill.conftest import ID, Case


@pytest.mark.parametrize(
    ("key", "made"),
    [
        ("bigint", "n"),
        ("text", "'k%' || (n * 7919 % 1000) || '''\\\"é'"),
        ('text COLLATE "C"', "chr(64 + n % 50) || n"),
        ("uuid", "md5(n::text)::uuid"),
        ("timestamptz", "'2024-03-31 00:00+00'::timestamptz + n * interval '1 minute 1 us'"),
        ("date", "'0001-01-01 BC'::date + n"),
        ("numeric(20,6)", "n / 7.0"),
        ("float8", "sqrt(n)"),
        ("varchar(20)", "lpad(n::text, 8)"),
        ("char(9)", "n::text"),
        ("bytea", "decode(md5(n::text), 'hex')"),
        ("boolean[]", "string_to_array(rtrim(regexp_replace(n::bit(12)::text, '(.)', '\\1,', 'g'), "
                      "','), ',')::boolean[]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("style", ["ISO, MDY", "SQL, DMY"])
def test_rows_are_walked_by_keys_of_any_type(case: Case, key: str, made: str, style: str) -> None:
    case.sql(f"SET datestyle = '{style}'; SET timezone = 'Europe/Berlin'")
    case.sql(f"CREATE TABLE t (id {key} PRIMARY KEY, v text, writes int NOT NULL DEFAULT 0)")
    case.sql(f"INSERT INTO t (id) SELECT {made} FROM generate_series(1, 1000) AS n")
    case.sql("ANALYZE t")
    case.ledger()
    ended = case.driven_here(case.filling(batch_size=37, parallel=3, set={"writes": "writes + 1"}))
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 1_000}


def test_rows_are_walked_by_a_composite_key(case: Case) -> None:
    case.sql("CREATE TABLE t (a int, b text, v text, writes int DEFAULT 0, PRIMARY KEY (a, b))")
    case.sql("INSERT INTO t (a, b) SELECT n % 7, n::text FROM generate_series(1, 2000) AS n")
    case.ledger()
    ended = case.driven_here(case.filling(batch_size=50, parallel=2, set={"writes": "writes + 1"}))
    assert ended.state == "completed"
    assert len(ended.segments) > 1
    assert case.writes() == {1: 2_000}


def test_rows_of_partitions_are_walked(case: Case) -> None:
    case.sql(
        "CREATE TABLE t (id int, at date, v text, writes int DEFAULT 0, PRIMARY KEY (id, at))"
        " PARTITION BY RANGE (at);"
        "CREATE TABLE t_a PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');"
        "CREATE TABLE t_b PARTITION OF t DEFAULT"
    )
    case.sql(
        "INSERT INTO t (id, at) SELECT n, '2024-01-01'::date + n % 90"
        " FROM generate_series(1, 3000) AS n"
    )
    case.ledger()
    ended = case.driven_here(case.filling(batch_size=100, parallel=2))
    assert ended.state == "completed"
    assert case.writes() == {1: 3_000}


def test_names_that_need_quotes_are_quoted(case: Case) -> None:
    case.sql(
        'CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."Order Items" ('
        ' "naïve""quote" int PRIMARY KEY, "sel%ect" text)'
    )
    case.sql('INSERT INTO "My Shop"."Order Items" SELECT generate_series(1, 100)')
    case.ledger()
    migration = case.declare(
        table="My Shop.Order Items",
        set={"sel%ect": """ "naïve""quote" || '%s' """},
        where='"sel%ect" IS NULL',
        batch_size=10,
    )
    assert case.driven_here(migration).state == "completed"
    assert case.one("""SELECT count(*) FROM "My Shop"."Order Items"
                       WHERE "sel%ect" = "naïve""quote" || '%s'""") == 100  # fmt: skip


@pytest.mark.parametrize("given", ["Order Items", '"Order Items"', 'public."Order Items"'])
def test_a_table_is_named_plainly_or_as_sql_writes_it(case: Case, given: str) -> None:
    case.sql('CREATE TABLE "Order Items" (id int PRIMARY KEY, v text)')
    spec = describe(case.conn, case.declare(table=given, set={"v": "'x'"}))
    assert (spec.schema, spec.table) == ("public", "Order Items")


@pytest.mark.parametrize("given", ["missing", 'naïve"quote', "a.b.c", "public.missing", "x;y"])
def test_a_table_that_is_not_there_is_named(case: Case, given: str) -> None:
    with pytest.raises(InputError, match="there is no table"):
        describe(case.conn, case.declare(table=given, set={"v": "'x'"}))


def test_a_table_without_a_key_is_refused_with_what_to_do(case: Case) -> None:
    case.sql("CREATE TABLE t (id int, v text)")
    with pytest.raises(InputError, match="no key to walk by") as raised:
        describe(case.conn, case.declare(table="t", set={"v": "'x'"}))
    assert "add a primary key" in raised.value.todo
    with pytest.raises(InputError, match="may be NULL"):
        describe(case.conn, case.declare(table="t", set={"v": "'x'"}, key="id"))
    case.sql("ALTER TABLE t ALTER id SET NOT NULL")
    with pytest.raises(InputError, match="no valid B-tree index") as raised:
        describe(case.conn, case.declare(table="t", set={"v": "'x'"}, key="id"))
    assert "CREATE INDEX CONCURRENTLY" in raised.value.todo


def test_a_unique_key_does_without_a_primary_one(case: Case) -> None:
    case.sql("CREATE TABLE t (id int NOT NULL UNIQUE, v text, writes int NOT NULL DEFAULT 0)")
    case.sql("INSERT INTO t SELECT generate_series(1, 100)")
    case.ledger()
    assert case.driven_here(case.filling(batch_size=10)).state == "completed"
    assert case.writes() == {1: 100}


def test_a_key_with_equal_values_is_walked_when_it_is_named(case: Case) -> None:
    case.sql("CREATE TABLE t (id int, g int NOT NULL, v text, writes int NOT NULL DEFAULT 0)")
    case.sql("INSERT INTO t SELECT n, n / 40 FROM generate_series(1, 1000) AS n")
    case.sql("CREATE INDEX ON t (g DESC)")
    case.ledger()
    assert case.driven_here(case.filling(batch_size=30, key="g", parallel=2)).state == "completed"
    assert case.writes() == {1: 1_000}


def test_an_empty_table_is_completed(case: Case) -> None:
    case.counted(0)
    ended = case.driven_here(case.filling(where="v IS NULL", validate="SELECT 1 FROM t"))
    assert (ended.state, ended.rows_done, ended.rows_total) == ("completed", 0, 0)


def test_a_view_is_refused(case: Case) -> None:
    case.sql("CREATE VIEW w AS SELECT 1 AS id")
    with pytest.raises(RefusedError, match="not a table"):
        describe(case.conn, case.declare(table="w", set={"id": "2"}))


@pytest.mark.parametrize(
    ("column", "why"), [("missing", "has no column"), ("id", "part of the key"), ("g", "generated")]
)
def test_a_column_that_cannot_be_set_is_refused(case: Case, column: str, why: str) -> None:
    case.sql("CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id) STORED)")
    with pytest.raises(InputError, match=why):
        describe(case.conn, case.declare(table="t", set={column: "1"}))


def test_only_rows_that_need_it_are_written(case: Case) -> None:
    case.counted(1_000)
    case.sql("UPDATE t SET v = 'there' WHERE id % 3 = 0")
    ended = case.driven_here(case.filling(where="v IS NULL", batch_size=50))
    assert (ended.state, ended.rows_done, ended.rows_total) == ("completed", 667, 667)
    assert case.writes() == {0: 333, 1: 667}


def test_rows_that_came_late_are_found_by_the_sweep(case: Case) -> None:
    """Below the cursor and above the highest key, while the main pass is on its way."""
    case.counted(200)
    case.sql("DELETE FROM t WHERE id <= 20")
    case.sql(
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.id = 150 THEN INSERT INTO t (id) VALUES (5), (5000); END IF;"
        " RETURN NEW; END $$;"
        "CREATE TRIGGER late BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION late()"
    )
    migration = case.filling(
        where="v IS NULL", batch_size=20, validate="SELECT 1 FROM t WHERE v IS NULL"
    )
    ended = case.driven_here(migration)
    assert (ended.state, ended.error, ended.rows_done) == ("completed", "", 182)
    assert case.writes() == {1: 182}
    assert {segment.sweep for segment in ended.segments} == {0, 1, 2}


def test_what_sweeps_wrote_stays_in_the_history_when_it_is_started_again(case: Case) -> None:
    case.counted(100)
    case.sql(
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.id = 50 THEN INSERT INTO t (id) VALUES (5000); END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER late BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION late();"
        "CREATE TABLE missing AS SELECT 1 AS found"
    )
    migration = case.filling(where="v IS NULL", validate="SELECT 1 FROM missing")
    assert case.driven_here(migration).state == "failed"
    written = case.sql("SELECT segment, number, rows FROM qb.batch ORDER BY 1, 2")
    case.sql("DELETE FROM missing")

    records.leave_sweeps(case.conn, ID)  # as a start does
    records.move(case.conn, ID, "running")
    ended = case.driven_here(migration)
    assert (ended.state, ended.rows_done, ended.sweeps) == ("completed", 101, 1)
    kept = case.sql("SELECT segment, number, rows FROM qb.batch ORDER BY 1, 2")
    assert kept[: len(written)] == written
    assert case.writes() == {1: 101}


def test_a_where_that_stays_true_writes_no_row_twice(case: Case) -> None:
    """Then late rows cannot be told from written ones, so there is no sweep, and it is said."""
    from qb_engine.backfill import Done
    from qb_engine.backfill.reporting.report import report

    case.counted(300)
    ended = case.driven_here(case.filling(where="id > 100", batch_size=20))
    assert (ended.state, ended.rows_done) == ("completed", 200)
    assert case.writes() == {0: 100, 1: 200}
    assert any("there is no sweep" in note for note in report(case.conn, Done(ended)).notes())


def test_a_row_that_stays_null_is_written_once(case: Case) -> None:
    case.sql("CREATE TABLE t (id int PRIMARY KEY, name text, v json, writes int DEFAULT 0)")
    case.sql("INSERT INTO t SELECT n, nullif(n % 2, 0)::text FROM generate_series(1, 100) AS n")
    case.sql(
        "CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.writes := OLD.writes + 1; RETURN NEW; END';"
        "CREATE TRIGGER c BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION count_it()"
    )
    case.ledger()
    migration = case.declare(
        table="t", set={"v": "to_json(name)"}, where="v IS NULL", batch_size=10
    )
    assert case.driven_here(migration).state == "completed"
    assert case.writes() == {1: 100}


def test_a_validate_that_returns_a_row_fails_the_backfill(case: Case) -> None:
    case.counted(10)
    ended = case.driven_here(case.filling(validate="SELECT id FROM t WHERE writes <> 2;"))
    assert ended.state == "failed"
    assert "must return none" in ended.error


def test_rows_that_policies_hide_from_the_role_are_not_passed_over_in_silence(case: Case) -> None:
    case.counted(10)
    migration = case.filling()
    assert "policies hide" not in describe(case.conn, migration).key_said
    role = f"filler_{os.getpid()}"
    case.sql(
        f"ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY half ON t USING (id <= 5);"
        f"CREATE ROLE {role}; GRANT SELECT, UPDATE ON t TO {role}; SET ROLE {role}"
    )
    try:
        assert "rows that its policies hide" in describe(case.conn, migration).key_said
    finally:
        case.sql(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


def test_another_table_that_took_the_name_is_not_said_to_be_filled(case: Case) -> None:
    case.counted(100)
    case.written_down(case.filling(batch_size=10))
    assert advance(case.conn, ID, lambda: True)
    assert segment.run_lane(case.conn, ID, 0, case.means())
    case.sql("ALTER TABLE t RENAME TO t_old; CREATE TABLE t (LIKE t_old INCLUDING ALL)")
    step = advance(case.conn, ID, lambda: True)
    assert step is not None
    assert (step.state, case.progress().state) == ("failed", "failed")
    assert "public.t is another table than when it began" in case.progress().error
    case.sql(
        "DROP TABLE t; ALTER TABLE t_old RENAME TO t; UPDATE qb.backfill SET state = 'running'"
    )
    step = advance(case.conn, ID, lambda: True)
    assert step is not None
    assert step.state == "completed"


def test_another_partition_that_took_the_name_is_not_said_to_be_filled(case: Case) -> None:
    case.ledger()
    case.sql(
        "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
        "CREATE TABLE a PARTITION OF t FOR VALUES FROM (0) TO (100);"
        "CREATE TABLE b PARTITION OF t FOR VALUES FROM (100) TO (200);"
        "INSERT INTO t SELECT generate_series(0, 199)"
    )
    case.written_down(case.declare(table="t", set={"v": "'x'"}, batch_size=10))
    assert advance(case.conn, ID, lambda: True)
    assert segment.run_lane(case.conn, ID, 0, case.means())
    case.sql(
        "ALTER TABLE t DETACH PARTITION b; ALTER TABLE b RENAME TO b_old;"
        "CREATE TABLE b PARTITION OF t FOR VALUES FROM (100) TO (200);"
        "INSERT INTO t SELECT generate_series(100, 199)"
    )
    step = advance(case.conn, ID, lambda: True)
    assert step is not None
    assert step.state == "failed"
    assert "public.b is another table than when it began" in case.progress().error
