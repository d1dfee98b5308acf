"""a look at a few tables says what a snapshot says of them"""

from __future__ import annotations

from typing import Any

import psycopg

from qb_engine.schema import snapshot
from qb_engine.schema.look import look

Connection = psycopg.Connection[Any]

MADE = """
CREATE SCHEMA "odd one";
CREATE TYPE "odd one".mood AS ENUM ('ok');
CREATE TABLE "odd one"."a ""table" (
    id bigint GENERATED ALWAYS AS IDENTITY,
    "the mood" "odd one".mood NOT NULL DEFAULT 'ok',
    price numeric(10, 2) DEFAULT 1.5,
    doubled numeric GENERATED ALWAYS AS (price * 2) STORED,
    gone int,
    PRIMARY KEY (id, "the mood")
);
ALTER TABLE "odd one"."a ""table" DROP COLUMN gone;
CREATE INDEX lowered ON "odd one"."a ""table" ((price + 1));
CREATE TABLE plain (id int, "with.dot" text);
CREATE VIEW seen AS SELECT id FROM plain;
"""


def test_a_look_is_what_a_snapshot_says(connection: Connection) -> None:
    connection.execute(MADE)
    names = ['odd one.a "table', "plain", "public.plain", "seen", "missing"]
    found, whole = look(connection, names, ["lowered", "nowhere"]), snapshot(connection)
    for name in names:
        one, other = found.table(name), whole.table(name)
        if other is None:
            assert one is None
            continue
        assert one is not None, name
        assert one.qualified == other.qualified
        assert list(one.columns) == list(other.columns)
        for column, info in other.columns.items():
            mine = one.columns[column]
            assert (mine.type, mine.nullable, mine.default, bool(mine.generated)) == (
                info.type, info.nullable, info.default, bool(info.generated)
            )  # fmt: skip
        assert one.primary_key == other.primary_key
        assert {i: x.valid for i, x in one.indexes.items()} == {
            i: x.valid for i, x in other.indexes.items()
        }
    for schema, name in (("odd one", "lowered"), ("public", "lowered"), ("public", "nowhere")):
        assert found.has_index(schema, name) == whole.has_index(schema, name)


def test_a_look_in_a_transaction_sees_it_and_leaves_it_as_it_was(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL search_path = pg_temp")
        connection.execute("CREATE TABLE public.fresh (id int PRIMARY KEY)")
        table = look(connection, ["fresh"]).table("fresh")
        assert table is not None
        assert table.primary_key == ("id",)
        assert connection.execute("SHOW search_path").fetchone() == ("pg_temp",)
