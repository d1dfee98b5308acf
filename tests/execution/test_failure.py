"""a failed step says what failed, why, which page is about it, and what comes next"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.database.sqlstates import Explained
from qb_engine.execution import Step
from qb_engine.execution.failure import StepFailed, server_gone
from qb_engine.sql import Source, read_one

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def failed(connection: Connection) -> Any:
    """A statement that failed, as the executor raises it."""

    def fail(sql: str, **more: Any) -> StepFailed:
        step = Step(2, read_one(sql, Source("m.sql", 3)), "m.sql")
        with pytest.raises(psycopg.Error) as raised:
            connection.execute(step.statement.sql.encode())
        return StepFailed(step, raised.value, (), **more)

    return fail


def test_all_that_the_server_said_and_where_stands_in_why(failed) -> None:
    error = failed("SELECT 1,\n  nope()")
    assert error.where.startswith("m.sql:3, statement 2: SELECT 1, nope()")
    assert error.why.splitlines() == [
        "ERROR: function nope() does not exist",
        "HINT: No function matches the given name and argument types."
        " You might need to add explicit type casts.",
        "m.sql:4:   nope()",
        "           ^",
    ]
    assert error.code == "does-not-exist"


def test_what_is_to_be_done_is_followed_by_the_command_that_goes_on(failed) -> None:
    error = failed("SELECT 1 / 0")
    error.then("qb run", "m.sql")
    assert error.todo == "guard the division: nullif(divisor, 0), then: qb run"


def test_where_only_the_file_can_be_mended_it_is_named(failed) -> None:
    error = failed("SELECT count(*), oid FROM pg_class")
    assert error.code == "statement-failed"
    error.then("qb rollback", "m.sql")
    assert error.todo == "mend m.sql, then: qb rollback"


def test_what_is_known_better_than_from_the_sqlstate_is_kept(failed) -> None:
    meant = Explained("does-not-exist", "did you mean pg_class? mend it")
    error = failed("SELECT * FROM pg_clas", meant=meant)
    assert error.given_up(3.0, "").meant == meant
    error.then("qb run", "m.sql")
    assert error.todo == "did you mean pg_class? mend it, then: qb run"


def test_who_was_kept_waiting_too_long_is_a_page_of_its_own(failed) -> None:
    error = failed("SELECT 1 / 0", blocked="pid 7 waited for 6 s")
    assert error.code == "blocked-too-long"
    assert error.why == "pid 7 waited for 6 s"
    assert error.given_up(9.0, "").code == "blocked-too-long"


def test_a_server_that_is_gone_names_the_page(failed) -> None:
    assert server_gone(ValueError("gone"), "running a").code == "connection-lost"
