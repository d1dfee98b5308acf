"""`qb locks` says who waits for whom"""

from __future__ import annotations

import threading
from contextlib import suppress

import psycopg

from qb_engine.database import Target


def test_nobody_waits_on_a_quiet_database(qb) -> None:
    assert qb("locks").headline().startswith("nobody waits")


def test_a_waiting_session_and_its_blocker_are_named(qb, database: Target, connection) -> None:
    connection.execute("CREATE TABLE t (id int)")
    with (
        psycopg.connect(database.conninfo, application_name="holder") as holder,
        psycopg.connect(database.conninfo, application_name="waiter") as waiter,
    ):
        holder.execute("LOCK TABLE t")

        def wait() -> None:
            with suppress(psycopg.errors.QueryCanceled):
                waiter.execute("SELECT * FROM t")

        thread = threading.Thread(target=wait)
        thread.start()
        found = ()
        while not found:
            found = qb("locks").waits
        report = qb("locks")
        waiter.cancel_safe()
        thread.join()
    (one,) = found
    assert (one.application, one.what, one.mode) == ("waiter", "t", "AccessShareLock")
    assert (one.by_application, one.by_state) == ("holder", "idle in transaction")
    assert any("idle in a transaction" in note for note in report.notes())
