"""sampled rows: few, and every foreign key among them holds"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from qb_engine.database.connect import connect
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.database.target import Target
from qb_engine.shadow import Scratch, Shadow, like
from qb_engine.shadow.sample import Sampled, sample

Connection = psycopg.Connection[tuple[Any, ...]]

SCHEMA = """
CREATE TABLE "Big Customers" (id int PRIMARY KEY, boss int REFERENCES "Big Customers", name text);
CREATE TABLE "or.ders" (
    shop int, number int, customer int NOT NULL REFERENCES "Big Customers", first_item int,
    PRIMARY KEY (shop, number));
CREATE TABLE items (id int PRIMARY KEY, shop int, number int,
    FOREIGN KEY (shop, number) REFERENCES "or.ders");
ALTER TABLE "or.ders" ADD FOREIGN KEY (first_item) REFERENCES items;
CREATE TABLE alone (id int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (2) STORED);
INSERT INTO "Big Customers" SELECT i, nullif(i / 2, 0), E'tab\\there \\\\ ' || i
  FROM generate_series(1, 5000) AS i;
INSERT INTO "or.ders" SELECT 1 + i % 3, i, 1 + i % 5000 FROM generate_series(1, 5000) AS i;
INSERT INTO items SELECT i, 1 + i % 3, i FROM generate_series(1, 5000) AS i;
UPDATE "or.ders" SET first_item = 5001 - number;
INSERT INTO alone SELECT FROM generate_series(1, 10);
ANALYZE;
"""


@pytest.fixture
def shadow(server: EmbeddedPostgres, database: Target, connection: Connection) -> Iterator[Shadow]:
    connection.execute(SCHEMA)
    with like(Scratch(Target("scratch", server.ensure())), database) as made:
        yield made


def sampled(database: Target, shadow: Shadow, **how: Any) -> Sampled:
    conn = connect(database)
    try:
        return sample(conn, shadow, **how)
    finally:
        conn.close()


def test_every_reference_of_a_sampled_row_is_there(database: Target, shadow: Shadow) -> None:
    """Over a self reference, a composite key and a circle."""
    found = sampled(database, shadow, rows=20)
    assert not found.missing
    with shadow.scratch.connect(shadow.dbname) as conn:
        keys = conn.execute(
            "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint"
            " WHERE contype = 'f'"
        ).fetchall()
        assert len(keys) == 4
        for table, name in keys:  # each is checked again over all rows
            conn.execute(f"ALTER TABLE {table} ALTER CONSTRAINT {name} DEFERRABLE".encode())
            conn.execute(
                f"UPDATE pg_constraint SET convalidated = false WHERE conname = '{name}'".encode()
            )
            conn.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}".encode())


def test_it_is_a_sample(database: Target, shadow: Shadow) -> None:
    found = sampled(database, shadow, rows=20, only=["public.alone", "public.Big Customers"])
    assert found.rows["public.alone"] == 10
    assert found.rows["public.Big Customers"] < 2_000


def test_text_is_copied_as_it_is(database: Target, shadow: Shadow, connection: Connection) -> None:
    sampled(database, shadow, rows=50, only=["public.Big Customers"])
    query = 'SELECT id, name FROM "Big Customers" ORDER BY id'
    with shadow.scratch.connect(shadow.dbname) as conn:
        here = conn.execute(query).fetchall()
    assert here
    assert set(here) <= set(connection.execute(query).fetchall())


def test_new_rows_meet_no_sampled_ones(database: Target, shadow: Shadow) -> None:
    sampled(database, shadow, rows=50)
    with shadow.scratch.connect(shadow.dbname) as conn:
        row = conn.execute("INSERT INTO alone DEFAULT VALUES RETURNING id").fetchone()
    assert row == (11,)


def test_rows_that_a_table_refuses_are_named(
    server: EmbeddedPostgres, database: Target, connection: Connection
) -> None:
    """A check that is not valid yet, and that old rows break."""
    connection.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (-1)")
    connection.execute("ALTER TABLE t ADD CHECK (a > 0) NOT VALID")
    with like(Scratch(Target("scratch", server.ensure())), database) as made:
        found = sampled(database, made)
    assert len(found.missing) == 1
    assert "public.t" in found.missing[0]
