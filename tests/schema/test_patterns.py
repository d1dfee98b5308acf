"""every definition is what the server prints, though it was asked for few of them"""

from __future__ import annotations

import pytest

from qb_engine.schema import Snapshot, snapshot
from tests.schema.conftest import Connection, brought

# What is alike, what only looks so, and what has no pattern.
TABLES = """
CREATE EXTENSION hstore;
CREATE TABLE one (id int PRIMARY KEY, a int, b text, "C d" text, h hstore, r int4range);
CREATE TABLE two (LIKE one INCLUDING ALL);
CREATE TABLE three (id int PRIMARY KEY, b int, a text, "C d" text, h hstore, r int4range);
CREATE TABLE four (gone int, id int PRIMARY KEY, a int, b text COLLATE "C", "C d" varchar(3));
ALTER TABLE four DROP COLUMN gone;
CREATE TABLE "Five ""x" (id int, a int, b text, at int4range, PRIMARY KEY (id, a) INCLUDE (b));
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['one', 'two', 'three', 'four', 'Five "x'] LOOP
        EXECUTE format('CREATE INDEX ON %I (lower(b::text))', t);
        EXECUTE format('CREATE INDEX ON %I (a) WHERE b IS NOT NULL', t);
        EXECUTE format('CREATE INDEX ON %I ((a IS NULL), id) WHERE id > 5', t);
        EXECUTE format('CREATE INDEX ON %I (id) INCLUDE (a)', t);
        EXECUTE format('CREATE INDEX ON %I ((%I IS NULL))', t, t);
        EXECUTE format('CREATE INDEX ON %I (a DESC NULLS LAST)', t);
        EXECUTE format('CREATE UNIQUE INDEX ON %I (id, a)', t);
        EXECUTE format('ALTER TABLE %I ADD CHECK (id > 0), ADD CHECK (a IS NOT NULL)', t);
        EXECUTE format('ALTER TABLE %I ADD CHECK (id > 1) NO INHERIT', t);
        EXECUTE format('ALTER TABLE %I ADD CHECK (id > 2) NOT VALID', t);
        EXECUTE format('ALTER TABLE %I ADD CHECK (%I IS NOT NULL)', t, t);
        EXECUTE format('ALTER TABLE %I ADD UNIQUE (a)', t);
        EXECUTE format('ALTER TABLE %I ADD UNIQUE (a, id) DEFERRABLE', t);
        EXECUTE format('ALTER TABLE %I ADD UNIQUE NULLS NOT DISTINCT (b)', t);
        EXECUTE format('ALTER TABLE %I ADD UNIQUE (id) INCLUDE (b)', t);
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (id) REFERENCES one', t);
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (id) REFERENCES two (id) MATCH FULL', t);
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (id) REFERENCES two ON DELETE CASCADE', t);
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (id) REFERENCES two NOT VALID', t);
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (id, id) REFERENCES "Five ""x" (id, a)'
                       ' ON DELETE SET NULL (id) ON UPDATE SET DEFAULT DEFERRABLE', t);
    END LOOP;
END $$;
CREATE INDEX ON one USING gist (h gist_hstore_ops (siglen = 32));
CREATE INDEX ON two USING gist (h gist_hstore_ops (siglen = 64));
CREATE INDEX ON three USING gist (h);
CREATE INDEX ON one (b text_pattern_ops) WITH (fillfactor = 50) WHERE a > 1;
CREATE INDEX ON two (b text_pattern_ops) WITH (fillfactor = 60) WHERE a > 1;
CREATE INDEX ON one (b COLLATE "C");
CREATE INDEX ON four (b COLLATE "C");
ALTER TABLE one ADD EXCLUDE USING gist (r WITH &&);
ALTER TABLE two ADD EXCLUDE USING gist (r WITH &&) WHERE (a > 1);
"""
PERIODS = """
CREATE EXTENSION btree_gist;
CREATE TABLE p (id int, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));
CREATE TABLE q (id int, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS),
                FOREIGN KEY (id, PERIOD at) REFERENCES p (id, PERIOD at));
CREATE TABLE s (id int PRIMARY KEY, at daterange, CHECK (id > 0) NOT ENFORCED);
CREATE TABLE u (id int PRIMARY KEY, at daterange, CHECK (id > 0) NOT VALID,
                FOREIGN KEY (id) REFERENCES s NOT ENFORCED);
"""

PRINTED = """
SELECT 'constraint', t.relname::text, k.conname::text, pg_get_constraintdef(k.oid)
  FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
 WHERE k.connamespace = 'public'::regnamespace AND k.contype <> 'n'
UNION ALL
SELECT 'index', t.relname::text, c.relname::text, pg_get_indexdef(i.indexrelid)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
 WHERE c.relnamespace = 'public'::regnamespace
   AND NOT EXISTS (SELECT FROM pg_constraint k
                    WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
"""


def written(taken: Snapshot) -> dict[tuple[str, str, str], str]:
    """Every definition of a constraint or an index, by kind, table and name."""
    return {
        (id.kind, id.name, id.sub): payload["definition"]
        for id, payload in taken.facts.items()
        if id.kind in ("constraint", "index") and id.schema == "public"
    }


def printed(conn: Connection) -> dict[tuple[object, ...], object]:
    """What the server prints of each."""
    with conn.transaction():
        conn.execute("SET LOCAL search_path = ''")
        rows = conn.execute(PRINTED.encode()).fetchall()
    return {row[:3]: row[3] for row in rows}


def test_definitions_are_what_the_server_prints(conn: Connection) -> None:
    conn.execute(brought(conn, TABLES).encode())
    expected = printed(conn)
    assert len(expected) > 90
    assert written(snapshot(conn)) == expected


def test_definitions_of_new_kinds_are_what_the_server_prints(conn: Connection) -> None:
    if conn.info.server_version < 180000:
        pytest.skip("periods and NOT ENFORCED are new in PostgreSQL 18")
    text = brought(conn, PERIODS)
    if "EXTENSION" not in text:
        pytest.skip("this PostgreSQL brings no btree_gist")
    conn.execute(text.encode())
    assert written(snapshot(conn)) == printed(conn)
