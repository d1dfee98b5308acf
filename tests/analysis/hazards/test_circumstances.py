"""the same statements in other circumstances: together or apart, on large and small, old and new"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qb_engine.analysis.hazards import Severity
from tests.analysis.hazards.conftest import Lint
from tests.analysis.hazards.test_judging import SCHEMA


def ids(lint: Lint, sql: str, **known: object) -> list[str]:
    return sorted(f.hazard for f in lint(sql, SCHEMA, **known))


# statements separated by semicolons, the transactions they are in, and all that is found
TOGETHER = """
none | ALTER TABLE users ADD COLUMN c int; ALTER TABLE orders ADD COLUMN c int |
wrapped | ALTER TABLE users ADD COLUMN c int; ALTER TABLE orders ADD COLUMN c int | multi-table-access-exclusive
wrapped | ALTER TABLE users ADD COLUMN c int; ALTER TABLE users ADD COLUMN d int |
wrapped | ALTER TABLE events_2024 ADD CHECK (kind <> '') NOT VALID; ALTER TABLE events_2025 ADD CHECK (kind <> '') NOT VALID |
wrapped | ALTER TABLE users ADD COLUMN c int; CREATE TABLE notes (id bigint PRIMARY KEY); CREATE INDEX ON notes (id) |
wrapped | ALTER TABLE users ADD COLUMN c int; UPDATE users SET c = 1 | bulk-dml work-after-access-exclusive
none | ALTER TABLE users ADD COLUMN c int; UPDATE users SET c = 1 | bulk-dml
wrapped | ALTER TABLE users ADD COLUMN c int; UPDATE users SET c = 1 WHERE id = 5 |
wrapped | ALTER TABLE users ADD COLUMN c int; UPDATE orders SET status = 'x' | bulk-dml work-after-access-exclusive
wrapped | ALTER TABLE users ADD COLUMN c int; CREATE INDEX ON users (c) | index-build-blocks-writes work-after-access-exclusive
wrapped | UPDATE users SET age = 1; ALTER TABLE users ADD COLUMN c int | bulk-dml
wrapped | ALTER TABLE users ADD COLUMN c int; INSERT INTO users (city) VALUES ('x') |
wrapped | ALTER TABLE users ADD COLUMN c int; ALTER TABLE users ALTER email SET NOT NULL | not-null-scan
wrapped | ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID; ALTER TABLE users VALIDATE CONSTRAINT c | validate-under-strong-lock
none | ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID; ALTER TABLE users VALIDATE CONSTRAINT c |
explicit | BEGIN; ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID; COMMIT; BEGIN; ALTER TABLE users VALIDATE CONSTRAINT c; COMMIT |
wrapped | ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (user_id) REFERENCES users NOT VALID; ALTER TABLE orders VALIDATE CONSTRAINT c | validate-under-strong-lock
wrapped | ALTER TABLE users ADD COLUMN c int; ALTER TABLE items VALIDATE CONSTRAINT sku_given | work-after-access-exclusive
none | ALTER TABLE users ADD CONSTRAINT c NOT NULL email NOT VALID; ALTER TABLE users VALIDATE CONSTRAINT c |
none | ALTER TABLE users ADD CONSTRAINT c NOT NULL email NOT VALID; ALTER TABLE users ALTER email SET NOT NULL | not-null-scan
none | ALTER TABLE users ADD CONSTRAINT c CHECK (email IS NOT NULL) NOT VALID; ALTER TABLE users ALTER email SET NOT NULL | not-null-scan
none | ALTER TABLE users ADD CONSTRAINT c CHECK (email IS NOT NULL) NOT VALID; ALTER TABLE users VALIDATE CONSTRAINT c; ALTER TABLE users ALTER email SET NOT NULL; ALTER TABLE users DROP CONSTRAINT c |
wrapped | CREATE INDEX CONCURRENTLY ON users (city) | concurrently-in-transaction
explicit | BEGIN; CREATE INDEX CONCURRENTLY ON users (city); COMMIT | concurrently-in-transaction
wrapped | ALTER TABLE users ADD COLUMN c int; CREATE INDEX CONCURRENTLY ON users (c) | concurrently-in-transaction
runner | ALTER TABLE users ADD COLUMN c int; CREATE INDEX CONCURRENTLY ON users (c); ALTER TABLE orders ADD COLUMN c int |
runner | ALTER TABLE users ADD COLUMN c int; ALTER TABLE orders ADD COLUMN c int | multi-table-access-exclusive
explicit | ALTER TABLE users ADD COLUMN c int; ALTER TABLE orders ADD COLUMN c int |
wrapped | CREATE TABLE a (id bigint PRIMARY KEY, u bigint REFERENCES users, o bigint REFERENCES orders) |
wrapped | DROP TABLE events_2022; DROP TABLE events_2023 | drop-table drop-table multi-table-access-exclusive
wrapped | ALTER TABLE users RENAME TO users_old; CREATE TABLE users (id bigint PRIMARY KEY); DROP TABLE users_old | drop-table
wrapped | DROP INDEX CONCURRENTLY users_age | concurrently-in-transaction
wrapped | REINDEX TABLE CONCURRENTLY users | concurrently-in-transaction
wrapped | ALTER TABLE events DETACH PARTITION events_2024 CONCURRENTLY | concurrently-in-transaction
wrapped | REFRESH MATERIALIZED VIEW CONCURRENTLY keyed |
wrapped | ALTER TYPE mood ADD VALUE 'fine' |
none | CREATE INDEX CONCURRENTLY ON users (city); DROP INDEX CONCURRENTLY users_age |
wrapped | VACUUM users | cannot-run-in-transaction
none | VACUUM users |
none | REINDEX TABLE parts | reindex-blocks
none | REINDEX TABLE parts; REINDEX TABLE CONCURRENTLY users | reindex-blocks
wrapped | REINDEX TABLE parts | cannot-run-in-transaction reindex-blocks
none | ALTER TYPE mood ADD VALUE 'fine'; UPDATE users SET mood = 'fine' WHERE id = 1 |
explicit | BEGIN; ALTER TABLE users ADD COLUMN c int | uncommitted-transaction
explicit | BEGIN; ALTER TABLE users ADD COLUMN c int; COMMIT; BEGIN; ALTER TABLE users ADD COLUMN d int | uncommitted-transaction
explicit | BEGIN; ALTER TABLE users ADD COLUMN c int; COMMIT |
none | DROP INDEX CONCURRENTLY users_age; CREATE INDEX CONCURRENTLY users_age ON users (age, city) | replace-index-window
none | DROP INDEX CONCURRENTLY users_age; CREATE INDEX CONCURRENTLY users_code ON users (code) |
none | CREATE INDEX CONCURRENTLY users_age2 ON users (age, city); DROP INDEX CONCURRENTLY users_age |
none | DROP INDEX CONCURRENTLY users_lower; CREATE INDEX CONCURRENTLY users_upper ON users (upper(name)) |
wrapped | DROP INDEX users_age; CREATE INDEX users_age ON users (age, city) | index-build-blocks-writes index-drop-blocks work-after-access-exclusive
wrapped | ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT id, email FROM people |
none | ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT id, email FROM people | rename-table
wrapped | ALTER TABLE orders RENAME COLUMN status TO status_old; ALTER TABLE orders RENAME COLUMN ref TO status |
wrapped | ALTER TABLE users ADD COLUMN c int; ALTER TABLE users RENAME COLUMN c TO d; ALTER TABLE users DROP COLUMN d |
wrapped | CREATE TABLE a (id bigint PRIMARY KEY); ALTER TABLE a RENAME TO b; ALTER TABLE b ADD COLUMN c uuid DEFAULT gen_random_uuid(); CREATE INDEX ON b (c); DROP TABLE b |
none | CREATE TABLE a (id bigint PRIMARY KEY); ALTER TABLE a RENAME TO b; ALTER TABLE b ADD COLUMN c uuid DEFAULT gen_random_uuid(); CREATE INDEX ON b (c); DROP TABLE b |
none | CREATE TABLE a (id bigint PRIMARY KEY); INSERT INTO a SELECT id FROM users; UPDATE a SET id = -id; TRUNCATE a |
none | CREATE TABLE a (id bigint, k text) PARTITION BY LIST (k); CREATE TABLE a_x PARTITION OF a FOR VALUES IN ('x'); CREATE INDEX ON a (id); ALTER TABLE a DETACH PARTITION a_x |
none | CREATE TABLE a AS SELECT * FROM users; ALTER TABLE a ALTER id TYPE text; ALTER TABLE a ADD PRIMARY KEY (id) |
none | CREATE MATERIALIZED VIEW a AS SELECT id FROM users; CREATE INDEX ON a (id); REFRESH MATERIALIZED VIEW a |
none | CREATE TABLE events_2026 (LIKE events INCLUDING ALL); ALTER TABLE events ATTACH PARTITION events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') |
wrapped | ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY everybody ON users USING (true) |
none | ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY everybody ON users USING (true) | rls-default-deny
none | ALTER TABLE users ADD COLUMN c bigint; CREATE INDEX CONCURRENTLY ON users (c); ALTER TABLE users ADD FOREIGN KEY (c) REFERENCES users NOT VALID |
none | ALTER TABLE users ADD COLUMN c bigint REFERENCES users; CREATE INDEX CONCURRENTLY ON users (c) WHERE c IS NOT NULL |
none | CREATE SCHEMA mine; CREATE TYPE mine.t AS ENUM ('a'); ALTER TYPE mine.t RENAME VALUE 'a' TO 'b'; ALTER SCHEMA mine RENAME TO ours |
wrapped | LOCK TABLE users; ALTER TABLE users ALTER age TYPE bigint | explicit-lock-table type-change-rewrite
none | CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS 'UPDATE users SET age = 1'; SELECT fill() | bulk-dml
none | CREATE PROCEDURE build() LANGUAGE plpgsql AS 'BEGIN CREATE INDEX ON users (city); END'; CALL build() | index-build-blocks-writes
none | CREATE FUNCTION clear() RETURNS void LANGUAGE sql AS 'TRUNCATE users'; SELECT clear() | truncate
wrapped | ALTER TYPE mood ADD VALUE 'fine'; UPDATE users SET mood = 'fine' WHERE id = 1; ALTER TABLE users ALTER email SET NOT NULL | enum-value-used-in-same-tx not-null-scan
wrapped | ALTER TABLE users ADD COLUMN c int; CREATE TABLE a AS SELECT * FROM orders | work-after-access-exclusive
wrapped | ALTER TABLE old_logs ADD COLUMN c int |
wrapped | ALTER TABLE old_logs ADD CHECK (id > 0) | check-scan
none | ALTER TABLE users ADD COLUMN c bigint DEFAULT 1 REFERENCES users | fk-missing-index fk-scan
none | SET search_path = shop; ALTER TABLE users ALTER email SET NOT NULL | not-null-scan
"""  # noqa: E501


def _cases() -> list[tuple[str, str, list[str]]]:
    lines = [line.split(" | ") for line in TOGETHER.replace(" |\n", " | \n").strip().splitlines()]
    return [(tx, sql, (rest[0] if rest else "").split()) for tx, sql, *rest in lines]


@pytest.mark.parametrize(("tx", "sql", "expected"), _cases())
def test_statements_are_judged_with_those_around_them(
    tx: str, sql: str, expected: list[str], lint: Lint, knows: Callable[[str], None]
) -> None:
    knows(sql)
    assert ids(lint, sql.removesuffix(" |"), tx=tx) == sorted(expected)


def test_a_schema_whose_name_has_a_dot_hides_nothing(lint: Lint) -> None:
    given = 'CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."t ""x" (id int)'
    found = lint('CREATE INDEX "i x" ON "a.b"."t ""x" (id)', given, sizes={'a.b.t "x': 5_000_000})
    assert [f.hazard for f in found] == ["index-build-blocks-writes"]
    assert "a.b.i x" in found[0].message


BLOCKING = (
    "ALTER TABLE users ADD COLUMN c uuid DEFAULT gen_random_uuid()",
    "ALTER TABLE users ALTER age TYPE bigint",
    "ALTER TABLE users ALTER email SET NOT NULL",
    "ALTER TABLE users ADD CHECK (age > 0)",
    "ALTER TABLE users ADD UNIQUE (email)",
    "CREATE INDEX ON users (city)",
    "DROP INDEX users_age",
    "REINDEX TABLE users",
    "LOCK TABLE users",
    "UPDATE users SET age = 1",
    "CLUSTER users USING users_age",
)


@pytest.mark.parametrize("sql", BLOCKING)
@pytest.mark.parametrize("rows", [0, 300])
def test_what_blocks_a_small_table_is_no_hazard(sql: str, rows: int, lint: Lint) -> None:
    assert ids(lint, sql, sizes={"public.users": rows}) == []


@pytest.mark.parametrize("sql", BLOCKING)
def test_what_blocks_a_large_table_is_one(sql: str, lint: Lint) -> None:
    assert len(ids(lint, sql, sizes={"public.users": 5_000_000})) == 1


BREAKING = (
    "ALTER TABLE users DROP COLUMN email",
    "ALTER TABLE users RENAME COLUMN email TO mail",
    "ALTER TABLE users RENAME TO people",
    "DROP TABLE users",
    "TRUNCATE users",
)


@pytest.mark.parametrize("sql", BREAKING)
def test_what_breaks_applications_is_a_notice_on_a_small_table(sql: str, lint: Lint) -> None:
    (small,) = lint(sql, SCHEMA, sizes={"public.users": 300})
    (large,) = lint(sql, SCHEMA, sizes={"public.users": 300_000})
    assert (small.severity, large.severity) == (Severity.NOTICE, Severity.WARNING)


@pytest.mark.parametrize("sql", [*BREAKING, "ALTER TABLE users ADD COLUMN c int NOT NULL"])
def test_nothing_breaks_on_an_empty_table(sql: str, lint: Lint) -> None:
    assert ids(lint, sql, sizes={"public.users": 0}) == []


def test_a_column_without_a_value_fails_on_a_small_table_too(lint: Lint) -> None:
    sql = "ALTER TABLE users ADD COLUMN c int NOT NULL"
    assert ids(lint, sql, sizes={"public.users": 3}) == ["add-not-null-no-default"]


def test_a_partitioned_table_is_as_large_as_its_partitions(lint: Lint) -> None:
    sizes = {"public.events": 5_000_000, "public.events_2024": 9_000, "public.events_2025": 9_000}
    (finding,) = lint("CREATE INDEX ON events (kind)", SCHEMA, sizes=sizes)
    assert finding.relation == "public.events"
    small = dict.fromkeys(sizes, 100)
    assert ids(lint, "CREATE INDEX ON events (kind)", sizes=small) == []


def test_a_small_default_partition_is_read_quickly(lint: Lint) -> None:
    sql = (
        "CREATE TABLE logs_2026 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
    )
    sizes = {"public.logs": 5_000_000, "public.logs_2024": 5_000_000, "public.logs_rest": 0}
    assert ids(lint, sql, sizes=sizes) == ["partition-create-blocks"]


def test_rows_that_the_planner_expects_decide_about_a_change(lint: Lint) -> None:
    sizes = {"public.users": 5_000_000}
    sql = "UPDATE users SET age = 3 WHERE street IS NULL"
    assert ids(lint, sql, sizes=sizes) == ["bulk-dml"]


def test_tables_of_one_name_in_two_schemas_are_told_apart(lint: Lint) -> None:
    sizes = {"public.users": 5, "shop.users": 5_000_000}
    (finding,) = lint("ALTER TABLE shop.users ALTER email SET NOT NULL", SCHEMA, sizes=sizes)
    assert finding.relation == "shop.users"
    assert ids(lint, "ALTER TABLE users ALTER email SET NOT NULL", sizes=sizes) == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SET NOT NULL", "not-null-scan"),
        ("TYPE bigint", "type-change-rewrite"),
    ],
)
def test_odd_names_are_read_as_they_are(sql: str, expected: str, lint: Lint) -> None:
    (finding,) = lint(f'ALTER TABLE "Odd. ""Name"" of" ALTER "a b" {sql}', SCHEMA)
    assert (finding.hazard, finding.relation) == (expected, 'public.Odd. "Name" of')


def test_an_index_on_an_odd_name(lint: Lint) -> None:
    sql = 'CREATE INDEX "on it" ON "Odd. ""Name"" of" ("c.d")'
    (finding,) = lint(sql, SCHEMA)
    assert finding.message.startswith('builds public.on it from all of public.Odd. "Name" of')


def test_the_lock_is_the_strongest_that_is_held_while_it_works(lint: Lint) -> None:
    sql = "ALTER TABLE users ADD COLUMN c int; CREATE INDEX ON users (c)"
    locks = {f.hazard: f.lock for f in lint(sql, SCHEMA, tx="wrapped")}
    assert locks["index-build-blocks-writes"] == "AccessExclusiveLock"
    (alone,) = lint("CREATE INDEX ON users (city)", SCHEMA)
    assert alone.lock == "ShareLock"


def test_an_invalid_index_of_the_target_is_kept(lint: Lint) -> None:
    invalid = frozenset({"public.users_city"})
    sql = "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_city ON users (city)"
    assert ids(lint, sql, invalid_indexes=invalid) == ["invalid-index-kept"]
    assert ids(lint, sql) == []


# what a server must be for a statement, and the same for an older one
VERSIONS = """
15 | CREATE UNIQUE INDEX CONCURRENTLY i ON users (email) NULLS NOT DISTINCT
17 | ALTER TABLE gen ALTER b SET EXPRESSION AS (a + 1)
17 | MERGE INTO users u USING (SELECT 5 AS id) s ON u.id = s.id WHEN MATCHED THEN DO NOTHING RETURNING u.id
17 | SELECT JSON_VALUE('{}'::jsonb, '$.a')
18 | ALTER TABLE users ADD CONSTRAINT c NOT NULL email NOT VALID
18 | ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT ENFORCED
18 | ALTER TABLE users ADD COLUMN c int GENERATED ALWAYS AS (age) VIRTUAL
18 | CREATE TABLE stays (id bigint, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS))
18 | UPDATE users SET age = 1 WHERE id = 5 RETURNING OLD.age
18 | ALTER TABLE users ADD COLUMN c uuid; ALTER TABLE users ALTER c SET DEFAULT uuidv7()
18 | ALTER TABLE events ADD FOREIGN KEY (id) REFERENCES users NOT VALID
"""  # noqa: E501


@pytest.mark.parametrize("line", VERSIONS.strip().splitlines())
def test_what_an_older_server_does_not_know(line: str, lint: Lint, major: int) -> None:
    version, sql = line.split(" | ")
    older, newer = (int(version) - 1) * 10_000, int(version) * 10_000
    assert "unsupported-on-version" in ids(lint, sql, version=older)
    if major >= int(version):  # else the server of this run does not know it either
        assert "unsupported-on-version" not in ids(lint, sql, version=newer)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID",
        "ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (user_id) REFERENCES users NOT VALID",
        "ALTER TABLE users ADD COLUMN c int CONSTRAINT given NOT NULL DEFAULT 0",
        "CREATE TABLE a (id bigint PRIMARY KEY, b int CHECK (b > 0), c bigint REFERENCES users)",
        "ALTER DOMAIN plain ADD CHECK (VALUE <> '') NOT VALID",
        "ALTER TABLE items ALTER CONSTRAINT items_order DEFERRABLE",
        "UPDATE users SET age = 1 WHERE id = 5 RETURNING age",
    ],
)
def test_what_every_server_knows(sql: str, lint: Lint) -> None:
    assert ids(lint, sql, version=150000) == []
