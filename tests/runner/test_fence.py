"""a run that another runner took for dead keeps nothing more"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session
from qb_engine.commands._place import place_of
from qb_engine.errors import ServerError
from qb_engine.runner.run import run

Connection = psycopg.Connection[Any]


def taken_for_dead(conn: Connection, at: int) -> Any:
    """What ends the run in the ledger, as the next runner does, while statement `at` begins."""

    def on_step(migration: Any, step: Any, state: str) -> None:
        if (step.number, state) == (at, "running"):
            conn.execute("UPDATE qb.history SET status = 'stopped' WHERE status = 'running'")

    return on_step


@pytest.mark.parametrize("at", [1, 2])
def test_a_run_that_was_ended_by_another_runner_is_rolled_back(
    session: Session, write: Any, tables: Any, connection: Connection, at: int
) -> None:
    write("20240101_a.sql", "CREATE TABLE a ();\nCREATE TABLE b ();\n")
    here = place_of(session, session.migrations(), on_step=taken_for_dead(connection, at))
    with pytest.raises(ServerError, match="ended by another runner") as refused:
        run(here)
    assert refused.value.code == "lock-lost"
    assert tables() == []
    assert connection.execute("SELECT status FROM qb.history").fetchall() == [("stopped",)]
    assert connection.execute("SELECT count(*) FROM qb.step").fetchone() == (0,)


def test_a_run_of_many_blocks_that_was_ended_keeps_what_it_had_recorded(
    session: Session, write: Any, qb: Any, tables: Any, connection: Connection
) -> None:
    write("20240101_a.sql", "CREATE TABLE a ();\nVACUUM a;\nCREATE TABLE b ();\nVACUUM b;\n")
    here = place_of(session, session.migrations(), on_step=taken_for_dead(connection, 3))
    with pytest.raises(ServerError, match="ended by another runner"):
        run(here)
    assert tables() == ["a"]
    assert qb("status").migrations[0].state == "partial"
    assert qb("run").ok
    assert tables() == ["a", "b"]


def test_migrations_of_one_transaction_are_all_rolled_back(
    session: Session, write: Any, tables: Any, connection: Connection
) -> None:
    from qb_engine.runner import Request

    write("20240101_a.sql", "CREATE TABLE a ();\n")
    write("20240102_b.sql", "CREATE TABLE b ();\n")
    here = place_of(session, session.migrations(), on_step=taken_for_dead(connection, 1))
    with pytest.raises(ServerError, match="ended by another runner"):
        run(here, Request(atomic="all"))
    assert tables() == []
