"""a migration of twelve statements in a folder, and what the catalog says of each of them"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

ID = "20240101000000_story"

START = """
CREATE TYPE mood AS ENUM ('sad');
CREATE TABLE effect (what text);
CREATE TABLE orders (id int, total int, status mood) WITH (autovacuum_enabled = false);
INSERT INTO orders SELECT n, n, 'sad' FROM generate_series(1, 200) n;
"""

# statements of one file that share a line of the plan share a transaction
PRE = """
-- qb:up
CREATE TABLE audit (what text);
INSERT INTO effect VALUES ('pre');
-- qb:down
DELETE FROM effect WHERE what = 'pre';
DROP TABLE audit;
"""
MIGRATION = """
-- qb:up
ALTER TABLE orders ADD COLUMN note text;
CREATE TABLE lines (id int);
CREATE INDEX CONCURRENTLY ON orders (total);
ALTER TYPE mood ADD VALUE 'ok';
ALTER TABLE orders ADD CHECK (total > 0) NOT VALID;
VACUUM (ANALYZE) orders;
ALTER TABLE orders VALIDATE CONSTRAINT orders_total_check;
DO $$ BEGIN INSERT INTO effect VALUES ('do'); END $$;
-- qb:down
DELETE FROM effect WHERE what = 'do';
ALTER TABLE orders DROP CONSTRAINT orders_total_check;
ALTER TYPE mood RENAME TO mood_before;
CREATE TYPE mood AS ENUM ('sad');
ALTER TABLE orders ALTER status TYPE mood USING status::text::mood;
DROP TYPE mood_before;
DROP INDEX CONCURRENTLY orders_total_idx;
DROP TABLE lines;
ALTER TABLE orders DROP COLUMN note;
"""
POST = """
-- qb:up
CREATE UNIQUE INDEX CONCURRENTLY orders_id_note ON orders (id, note);
INSERT INTO effect VALUES ('post');
-- qb:down
DELETE FROM effect WHERE what = 'post';
DROP INDEX orders_id_note;
"""
COUNT = 12
VACUUM = 8  # leaves no trace that tells a second one from the first
BUILDS = (5, 11)
ALONE = (5, 8, 11)  # outside a transaction
BLOCKS = ((1, 2), (3, 4), (5,), (6, 7), (8,), (9, 10), (11,), (12,))

# one column for each statement: is it there?
TRUTH = """
SELECT to_regclass('audit') IS NOT NULL,
       EXISTS (SELECT FROM effect WHERE what = 'pre'),
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'),
       to_regclass('lines') IS NOT NULL,
       EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('orders_total_idx')
                  AND indisvalid),
       EXISTS (SELECT FROM pg_enum WHERE enumtypid = 'mood'::regtype AND enumlabel = 'ok'),
       EXISTS (SELECT FROM pg_constraint WHERE conname = 'orders_total_check'),
       EXISTS (SELECT FROM pg_statistic WHERE starelid = 'orders'::regclass),
       EXISTS (SELECT FROM pg_constraint WHERE conname = 'orders_total_check' AND convalidated),
       EXISTS (SELECT FROM effect WHERE what = 'do'),
       EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('orders_id_note')
                  AND indisvalid),
       EXISTS (SELECT FROM effect WHERE what = 'post')
"""

# whatever would show that a statement ran twice
EFFECTS = """
SELECT (SELECT array_agg(what ORDER BY what) FROM effect),
       (SELECT array_agg(relname::text || indisvalid ORDER BY relname) FROM pg_index
          JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = 'orders'::regclass),
       (SELECT count(*) FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'c'),
       (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
         WHERE enumtypid = 'mood'::regtype)
"""
ONCE = (
    ["do", "post", "pre"],
    ["orders_id_notetrue", "orders_total_idxtrue"],
    1,
    ["sad", "ok"],
)

# What holds a statement up until the holder rolls back, by the number of the statement.
HOLDS = {
    1: "CREATE TABLE audit (mine int)",  # the name is taken, perhaps
    2: "LOCK TABLE effect IN ACCESS EXCLUSIVE MODE",
    3: "LOCK TABLE orders IN ACCESS SHARE MODE",
    4: "CREATE TABLE lines (mine int)",
    5: "UPDATE orders SET total = total WHERE id = 1",
    6: "COMMENT ON TYPE mood IS 'held'",
    7: "LOCK TABLE orders IN ACCESS SHARE MODE",
    8: "LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE",
    9: "LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE",
    10: "LOCK TABLE effect IN ACCESS EXCLUSIVE MODE",
    11: "UPDATE orders SET total = total WHERE id = 1",
    12: "LOCK TABLE effect IN ACCESS EXCLUSIVE MODE",
}


def begin(number: int) -> str:
    """The stop before the transaction of a statement, all of which is sent at once."""
    return f"running {next(block[0] for block in BLOCKS if number in block)}"


def write(migrations: Path) -> None:
    """Write the migration into a folder of migrations."""
    folder = migrations / ID
    folder.mkdir()
    for name, text in (("pre", PRE), ("migration", MIGRATION), ("post", POST)):
        (folder / f"{name}.sql").write_text(text.lstrip(), encoding="utf-8")


def truth(connection: Connection) -> list[bool]:
    """Of each statement, whether the catalog (or a row) says that it was applied."""
    row = connection.execute(TRUTH.encode()).fetchone()
    assert row is not None
    return list(row)


def effects(connection: Connection) -> tuple[Any, ...]:
    """What would show that something was applied twice."""
    row = connection.execute(EFFECTS.encode()).fetchone()
    assert row is not None
    return row


def committed_before(number: int) -> int:
    """How many statements are committed when a statement begins."""
    block = next(block for block in BLOCKS if number in block)
    return block[0] - 1
