"""the probe moves with every change of the schema, and with no change of data"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from qb_engine.schema import probe, snapshot

Connection = psycopg.Connection[tuple[Any, ...]]

# Some of everything that the statements below change; they are rolled back one by one.
BASE = """
CREATE ROLE probe_role;
CREATE EXTENSION hstore;
CREATE TABLE t (id serial PRIMARY KEY, a text DEFAULT 'x', b integer NOT NULL CHECK (b > 0));
CREATE TABLE child (t integer REFERENCES t) ;
CREATE TABLE part (at date) PARTITION BY RANGE (at);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE INDEX i ON t (a);
CREATE VIEW v AS SELECT a FROM t;
CREATE MATERIALIZED VIEW m AS SELECT a FROM t;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a integer, b integer);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE SEQUENCE s;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE POLICY p ON t USING (true);
CREATE RULE r AS ON DELETE TO child DO INSTEAD NOTHING;
CREATE STATISTICS st ON a, b FROM t;
CREATE PUBLICATION pub FOR TABLE t;
CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER srv FOREIGN DATA WRAPPER w;
"""

DDL = """
CREATE SCHEMA other
ALTER SCHEMA public OWNER TO probe_role
GRANT CREATE ON SCHEMA public TO PUBLIC
CREATE TABLE new ()
CREATE UNLOGGED TABLE new ()
DROP TABLE child
ALTER TABLE t RENAME TO renamed
ALTER TABLE t SET SCHEMA pg_catalog
ALTER TABLE t OWNER TO probe_role
ALTER TABLE t SET (fillfactor = 70)
ALTER TABLE child SET UNLOGGED
ALTER TABLE t REPLICA IDENTITY FULL
ALTER TABLE t ENABLE ROW LEVEL SECURITY
ALTER TABLE t ADD COLUMN c integer
ALTER TABLE t DROP COLUMN a CASCADE
ALTER TABLE t RENAME COLUMN a TO c
ALTER TABLE t ALTER a SET NOT NULL
ALTER TABLE t ALTER b DROP NOT NULL
ALTER TABLE t ALTER a SET DEFAULT 'y'
ALTER TABLE t ALTER a DROP DEFAULT
ALTER TABLE t ALTER b ADD GENERATED ALWAYS AS IDENTITY
ALTER TABLE t ALTER a SET STATISTICS 500
ALTER TABLE t ALTER a SET STORAGE EXTERNAL
ALTER TABLE t ALTER a SET (n_distinct = 5)
ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)
ALTER TABLE t ADD CHECK (b < 9) NOT VALID
ALTER TABLE t DROP CONSTRAINT t_b_check
ALTER TABLE child ADD FOREIGN KEY (t) REFERENCES t DEFERRABLE
ALTER TABLE child ALTER CONSTRAINT child_t_fkey DEFERRABLE
ALTER TABLE t RENAME CONSTRAINT t_b_check TO other
ALTER TABLE t CLUSTER ON i
ALTER TABLE part DETACH PARTITION part_1
CREATE TABLE heir () INHERITS (t)
CREATE INDEX ON t (b)
DROP INDEX i
ALTER INDEX i RENAME TO j
ALTER INDEX i SET (fillfactor = 70)
ALTER SEQUENCE s INCREMENT 5
ALTER SEQUENCE s OWNED BY t.b
ALTER SEQUENCE t_id_seq OWNED BY NONE
CREATE OR REPLACE VIEW v AS SELECT a || 'x' AS a FROM t
ALTER VIEW v SET (security_barrier)
CREATE MATERIALIZED VIEW n AS SELECT 1 AS one
ALTER TYPE mood ADD VALUE 'fine'
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'
ALTER TYPE pair ADD ATTRIBUTE c integer
ALTER DOMAIN positive DROP CONSTRAINT positive_check
ALTER DOMAIN positive SET NOT NULL
CREATE TYPE r2 AS RANGE (subtype = float8)
CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'
REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC
ALTER FUNCTION f() SET work_mem = '1MB'
DROP TRIGGER tr ON t
ALTER TABLE t DISABLE TRIGGER tr
ALTER TABLE t DISABLE TRIGGER ALL
ALTER POLICY p ON t USING (false)
DROP RULE r ON child
COMMENT ON TABLE t IS 'x'
COMMENT ON COLUMN t.a IS 'x'
COMMENT ON SCHEMA public IS 'x'
COMMENT ON FUNCTION f() IS 'x'
GRANT SELECT ON t TO probe_role
GRANT SELECT (a) ON t TO probe_role
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO probe_role
ALTER STATISTICS st SET STATISTICS 100
ALTER PUBLICATION pub DROP TABLE t
ALTER PUBLICATION pub ADD TABLES IN SCHEMA public
ALTER PUBLICATION pub SET (publish = 'insert')
CREATE EXTENSION citext
ALTER EXTENSION hstore ADD TABLE child
ALTER SERVER srv OPTIONS (host 'x')
CREATE USER MAPPING FOR PUBLIC SERVER srv
CREATE FOREIGN TABLE ft (a integer) SERVER srv
CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION et()
CREATE CAST (mood AS integer) WITH INOUT
CREATE OPERATOR === (leftarg = integer, rightarg = integer, function = int4eq)
CREATE OPERATOR FAMILY fam USING btree
CREATE AGGREGATE total(integer) (sfunc = int4pl, stype = integer)
CREATE COLLATION plain (provider = libc, locale = 'C')
CREATE TEXT SEARCH CONFIGURATION english2 (copy = english)
CREATE ACCESS METHOD slow TYPE TABLE HANDLER heap_tableam_handler
""".strip().splitlines()

DATA = """
INSERT INTO t (b) VALUES (1)
UPDATE t SET a = 'y'
DELETE FROM t
SELECT nextval('s')
ANALYZE t
VACUUM (FREEZE) t
VACUUM (ANALYZE) t
CHECKPOINT
CREATE TEMP TABLE temporary (id serial PRIMARY KEY, a text DEFAULT 'x' CHECK (a > ''))
CREATE TABLE qb.more (id serial PRIMARY KEY, t text REFERENCES qb.history)
COMMENT ON TABLE qb.history IS 'x'
ALTER TABLE qb.history ADD COLUMN more jsonb DEFAULT '{}'
DROP TABLE qb.history CASCADE
""".strip().splitlines()


@pytest.fixture(scope="module")
def base(request: pytest.FixtureRequest, url: str) -> Iterator[Connection]:
    """A connection to a database with something to change."""
    from tests.schema.conftest import brought, created

    with created(url) as where, psycopg.connect(where, autocommit=True) as conn:
        conn.execute("SET allow_system_table_mods = on")
        conn.execute("DROP ROLE IF EXISTS probe_role")
        conn.execute(brought(conn, BASE))
        conn.execute("CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
        yield conn
        conn.execute("DROP OWNED BY probe_role CASCADE; DROP ROLE probe_role")


@pytest.mark.parametrize("statement", DDL)
def test_ddl_moves_it(base: Connection, statement: str) -> None:
    before = probe(base)
    with base.transaction(force_rollback=True):
        base.execute(statement)
        assert probe(base) != before
    assert probe(base) == before


def test_data_does_not_move_it(conn: Connection) -> None:
    conn.execute("CREATE TABLE t (id serial PRIMARY KEY, a text DEFAULT 'x', b integer)")
    conn.execute("CREATE SEQUENCE s; CREATE SCHEMA qb CREATE TABLE history (t text PRIMARY KEY)")
    before = probe(conn)
    for statement in DATA:
        conn.execute(statement)
        assert probe(conn) == before, statement


def test_the_whole_ledger_may_come_and_go(conn: Connection) -> None:
    conn.execute("CREATE TABLE t ()")
    before = probe(conn)
    conn.execute("CREATE SCHEMA qb CREATE TABLE history (t text PRIMARY KEY)")
    assert probe(conn) == before
    assert probe(conn, exclude_schemas=()) != before
    conn.execute("DROP SCHEMA qb CASCADE")
    assert probe(conn) == before


def test_dropping_and_creating_the_same_moves_it(conn: Connection) -> None:
    conn.execute("CREATE TABLE t (a integer)")
    before, first = probe(conn), snapshot(conn)
    conn.execute("DROP TABLE t; CREATE TABLE t (a integer)")
    assert probe(conn) != before
    assert snapshot(conn) == first


def test_it_blocks_on_nothing(where: str, conn: Connection) -> None:
    conn.execute("CREATE TABLE t (a integer CHECK (a > 0)); CREATE VIEW v AS SELECT a FROM t")
    with psycopg.connect(where) as other:
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        conn.execute("SET lock_timeout = '10ms'")
        assert probe(conn)


def test_a_role_without_privileges_may_ask(conn: Connection) -> None:
    before = probe(conn)
    conn.execute("SET ROLE pg_monitor")
    assert probe(conn) == before
