"""who stands in the way is named, down to the root; and ended only when it may be"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from qb_engine.database import Target
from qb_engine.execution.blockers import Blocker, blockers, sentence, spared, terminate

Connection = psycopg.Connection[tuple[Any, ...]]
Connect = Callable[..., Connection]
OLD = 0.0  # every transaction is older than this


def wait_for(condition: Callable[[], object]) -> Any:
    """Wait until something is true, and return it; fail after a generous while."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)  # between two looks at a condition
    return found


@pytest.fixture
def connect(database: Target) -> Iterator[Connect]:
    """Open sessions to the database: `connect("app")`, in a transaction from the first query on."""
    opened: list[Connection] = []

    def one(name: str, **settings: Any) -> Connection:
        conninfo = make_conninfo(database.conninfo, application_name=name, **settings)
        opened.append(psycopg.connect(conninfo))
        return opened[-1]

    yield one
    for conn in opened:
        conn.close()


@pytest.fixture
def role(connection: Connection) -> Iterator[Callable[..., str]]:
    """Make roles that can log in, gone after the test: `role("pg_signal_backend")`."""
    made: list[str] = []

    def one(*memberships: str, options: str = "") -> str:
        name = f"role_{secrets.token_hex(4)}"
        connection.execute(f"CREATE ROLE {name} LOGIN {options}".encode())
        for membership in memberships:
            connection.execute(f"GRANT {membership} TO {name}".encode())
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}".encode())
        made.append(name)
        return name

    yield one
    for name in made:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
            [name],
        )
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


@contextmanager
def waiting(conn: Connection, query: str, watching: Connection) -> Iterator[int]:
    """A session that waits for a lock: its pid."""
    pid = conn.info.backend_pid
    ended: list[BaseException | None] = []

    def work() -> None:
        try:
            conn.execute(query.encode())
            ended.append(None)
        except psycopg.Error as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: ended or blocked(watching, pid))
    try:
        yield pid
    finally:
        if thread.is_alive():
            conn.cancel_safe()
        thread.join()


def blocked(watching: Connection, pid: int) -> bool:
    row = watching.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid]).fetchone()
    return bool(row and row[0])


def state_of(watching: Connection, pid: int) -> str | None:
    row = watching.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
    return row[0] if row else None


@pytest.fixture
def table(connection: Connection) -> str:
    connection.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    return "t"


# -- naming ------------------------------------------------------------------------------------


def test_nobody_stands_in_the_way_of_who_does_not_wait(connection: Connection) -> None:
    assert blockers(connection, connection.info.backend_pid) == ()


def test_a_blocker_is_named_with_all_that_one_wants_to_know(connection, connect, table) -> None:
    holder = connect("shop-api")
    holder.execute("SELECT count(*) FROM t")
    with waiting(connect("qb run"), "LOCK TABLE t", connection) as pid:
        (one,) = blockers(connection, pid)
    assert (one.pid, one.application) == (holder.info.backend_pid, "shop-api")
    assert (one.state, one.backend_type, one.superuser) == (
        "idle in transaction",
        "client backend",
        True,
    )
    assert one.root
    assert one.age_s is not None
    text = sentence(one)
    assert text.startswith(f"pid {one.pid} (shop-api, user {one.user}) idle in transaction for ")
    assert text.endswith(": SELECT count(*) FROM t")


def test_a_chain_is_followed_to_the_root(connection, connect, table) -> None:
    root, middle = connect("root"), connect("middle")
    root.execute("SELECT * FROM t")
    with (
        waiting(middle, "ALTER TABLE t ADD c int", connection) as second,
        waiting(connect("last"), "SELECT * FROM t", connection) as third,
    ):
        found = blockers(connection, third)
    assert [b.application for b in found] == ["root", "middle"]
    assert [b.root for b in found] == [True, False]
    assert found[1].pid == second
    assert found[1].waits_for == (root.info.backend_pid,)
    assert f"itself waiting for pid {root.info.backend_pid}" in sentence(found[1])


def test_a_circle_of_waits_ends_the_search(connection, connect, table) -> None:
    one, other = connect("one"), connect("other")
    for conn, row in ((one, 1), (other, 2)):
        conn.execute("SET deadlock_timeout = '1min'")
        conn.execute("SELECT FROM t WHERE id = %s FOR UPDATE", [row])
    with (
        waiting(one, "SELECT FROM t WHERE id = 2 FOR UPDATE", connection) as first,
        waiting(other, "SELECT FROM t WHERE id = 1 FOR UPDATE", connection) as second,
    ):
        found = blockers(connection, first)
        assert {b.pid for b in found} == {first, second}
        assert not any(b.root for b in found)


@pytest.mark.parametrize("held", ["LOCK TABLE t IN SHARE MODE", "DELETE FROM t WHERE id = 1"])
def test_a_prepared_transaction_is_named_by_its_gid(connection, connect, table, held) -> None:
    gid = f"order-{secrets.token_hex(4)}"
    owner = connect("two phases")
    owner.execute(held.encode())
    owner.execute(f"PREPARE TRANSACTION '{gid}'".encode())
    owner.rollback()
    try:
        with waiting(connect("qb run"), "UPDATE t SET id = 3 WHERE id = 1", connection) as pid:
            (one,) = blockers(connection, pid)
            assert (one.pid, one.gid, one.root) == (0, gid, True)
            assert sentence(one).startswith(f"prepared transaction '{gid}' of user ")
            (left,) = terminate(connection, [one], OLD, print)
            assert (left.how, "ROLLBACK PREPARED" in left.why) == ("left", True)
    finally:
        connection.execute(f"ROLLBACK PREPARED '{gid}'".encode())


def test_a_password_in_a_blockers_query_is_not_shown(connection, connect, table) -> None:
    holder = connect("admin")
    holder.execute("LOCK TABLE t; SELECT 'ALTER ROLE x PASSWORD ''canary-7'''")
    with waiting(connect("qb run"), "SELECT * FROM t", connection) as pid:
        (one,) = blockers(connection, pid)
    assert "canary-7" not in sentence(one) + one.query


# -- ending ------------------------------------------------------------------------------------


@pytest.fixture
def stranger(role, connect, table) -> Callable[..., Connection]:
    """A session of an ordinary role that holds a lock on `t`."""

    def one(name: str = "shop-api", query: str = "SELECT * FROM t") -> Connection:
        conn: Connection = connect(name, user=role())
        conn.execute(query.encode())
        return conn

    return one


def test_a_session_idle_in_its_transaction_is_terminated(connection, connect, stranger) -> None:
    holder = stranger()
    said: list[str] = []
    with waiting(connect("qb run"), "LOCK TABLE t", connection) as pid:
        (ended,) = terminate(connection, blockers(connection, pid), OLD, said.append)
        wait_for(lambda: not blocked(connection, pid))
    assert ended.how == "terminated"
    assert said == [f"terminated {sentence(ended.blocker)}"]
    with pytest.raises(psycopg.OperationalError):
        holder.execute("SELECT 1")


def test_a_running_statement_is_cancelled_and_its_session_stays(
    connection, connect, stranger
) -> None:
    holder = stranger()
    failed: list[psycopg.Error] = []

    def work() -> None:
        try:
            holder.execute("SELECT pg_sleep(300)")
        except psycopg.Error as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: state_of(connection, holder.info.backend_pid) == "active")
    with waiting(connect("qb run"), "LOCK TABLE t", connection) as pid:
        (ended,) = terminate(connection, blockers(connection, pid), OLD, print)
        wait_for(lambda: not blocked(connection, pid))
    thread.join()
    assert ended.how == "cancelled the statement of"
    assert isinstance(failed[0], psycopg.errors.QueryCanceled)
    holder.rollback()
    assert holder.execute("SELECT 1").fetchone() == (1,)


def test_who_survives_the_cancel_is_terminated(connection, connect, stranger) -> None:
    """A statement in a savepoint gives back only what it took itself."""
    holder = stranger()
    stubborn = """DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(300);
        EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"""

    def work() -> None:
        with pytest.raises(psycopg.OperationalError):
            holder.execute(stubborn.encode())

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: state_of(connection, holder.info.backend_pid) == "active")
    with waiting(connect("qb run"), "LOCK TABLE t", connection) as pid:
        (ended,) = terminate(connection, blockers(connection, pid), OLD, print)
    thread.join()
    assert ended.how == "terminated"


def test_only_the_root_is_ended(connection, connect, role, stranger) -> None:
    stranger("root")
    middle = connect("middle", user=role())
    with (
        waiting(middle, "LOCK TABLE t", connection),
        waiting(connect("qb run"), "LOCK TABLE t", connection) as pid,
    ):
        done = terminate(connection, blockers(connection, pid), OLD, print)
        assert {e.blocker.application: e.how for e in done}["root"] == "terminated"
        assert state_of(connection, middle.info.backend_pid) is not None


def test_a_young_transaction_is_left_alone(connection, connect, stranger) -> None:
    stranger()
    with waiting(connect("qb run"), "LOCK TABLE t", connection) as pid:
        (ended,) = terminate(connection, blockers(connection, pid), 600, print)
    assert (ended.how, ended.why) == ("left", "it is not older than 10 min")


def test_the_next_transaction_of_a_session_is_not_the_one_that_was_meant(
    connection, connect, stranger
) -> None:
    holder = stranger()
    with waiting(connect("qb run"), "LOCK TABLE t", connection) as pid:
        found = blockers(connection, pid)
        holder.commit()
        holder.execute("SELECT 1")
        (ended,) = terminate(connection, found, OLD, print)
    assert (ended.how, ended.why) == ("left", "it has ended meanwhile")
    assert holder.execute("SELECT 1").fetchone() == (1,)


def test_superusers_backups_and_other_qbs_are_left_alone(connection, connect, stranger) -> None:
    connect("psql").execute("SELECT * FROM t")
    for name in ("pg_dump", "qb run", "qb backfill"):
        stranger(name)
    with waiting(connect("qb run"), "LOCK TABLE t", connection) as pid:
        done = terminate(connection, blockers(connection, pid), OLD, print)
        assert blocked(connection, pid)
    assert {e.how for e in done} == {"left"}
    assert {e.blocker.application: e.why for e in done} == {
        "psql": "it is a superuser's",
        "pg_dump": "it takes a backup",
        "qb run": "it is another qb",
        "qb backfill": "it is another qb",
    }


ORDINARY = Blocker(
    7, "app", "bob", "idle in transaction", 900, "x", "client backend", superuser=False
)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"backend_type": "walsender", "superuser": True}, "it replicates"),
        ({"backend_type": "autovacuum worker"}, "the server itself cancels"),
        (
            {
                "backend_type": "autovacuum worker",
                "query": "autovacuum: VACUUM public.t (to prevent wraparound)",
            },
            "transaction ids",
        ),
        ({"backend_type": "logical replication apply worker"}, "the server's own"),
        ({"backend_type": "", "superuser": None}, "too little may be seen"),
        ({"age_s": None}, "too little may be seen"),
        ({"waits_for": (8,)}, "waits itself"),
        ({"age_s": 599.0}, "not older than 10 min"),
        ({"application": "QB"}, "another qb"),
    ],
)
def test_what_is_never_ended(changes: dict[str, Any], why: str) -> None:
    assert spared(ORDINARY, 600) == ""
    assert why in spared(replace(ORDINARY, **changes), 600)


def test_a_missing_privilege_is_said(connection, connect, role, stranger, database: Target) -> None:
    stranger()
    watcher = role("pg_read_all_stats")
    said: list[str] = []
    with (
        psycopg.connect(make_conninfo(database.conninfo, user=watcher), autocommit=True) as weak,
        waiting(connect("qb run"), "LOCK TABLE t", connection) as pid,
    ):
        (ended,) = terminate(weak, blockers(weak, pid), OLD, said.append)
    assert ended.how == "left"
    assert "pg_signal_backend" in ended.why
    assert said[0].startswith("cannot end pid ")


def test_who_may_signal_ends_it(connection, connect, role, stranger, database: Target) -> None:
    stranger()
    watcher = role("pg_read_all_stats", "pg_signal_backend")
    with (
        psycopg.connect(make_conninfo(database.conninfo, user=watcher), autocommit=True) as weak,
        waiting(connect("qb run"), "LOCK TABLE t", connection) as pid,
    ):
        (ended,) = terminate(weak, blockers(weak, pid), OLD, print)
    assert ended.how == "terminated"


def test_what_may_not_be_seen_is_named_and_left_alone(
    connection, connect, role, stranger, database: Target
) -> None:
    holder = stranger()
    with (
        psycopg.connect(make_conninfo(database.conninfo, user=role()), autocommit=True) as weak,
        waiting(connect("qb run"), "LOCK TABLE t", connection) as pid,
    ):
        (one,) = blockers(weak, pid)
        assert (one.pid, one.application) == (holder.info.backend_pid, "shop-api")
        assert "of whom no more may be seen" in sentence(one)
        (ended,) = terminate(weak, [one], OLD, print)
    assert "too little may be seen" in ended.why


def test_a_name_with_a_quote_is_no_trouble(connection, connect, table) -> None:
    gid = "it's-" + secrets.token_hex(4)
    owner = connect("x'y")
    owner.execute("LOCK TABLE t")
    owner.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
    owner.rollback()
    try:
        with waiting(connect("qb run"), "SELECT * FROM t", connection) as pid:
            (one,) = blockers(connection, pid)
        assert one.gid == gid
    finally:
        connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))
