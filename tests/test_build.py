"""queries for notebooks: built over reflected tables, read and explained, never written"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.build import Build, Query, build
from qb_engine.database import Target
from qb_engine.errors import InputError, RefusedError, ServerError
from qb_engine.migrations import load_one, to_sql
from qb_engine.schema import snapshot

Connection = psycopg.Connection[Any]

SCHEMA = """
CREATE SCHEMA app;
CREATE SCHEMA qb;
CREATE TABLE qb.history (id int);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE DOMAIN percent AS int;
CREATE TABLE users (
    id bigint PRIMARY KEY, name text, born date, feeling mood, share percent, spot point,
    data jsonb, tags text[]
);
CREATE TABLE "Order Items" ("naïve""quote" int, user_id bigint REFERENCES users);
CREATE TABLE app.notes (body text);
CREATE TABLE events (id int) PARTITION BY RANGE (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);
CREATE VIEW adults AS SELECT id, name FROM users;
INSERT INTO users (id, name, feeling) VALUES (1, '100% :x %s ''it''', 'sad'), (2, 'b', 'glad');
"""


@pytest.fixture
def b(connection: Connection, database: Target) -> Build:
    connection.execute(SCHEMA)
    return build(database)


def test_tables_are_completed_and_reflected_when_touched(b: Build) -> None:
    """dir() gives tables and columns; names that are no Python go by brackets."""
    assert {"users", "events", "adults", "select"} <= set(dir(b))
    assert not {"events_1", "history", "Order Items", "qb.history"} & set(dir(b))
    assert b._ipython_key_completions_() == [
        "Order Items",
        "adults",
        "events",
        "users",
        "app.notes",
    ]
    assert {"id", "name", "spot"} <= set(dir(b.users.c))
    assert b["Order Items"].c['naïve"quote'].name == 'naïve"quote'
    assert b["app.notes"].schema == "app"
    assert b.users is b["users"]
    assert "where" in dir(b.select(b.users))
    with pytest.raises(AttributeError, match="users"):
        _ = b.user
    with pytest.raises(InputError, match="Order Items"):
        _ = b["Order Item"]


def test_a_query_is_read_as_a_data_frame(b: Build) -> None:
    """Values with percent signs, colons and quotes survive, both ways."""
    users = b.users
    query = b.select(users.c.id, users.c.name).where(users.c.name == "100% :x %s 'it'")
    assert query.sql.endswith("WHERE users.name = '100% :x %s ''it'''")
    assert query.df.to_dict("records") == [{"id": 1, "name": "100% :x %s 'it'"}]
    count = b.select(users.c.feeling).where(users.c.id % 2 == 0)
    assert count.df["feeling"].tolist() == ["glad"]


def test_text_is_taken_as_it_is(b: Build) -> None:
    """SQL text with a cast, a modulo and a colon in a string."""
    found = b.query('SELECT id::text AS "naïve""quote", 5 % 3, \':x %s\' FROM users ORDER BY 1').df
    assert list(found.columns) == ['naïve"quote', "?column?", "?column?"]
    assert found.iloc[0].tolist() == ["1", 2, ":x %s"]


def test_joins_subqueries_and_functions_compose(b: Build) -> None:
    """A Query stands where SQLAlchemy takes a construct."""
    from sqlalchemy import func

    items = b["Order Items"]
    joined = b.select(func.count()).select_from(b.users.join(items))
    assert 'JOIN "Order Items" ON users.id = "Order Items".user_id' in joined.sql
    some = b.select(items.c.user_id)
    assert b.select(b.users.c.id).where(b.users.c.id.in_(some)).df.empty
    both = b.select(b.users.c.id).union_all(b.select(b.users.c.id))
    assert isinstance(both, Query)
    assert len(both.df) == 4


def test_explain_shows_the_plan_and_runs_nothing(b: Build, connection: Connection) -> None:
    """Reads and writes are planned in a read-only transaction."""
    before = connection.execute("SELECT * FROM users").fetchall()
    for query in (
        b.select(b.users).where(b.users.c.id == 1),
        b.delete(b.users).where(b.users.c.name == "100%"),
        b.update(b.users).values(name="x"),
        b.insert(b.users).values(id=3).on_conflict_do_nothing(),
    ):
        report = query.explain()
        assert report.ok
        (chart,) = report.charts()
        assert chart.root.weight > 0  # type: ignore[union-attr]
        assert report.tables()[0].rows
    assert connection.execute("SELECT * FROM users").fetchall() == before


def test_what_writes_is_refused(b: Build, connection: Connection) -> None:
    """An UPDATE, a SELECT that writes inside, a function that writes: each by its reason."""
    connection.execute(
        "CREATE FUNCTION touch() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1'"
    )
    before = snapshot(connection), connection.execute("SELECT * FROM users").fetchall()
    for query in (
        b.update(b.users).values(name="x").returning(b.users.c.id),
        b.delete(b.users),
        b.query("WITH x AS (DELETE FROM users RETURNING id) SELECT * FROM x"),
        b.query("SELECT touch()"),
        b.query("SELECT 1 INTO fresh"),
        b.query("DROP TABLE users CASCADE"),
    ):
        with pytest.raises(RefusedError):
            _ = query.df
    assert (snapshot(connection), connection.execute("SELECT * FROM users").fetchall()) == before


def test_a_failing_query_says_why(b: Build) -> None:
    """The server's message, and no traceback of SQLAlchemy."""
    with pytest.raises(ServerError, match="nosuch"):
        _ = b.query("SELECT nosuch FROM users").df
    with pytest.raises(ServerError, match="connect"):
        _ = build(Target("gone", "host=/nowhere dbname=x")).users


def test_queries_stand_in_a_migration(b: Build, connection: Connection, tmp_path: Path) -> None:
    """`up` takes them beside SQL and operations; dates, enums, arrays, JSON become literals."""
    query = b.insert(b.users).values(
        id=9, name="100% :x", born=datetime.date(2024, 2, 29), feeling="glad", share=3,
        spot="(1,2)",
        data={"a": ["'", "%"]}, tags=["x", "naïve\"quote"],
    )  # fmt: skip
    file = tmp_path / "20240101000000_seed.py"
    file.write_text(
        "from qb_engine import Migration\nclass Seed(Migration):\n"
        f"    up = [{query.write()!r}]\n    down = 'SELECT 1'\n",
        encoding="utf-8",
    )
    for statement in load_one(file).up:
        connection.execute(statement.sql.encode())
    found = b.select(b.users).where(b.users.c.id == 9).df.iloc[0]
    assert found["name"] == "100% :x"
    assert found["data"] == {"a": ["'", "%"]}
    assert found["tags"] == ["x", 'naïve"quote']
    assert b.select(b.users.c.data["a"][0].astext).df.iloc[2].tolist() == ["'"]
    assert to_sql(query) == query.sql


def test_a_new_table_is_seen_after_refresh(b: Build, connection: Connection) -> None:
    """What was reflected is kept until it is forgotten."""
    assert "fresh" not in dir(b)
    connection.execute("CREATE TABLE fresh (a int)")
    b.refresh()
    assert "a" in b.fresh.c
