"""a run as a role that is no superuser, with settings of its own and beside others' work"""

from __future__ import annotations

import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.errors import QbError, ServerError
from qb_engine.project import Project
from qb_engine.shadow import dump

Connection = psycopg.Connection[Any]


@pytest.fixture
def role(connection: Connection, project: Project) -> Iterator[str]:
    """A role that may make schemas here, and as which `qb` connects."""
    name = f"deploy_{secrets.token_hex(4)}"
    connection.execute(
        f"CREATE ROLE {name} LOGIN NOINHERIT; CREATE ROLE {name}_owner;"
        f" GRANT {name}_owner TO {name};"
        f" GRANT CREATE ON DATABASE {connection.info.dbname} TO {name};"
        f" GRANT CREATE ON SCHEMA public TO {name}, {name}_owner"
    )
    head, alias, url = project.file.read_text().partition("test = ")
    as_role = url.replace("user=postgres", f"user={name}")
    assert as_role != url
    project.file.write_text(head + alias + as_role)
    yield name
    connection.execute("SET lock_timeout = '30s'")
    connection.execute(
        f"DROP OWNED BY {name}; DROP OWNED BY {name}_owner; DROP ROLE {name}, {name}_owner"
    )


@pytest.fixture
def run(role: str, project: Project) -> Callable[..., Any]:
    def one(timeouts: str = "", say: Callable[[str], None] = print) -> Any:
        project.file.write_text(project.file.read_text() + f"\n[timeouts]\n{timeouts}\n")
        session = Session(root=project.root)
        session.face.say = say  # type: ignore[method-assign]
        return invoke(session, ["run"])

    return one


def until_a_runner_waits(connection: Connection, writer: Connection) -> None:
    """Roll `writer` back as soon as a session of qb waits for a lock."""
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'qb %'"
        " AND wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(100_000):
        if connection.execute(waits).fetchone() != (0,):
            break
    writer.rollback()


def test_a_second_try_does_not_need_more_rights_than_the_migration(
    run: Callable[..., Any], role: str, write: Any, database: Any, connection: Connection
) -> None:
    """It becomes the owner by itself, so it cannot lock the owner's tables before that."""
    connection.execute("CREATE TABLE a (id int); CREATE TABLE b (id int)")
    connection.execute(f"ALTER TABLE a OWNER TO {role}_owner; ALTER TABLE b OWNER TO {role}_owner")
    connection.execute(f"GRANT SELECT ON a, b TO {role}")
    write(
        "20240101_m.sql",
        f"SET ROLE {role}_owner;\nALTER TABLE a ADD x int;\nALTER TABLE b ADD x int;\n",
    )
    with psycopg.connect(database.conninfo) as reader:
        reader.execute("SELECT * FROM b")
        tries: list[str] = []

        def say(text: str) -> None:
            tries.append(text)
            if len(tries) > 1 or "lock held by" in text:
                reader.rollback()

        report = run('lock = "1s"\nlock_deadline = "60s"', say)
    assert report.ran[0].seen[-1].attempts > 1
    assert "lock held by" in tries[0]


def test_what_ends_idle_sessions_and_long_transactions_does_not_end_a_run(
    run: Callable[..., Any], role: str, write: Any, connection: Connection, tables: Any
) -> None:
    """The role's settings are meant for an application; a run has limits of its own."""
    database = connection.info.dbname
    names = ["idle_session_timeout"]
    if connection.info.server_version >= 170_000:
        names.append("transaction_timeout")
    for name in names:
        connection.execute(f"ALTER ROLE {role} IN DATABASE {database} SET {name} = '1s'")
    write("20240101_a.sql", "CREATE TABLE a ();\nSELECT pg_sleep(1.5);\n")
    write("20240102_b.sql", "VACUUM a;\nCREATE TABLE b ();\nSELECT pg_sleep(1.5);\n")
    assert run().ok
    assert tables() == ["a", "b"]


def test_an_index_that_another_role_is_building_is_not_dropped(
    run: Callable[..., Any], role: str, write: Any, database: Any, connection: Connection
) -> None:
    """Without pg_read_all_stats it is not seen what another role's build is at."""
    connection.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    connection.execute(f"ALTER TABLE t OWNER TO {role}")
    write("20240101_i.sql", "CREATE INDEX CONCURRENTLY i ON t (id);")
    known = "SELECT indexrelid FROM pg_index WHERE indexrelid = to_regclass('i')"
    said: list[str] = []
    with (
        psycopg.connect(database.conninfo, autocommit=True) as other,
        psycopg.connect(database.conninfo) as writer,
    ):
        other.execute("SET deadlock_timeout = '5min'")  # the second of two gives way
        writer.execute("INSERT INTO t VALUES (2)")  # for whose end the build waits
        build = threading.Thread(
            target=other.execute, args=("CREATE INDEX CONCURRENTLY i ON t (id)",), daemon=True
        )
        build.start()
        try:
            while (made := connection.execute(known).fetchone()) is None:
                assert build.is_alive()
            free = threading.Thread(
                target=until_a_runner_waits, args=(connection, writer), daemon=True
            )
            free.start()
            with pytest.raises(QbError) as failed:
                run(say=said.append)
            free.join(60)
        finally:
            writer.rollback()
            build.join(60)
    assert "already exists" in failed.value.why
    assert not [text for text in said if "dropped" in text]
    assert connection.execute(known).fetchone() == made


def test_tables_that_the_role_may_not_read_do_not_keep_it_from_its_first_run(
    run: Callable[..., Any], connection: Connection, write: Any, qb: Any
) -> None:
    connection.execute(
        "CREATE TABLE secret (id int PRIMARY KEY); CREATE VIEW seen AS SELECT id FROM secret;"
        " CREATE SCHEMA vault; CREATE TABLE vault.gold (grams numeric NOT NULL)"
    )
    write("20240101_a.sql", "CREATE TABLE a (id int)")
    assert run().ok
    assert qb("validate").ok


def test_a_history_of_typeorm_that_the_role_may_not_lock_is_named(
    role: str, run: Callable[..., Any], connection: Connection, write: Any
) -> None:
    """TypeORM itself needs no more than SELECT and INSERT."""
    from qb_engine.ledger.typeorm import History, ddl

    connection.execute(ddl(History("public", "migrations")).encode())
    connection.execute(f"GRANT SELECT, INSERT ON migrations TO {role}".encode())
    write(
        "1710460800000-A.ts",
        "export class A1710460800000 {\n"
        "  async up(q) { await q.query(`CREATE TABLE a ()`) }\n"
        "  async down(q) { await q.query(`DROP TABLE a`) }\n}\n",
    )
    with pytest.raises(QbError, match=r"history public\.migrations cannot be locked") as no:
        run()
    assert f"UPDATE, DELETE ON public.migrations TO {role}" in no.value.todo


def test_a_table_that_somebody_has_locked_is_no_matter_of_rights(
    connection: Connection, database: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[dump.__module__], "LOCK_WAIT", "50ms")
    connection.execute("CREATE TABLE app ()")
    with psycopg.connect(database.conninfo) as holder:
        holder.execute("LOCK TABLE app")
        with pytest.raises(ServerError, match="LOCK TABLE") as busy:
            dump(database)
    assert busy.value.code == "schema-busy"
    assert "qb locks" in busy.value.todo
