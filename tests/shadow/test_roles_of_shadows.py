"""who runs on a shadow: an ordinary role that owns the schema and reaches nothing outside"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.errors import ServerError
from qb_engine.project import Project
from qb_engine.shadow import Scratch, from_sql, like, roles, scratch
from qb_engine.shadow.outside import refusal
from qb_engine.shadow.server import ROLE
from qb_engine.shadow.templates import TEMPLATE

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def names(connection: Connection) -> Iterator[tuple[str, str]]:
    """Two roles on the target's server, gone at the end: nothing of ours may hold on to them."""
    made = tuple(f"r_{secrets.token_hex(4)}" for _ in range(2))
    for name in made:
        connection.execute(f"CREATE ROLE {name}".encode())
    yield made[0], made[1]
    for name in made:
        connection.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}".encode())


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """A scratch server that is not the target's."""
    home = tmp_path_factory.mktemp("elsewhere")
    for folder in (home, *home.parents[:2]):
        folder.chmod(0o755)
    return Scratch(Target("elsewhere", EmbeddedPostgres(home).ensure(), origin="embedded"))


def test_statements_run_as_an_ordinary_role_that_owns_everything(
    project: Project, database: Target, connection: Connection
) -> None:
    connection.execute(
        "CREATE SCHEMA s; CREATE TABLE s.t (id int); CREATE FUNCTION f() RETURNS int"
        " LANGUAGE sql AS 'SELECT 1'"
    )
    with like(scratch(project), database) as shadow, shadow.connect() as conn:
        row = conn.execute(
            "SELECT current_user::text, session_user::text, rolsuper FROM pg_roles"
            " WHERE rolname = current_user"
        ).fetchone()
        assert row == (ROLE, ROLE, False)
        conn.execute("ALTER TABLE s.t ADD x int; DROP FUNCTION f(); CREATE SCHEMA more")
        conn.execute("CREATE EXTENSION citext; CREATE TABLE public.u (e citext)")
        for way in ("RESET ROLE", "RESET SESSION AUTHORIZATION", "DISCARD ALL"):
            conn.execute(way.encode())
            assert conn.execute("SELECT current_user::text").fetchone() == (ROLE,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SET ROLE postgres")


@pytest.mark.parametrize(
    "statement",
    [
        "COPY t FROM PROGRAM 'cat /etc/passwd'",
        "COPY t TO PROGRAM 'cat'",
        "COPY t FROM '/etc/passwd'",
        "COPY t TO '/tmp/qb-canary'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "CREATE SUBSCRIPTION s CONNECTION 'host=localhost' PUBLICATION p",
        "CREATE EXTENSION dblink; SELECT * FROM dblink('host=localhost', 'x') AS t(a int)",
        "CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw;"
        " CREATE FOREIGN TABLE ft (a int) SERVER s; SELECT * FROM ft",
        "SELECT * FROM theirs",
        "SELECT dblink_exec('host=localhost', 'x')",
    ],
)
def test_what_reaches_outside_is_refused_and_said(
    project: Project, database: Target, connection: Connection, statement: str
) -> None:
    connection.execute(
        "CREATE TABLE t (line text);"
        "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
        "CREATE FOREIGN TABLE theirs (a text) SERVER files OPTIONS (filename '/etc/passwd')"
    )
    if "dblink_exec" in statement:
        connection.execute("CREATE EXTENSION dblink")
    with like(scratch(project), database) as shadow, shadow.connect() as conn:
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(statement.encode())
        assert refusal(caught.value).startswith("a shadow reaches nothing outside"), caught.value


def test_the_role_of_an_owner_may_be_taken_and_be_dropped_afterwards(
    project: Project, database: Target, connection: Connection, names: tuple[str, str]
) -> None:
    owner, reader = names
    connection.execute(
        f"CREATE TABLE a (id int); ALTER TABLE a OWNER TO {owner};"
        f"GRANT SELECT ON a TO {reader}; CREATE TABLE b (id int)".encode()
    )
    with like(scratch(project), database) as shadow, shadow.connect() as conn:
        conn.execute(f"SET ROLE {owner}; ALTER TABLE a ADD x int".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("ALTER TABLE b ADD x int")
        conn.execute(f"RESET ROLE; ALTER TABLE a ADD y int; GRANT SELECT ON b TO {reader}".encode())


def test_another_server_gets_the_roles_without_login_until_they_are_unused(
    elsewhere: Scratch,
    database: Target,
    connection: Connection,
    names: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner, reader = names
    connection.execute(
        f"GRANT CREATE ON SCHEMA public TO {owner}; SET ROLE {owner};"
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE c (id int REFERENCES a); RESET ROLE;"
        f"CREATE TYPE mood AS ENUM ('ok'); GRANT SELECT ON a TO {reader};"
        f"CREATE POLICY p ON a TO {reader} USING (id > 0)".encode()
    )
    with like(elsewhere, database) as shadow, shadow.connect() as conn:
        assert shadow.missing == ()
        found = conn.execute(
            "SELECT rolname::text, rolcanlogin FROM pg_roles WHERE rolname = ANY (%s) ORDER BY 1",
            [list(names)],
        ).fetchall()
        assert found == sorted((name, False) for name in names)
        conn.execute(f"SET ROLE {owner}; ALTER TABLE a ADD x int; CREATE TABLE d ()".encode())
        conn.execute(f"RESET ROLE; SET ROLE {reader}; SELECT id FROM a".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT id FROM c")
        conn.execute("RESET ROLE; DROP TYPE mood; ALTER TABLE c ADD y int")
    monkeypatch.setattr(roles, "UNUSED_S", -1)
    with elsewhere.connect("postgres") as admin:
        there = "SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)"
        roles.sweep_roles(admin)
        assert admin.execute(there, [list(names)]).fetchone() == (2,)  # the template names them
        drop = admin.execute(
            "SELECT datname::text FROM pg_database WHERE starts_with(datname, %s)", [TEMPLATE]
        )
        for (name,) in drop.fetchall():
            admin.execute(f"DROP DATABASE {name}".encode())
        roles.sweep_roles(admin)
        assert admin.execute(there, [list(names)]).fetchone() == (0,)


def test_a_server_without_a_superuser_is_used_as_it_is(
    database: Target, connection: Connection
) -> None:
    name = f"r_{secrets.token_hex(4)}"
    connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
    connection.execute(f"CREATE ROLE {name} LOGIN CREATEDB".encode())
    server = Scratch(Target("poor", make_conninfo(database.conninfo, user=name)))
    try:
        with like(server, database) as shadow, shadow.connect() as conn:
            assert conn.execute("SELECT current_user::text").fetchone() == (name,)
            conn.execute("ALTER TABLE t ADD x int")
    finally:
        for (made,) in connection.execute(
            "SELECT datname::text FROM pg_database WHERE datdba = %s::regrole", [name]
        ).fetchall():
            connection.execute(f"DROP DATABASE {made}".encode())
        connection.execute(f"DROP ROLE {name}".encode())


def test_what_a_role_may_not_read_is_named_and_made_after_the_catalog(
    project: Project, database: Target, connection: Connection, names: tuple[str, str]
) -> None:
    poor = names[0]
    connection.execute(
        "CREATE TABLE open (id int); CREATE TYPE mood AS ENUM ('ok');"
        "CREATE TABLE closed (id int PRIMARY KEY, m mood, n int CHECK (n > 0));"
        "CREATE INDEX ON closed (n); CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int);"
        "CREATE TABLE refers (id int REFERENCES closed); CREATE VIEW v AS SELECT id FROM closed;"
        f"ALTER ROLE {poor} LOGIN; GRANT SELECT ON open, refers, v TO {poor}".encode()
    )
    target = Target("poor", make_conninfo(database.conninfo, user=poor))
    with like(scratch(project), target) as shadow, shadow.connect() as conn:
        assert {(each.name, each.stubbed) for each in shadow.uncertain} == {
            ("public.closed", True),
            ("hidden.t", True),
        }
        conn.execute("ALTER TABLE refers ADD x int; ALTER TABLE closed ADD y int; SELECT id FROM v")
        found = conn.execute(
            "SELECT count(*) FROM pg_constraint WHERE conrelid IN"
            " ('closed'::regclass, 'refers'::regclass) AND contype <> 'n'"
        )
        assert found.fetchone() == (3,)


def test_a_shadow_that_is_dropped_under_us_is_an_error_that_says_so(
    project: Project, connection: Connection
) -> None:
    def use() -> None:
        with from_sql(scratch(project), "") as shadow:
            conn = shadow.connect()
            connection.execute(f"DROP DATABASE {shadow.dbname} WITH (FORCE)".encode())
            conn.execute("SELECT 1")

    with pytest.raises(ServerError) as caught:
        use()
    assert caught.value.what == "working on a shadow failed"
    assert caught.value.where
    assert caught.value.why
    assert caught.value.todo


def test_a_server_that_stops_under_a_shadow_is_an_error_that_says_so(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    postgres = EmbeddedPostgres(tmp_path)
    server = Scratch(Target("elsewhere", postgres.ensure(), origin="embedded"))

    def use() -> None:
        with from_sql(server, "") as shadow:
            conn = shadow.connect()
            postgres.stop()
            conn.execute("SELECT 1")

    with pytest.raises(ServerError) as caught:
        use()
    assert caught.value.what == "working on a shadow failed"
    assert "server runs" in caught.value.todo
