"""constraints are what the SQL relies on, no more and no less"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.constraints import Use, infer, uses
from qb_engine.schema import Snapshot, snapshot
from qb_engine.sql import read, read_one

Connection = psycopg.Connection[Any]

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE users (id bigint PRIMARY KEY, email varchar(80), age int NOT NULL);
CREATE TABLE "Order Items" (id int PRIMARY KEY, "naïve""quote" text, user_id bigint);
CREATE TABLE app.notes (id int, body text NOT NULL);
CREATE INDEX users_age ON users (age);
CREATE VIEW adults AS SELECT id, age FROM users;
"""
ID = {"type": "bigint", "nullable": False}
EMAIL = {"type": "character varying(80)"}
AGE = {"type": "integer", "nullable": False}
QUOTE = {"type": "text"}


@pytest.fixture
def shop(connection: Connection) -> Connection:
    connection.execute(SCHEMA)
    return connection


def table(**columns: Any) -> dict[str, Any]:
    return {"must_exist": True, **({"columns": columns} if columns else {})}


CASES: dict[str, dict[str, Any]] = {
    "ALTER TABLE users ADD COLUMN phone text": {"users": table(phone={"must_exist": False})},
    "ALTER TABLE users ADD COLUMN IF NOT EXISTS phone text": {"users": table()},
    "CREATE TABLE pets (id int, owner bigint REFERENCES users)": {
        "pets": {"must_exist": False},
        "users": table(id=ID),
    },
    "CREATE TABLE IF NOT EXISTS pets (id int)": {},
    "CREATE INDEX by_mail ON users (lower(email)) WHERE age > 3": {
        "users": table(email=EMAIL, age=AGE) | {"indexes": {"by_mail": {"must_exist": False}}}
    },
    'ALTER TABLE "Order Items" ADD FOREIGN KEY (user_id) REFERENCES users (id)': {
        "Order Items": table(user_id={"type": "bigint"}),
        "users": table(id=ID),
    },
    'UPDATE "Order Items" SET "naïve""quote" = \'x\'': {
        "Order Items": table(**{'naïve"quote': QUOTE})
    },
    "ALTER TABLE users ALTER email SET NOT NULL": {
        "users": table(email=EMAIL | {"nullable": True})
    },
    "ALTER TABLE users ALTER age DROP NOT NULL": {"users": table(age=AGE)},
    "ALTER TABLE users RENAME email TO mail": {
        "users": table(email=EMAIL, mail={"must_exist": False})
    },
    "ALTER TABLE app.notes RENAME TO papers": {
        "app.notes": table(),
        "app.papers": {"must_exist": False},
    },
    "DROP TABLE nothing": {"nothing": table()},
    "DROP TABLE IF EXISTS nothing": {},
    "DROP INDEX users_age": {"users": table() | {"indexes": {"users_age": {"must_exist": True}}}},
    "CREATE VIEW v AS SELECT u.email FROM users u JOIN app.notes n ON n.id = u.age": {
        "v": {"must_exist": False},
        "users": table(email=EMAIL, age=AGE),
        "app.notes": table(id={"type": "integer"}),
    },
    "ALTER TABLE users ALTER email SET STORAGE external": {"users": table(email=EMAIL)},
    "CREATE TRIGGER t BEFORE UPDATE ON users EXECUTE FUNCTION f()": {"users": table()},
    "DROP TRIGGER t ON app.notes": {"app.notes": table()},
    "GRANT SELECT ON users TO PUBLIC": {"users": table()},
    "CREATE TEMP TABLE t (a int)": {},
    "SET work_mem = '1MB'": {},
}


@pytest.mark.parametrize(("sql", "expected"), CASES.items(), ids=list(CASES))
def test_a_statement_requires_what_it_names(
    shop: Connection, sql: str, expected: dict[str, Any]
) -> None:
    """Tables and columns with the type and nullability that they have, read from the tree."""
    assert infer(read(sql), snapshot(shop)) == expected


TOGETHER: dict[str, dict[str, Any]] = {
    "ALTER TABLE users ADD phone text; UPDATE users SET phone = email; "
    "ALTER TABLE users ALTER phone SET NOT NULL": {
        "users": table(phone={"must_exist": False}, email=EMAIL)
    },
    "CREATE TABLE pets (id int); "
    "CREATE INDEX ON pets (id); INSERT INTO pets SELECT age FROM users u": {
        "pets": {"must_exist": False},
        "users": table(age=AGE),
    },
    "DROP TABLE users; CREATE TABLE users (id int)": {"users": table()},
    "ALTER TABLE users DROP age; ALTER TABLE users ADD age text": {"users": table(age=AGE)},
    "ALTER TABLE users RENAME TO people; UPDATE people SET email = 'x'": {
        "users": table(email=EMAIL),
        "people": {"must_exist": False},
    },
    "ALTER TABLE users RENAME email TO mail; UPDATE users SET mail = 'x'": {
        "users": table(email=EMAIL, mail={"must_exist": False})
    },
    "CREATE TEMP TABLE t AS SELECT id FROM users; INSERT INTO t SELECT 1": {"users": table(id=ID)},
    "CREATE UNIQUE INDEX i ON users (age); ALTER TABLE users ADD UNIQUE USING INDEX i": {
        "users": table(age=AGE) | {"indexes": {"i": {"must_exist": False}}}
    },
}  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), TOGETHER.items(), ids=list(TOGETHER))
def test_what_the_migration_makes_itself_is_not_required(
    shop: Connection, sql: str, expected: dict[str, Any]
) -> None:
    """Statements are looked at in order: made, dropped and renamed things are followed."""
    assert infer(read(sql), snapshot(shop)) == expected


def test_postgresql_tells_what_a_statement_uses(shop: Connection) -> None:
    """Columns that only the server can resolve are found, and nothing is left behind."""
    before = snapshot(shop)
    statement = read_one(
        'INSERT INTO app.notes SELECT age, "naïve""quote" FROM users '
        'JOIN "Order Items" o ON user_id = users.id -- a comment'
    )
    found = uses(shop, statement)
    assert found is not None
    assert set(found) == {
        Use("app", "notes", "id"), Use("app", "notes", "body"), Use("public", "users", "id"),
        Use("public", "users", "age"), Use("public", "Order Items", "user_id"),
        Use("public", "Order Items", 'naïve"quote'),
    }  # fmt: skip
    assert snapshot(shop) == before
    assert infer([statement], before, {statement: found}) == {
        "Order Items": table(**{'naïve"quote': QUOTE, "user_id": {"type": "bigint"}}),
        "app.notes": table(body={"type": "text", "nullable": False}, id={"type": "integer"}),
        "users": table(age=AGE, id=ID),
    }


@pytest.mark.parametrize("sql", ["TRUNCATE users", "SELECT * FROM nothing", "CREATE TABLE t ()"])
def test_what_postgresql_cannot_tell_is_left_to_the_parse_tree(shop: Connection, sql: str) -> None:
    """None, and no error, for what no function body takes."""
    assert uses(shop, read_one(sql)) is None


def test_without_the_server_the_tree_finds_the_same_columns(shop: Connection) -> None:
    """The fall-back agrees with PostgreSQL where names are not ambiguous."""
    schema: Snapshot = snapshot(shop)
    for sql in (
        "UPDATE users SET email = lower(email) WHERE age > 1",
        'DELETE FROM users USING "Order Items" o WHERE o.user_id = users.id',
        "MERGE INTO app.notes n USING users u ON n.id = u.age WHEN MATCHED THEN DELETE",
        "WITH x AS (SELECT id FROM users) UPDATE app.notes SET body = 'a' FROM x",
        "INSERT INTO users (id, age) VALUES (1, 2)",
        'UPDATE users u SET age = (SELECT max(o.id) FROM "Order Items" o WHERE user_id = u.id)',
        "INSERT INTO app.notes (id) SELECT q.n FROM (SELECT age AS n FROM users) q",
        "SELECT 1 FROM users WHERE EXISTS (SELECT 1 FROM app.notes WHERE body = email)",
    ):
        statement = read_one(sql)
        told = uses(shop, statement)
        assert infer([statement], schema) == infer([statement], schema, {statement: told}), sql
