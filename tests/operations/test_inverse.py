"""every way back leads back: up, then down, leaves the schema as it was"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine import operations
from qb_engine.operations import Inverse, Irreversible, Operation
from qb_engine.schema import Snapshot, snapshot
from qb_engine.sql import read_one

Connection = psycopg.Connection[Any]

SCHEMA = """
CREATE SCHEMA app;
CREATE TYPE mood AS ENUM ('sad', 'naïve"quote');
CREATE TYPE spare AS ENUM ('a', 'b');
COMMENT ON TYPE spare IS 'unused';
CREATE SEQUENCE numbers START 5;
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY,
    email varchar(80) DEFAULT 'x'::text COLLATE "C" UNIQUE,
    age int CHECK (age > 0), name text NOT NULL DEFAULT '', feeling mood DEFAULT 'sad',
    bare text NOT NULL, doubled int GENERATED ALWAYS AS (age * 2) STORED, free text
);
COMMENT ON COLUMN users.email IS 'where we write';
COMMENT ON TABLE users IS 'people';
CREATE INDEX users_lower ON users (lower(free) text_pattern_ops, name DESC) WHERE free <> '';
COMMENT ON INDEX users_lower IS 'for search';
CREATE UNIQUE INDEX users_name ON users (name) INCLUDE (age);
ALTER TABLE users ADD CONSTRAINT two CHECK (age > 1 OR name <> '') NOT VALID;
COMMENT ON CONSTRAINT two ON users IS 'either';
CREATE TABLE "Order Items" (
    "naïve""quote" serial PRIMARY KEY, "Order Items" int REFERENCES users (age) DEFERRABLE,
    "select" text
) WITH (fillfactor = 70);
CREATE INDEX ON "Order Items" ("select", "Order Items");
CREATE TABLE app.plain (a int, b text);
CREATE TABLE app.other (a int, b text);
CREATE INDEX ON app.other (b);
CREATE TABLE app.parts (a int, b text) PARTITION BY RANGE (a);
CREATE TABLE app.part1 PARTITION OF app.parts FOR VALUES FROM (1) TO (9);
CREATE TABLE app.crowd (
    a int UNIQUE, b int, c date, d int CHECK (d > 0), CHECK (b > 0), PRIMARY KEY (a)
);
ALTER TABLE app.crowd ADD FOREIGN KEY (b) REFERENCES app.crowd (a);
CREATE INDEX crowd_odd ON app.crowd ((b + 1)) WHERE b < 9;
CREATE INDEX crowd_d ON app.crowd (abs(d));
CREATE STATISTICS app.crowd_both ON a, b FROM app.crowd;
COMMENT ON STATISTICS app.crowd_both IS 'both';
CREATE TABLE app.whole (a int PRIMARY KEY, b int) PARTITION BY RANGE (a);
CREATE TABLE app.one PARTITION OF app.whole FOR VALUES FROM (1) TO (9);
CREATE INDEX whole_b ON app.whole (b);
ALTER INDEX app.one_b_idx RENAME TO "one's b";
COMMENT ON INDEX app."one's b" IS 'of a part';
CREATE INDEX own ON app.one (b DESC);
CREATE TABLE app.points (a int REFERENCES app.whole);
CREATE VIEW adults AS SELECT id, name FROM users WHERE age > 17;
COMMENT ON VIEW adults IS 'grown';
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM app.plain;
CREATE INDEX totals_n ON totals (n);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON app.other FOR EACH ROW EXECUTE FUNCTION touch();
"""
# the foreign key needs a key to point at
SCHEMA = SCHEMA.replace("age int CHECK (age > 0)", "age int CHECK (age > 0) UNIQUE")

BACK_EXACTLY = [
    "CREATE TABLE notes (id serial PRIMARY KEY, user_id bigint REFERENCES users, CHECK (id > 0))",
    'CREATE TABLE app."Order Items" ("naïve""quote" int)',
    "CREATE TABLE IF NOT EXISTS users (id int)",
    "CREATE UNLOGGED TABLE fast (a int)",
    "CREATE TABLE app.part2 PARTITION OF app.parts FOR VALUES FROM (9) TO (12)",
    "CREATE TABLE copied AS SELECT * FROM users",
    'DROP TABLE "Order Items"',
    "DROP TABLE app.other",
    "DROP TABLE IF EXISTS nothing",
    "ALTER TABLE users RENAME TO \"naïve\"\"quote\"",
    "ALTER TABLE users ADD COLUMN email2 text NOT NULL DEFAULT 'a' REFERENCES users (email)",
    'ALTER TABLE "Order Items" ADD COLUMN "a ""b" int, ADD COLUMN c int UNIQUE',
    "ALTER TABLE users ADD COLUMN IF NOT EXISTS email int",
    'ALTER TABLE "Order Items" RENAME COLUMN "naïve""quote" TO "Order"',
    "ALTER TABLE users DROP COLUMN free",
    'ALTER TABLE "Order Items" DROP COLUMN "select"',
    "ALTER TABLE users DROP COLUMN IF EXISTS nothing",
    "ALTER TABLE users ALTER COLUMN free SET NOT NULL",
    "ALTER TABLE users ALTER COLUMN name SET NOT NULL",
    "ALTER TABLE users ALTER COLUMN name DROP NOT NULL",
    "ALTER TABLE users ALTER COLUMN free DROP NOT NULL",
    "ALTER TABLE users ALTER COLUMN name SET DEFAULT 'y'",
    "ALTER TABLE users ALTER COLUMN free SET DEFAULT E'\\\\'",
    "ALTER TABLE users ALTER COLUMN name DROP DEFAULT",
    "ALTER TABLE users ALTER COLUMN free DROP DEFAULT",
    'ALTER TABLE "Order Items" ALTER COLUMN "select" SET DEFAULT \'%s :x\'',
    "ALTER TABLE users ADD CHECK (age > 2)",
    "ALTER TABLE users ADD CHECK (age > 2 AND id > 3)",
    "ALTER TABLE users ADD CONSTRAINT \"naïve\"\"quote\" CHECK (age > 2) NOT VALID",
    "ALTER TABLE users ADD UNIQUE (name, age)",
    "ALTER TABLE users ADD UNIQUE (name)",
    "ALTER TABLE users ADD CONSTRAINT named UNIQUE USING INDEX users_name",
    "ALTER TABLE app.plain ADD PRIMARY KEY (a)",
    "ALTER TABLE app.plain ADD FOREIGN KEY (a) REFERENCES users (age) ON DELETE SET NULL",
    "ALTER TABLE app.plain ADD EXCLUDE USING btree (a WITH =)",
    "ALTER TABLE users DROP CONSTRAINT two",
    "ALTER TABLE users DROP CONSTRAINT users_pkey",
    "ALTER TABLE users DROP CONSTRAINT users_email_key",
    'ALTER TABLE "Order Items" DROP CONSTRAINT "Order Items_Order Items_fkey"',
    "ALTER TABLE users DROP CONSTRAINT IF EXISTS nothing",
    "ALTER TABLE users VALIDATE CONSTRAINT two",
    "ALTER TABLE users VALIDATE CONSTRAINT users_age_check",
    "ALTER TABLE users RENAME CONSTRAINT two TO \"naïve\"\"quote\"",
    "ALTER TABLE app.plain ALTER COLUMN a TYPE bigint",
    "ALTER TABLE app.plain ALTER COLUMN a TYPE text",
    "ALTER TABLE app.plain ALTER COLUMN b TYPE int USING b::int",
    "ALTER TABLE users ALTER COLUMN email TYPE text",
    "ALTER TABLE users ALTER COLUMN free TYPE varchar(20) COLLATE \"C\"",
    "CREATE INDEX ON users (lower(name), age)",
    'CREATE UNIQUE INDEX "naïve""quote" ON "Order Items" ("Order Items")',
    "CREATE INDEX ON users ((age + 1), coalesce(name, free), (free::text))",
    "CREATE INDEX IF NOT EXISTS users_lower ON users (age)",
    "CREATE INDEX CONCURRENTLY soon ON app.plain (b)",
    "DROP INDEX users_lower",
    "DROP INDEX CONCURRENTLY users_name",
    "ALTER INDEX users_lower RENAME TO other",
    "CREATE TYPE app.tone AS ENUM ('a', 'b''c')",
    "DROP TYPE spare",
    "ALTER TYPE mood RENAME VALUE 'sad' TO 'glad'",
    "ALTER TYPE mood RENAME TO tone",
    "CREATE VIEW kids AS SELECT * FROM users WHERE age < 9",
    "CREATE OR REPLACE VIEW adults AS SELECT id, name, age FROM users WHERE age > 20",
    "CREATE OR REPLACE VIEW brandnew AS SELECT 1 AS a",
    "DROP VIEW adults",
    "DROP MATERIALIZED VIEW totals",
    "CREATE MATERIALIZED VIEW sums AS SELECT sum(a) FROM app.plain",
    "CREATE SCHEMA \"Order Items\"",
    "CREATE SCHEMA IF NOT EXISTS app",
    "CREATE SEQUENCE app.more INCREMENT 2",
    "ALTER SEQUENCE numbers RENAME TO digits",
    "COMMENT ON TABLE users IS 'others'",
    "COMMENT ON TABLE app.plain IS 'plain'",
    "COMMENT ON COLUMN users.email IS NULL",
    "COMMENT ON CONSTRAINT two ON users IS 'x'",
    "COMMENT ON INDEX users_lower IS NULL",
    "COMMENT ON TYPE spare IS 'x'",
    "COMMENT ON SCHEMA app IS 'x'",
    "COMMENT ON VIEW adults IS 'x'",
    'CREATE FUNCTION "naïve""quote"(a int, b mood) RETURNS int LANGUAGE sql AS $$SELECT 1$$',
    "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE OR REPLACE FUNCTION touch(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE PROCEDURE p(INOUT a int) LANGUAGE sql AS 'SELECT 1'",
    'CREATE TRIGGER "Order Items" BEFORE UPDATE OF a ON app.plain EXECUTE FUNCTION touch()',
    "CREATE OR REPLACE TRIGGER touched AFTER INSERT ON app.other EXECUTE FUNCTION touch()",
    "DROP TRIGGER touched ON app.other",
    "CREATE EXTENSION IF NOT EXISTS plpgsql",
    # what generated migrations have found
    "DROP TABLE app.crowd",
    "ALTER TABLE app.crowd DROP COLUMN b",
    "ALTER TABLE app.crowd ALTER COLUMN d TYPE numeric",
    "ALTER TABLE app.crowd ALTER COLUMN c TYPE int4range USING c::text::int4range",
    "ALTER TABLE app.whole DROP COLUMN b",
    "DROP INDEX app.whole_b",
    "CREATE TABLE app.two PARTITION OF app.whole FOR VALUES FROM (9) TO (12)",
    "CREATE TABLE IF NOT EXISTS users_name (a int)",
    "CREATE TABLE IF NOT EXISTS numbers (a int)",
    "SET LOCAL work_mem = '8MB'",
    "ANALYZE users",
]  # fmt: skip

NO_WAY_BACK = {
    "ALTER TYPE mood ADD VALUE 'fine'": "cannot remove a value",
    "ALTER TABLE users DROP COLUMN bare": "neither NULL nor a default",
    "ALTER TABLE users DROP COLUMN age CASCADE": "CASCADE",
    "DROP TABLE app.plain CASCADE": "CASCADE",
    "DROP TABLE app.parts": "part1 is below parts",
    "DROP TABLE app.part1": "partition_of",
    "DROP SEQUENCE numbers": "position",
    "UPDATE users SET age = 1": "overwrites values",
    "DELETE FROM users": "removes rows",
    "INSERT INTO users (bare) VALUES ('x')": "INSERT",
    "TRUNCATE users CASCADE": "removes rows",
    "ALTER TABLE app.whole ALTER b TYPE bigint": "the index own of its own on b",
    "ALTER TABLE users ALTER age TYPE bigint USING age * 2": "cannot be turned round",
    "DO 'BEGIN END'": "DO block",
    "GRANT SELECT ON users TO PUBLIC": "no way back from GRANT SELECT",
}


@pytest.fixture
def shop(connection: Connection) -> Connection:
    """A database with something of everything."""
    connection.execute(SCHEMA)
    return connection


def down(found: tuple[Operation, ...], before: Snapshot) -> list[str]:
    """The statements that lead back from one statement's operations."""
    steps: list[str] = []
    for operation in reversed(found):
        inverse = operation.inverse(before)
        assert isinstance(inverse, Inverse), inverse
        steps += [s if isinstance(s, str) else s.write() for s in inverse.steps]
    return steps


def facts(schema: Snapshot) -> dict[Any, Any]:
    """The facts, the order of a table's columns left out: a column comes back as the last one."""
    return {
        id: {k: sorted(v) if k == "columns" and id.kind == "table" else v for k, v in p.items()}
        for id, p in schema.facts.items()
    }


@pytest.mark.parametrize("sql", BACK_EXACTLY)
def test_up_and_down_leave_the_schema_as_it_was(shop: Connection, sql: str) -> None:
    """The derived down of each statement, run on the server."""
    before = snapshot(shop)
    found = operations.read(read_one(sql))
    steps = down(found, before)
    shop.execute(sql)
    for step in steps:
        shop.execute(step)
    assert facts(snapshot(shop)) == facts(before)


@pytest.mark.parametrize(("sql", "reason"), NO_WAY_BACK.items())
def test_what_has_no_way_back_says_why(shop: Connection, sql: str, reason: str) -> None:
    """An explicit reason, no guess."""
    (operation,) = operations.read(read_one(sql))
    found = operation.inverse(snapshot(shop))
    assert isinstance(found, Irreversible)
    assert reason in found.reason


def test_what_the_way_back_cannot_bring_back_is_said(shop: Connection) -> None:
    """Values that were dropped are lost, though the column comes back."""
    before = snapshot(shop)
    (drop,) = operations.read(read_one("ALTER TABLE users DROP COLUMN free"))
    found = drop.inverse(before)
    assert isinstance(found, Inverse)
    assert "the values of users.free" in found.loses


def test_a_granted_table_is_not_pretended_to_come_back(shop: Connection) -> None:
    """What the statements of the way back would not restore makes it irreversible."""
    shop.execute("GRANT SELECT ON app.other TO PUBLIC; GRANT SELECT (free) ON users TO PUBLIC")
    before = snapshot(shop)
    for sql in ("DROP TABLE app.other", "ALTER TABLE users DROP COLUMN free"):
        (operation,) = operations.read(read_one(sql))
        found = operation.inverse(before)
        assert isinstance(found, Irreversible)
        assert "privileges" in found.reason
