"""a schema from a file: pg_dump's, another tool's, or what somebody wrote"""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.database import Target
from qb_engine.database.embedded import pg_binary
from qb_engine.errors import InputError
from qb_engine.project import Project
from qb_engine.shadow import from_file, scratch

Connection = psycopg.Connection[tuple[Any, ...]]


def test_a_whole_dump_is_a_schema(
    project: Project, database: Target, connection: Connection, tmp_path: Path
) -> None:
    owner = f"r_{secrets.token_hex(4)}"
    connection.execute(
        f"CREATE ROLE {owner}; CREATE EXTENSION citext; CREATE SCHEMA s;"
        "CREATE TABLE a (id int PRIMARY KEY, e citext, note text);"
        r"INSERT INTO a VALUES (1, 'x', E'\\. and ; \n\\connect y'), (2, 'y', NULL);"
        "CREATE TABLE s.b (a int REFERENCES a);"
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN\nBEGIN\nRETURN 1; END;\nEND"
        " $$; CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;"
        f"ALTER TABLE a OWNER TO {owner}; GRANT SELECT ON s.b TO {owner}".encode()
    )
    file = tmp_path / "schema.sql"
    command = [str(pg_binary("pg_dump")), "--file", str(file), "--dbname", database.conninfo]
    subprocess.run(command, check=True)
    connection.execute(f"DROP OWNED BY {owner} CASCADE; DROP ROLE {owner}".encode())
    with from_file(scratch(project), file) as shadow, shadow.connect() as conn:
        assert shadow.missing == ()
        conn.execute("SELECT f(), g(); ALTER TABLE a ADD x int; ALTER TABLE s.b ADD x int")
        assert conn.execute("SELECT count(*) FROM a").fetchone() == (0,)
        conn.execute(f"SET ROLE {owner}; ALTER TABLE a ADD y int".encode())
    admin = scratch(project).connect("postgres")
    for (name,) in admin.execute(
        "SELECT datname::text FROM pg_shdepend d JOIN pg_database b ON b.oid = d.dbid"
        " JOIN pg_roles r ON r.oid = d.refobjid WHERE r.rolname = %s GROUP BY 1",
        [owner],
    ).fetchall():
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    admin.execute(f"DROP ROLE {owner}".encode())
    admin.close()


def test_a_script_with_its_own_transaction_and_psql_commands_is_a_schema(
    project: Project, tmp_path: Path
) -> None:
    file = tmp_path / "schema.sql"
    file.write_text(
        "\\set ON_ERROR_STOP on\nBEGIN;\nCREATE TABLE t (id int);\n\\echo 'there'\n"
        "COPY t (id) FROM stdin;\n1\n2\n\\.\n\nCOMMIT;\nCREATE INDEX CONCURRENTLY ON t (id);\n"
    )
    with from_file(scratch(project), file) as shadow, shadow.connect() as conn:
        assert shadow.missing == ()
        assert conn.execute("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass"
                            ).fetchone() == (1,)  # fmt: skip


def test_a_script_that_is_no_sql_is_an_error_with_its_line(
    project: Project, tmp_path: Path
) -> None:
    file = tmp_path / "schema.sql"
    file.write_text("CREATE TABLE t (id int);\n\nCREATE TABEL u ();\n")
    with pytest.raises(InputError) as caught, from_file(scratch(project), file):
        pass
    assert caught.value.where.endswith("schema.sql:3")


@pytest.mark.parametrize("raw", [b"PGDMP\x01\x0f\x00", b"CREATE TABLE \xff\xfe ();"])
def test_a_file_that_is_no_text_is_an_error(project: Project, tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "schema.sql"
    file.write_bytes(raw)
    with pytest.raises(InputError, match="the schema file is"), from_file(scratch(project), file):
        pass


def test_a_file_that_is_not_there_is_an_error(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "schema.sql"
    with pytest.raises(InputError, match="cannot be read"), from_file(scratch(project), file):
        pass
