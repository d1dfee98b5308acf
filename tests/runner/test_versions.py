"""the main things hold on every PostgreSQL from 15 on: the smoke test of `make test-matrix`"""

from __future__ import annotations

import pytest

from qb_engine.database import Target
from qb_engine.project import Project
from qb_engine.schema import diff, snapshot
from qb_engine.shadow import like, scratch

pytestmark = pytest.mark.matrix

SHOP = """
CREATE TYPE mood AS ENUM ('sad', 'naïve"quote');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE NULLS NOT DISTINCT, age positive DEFAULT 1, feeling mood,
    twice int GENERATED ALWAYS AS (age * 2) STORED
);
CREATE INDEX ON users (lower(email)) INCLUDE (age) WHERE age > 3;
CREATE TABLE "Order Items" (
    id serial PRIMARY KEY, "user" bigint REFERENCES users ON DELETE CASCADE DEFERRABLE, at date
);
CREATE TABLE events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE VIEW grown WITH (security_invoker) AS SELECT id, email FROM users WHERE age > 17;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM users;
CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON users USING (age > 0);
COMMENT ON COLUMN users.email IS 'where we write';
"""

FILES = {
    "20240101_a.sql": (
        "ALTER TABLE users ADD COLUMN name text NOT NULL DEFAULT ''; UPDATE users SET name = email",
        "ALTER TABLE users DROP COLUMN name",
    ),
    "20240102_b.sql": (
        "CREATE INDEX CONCURRENTLY users_name ON users (name); ALTER TYPE mood ADD VALUE 'fine'",
        "DROP INDEX CONCURRENTLY users_name",
    ),
    "20240103_c.sql": (
        "ALTER TABLE users ADD CONSTRAINT named CHECK (name <> '') NOT VALID;"
        "ALTER TABLE users VALIDATE CONSTRAINT named",
        "ALTER TABLE users DROP CONSTRAINT named",
    ),
    "20240105_e.sql": (
        "CREATE MATERIALIZED VIEW names AS SELECT name FROM users; CREATE INDEX ON names (name)",
        "DROP MATERIALIZED VIEW names",
    ),
    "20240104_d.sql": (
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO (MAXVALUE)",
        "DROP TABLE events_1",
    ),
}


@pytest.fixture
def shop(write, connection) -> None:
    connection.execute(SHOP)
    for name, (up, down) in FILES.items():
        write(name, f"-- qb:up\n{up};\n-- qb:down\n{down};\n")


def test_a_shadow_has_the_same_schema(shop, project: Project, database: Target, connection) -> None:
    with like(scratch(project), database) as shadow:
        conn = shadow.connect()
        try:
            found = diff(snapshot(connection), snapshot(conn), ignore=["matview.populated"])
            # a shadow has no rows, nor have its materialized views, and it is not a superuser's
            assert [each for each in found if each.fields != ("owner",)] == []
        finally:
            conn.close()
    assert shadow.missing == ()


def test_a_plan_sees_locks_and_changes_nothing(shop, qb, connection) -> None:
    before = snapshot(connection)
    report = qb("plan")
    assert report.ok, str(report)
    seen = [o for p in report.planned for o in p.seen]
    assert any("AccessExclusiveLock" in lock.mode for o in seen for lock in o.locks)
    assert snapshot(connection).fingerprint == before.fingerprint


def test_run_validate_and_the_way_back(shop, qb, connection) -> None:
    connection.execute("INSERT INTO users (email) VALUES ('a'), ('b')")
    assert qb("run").ok
    assert qb("validate").ok
    assert connection.execute("SELECT count(*) FROM users WHERE name = email").fetchone() == (2,)
    assert qb("status").ok
    for _ in range(2):
        assert qb("rollback").ok
    assert qb("validate").ok
    assert qb("run").ok


def test_what_does_not_come_back_is_told(shop, qb) -> None:
    report = qb("roundtrip")
    found = {t.migration: t.single for t in report.found.trips}
    assert found == {
        "20240101_a": "exact",
        "20240102_b": "up fails",  # a value stays with its type, and cannot be added twice
        "20240103_c": "exact",
        "20240104_d": "exact",
        "20240105_e": "exact",
    }
