"""will it fail? the rows that are on the target tell, before anything is run"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.analysis.arrange import Tx, arrange
from qb_engine.analysis.examine import Examiner, examined_of
from qb_engine.analysis.facts import Examined
from qb_engine.analysis.hazards import Finding, Severity
from qb_engine.analysis.witnesses import findings
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.execution import Executor, Observation
from qb_engine.execution.stage import Policy
from qb_engine.shadow import Scratch, from_sql
from qb_engine.sql import read

Conn = psycopg.Connection[tuple[Any, ...]]
Witness = Callable[..., tuple[Finding, ...]]

GIVEN = """
CREATE TABLE cities (name text PRIMARY KEY);
CREATE TABLE users (
    id int PRIMARY KEY, email text, age int, city text, code varchar(20), price numeric,
    status text, big bigint, secret text);
CREATE TABLE "Odd.Table" ("Key" int, "a b" text, PRIMARY KEY ("Key"));
"""
ROWS = """
INSERT INTO cities VALUES ('Rome');
INSERT INTO users (id, email, age, city, code, price, status, big, secret) VALUES
  (1, 'a@x', 30, 'Rome', 'short', 1.5, 'open', 1, 'hidden-1'),
  (2, NULL, -1, 'Oslo', 'much too long', 12345.6, 'closed', 5000000000, 'hidden-2'),
  (3, 'a@x', NULL, NULL, '12      ', NULL, 'odd', 3, 'hidden-3');
INSERT INTO "Odd.Table" VALUES (1, NULL), (2, 'x');
"""


def examined(server: EmbeddedPostgres, given: str, sql: str) -> tuple[Examined, ...]:
    policy = Policy(debug=True, stepped=True, going_on=True)
    with from_sql(Scratch(Target("scratch", server.ensure())), given) as shadow:
        acting, watching = shadow.connect(), shadow.connect()
        examiner = Examiner(acting, watching, claiming=True)
        executor = Executor(
            acting, watching, policy, opener=shadow.connect, on_step=examiner.on_step
        )
        seen: list[Observation] = []
        blocks = arrange(read(sql), Tx.RUNNER).blocks
        for block in blocks:
            seen += executor.run(block)
        executor.close()
        acting.close()
        watching.close()
        found = examined_of(examiner, blocks, seen)
    assert not [each.facts.error for each in found if each.facts.error]
    return found


@pytest.fixture
def witness(server: EmbeddedPostgres, connection: Conn) -> Witness:
    """What rows break of a migration: `witness(sql, given=..., rows=..., filled=...)`."""

    def ask(sql: str, given: str = GIVEN, rows: str = ROWS, **more: Any) -> tuple[Finding, ...]:
        connection.execute(given)
        connection.execute(rows)
        steps = examined(server, given, sql)
        before = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        found = findings(connection, steps, **more)
        assert connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone() == (None,)
        assert before
        return found

    return ask


def said(found: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(str(f.severity), f.message) for f in found]


def test_nulls_are_counted_and_named_by_their_keys(witness: Witness) -> None:
    (found,) = witness("ALTER TABLE users ALTER email SET NOT NULL")
    assert found.message == "1 row of public.users has NULL in email (id = 2)"
    assert (found.hazard, found.severity) == ("data-violates-constraint", Severity.ERROR)
    assert (found.relation, found.lock) == ("public.users", "AccessExclusiveLock")
    assert found.provenance == "catalog"


def test_names_are_quoted_whatever_they_hold(witness: Witness) -> None:
    (found,) = witness('ALTER TABLE "Odd.Table" ALTER "a b" SET NOT NULL')
    assert found.message == "1 row of public.Odd.Table has NULL in a b (Key = 1)"


def test_rows_that_fulfil_it_are_no_finding(witness: Witness) -> None:
    sql = """
        ALTER TABLE users ALTER status SET NOT NULL;
        ALTER TABLE users ADD CHECK (age < 100);
        ALTER TABLE users ADD UNIQUE (code);
        ALTER TABLE users ALTER age TYPE bigint;
        ALTER TABLE users ADD FOREIGN KEY (city) REFERENCES cities NOT VALID;
        ALTER TABLE users ADD note text NOT NULL DEFAULT '';
    """
    assert witness(sql) == ()


def test_a_new_column_without_a_default_needs_an_empty_table(witness: Witness) -> None:
    (found,) = witness("ALTER TABLE users ADD note text NOT NULL")
    assert found.message.startswith("3 rows of public.users would have NULL in the new column note")


def test_a_new_column_has_a_value_by_its_default_identity_or_domain(witness: Witness) -> None:
    given = GIVEN + "CREATE DOMAIN flag AS text DEFAULT 'no';"
    sql = """
        ALTER TABLE users ADD one int GENERATED ALWAYS AS IDENTITY;
        ALTER TABLE users ADD two bigserial NOT NULL;
        ALTER TABLE users ADD three flag NOT NULL
    """
    assert witness(sql, given=given) == ()


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE users ADD UNIQUE (email)",
        "CREATE UNIQUE INDEX CONCURRENTLY once ON users (email)",
        "CREATE UNIQUE INDEX once ON users (lower(email)) WHERE id < 100",
        "CREATE UNIQUE INDEX once ON users (email) NULLS NOT DISTINCT",
        "DO $$ BEGIN ALTER TABLE users ADD CONSTRAINT once UNIQUE (email); END $$",
    ],
)
def test_duplicates_are_found_however_the_index_is_made(witness: Witness, sql: str) -> None:
    (found,) = witness(sql)
    assert found.message.startswith("2 rows of public.users share the values of (")
    assert found.message.endswith("(id = 1; id = 3)")


def test_a_primary_key_asks_for_values_that_are_there_once(witness: Witness) -> None:
    found = witness(
        "ALTER TABLE t ADD PRIMARY KEY (a, b)",
        given="CREATE TABLE t (a int, b int);",
        rows="INSERT INTO t VALUES (1, 1), (1, 1), (2, NULL);",
    )
    messages = " | ".join(f.message for f in found)
    assert "1 row of public.t has NULL in b" in messages
    assert "2 rows of public.t share the values of (a, b)" in messages


def test_orphans_are_found(witness: Witness) -> None:
    (found,) = witness("ALTER TABLE users ADD FOREIGN KEY (city) REFERENCES cities")
    assert found.message == (
        "1 row of public.users has values of city that are not in public.cities (id = 2)"
    )


def test_what_was_not_validated_is_asked_when_it_is(witness: Witness) -> None:
    sql = """
        ALTER TABLE users ADD CONSTRAINT old CHECK (age > 0) NOT VALID;
        ALTER TABLE users VALIDATE CONSTRAINT old;
        ALTER TABLE users DROP CONSTRAINT old
    """
    (found,) = witness(sql)
    assert found.number == 2
    assert found.message == "1 row of public.users breaks old: CHECK ((age > 0)) (id = 2)"


def test_values_that_do_not_fit_are_found(witness: Witness) -> None:
    sql = """
        ALTER TABLE users ALTER code TYPE varchar(8);
        ALTER TABLE users ALTER price TYPE numeric(5, 2);
        ALTER TABLE users ALTER big TYPE int;
        ALTER TABLE users ALTER status TYPE varchar(3) USING status::varchar(3)
    """
    found = witness(sql)
    assert [(f.number, f.message.split(": ")[0]) for f in found] == [
        (1, "1 row of public.users has more than 8 characters in code (id = 2)"),
        (2, "1 row of public.users does not fit"),
        (3, "1 row of public.users does not fit"),
    ]


def test_text_that_cannot_be_read_is_found(witness: Witness) -> None:
    sql = "ALTER TABLE users ALTER code TYPE int USING trim(code)::int"
    (found,) = witness(sql)
    assert "of public.users do" in found.message
    assert "id = " in found.message


def test_values_are_looked_for_where_a_conversion_fails(witness: Witness) -> None:
    """What the server cannot be asked about is tried, and halved until the row is found."""
    (found,) = witness(
        "ALTER TABLE t ALTER a TYPE bigint USING (100 / a)::bigint",
        given="CREATE TABLE t (id int PRIMARY KEY, a int, wide text);",
        rows="INSERT INTO t SELECT n, CASE WHEN n = 777 THEN 0 ELSE n END, repeat('x', 100)"
        " FROM generate_series(1, 1000) n;",
    )
    assert found.message == "at least 1 row of public.t does not fit: a becomes bigint (id = 777)"


def test_labels_that_an_enum_lacks_are_found(witness: Witness) -> None:
    sql = """
        CREATE TYPE status AS ENUM ('open', 'closed');
        ALTER TABLE users ALTER status TYPE status USING status::status
    """
    (found,) = witness(sql)
    assert found.message == (
        "1 row of public.users has a status that status does not know (id = 3)"
    )


PARTED = """
CREATE TABLE log (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE log_rest PARTITION OF log DEFAULT;
CREATE TABLE old (id int, at int NOT NULL, PRIMARY KEY (id, at));
"""
PARTED_ROWS = "INSERT INTO log VALUES (1, 5), (2, 50); INSERT INTO old VALUES (1, 5), (2, 999);"


def test_rows_of_the_default_partition_that_belong_to_a_new_one(witness: Witness) -> None:
    (found,) = witness(
        "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10)", PARTED, PARTED_ROWS
    )
    assert found.relation == "public.log_rest"
    assert found.message.startswith(
        "1 row of public.log_rest belongs to public.log_1, the new partition of public.log"
    )
    assert found.message.endswith("(id = 1, at = 5)")


def test_rows_that_do_not_belong_to_what_becomes_a_partition(witness: Witness) -> None:
    sql = "ALTER TABLE log ATTACH PARTITION old FOR VALUES FROM (100) TO (200)"
    (found,) = witness(sql, PARTED, PARTED_ROWS)
    assert (found.relation, found.message[:21]) == ("public.old", "2 rows of public.old ")


def test_hashes_are_asked_of_the_target(witness: Witness) -> None:
    given = """
        CREATE TABLE h (id int PRIMARY KEY) PARTITION BY HASH (id);
        CREATE TABLE one (id int PRIMARY KEY);
    """
    sql = "ALTER TABLE h ATTACH PARTITION one FOR VALUES WITH (MODULUS 2, REMAINDER 0)"
    rows = "INSERT INTO one SELECT generate_series(1, 100)"
    (found,) = witness(sql, given, rows)
    assert found.severity is Severity.ERROR
    assert "rows of public.one do not belong to public.one" in found.message


def test_rows_that_exclude_each_other_are_found(witness: Witness) -> None:
    (found,) = witness(
        "ALTER TABLE rooms ADD CONSTRAINT free EXCLUDE USING gist (during WITH &&)",
        given="CREATE TABLE rooms (id int PRIMARY KEY, during int4range);",
        rows="INSERT INTO rooms VALUES (1, '[1,5)'), (2, '[4,9)'), (3, '[20,30)'), (4, NULL);",
    )
    assert found.message == (
        "2 rows of public.rooms are in the way of each other by free (id = 1; id = 2)"
    )


def test_what_the_migration_makes_itself_is_not_asked(witness: Witness) -> None:
    sql = """
        CREATE TABLE fresh (id int PRIMARY KEY, email text);
        INSERT INTO fresh SELECT id, email FROM users;
        ALTER TABLE fresh ALTER email SET NOT NULL;
        ALTER TABLE users ADD COLUMN nick text CHECK (nick <> '') UNIQUE
    """
    assert witness(sql) == ()


def test_rows_that_an_earlier_statement_changes_are_only_noted(witness: Witness) -> None:
    sql = """
        UPDATE users SET email = '' WHERE email IS NULL;
        ALTER TABLE users ALTER email SET NOT NULL
    """
    (found,) = witness(sql)
    assert found.severity is Severity.NOTICE
    assert "the statements before it change its rows" in found.message


def test_a_column_that_is_added_and_not_filled_is_null(witness: Witness) -> None:
    added = "ALTER TABLE users ADD nick text; ALTER TABLE users ALTER nick SET NOT NULL"
    (found,) = witness(added)
    assert (found.severity, found.number) == (Severity.ERROR, 2)
    assert found.message.startswith("3 rows of public.users have NULL in nick")


def test_a_column_that_is_added_and_filled_is_not_asked(witness: Witness) -> None:
    sql = """
        ALTER TABLE users ADD nick text;
        DO $$ BEGIN UPDATE users SET nick = ''; END $$;
        ALTER TABLE users ALTER nick SET NOT NULL
    """
    assert witness(sql) == ()


def test_a_proof_is_not_asked_twice(witness: Witness) -> None:
    sql = """
        ALTER TABLE users ADD CONSTRAINT given CHECK (email IS NOT NULL) NOT VALID;
        ALTER TABLE users VALIDATE CONSTRAINT given;
        ALTER TABLE users ALTER email SET NOT NULL
    """
    assert [f.number for f in witness(sql)] == [2]


def test_only_keys_are_shown(witness: Witness) -> None:
    sql = """
        ALTER TABLE users ALTER email SET NOT NULL;
        ALTER TABLE users ADD CHECK (secret = 'x')
    """
    found = witness(sql)
    assert len(found) == 2
    assert "hidden" not in str([f.as_dict() for f in found])


def test_many_rows_are_counted_and_five_are_named(witness: Witness) -> None:
    (found,) = witness(
        "ALTER TABLE t ALTER a SET NOT NULL",
        given="CREATE TABLE t (id int PRIMARY KEY, a int);",
        rows="INSERT INTO t SELECT generate_series(1, 1000);",
    )
    assert found.message.startswith("1000 rows of public.t have NULL in a (id = ")
    assert found.message.count("id = ") == 5


def test_what_cannot_be_told_in_time_is_said(witness: Witness) -> None:
    slow = """
        CREATE FUNCTION slow(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
          'BEGIN PERFORM pg_sleep(60); RETURN true; END';
    """
    (found,) = witness("ALTER TABLE users ADD CHECK (slow(age))", GIVEN + slow, statement_s=0.2)
    assert found.severity is Severity.NOTICE
    assert "is not known: it could not be told within" in found.message


def test_a_locked_table_is_not_waited_for(
    server: EmbeddedPostgres, connection: Conn, database: Target
) -> None:
    connection.execute(GIVEN + ROWS)
    steps = examined(server, GIVEN, "ALTER TABLE users ALTER email SET NOT NULL")
    with psycopg.connect(database.conninfo) as other:
        other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        (found,) = findings(connection, steps)
    assert found.severity is Severity.NOTICE
    assert found.message.endswith("is not known: it is locked")


def test_the_time_for_all_questions_is_bounded(witness: Witness) -> None:
    (found,) = witness("ALTER TABLE users ALTER email SET NOT NULL", total_s=0.0)
    assert found.severity is Severity.NOTICE
    assert "are over" in found.message


def test_what_a_role_may_not_read_is_said(
    server: EmbeddedPostgres, connection: Conn, database: Target
) -> None:
    name = f"blind_{connection.info.dbname}"
    connection.execute(GIVEN + ROWS)
    connection.execute(f"CREATE ROLE {name}".encode())
    try:
        steps = examined(server, GIVEN, "ALTER TABLE users ALTER email SET NOT NULL")
        with psycopg.connect(database.conninfo, autocommit=True) as blind:
            blind.execute(f"SET ROLE {name}".encode())
            (found,) = findings(blind, steps)
        assert found.severity is Severity.NOTICE
        assert "permission denied" in found.message
    finally:
        connection.execute(f"DROP ROLE {name}".encode())


def test_a_new_column_fails_whatever_is_updated_before(witness: Witness) -> None:
    sql = "UPDATE users SET age = 1; ALTER TABLE users ADD note text NOT NULL"
    (found,) = witness(sql)
    assert found.severity is Severity.ERROR


def test_a_table_that_is_emptied_before_is_only_noted(witness: Witness) -> None:
    sql = "DELETE FROM users; ALTER TABLE users ADD note text NOT NULL"
    (found,) = witness(sql)
    assert found.severity is Severity.NOTICE


def test_a_backfill_comes_before_the_post_part(witness: Witness) -> None:
    sql = "ALTER TABLE users ALTER email SET NOT NULL"
    assert [f.severity for f in witness(sql, filled=("public.cities",))] == [Severity.ERROR]


def test_another_columns_new_type_changes_nothing(witness: Witness) -> None:
    sql = "ALTER TABLE users ALTER age TYPE bigint; ALTER TABLE users ALTER email SET NOT NULL"
    (found,) = witness(sql)
    assert found.severity is Severity.ERROR


def test_partitions_are_asked_with_their_parent(witness: Witness) -> None:
    (found,) = witness(
        "ALTER TABLE p ALTER v SET NOT NULL; ALTER TABLE p ADD UNIQUE (k)",
        given="CREATE TABLE p (k int, v text) PARTITION BY LIST (k);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);",
        rows="INSERT INTO p VALUES (1, NULL);",
    )
    assert (found.number, found.relation) == (1, "public.p")
