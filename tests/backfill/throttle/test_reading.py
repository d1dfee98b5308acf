"""signals are read from a real server in one round trip, and one that fails harms nobody"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import sql

from qb_engine.backfill.spec import Spec
from qb_engine.backfill.throttle import settings
from qb_engine.backfill.throttle.look import Look
from qb_engine.backfill.throttle.signal import GO
from qb_engine.backfill.throttle.signals.autovacuum import Autovacuum
from qb_engine.backfill.throttle.signals.window import Window
from qb_engine.backfill.walk.keys import KeyColumn
from tests.backfill.conftest import Case, until

SPEC = Spec("m", "", "public", "t", (KeyColumn("id", "integer"),), ())
EVERY: dict[str, Any] = {
    "wal_rate": {"slow": "1TB"},
    "sql": {"query": "SELECT 'go'"},
    "window": {"hours": "00:00-24:00"},
    "active_sessions": {"slow": 10_000, "stop": 10_000},
}


def look(case: Case, **given: Any) -> Look:
    found = Look(settings.build({**EVERY, **given}))
    found.read(case.conn, SPEC)
    return found


@pytest.fixture
def filled(case: Case) -> Case:
    case.counted(100)
    return case


@pytest.fixture
def nobody(filled: Case) -> Iterator[Case]:
    """The same as a role that may see nothing of others."""
    name = f"nobody_{secrets.token_hex(4)}"
    filled.sql(f"CREATE ROLE {name}")
    filled.sql(f"SET ROLE {name}")
    yield filled
    filled.sql("RESET ROLE")
    filled.sql(f"DROP ROLE {name}")


def test_every_signal_can_be_read(filled: Case) -> None:
    found = look(filled)
    assert found.worst() == ("", GO)
    assert found.unread == []
    assert not found.due


def test_what_qb_asks_is_asked_in_one_round_trip(
    filled: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    execute = psycopg.Connection.execute

    def counted(self: Any, query: Any, *args: Any, **given: Any) -> Any:
        asked.append(query)
        return execute(self, query, *args, **given)

    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    look(filled, sql=False)
    assert len(asked) == 1


def test_a_role_that_may_see_little_is_told_so_and_not_held(nobody: Case) -> None:
    found = look(nobody)
    assert found.worst()[0] == ""
    assert {each.signal for each in found.unread} <= {"active_sessions", "replica_lag"}


def test_a_query_that_fails_slows_and_takes_no_other_along(filled: Case) -> None:
    found = look(filled, sql={"query": "SELECT nothing FROM nowhere"}, active_sessions={"slow": 0})
    signal, reading = found.worst()
    assert (signal, reading.says) in (("sql", "slow"), ("active_sessions", "slow"))
    assert [each.signal for each in found.unread] == ["sql"]
    assert "nowhere" in found.unread[0].why
    assert found.value("active_sessions") is not None


def test_a_query_of_the_users_own_is_asked(filled: Case) -> None:
    for query, says in (
        ("SELECT count(*) FROM t", "stop"),
        ("SELECT count(*) < 5 FROM t", "stop"),
        ("SELECT 'slow', 'the queue is long', 'it is short' -- 100%", "slow"),
        ("SELECT 1 WHERE false;", "go"),
    ):
        signal, reading = look(filled, sql={"query": query, "stop": 50}).worst()
        assert reading.says == says
        assert signal == ("" if says == "go" else "sql")
        assert filled.conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_query_of_the_users_own_can_harm_nothing(filled: Case) -> None:
    for query in (
        "DELETE FROM t RETURNING 'go'",
        "SELECT 1; COMMIT; DELETE FROM t",
        "SELECT pg_sleep(9)",
    ):
        found = look(filled, sql={"query": query, "timeout": "100ms"})
        assert [each.signal for each in found.unread] == ["sql"]
        assert filled.one("SELECT count(*) FROM t") == 100


class Mute(Window):
    """A window whose question the server cannot answer."""

    def asking(self, spec: Spec) -> sql.Composable:
        return sql.SQL("SELECT nothing FROM nowhere")


def test_a_window_that_cannot_be_asked_for_is_closed(filled: Case) -> None:
    filled.sql("SET timezone TO 'EST5EDT,M3.2.0,M11.1.0'")
    assert look(filled).worst()[0] == ""
    found = Look([Mute(hours="00:00-24:00")])
    found.read(filled.conn, SPEC)
    signal, reading = found.worst()
    assert (signal, reading.says) == ("window", "stop")
    assert "cannot be read" in reading.reason


def test_the_time_of_the_server_opens_and_closes_a_window(filled: Case) -> None:
    hour = filled.one("SELECT extract(hour FROM clock_timestamp() AT TIME ZONE 'UTC')::int")
    closed = f"{(hour + 3) % 24:02}:00-{(hour + 4) % 24:02}:00 UTC"
    signal, reading = look(filled, window={"hours": closed}).worst()
    assert (signal, reading.says) == ("window", "stop")
    opened = f"{(hour - 2) % 24:02}:00-{(hour + 3) % 24:02}:00 UTC"
    assert look(filled, window={"hours": opened}).worst()[1].says == "go"


def test_dead_rows_of_a_table_are_seen_in_its_partitions_too(case: Case) -> None:
    case.sql("CREATE TABLE t (id int PRIMARY KEY, n int) PARTITION BY RANGE (id)")
    case.sql(
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000)"
        " WITH (autovacuum_enabled = false)"
    )
    case.sql("INSERT INTO t SELECT generate_series(1, 100), 0")
    given = {"autovacuum": {"least": 10, "dead_stop": 3}}

    def seen() -> bool:
        case.sql("SELECT pg_stat_force_next_flush()")
        return look(case, **given).worst()[1].says == "stop"

    with closing(psycopg.connect(case.target.conninfo)) as old:  # its snapshot keeps dead rows
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM t")
        for _ in range(4):
            case.sql("UPDATE t SET n = n + 1")
        until("the dead rows are counted", seen, 20)
        assert "dead rows (400)" in look(case, **given).worst()[1].reason


def test_live_rows_are_known_when_their_count_was_lost(filled: Case) -> None:
    """A crash of the server discards what it counted; the planner's figure stays."""
    filled.sql("ANALYZE t; SELECT pg_stat_reset()")
    (found,) = filled.conn.execute(Autovacuum().asking(SPEC)).fetchall()
    assert found[1] == 100


def test_a_session_at_work_is_counted(filled: Case) -> None:
    with closing(psycopg.connect(filled.target.conninfo, autocommit=True)) as other:
        other.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
        given = {"active_sessions": {"slow": 1, "stop": 10_000}}
        until(
            "a session is at work",
            lambda: look(filled, **given).worst()[0] == "active_sessions",
        )
        other.cancel_safe()


def test_a_slot_that_nobody_reads_is_seen(filled: Case) -> None:
    """Whoever else writes here adds to what the slot holds back: any amount is over the bound."""
    name = f"s_{secrets.token_hex(4)}"
    filled.sql(f"SELECT pg_create_physical_replication_slot('{name}', true)")
    try:
        filled.sql("INSERT INTO t (id) SELECT generate_series(1001, 2000)")
        signal, reading = look(filled, slot_wal={"stop": 1}).worst()
        assert (signal, reading.says) == ("slot_wal", "stop")
        assert "which nobody reads" in reading.reason
        ignored = look(filled, slot_wal={"stop": 1, "ignore": [name]}).worst()[1]
        assert name not in ignored.reason
    finally:
        filled.sql(f"SELECT pg_drop_replication_slot('{name}')")
