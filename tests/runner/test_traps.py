"""what real folders of migrations stumble over: sprung on a bare connection, then run by qb"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.errors import InputError
from qb_engine.execution import StepFailed
from qb_engine.project import Project

Connection = psycopg.Connection[tuple[Any, ...]]

ENUM = (
    "CREATE TYPE mood AS ENUM ('sad')",
    "ALTER TYPE mood ADD VALUE 'ok'",
    "CREATE TABLE t (m mood DEFAULT 'ok')",
)


def one(connection: Connection, query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def bare(database: Target) -> Callable[..., str]:
    """Run statements in one transaction that is rolled back; the SQLSTATE, or `fine`."""

    def run(*statements: str) -> str:
        with psycopg.connect(database.conninfo, autocommit=True) as conn:
            try:
                with conn.transaction(force_rollback=True):
                    for sql in statements:
                        conn.execute(sql.encode())
            except psycopg.Error as error:
                return error.sqlstate or "lost"
        return "fine"

    return run


# -- a new value of an enum ----------------------------------------------------------------------


def test_a_new_enum_value_is_used_where_one_transaction_may(
    qb: Any, write: Any, bare: Callable[..., str], connection: Connection
) -> None:
    """Trap 7: made, extended and used in one transaction; older servers refuse the use."""
    write("20240101_a.sql", ";".join(ENUM))
    if bare(*ENUM) == "fine":
        assert qb("run").ok
        assert one(connection, "INSERT INTO t DEFAULT VALUES RETURNING m::text") == "ok"
    else:
        with pytest.raises(StepFailed) as caught:
            qb("run")
        assert caught.value.sqlstate == bare(*ENUM) == "55P04"
        assert "nothing of 20240101_a was kept" in caught.value.why


def test_a_savepoint_does_not_spoil_a_new_enum_value(
    qb: Any, write: Any, bare: Callable[..., str]
) -> None:
    """Trap 8: inside savepoints every version refuses what one of them allows without."""
    points = [sql for n, each in enumerate(ENUM) for sql in (f"SAVEPOINT s{n}", each)]
    assert bare(*points) == "55P04"
    if bare(*ENUM) == "fine":
        write("20240101_a.sql", "CREATE TABLE before (); " + ";".join(ENUM))
        assert qb("run").ok


def test_a_chain_in_one_transaction_may_use_a_new_enum_value(
    qb: Any, write: Any, bare: Callable[..., str]
) -> None:
    """Trap 9: as `psql -1` does; a savepoint around each file would make it fail."""
    for number, sql in enumerate(ENUM, 1):
        write(f"2024010{number}_m.sql", sql)
    if bare(*ENUM) == "fine":
        assert [r.status for r in qb("run", "--atomic", "all").ran] == ["applied"] * 3
    else:
        with pytest.raises(StepFailed):
            qb("run", "--atomic", "all")
        assert [r.status for r in qb("run").ran] == ["applied"] * 3


# -- transactions --------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["COMMIT", "END", "ROLLBACK", "SAVEPOINT s", "BEGIN"])
def test_a_file_that_sends_its_own_transaction_control_is_refused_with_the_line(
    qb: Any, write: Any, bare: Callable[..., str], connection: Connection, word: str
) -> None:
    """Trap 10: a COMMIT of its own would end the runner's transaction in silence."""
    ended = bare("CREATE TABLE a ()", "SAVEPOINT qb", "COMMIT", "RELEASE SAVEPOINT qb")
    assert ended == "25P01"
    connection.execute("DROP TABLE IF EXISTS a")
    write("20240101_a.sql", f"CREATE TABLE a ();\n{word};\nCREATE TABLE b ();")
    with pytest.raises(InputError, match=f"its own {word.split()[0]}") as caught:
        qb("run")
    assert "20240101_a.sql:2" in caught.value.where
    assert not one(connection, "SELECT to_regclass('a') IS NOT NULL")


def test_concurrently_does_not_always_mean_outside_a_transaction(
    qb: Any, write: Any, connection: Connection
) -> None:
    """Trap 11: REFRESH may say it in a transaction, and so may a function's body or a text."""
    connection.execute("CREATE MATERIALIZED VIEW v AS SELECT 1 AS n; CREATE UNIQUE INDEX ON v (n)")
    write(
        "20240101_a.sql",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v;"
        " CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS"
        " $$ BEGIN REFRESH MATERIALIZED VIEW CONCURRENTLY v; END $$;"
        " COMMENT ON FUNCTION f() IS 'CREATE INDEX CONCURRENTLY i ON t (a)';"
        " SELECT f()",
    )
    assert {o.transaction for o in qb("run").ran[0].seen} == {1}


def test_what_cannot_be_in_a_transaction_is_cut_out_of_a_mixed_file(
    qb: Any, write: Any, bare: Callable[..., str], connection: Connection
) -> None:
    """Trap 12: concurrent builds stand among other statements; the order is kept."""
    connection.execute("CREATE TABLE t (a int, b int)")
    assert bare("CREATE INDEX CONCURRENTLY i ON t (a)") == "25001"
    write(
        "20240101_a.sql",
        "ALTER TABLE t ADD c int; CREATE INDEX CONCURRENTLY i ON t (c); ALTER TABLE t ADD d int;"
        " ALTER TABLE t ADD e int; DROP INDEX CONCURRENTLY i; ALTER TABLE t DROP c",
    )
    (ran,) = qb("run").ran
    assert [o.transaction for o in ran.seen] == [1, None, 3, 3, None, 5]
    steps = connection.execute(
        "SELECT number, status, transactional FROM qb.step ORDER BY number"
    ).fetchall()
    inside = [True, False, True, True, False, True]
    assert steps == [(n, "done", kind) for n, kind in enumerate(inside, 1)]


def test_what_needs_a_transaction_has_one(
    qb: Any, write: Any, database: Target, connection: Connection
) -> None:
    """Trap 18: LOCK TABLE fails without one, and later files stand on what it guarded."""
    connection.execute("CREATE TABLE t (a int)")
    with pytest.raises(psycopg.errors.NoActiveSqlTransaction):
        connection.execute("LOCK TABLE t")
    write(
        "20240101_a.sql",
        "LOCK TABLE t IN EXCLUSIVE MODE; ALTER TABLE t ADD b int;"
        " INSERT INTO t (b) SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass"
        " AND mode = 'ExclusiveLock' AND granted AND pid = pg_backend_pid()",
    )
    write("20240102_b.sql", "UPDATE t SET a = b")
    assert qb("run").ok
    assert one(connection, "SELECT a FROM t") == 1


# -- the session ---------------------------------------------------------------------------------


def test_a_migration_may_read_the_runners_own_tables(
    qb: Any, write: Any, connection: Connection
) -> None:
    """Trap 15: some look into the table of their runner while they run."""
    write("20240101_a.sql", "CREATE TABLE a (n int)")
    write(
        "20240102_b.sql",
        "INSERT INTO a SELECT count(*) FROM qb.history; LOCK TABLE qb.history IN SHARE MODE;"
        " CREATE INDEX CONCURRENTLY ON a (n); INSERT INTO a SELECT count(*) FROM qb.step",
    )
    assert qb("run").ok
    assert connection.execute("SELECT n FROM a ORDER BY n").fetchall() == [(2,), (4,)]


@pytest.mark.parametrize("path", ["app, public", "''", "app, pg_catalog"])
def test_a_database_with_a_search_path_of_its_own(
    session: Session, write: Any, project: Project, connection: Connection, path: str
) -> None:
    """Trap 15: names mean what the database says, and the ledger is found all the same."""
    connection.execute("CREATE SCHEMA app")
    for name in ("history", "step", "meta", "pg_class", "pg_index"):
        connection.execute(f"CREATE TABLE app.{name} (wrong int)".encode())
    connection.execute(f"ALTER DATABASE {connection.info.dbname} SET search_path = {path}".encode())
    where = "" if path.startswith("app") else "app."
    write(
        "20240101_a.sql",
        f"CREATE TABLE {where}a (id int); SET search_path = '';"
        " CREATE INDEX CONCURRENTLY i ON app.a (id); INSERT INTO app.a VALUES (1)",
    )
    write("20240102_b.sql", f"ALTER TABLE {where}a ADD b int")
    report: Any = invoke(session, ["run"])
    assert [r.status for r in report.ran] == ["applied"] * 2
    assert one(connection, "SELECT id FROM app.a") == 1
    assert one(connection, "SELECT count(*) FROM qb.history WHERE status = 'applied'") == 2


LEAKS = {
    "a search path": ("SET search_path = other", "SELECT current_setting('search_path')"),
    "a role": ("SET ROLE pg_monitor", "SELECT current_user::text"),
    "a time zone": ("SET TIME ZONE 'Asia/Tokyo'", "SELECT current_setting('timezone')"),
    "a timeout": ("SET statement_timeout = '77s'", "SELECT current_setting('statement_timeout')"),
    "a temporary table": ("CREATE TEMP TABLE leak ()", "SELECT to_regclass('leak')::text"),
    "a lock": (
        "SELECT pg_advisory_lock(77)",
        "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND objid = 77",
    ),
    "a listener": ("LISTEN leak", "SELECT count(*)::text FROM pg_listening_channels()"),
    "a prepared statement": (
        "PREPARE leak AS SELECT 1",
        "SELECT count(*)::text FROM pg_prepared_statements WHERE name = 'leak'",
    ),
    "a cursor": (
        "DECLARE leak CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*)::text FROM pg_cursors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LEAKS)
def test_nothing_of_a_session_reaches_the_next_migration(
    qb: Any, write: Any, connection: Connection, what: str
) -> None:
    """Trap 19: files that share a connection leave their settings to those that follow."""
    leave, look = LEAKS[what]
    connection.execute("CREATE TABLE seen (what text)")
    write("20240101_a.sql", f"INSERT INTO seen ({look})")
    write("20240102_b.sql", leave)
    write("20240103_c.sql", f"INSERT INTO public.seen ({look})")
    assert qb("run").ok
    before, after = connection.execute("SELECT what FROM seen").fetchall()
    assert before == after
