"""a pooler before the server is noticed, whichever way it pools"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine.database import Target
from qb_engine.database.connect import connect, server_errors
from qb_engine.database.pooler import Refused, Sessions, pooling, sessions
from qb_engine.errors import RefusedError, ServerError
from tests.pgbouncer import bouncer, pooled

Connection = psycopg.Connection[tuple[Any, ...]]

MODES = ("session", "transaction", "statement")


def test_no_pooler_is_seen_with_one_question(database: Target) -> None:
    with closing(connect(database)) as a, closing(connect(database)) as b:
        b.close()  # which is not asked
        assert pooling(a, b) == "none"
        assert sessions(a, b).kept
        assert sessions(a, b).pid(a) == a.info.backend_pid


@pooled
@pytest.mark.parametrize("round_robin", [0, 1])
@pytest.mark.parametrize("mode", MODES)
def test_each_way_of_pooling_is_told(database: Target, mode: str, round_robin: int) -> None:
    with (
        bouncer(database, mode, server_round_robin=round_robin) as through,
        closing(connect(through)) as a,
        closing(connect(through)) as b,
    ):
        assert pooling(a, b) == mode
        assert a.execute("SELECT 1").fetchone() == (1,)
        assert a.info.transaction_status == 0
        assert b.closed == (mode == "statement")


@pooled
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_busy_pool_is_told_as_a_quiet_one(database: Target, mode: str) -> None:
    """Others take and give back sessions all the time."""
    stop = threading.Event()

    def work(through: Target) -> None:
        with closing(connect(through)) as conn:
            while not stop.is_set():
                conn.execute("SELECT 1")

    with bouncer(database, mode) as through:
        threads = [threading.Thread(target=work, args=[through]) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(30):
                with closing(connect(through)) as a, closing(connect(through)) as b:
                    assert pooling(a, b) == mode
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@pooled
def test_pooling_by_statement_is_refused_with_the_reason(database: Target) -> None:
    with (
        bouncer(database, "statement") as through,
        closing(connect(through)) as a,
        closing(connect(through)) as b,
        pytest.raises(RefusedError, match="pools by statement") as caught,
    ):
        sessions(a, b)
    assert "connect to PostgreSQL directly" in caught.value.todo


@pooled
def test_a_pool_with_one_session_is_not_waited_for_for_ever(
    database: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qb_engine.database.pooler.ANSWER_S", 0.3)
    with (
        bouncer(database, "transaction", default_pool_size=1) as through,
        closing(connect(through)) as a,
        closing(connect(through)) as b,
        pytest.raises(Refused) as caught,
    ):
        sessions(a, b)
    assert "default_pool_size" in caught.value.todo


@pooled
def test_the_process_behind_a_connection_is_the_servers_own(
    database: Target, connection: Connection
) -> None:
    with (
        bouncer(database, "transaction") as through,
        closing(connect(through, application_name="qb run")) as conn,
    ):
        conn.execute("BEGIN")
        pid = Sessions("transaction").pid(conn)
        assert pid != conn.info.backend_pid
        row = connection.execute(
            "SELECT application_name FROM pg_stat_activity WHERE pid = %s", [pid]
        ).fetchone()
        assert row == ("qb run",)


@pooled
def test_what_qb_sends_at_the_start_suits_a_pooler(database: Target) -> None:
    """Encoding and DateStyle follow the client from session to session; nothing is prepared."""
    with bouncer(database, "transaction") as through, closing(connect(through)) as conn:
        for number in range(10):
            row = conn.execute("SELECT %s, now() IS NOT NULL", [number]).fetchone()
            assert row == (number, True)
        assert conn.prepare_threshold is None
        assert conn.execute("SHOW client_encoding").fetchone() == ("UTF8",)


@pooled
def test_a_foreign_datestyle_is_mended_through_the_pooler(
    database: Target, connection: Connection
) -> None:
    name = connection.info.dbname
    connection.execute(f"ALTER DATABASE {name} SET datestyle = 'German'".encode())
    with bouncer(database, "transaction") as through, closing(connect(through)) as conn:
        row = conn.execute("SELECT '2024-03-01'::timestamptz").fetchone()
        assert row is not None
        assert (row[0].month, row[0].day) == (3, 1)


@pooled
def test_options_that_the_pooler_refuses_are_explained(database: Target) -> None:
    with bouncer(database, "transaction") as through:
        options = make_conninfo(through.conninfo, options="-c search_path=app")
        with pytest.raises(ServerError, match="cannot connect") as caught:
            connect(Target("pooled", options))
    assert "ignore_startup_parameters" in caught.value.todo


@pooled
def test_a_client_that_got_no_session_is_told_what_to_change(database: Target) -> None:
    with (
        bouncer(database, "transaction", default_pool_size=1, query_wait_timeout=1) as through,
        closing(connect(through)) as a,
        closing(connect(through)) as b,
    ):
        b.execute("BEGIN; SELECT 1")
        with (
            pytest.raises(ServerError, match="reading failed") as caught,
            server_errors("reading"),
        ):
            a.execute("SELECT 1")
    assert "default_pool_size" in caught.value.todo
