"""the parts of a backfill that need no server"""

from __future__ import annotations

import os
import socket

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import errors

from qb_engine.backfill import failures, pace, split, statements, temporal
from qb_engine.backfill.failures import Verdict
from qb_engine.backfill.keys import Index, KeyColumn, choose
from qb_engine.backfill.spec import SetColumn, Spec
from qb_engine.database.processes import born
from qb_engine.errors import InputError, ServerError

ID = KeyColumn("id", "integer")
SPEC = Spec(
    "m", "sum", "public", "Order Items", (ID, KeyColumn('na"me', "text")),
    (SetColumn("v", "text", "lower(v)"),),
)  # fmt: skip


def text(composed: psycopg.sql.Composable) -> str:
    return composed.as_string(None)


def test_a_range_is_compared_as_a_row_with_the_types_of_its_columns() -> None:
    assert text(statements.within(SPEC, ["1", "O'x"], None)) == (
        """("id", "na""me") > ('1'::integer, 'O''x'::text)"""
    )
    assert text(statements.within(SPEC, None, None)) == "true"


def test_an_expression_may_end_in_a_comment() -> None:
    assert text(statements.expression("a -- why")) == "(a -- why\n)"


def test_without_where_the_write_is_a_plain_update() -> None:
    assert text(statements.write(SPEC, None, None)) == (
        """UPDATE "public"."Order Items" SET "v" = (lower(v)) WHERE true"""
    )


def test_dates_in_a_cursor_do_not_depend_on_the_session() -> None:
    spec = Spec("m", "", "s", "t", (KeyColumn("at", "timestamp with time zone"),), ())
    assert "to_jsonb" in text(statements.key_text(spec))


@given(
    size=st.integers(1, pace.LARGEST),
    ms=st.floats(0, 1e7, allow_nan=False),
)
def test_a_batch_grows_step_by_step_and_stays_in_its_bounds(size: int, ms: float) -> None:
    found = pace.next_size(size, ms)
    assert pace.SMALLEST <= found <= pace.LARGEST
    assert found <= size * pace.GROWTH
    if ms > 2 * pace.TARGET_MS:
        assert found <= size


def test_a_short_last_batch_says_nothing_about_speed() -> None:
    assert pace.next_size(500, 0.1, seen=3) == 500


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("40001", Verdict.AGAIN),
        ("40P01", Verdict.AGAIN),
        ("55P03", Verdict.AGAIN),
        ("57014", Verdict.FEWER),
        ("57P01", Verdict.LATER),
        ("57P04", Verdict.STOP),
        ("08006", Verdict.LATER),
        ("25006", Verdict.LATER),
        ("53300", Verdict.LATER),
        ("53100", Verdict.STOP),
        ("22012", Verdict.DATA),
        ("23505", Verdict.DATA),
        ("42703", Verdict.STOP),
        ("42501", Verdict.STOP),
        ("28P01", Verdict.STOP),
        ("P0001", Verdict.DATA),
        (None, Verdict.LATER),
    ],
)
def test_every_error_has_a_verdict(state: str | None, verdict: Verdict) -> None:
    assert failures.by_state(state) is verdict


def test_an_error_is_judged_by_its_class_too() -> None:
    assert failures.judge(errors.DeadlockDetected()) is Verdict.AGAIN
    assert failures.judge(psycopg.OperationalError("gone")) is Verdict.LATER
    assert failures.judge(TypeError()) is Verdict.STOP
    refused = ServerError("cannot connect", why="password authentication failed for user")
    assert failures.judge(refused) is Verdict.STOP
    assert failures.judge(ServerError("cannot connect", why="Connection refused")) is Verdict.LATER


def test_what_is_told_to_temporal_holds_no_word_of_the_server() -> None:
    error = errors.UniqueViolation("Key (email)=(ada@example.com) already exists")
    assert failures.named(error) == "UniqueViolation 23505"


def test_ranges_are_as_many_as_their_lanes_can_use() -> None:
    assert split.how_many(1_000_000, 5_000, 1) == 1
    assert split.how_many(1_000_000, 5_000, 2) == 8
    assert split.how_many(10_000, 5_000, 2) == 1
    assert split.how_many(30_000, 5_000, 4) == 6


@given(st.lists(st.integers(), min_size=0, max_size=200, unique=True), st.integers(2, 32))
def test_values_picked_from_a_histogram_are_inner_and_in_order(
    values: list[int], wanted: int
) -> None:
    given = [str(value) for value in values]
    found = split.picked(given, wanted)
    places = [given.index(value) for value in found]
    assert places == sorted(set(places))
    assert len(found) <= max(0, wanted - 1)
    assert all(0 < place < len(given) - 1 for place in places)


def test_a_dead_worker_does_not_count_however_lately_it_polled() -> None:
    here, me = socket.gethostname(), os.getpid()
    assert temporal.living(f"qb|{here}|{me}|{born(me)}", silent=500)
    assert not temporal.living(f"qb|{here}|{me}|earlier", silent=0)
    assert temporal.living("qb|elsewhere|1|x", silent=10)
    assert not temporal.living("qb|elsewhere|1|x", silent=100)


def test_the_primary_key_is_walked_by_first_of_all() -> None:
    other = Index("u", False, True, (KeyColumn("u", "text"),), True, True)
    primary = Index("p", True, True, (ID,), True, True)
    assert choose([primary, other], None, table="t") == (ID,)
    assert choose([primary, other], "u", table="t") == (KeyColumn("u", "text"),)


@pytest.mark.parametrize(
    "index",
    [
        Index("nullable", False, True, (ID,), False, True),
        Index("not unique", False, False, (ID,), True, True),
        Index("in another order", False, True, (ID,), True, False),
    ],
)
def test_no_other_index_is_walked_by_on_its_own(index: Index) -> None:
    with pytest.raises(InputError, match="no key to walk by") as raised:
        choose([index], None, table="t")
    assert "add a primary key" in raised.value.todo
