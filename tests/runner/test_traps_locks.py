"""the traps of locks and concurrent builds: each sprung on bare connections, then avoided by qb"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.database.connect import connect
from qb_engine.database.pooler import DIRECT, Sessions, sessions
from qb_engine.errors import QbError, RefusedError, ServerError
from qb_engine.execution.failure import StepFailed
from qb_engine.project import FILE, Project
from qb_engine.runner.lock import (
    KEY,
    Held,
    holder,
    marked_working,
    only_runner,
    still_held,
    working,
)
from tests.pgbouncer import bouncer, pooled

Connection = psycopg.Connection[tuple[Any, ...]]
Open = Callable[..., Connection]
BUILD = "CREATE INDEX CONCURRENTLY i ON t (id)"

# of this database: other tests run on the same server
LEAKS = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something is true; fail after a generous while."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)  # between two looks at a condition


@pytest.fixture(autouse=True)
def table(connection: Connection) -> None:
    connection.execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 100)")


@pytest.fixture
def opened(database: Target) -> Iterator[Open]:
    """Open sessions to the database; they are closed after the test."""
    with ExitStack() as stack:

        def one(name: str = "", *, autocommit: bool = True) -> Connection:
            conn = psycopg.connect(
                make_conninfo(database.conninfo, application_name=name), autocommit=autocommit
            )
            stack.callback(conn.close)
            return conn

        yield one


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[list[BaseException | None]]:
    """Something that goes on beside: how it ended, once it has."""
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
            ended.append(None)
        except (psycopg.Error, QbError) as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ended
    finally:
        thread.join(60)
        assert not thread.is_alive()


def one(conn: Connection, query: str, *arguments: object) -> Any:
    row = conn.execute(query.encode(), arguments).fetchone()
    return row[0] if row else None


def validity(connection: Connection) -> list[bool]:
    """Of the indexes of `t`: which are valid."""
    query = "SELECT indisvalid FROM pg_index WHERE indrelid = 't'::regclass ORDER BY indexrelid"
    return [row[0] for row in connection.execute(query).fetchall()]


def waiting_phase(connection: Connection) -> bool:
    query = "SELECT true FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%%'"
    return bool(one(connection, query))


# -- traps 1 to 3: a second runner, and a concurrent build of the first ----------------------------


def test_trap_1_a_blocked_waiter_deadlocks_the_build(opened: Open, connection: Connection) -> None:
    """The waiter's statement has a snapshot, which the build waits for; and so in a circle."""
    first, second = opened(), opened()
    first.execute("SET deadlock_timeout = '50ms'")
    first.execute("SELECT pg_advisory_lock(%s)", [KEY])
    pid = second.info.backend_pid
    wait = "SELECT count(*) FROM pg_locks WHERE pid = %s AND locktype = 'advisory' AND NOT granted"
    with meanwhile(lambda: second.execute("SELECT pg_advisory_lock(%s)", [KEY])) as ended:
        wait_for(lambda: one(connection, wait, pid))
        with pytest.raises(psycopg.errors.DeadlockDetected):
            first.execute(BUILD)
        first.execute("SELECT pg_advisory_unlock_all()")
    assert ended == [None]
    assert validity(connection) == [False]


def test_trap_2_a_waiter_that_polls_in_a_transaction_stops_the_build(
    opened: Open, connection: Connection
) -> None:
    first, second = opened(), opened(autocommit=False)
    first.execute("SELECT pg_advisory_lock(%s)", [KEY])
    second.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    assert not one(second, "SELECT pg_try_advisory_lock(%s)", KEY)
    with meanwhile(lambda: first.execute(BUILD)) as ended:
        wait_for(lambda: waiting_phase(connection))
        assert not one(second, "SELECT pg_try_advisory_lock(%s)", KEY)
        assert not ended  # and it would be so for ever
        first.cancel_safe()
        wait_for(lambda: ended)
    assert isinstance(ended[0], psycopg.errors.QueryCanceled)
    assert validity(connection) == [False]


def test_no_lock_is_polled_inside_a_transaction(opened: Open) -> None:
    with (
        pytest.raises(AssertionError, match="stops concurrent builds"),
        only_runner(opened(autocommit=False), 1, print),
    ):
        pass


@pytest.fixture(params=["direct", "session", pytest.param("transaction")])
def way(request: pytest.FixtureRequest, database: Target) -> Iterator[Target]:
    """The database: directly, and through a pooler that works in one of the modes."""
    if request.param == "direct":
        yield database
        return
    if pooled.args[0]:
        pytest.skip(pooled.kwargs["reason"])
    with bouncer(database, request.param) as through:
        yield through


class Runner:
    """A qb that holds the lock, or waits for it, on a way to the database."""

    def __init__(self, target: Target, name: str) -> None:
        self.target, self.name = target, name
        self.control = connect(target, application_name=name)
        with closing(connect(target)) as other:
            self.sessions = sessions(self.control, other)
        self.said: list[str] = []

    @contextmanager
    def holding(self, patience: float = 60, stop: threading.Event | None = None) -> Iterator[Held]:
        apart = lambda: connect(self.target, application_name=self.name)  # noqa: E731
        with (
            closing(self.control),
            only_runner(
                self.control, patience, self.said.append, stop,
                sessions=self.sessions, apart=apart,
            ) as held,
        ):  # fmt: skip
            yield held


def test_trap_3_qbs_waiter_leaves_a_build_alone(way: Target, connection: Connection) -> None:
    """The build goes through while the second one polls, and while the first one's lock is held."""
    first, second = Runner(way, "first"), Runner(way, "second")
    got = threading.Event()

    def wait() -> None:
        with second.holding():
            got.set()

    with closing(connect(way)) as acting:
        with first.holding():
            thread = threading.Thread(target=wait)
            thread.start()
            wait_for(lambda: second.said)
            for number in range(3):
                sql = f"CREATE INDEX CONCURRENTLY i{number} ON t (id)"
                acting.execute(sql.encode())
            assert not got.is_set()
        thread.join(60)
    assert got.is_set()
    assert validity(connection) == [True] * 3
    assert "waiting for first (pid " in second.said[0]


def test_the_waiter_has_no_transaction_open(way: Target, connection: Connection) -> None:
    first, second = Runner(way, "first"), Runner(way, "second")
    stop = threading.Event()

    def wait() -> None:
        with pytest.raises(Exception, match="stopped while waiting"), second.holding(60, stop):
            pass

    with first.holding():
        thread = threading.Thread(target=wait)
        thread.start()
        wait_for(lambda: second.said)
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'second' AND backend_xmin IS NOT NULL AND state <> 'active'"
        )
        assert not any(one(connection, query) for _ in range(50))
        stop.set()
        thread.join()


def test_the_lock_that_is_held_has_neither_snapshot_nor_transaction_id(
    way: Target, connection: Connection
) -> None:
    connection.execute(
        f"ALTER DATABASE {connection.info.dbname}"
        " SET default_transaction_isolation = 'serializable'".encode()
    )
    runner = Runner(way, "first")
    with runner.holding():
        found = holder(connection)
        assert found is not None
        row = connection.execute(
            "SELECT backend_xmin, backend_xid FROM pg_stat_activity WHERE pid = %s", [found.pid]
        ).fetchone()
        assert row == (None, None)
        assert (found.application, found.host) == ("first", "local")


def test_a_lock_held_in_a_transaction_outlives_the_limits_of_the_database(
    database: Target, connection: Connection
) -> None:
    limits = ["idle_in_transaction_session_timeout", "idle_session_timeout"]
    if connection.info.server_version >= 170000:
        limits.append("transaction_timeout")
    for limit in limits:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET {limit} = '50ms'".encode())
    for shape in (DIRECT, Sessions("transaction")):
        with closing(connect(database)) as control:
            control.execute("SET idle_session_timeout = 0")
            with only_runner(
                control, 1, print, sessions=shape, apart=lambda: connect(database)
            ) as held:
                time.sleep(0.3)  # six times what the database allows
                held.check()
                still_held(held._conn)


def test_the_second_one_times_out_and_names_the_first(way: Target) -> None:
    first, second = Runner(way, "first"), Runner(way, "second")
    with (
        first.holding(),
        pytest.raises(RefusedError, match="another qb is running") as caught,
        second.holding(0.2),
    ):
        pass
    assert "the lock is held by first (pid " in caught.value.why
    assert "user " in caught.value.why
    assert "--wait-lock" in caught.value.todo


def test_the_lock_is_free_again_at_the_end(way: Target, connection: Connection) -> None:
    with Runner(way, "first").holding():
        pass
    with Runner(way, "second").holding(0):
        pass
    wait_for(lambda: holder(connection) is None)


def test_a_lost_lock_stops_what_comes_next(way: Target, connection: Connection) -> None:
    with Runner(way, "first").holding() as held:
        held.check()
        found = holder(connection)
        assert found is not None
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [found.pid])

        with pytest.raises(ServerError, match="lock is lost"):
            wait_for(held.check)  # which is None as long as it is held


def test_a_lock_that_was_let_go_is_noticed_by_asking(opened: Open) -> None:
    conn = opened()
    with only_runner(conn, 1, print):
        conn.execute("SELECT pg_advisory_unlock_all()")
        with pytest.raises(ServerError, match="lock is lost"):
            still_held(conn)


def test_many_runners_have_the_lock_one_after_the_other(way: Target) -> None:
    inside, most, done = 0, 0, 0
    guard = threading.Lock()

    def work(number: int) -> None:
        nonlocal inside, most, done
        with Runner(way, f"runner {number}").holding():
            with guard:
                inside += 1
                most = max(most, inside)
            with guard:
                inside -= 1
                done += 1

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, done) == (1, 6)


@pooled
def test_what_a_killed_runner_left_at_work_is_waited_for(database: Target) -> None:
    """A transaction has a lock of its own, a statement outside one is known by its name."""
    with (
        bouncer(database, "transaction") as through,
        closing(connect(through, application_name="qb run")) as orphan,
        closing(connect(through)) as admin,
    ):
        orphan.execute(f"BEGIN; {working()}".encode())
        with pytest.raises(RefusedError) as caught, Runner(through, "next").holding(0.2):
            pass
        assert "qb run (pid " in caught.value.why
        orphan.execute("ROLLBACK")
        with meanwhile(lambda: orphan.execute("SELECT pg_sleep(300)")):
            left = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(300)'"
            wait_for(lambda: one(admin, left))
            with pytest.raises(RefusedError) as caught, Runner(through, "next").holding(0.2):
                pass
            assert "qb run (pid " in caught.value.why
            admin.execute("SELECT pg_cancel_backend(%s)", [one(admin, left)])
        with Runner(through, "next").holding(5):
            pass


@pooled
def test_working_leaves_nothing_in_the_sessions_of_others(database: Target) -> None:
    with bouncer(database, "transaction") as through, closing(connect(through)) as conn:
        fresh = one(conn, "SHOW client_connection_check_interval")
        conn.execute(f"BEGIN; {working()}".encode())
        assert one(conn, "SHOW client_connection_check_interval") == "1s"
        conn.execute("COMMIT")
        assert one(conn, "SHOW client_connection_check_interval") == fresh
        assert one(conn, LEAKS) == 0


def test_a_session_that_works_is_waited_for(opened: Open, database: Target) -> None:
    orphan = opened("orphan")
    orphan.execute(marked_working().encode())
    assert one(orphan, "SHOW client_connection_check_interval") == "1s"
    with pytest.raises(RefusedError) as caught, Runner(database, "next").holding(0.2):
        pass
    assert "orphan (pid " in caught.value.why


# -- traps 4 to 6: a build that failed -------------------------------------------------------------


def test_trap_4_a_lock_timeout_leaves_an_invalid_index(
    opened: Open, connection: Connection
) -> None:
    writer, builder = opened(autocommit=False), opened()
    writer.execute("INSERT INTO t VALUES (0)")
    builder.execute("SET lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        builder.execute(BUILD)
    assert validity(connection) == [False]


def test_trap_5_if_not_exists_takes_an_invalid_index_for_the_real_one(
    opened: Open, connection: Connection
) -> None:
    writer, builder = opened(autocommit=False), opened()
    writer.execute("INSERT INTO t VALUES (0)")
    builder.execute("SET lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        builder.execute(BUILD)
    writer.rollback()
    builder.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id)")
    assert validity(connection) == [False]


def test_trap_6_reindex_mends_a_build_but_not_one_that_found_duplicates(
    opened: Open, connection: Connection
) -> None:
    connection.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON t (id)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("REINDEX INDEX CONCURRENTLY i")
    assert validity(connection) == [False, False]
    connection.execute("DROP INDEX i; DROP INDEX i_ccnew; DELETE FROM t WHERE id = 1")
    writer, builder = opened(autocommit=False), opened()
    writer.execute("INSERT INTO t VALUES (0)")
    builder.execute("SET lock_timeout = '50ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        builder.execute(BUILD)
    writer.rollback()
    connection.execute("REINDEX INDEX CONCURRENTLY i")
    assert validity(connection) == [True]


def test_trap_4_qbs_builds_have_no_limit_for_locks(
    write, project: Project, session: Session, opened: Open, connection: Connection
) -> None:
    """Neither qb's lock timeout is the build's, nor that of the database."""
    connection.execute(
        f"ALTER DATABASE {connection.info.dbname} SET lock_timeout = '50ms'".encode()
    )
    write("20240101_a.sql", BUILD)
    project.file.write_text(project.file.read_text() + '\n[timeouts]\nlock = "50ms"\n')
    session.project = Project(project.root)
    writer = opened(autocommit=False)
    writer.execute("INSERT INTO t VALUES (0)")
    with meanwhile(lambda: invoke(session, ["run"])) as ended:
        wait_for(lambda: ended or waiting_phase(connection))
        time.sleep(0.2)  # four times the lock timeout
        writer.rollback()
        wait_for(lambda: ended)
    assert ended == [None]
    assert validity(connection) == [True]


def test_trap_5_qb_does_not_take_an_invalid_index_for_the_real_one(
    qb, write, session: Session, connection: Connection
) -> None:
    name = connection.info.dbname
    connection.execute(f"ALTER DATABASE {name} SET lock_timeout = '50ms'".encode())
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON t ((id % 2))")
    write("20240101_a.sql", "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id)")
    said: list[str] = []
    session.face.say = said.append  # type: ignore[method-assign]
    assert qb("run").ok
    assert validity(connection) == [True]
    assert "public.i is invalid, left by a build that failed: dropped" in said


def test_trap_6_a_failed_rebuild_of_qbs_leaves_no_second_index(
    qb, write, connection: Connection
) -> None:
    connection.execute("CREATE UNIQUE INDEX i ON t (id)")
    spoil = "UPDATE pg_index SET indisready = {} WHERE indexrelid = 'i'::regclass"
    connection.execute(spoil.format("false").encode())
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute(spoil.format("true").encode())
    write("20240101_a.sql", "REINDEX INDEX CONCURRENTLY i")
    with pytest.raises(StepFailed) as caught:
        qb("run")
    assert "dropped what was left invalid: public.i_ccnew" in caught.value.why
    assert validity(connection) == [True]


def test_an_old_transaction_is_told_before_the_build_and_after_the_deadline(
    qb, write, project: Project, session: Session, opened: Open, connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Nothing is started that would wait for it, so nothing is left when it does not end."""
    monkeypatch.setattr(
        "qb_engine.execution.concurrently.Concurrent.in_the_way.__defaults__", (-1.0,)
    )
    write("20240101_a.sql", BUILD)
    project.file.write_text(project.file.read_text() + '\n[timeouts]\nlock_deadline = "300ms"\n')
    session.project = Project(project.root)
    said: list[str] = []
    session.face.say = said.append  # type: ignore[method-assign]
    writer = opened("long job", autocommit=False)
    writer.execute("INSERT INTO t VALUES (0)")
    with pytest.raises(StepFailed) as caught:
        invoke(session, ["run"])
    assert any("CONCURRENTLY has to wait for pid" in text and "long job" in text for text in said)
    assert "not started: it would wait for pid" in caught.value.why
    assert validity(connection) == []
    writer.rollback()
    assert invoke(session, ["run"]).ok
    assert validity(connection) == [True]


# -- a whole run through a pooler ------------------------------------------------------------------


@pooled
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_whole_run_goes_through_a_pooler(
    project: Project, session: Session, qb, write, database: Target, connection: Connection,
    mode: str,
) -> None:  # fmt: skip
    write("20240101_a.sql", "CREATE TABLE a (id int); INSERT INTO a VALUES (1)")
    write("20240102_b.sql", "CREATE INDEX CONCURRENTLY ai ON a (id); ALTER TABLE a ADD b text")
    write("20240103_c.sql", "-- qb:up\nCREATE TABLE c ();\n-- qb:down\nDROP TABLE c;")
    with bouncer(database, mode) as through:
        _lead_through(project, session, through)
        assert qb("run").ok
        assert [state.state for state in qb("status").migrations] == ["applied"] * 3
        assert one(connection, "SELECT bool_and(indisvalid) FROM pg_index"
                               " WHERE indexrelid = 'ai'::regclass")  # fmt: skip
        assert qb("rollback").ok
        leaks = LEAKS
        wait_for(lambda: one(connection, leaks) == 0)
        # whoever gets one of the server's sessions next finds it as new
        for _ in range(5):
            with closing(connect(through)) as conn:
                assert one(conn, "SHOW lock_timeout") == "0"
                assert one(conn, "SHOW client_connection_check_interval") == "0"


@pooled
def test_what_a_migration_sets_does_not_reach_other_clients(
    project: Project, session: Session, qb, write, database: Target, connection: Connection
) -> None:
    write("20240101_a.sql", "SET search_path = pg_catalog; SET timezone = 'Asia/Tokyo'")
    with bouncer(database, "transaction") as through:
        _lead_through(project, session, through)
        assert qb("run").ok
        query = (
            "SELECT current_setting('search_path'), current_setting('timezone'),"
            " current_setting('application_name') FROM pg_stat_activity"
            " WHERE pid = pg_backend_pid()"
        )
        with ExitStack() as stack:
            for _ in range(5):  # every session of the pool
                conn = stack.enter_context(closing(connect(through, application_name="shop")))
                conn.execute("BEGIN")
                assert conn.execute(query.encode()).fetchone() == ('"$user", public', "UTC", "shop")


@pooled
def test_a_setting_for_a_later_transaction_is_refused_with_the_line(
    project: Project, session: Session, qb, write, database: Target, connection: Connection
) -> None:
    write("20240101_a.sql", "SET search_path = app;\nCREATE INDEX CONCURRENTLY i ON t (id)")
    with bouncer(database, "transaction") as through:
        _lead_through(project, session, through)
        with pytest.raises(RefusedError, match="longer than a transaction") as caught:
            qb("run")
    assert "20240101_a.sql:1, statement 1" in caught.value.where
    assert validity(connection) == []


@pooled
def test_a_choice_of_isolation_is_refused_with_the_line(
    project: Project, session: Session, qb, write, database: Target
) -> None:
    write("20240101_a.sql", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nCREATE TABLE a ()")
    with bouncer(database, "transaction") as through:
        _lead_through(project, session, through)
        with pytest.raises(RefusedError, match="isolation of a transaction") as caught:
            qb("run")
    assert "20240101_a.sql:1, statement 1" in caught.value.where


@pooled
def test_what_only_looks_goes_through_a_pooler(
    project: Project, session: Session, qb, write, database: Target, tables
) -> None:
    write("20240101_a.sql", "CREATE TABLE a (id int); INSERT INTO a VALUES (1)")
    write("20240102_b.sql", "ALTER TABLE a ADD b text; UPDATE a SET b = 'x'")
    with bouncer(database, "transaction") as through:
        _lead_through(project, session, through)
        assert qb("plan").ok
        report = qb("dryrun")
        assert report.ok
        assert tables() == ["t"]
        assert qb("run").ok
        assert qb("validate").ok
        assert qb("history").ok
        assert qb("locks").ok


@pooled
def test_a_build_through_a_pooler_that_limits_locks_is_refused_with_the_reason(
    project: Project, session: Session, qb, write, database: Target, connection: Connection
) -> None:
    connection.execute(f"ALTER DATABASE {connection.info.dbname} SET lock_timeout = '3s'".encode())
    write("20240101_a.sql", BUILD)
    with bouncer(database, "transaction") as through:
        _lead_through(project, session, through)
        with pytest.raises(RefusedError) as caught:
            qb("run")
    assert "directly" in caught.value.todo
    assert validity(connection) == []


@pooled
def test_pooling_by_statement_is_refused_before_anything_runs(
    project: Project, session: Session, qb, write, database: Target, connection: Connection
) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    with bouncer(database, "statement") as through:
        _lead_through(project, session, through)
        with pytest.raises(RefusedError, match="pools by statement"):
            qb("run")
    assert one(connection, "SELECT to_regclass('a')") is None


def _lead_through(project: Project, session: Session, through: Target) -> None:
    """Let the project's target be the pooler."""
    part = psycopg.conninfo.conninfo_to_dict(through.conninfo)
    url = f"postgresql:///{part['dbname']}?host={part['host']}&port={part['port']}"
    text = project.file.read_text()
    old = next(line for line in text.splitlines() if line.startswith("test = "))
    (project.root / FILE).write_text(text.replace(old, f'test = "{url}&user={part["user"]}"'))
    session.project = Project(project.root)
    session._resolved.clear()
