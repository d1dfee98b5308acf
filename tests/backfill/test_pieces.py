"""the parts of a backfill that need no server"""

from __future__ import annotations

import os
import socket
from dataclasses import replace

import psycopg
import pytest
from psycopg import errors

from qb_engine.backfill import kinds
from qb_engine.backfill.batches import failures
from qb_engine.backfill.batches.failures import Verdict
from qb_engine.backfill.driving import temporal
from qb_engine.backfill.spec import SetColumn, Spec
from qb_engine.backfill.walk import split, statements
from qb_engine.backfill.walk.keys import KeyColumn
from qb_engine.database.processes import born
from qb_engine.errors import ServerError
from qb_engine.migrations.filling import Kind

ID = KeyColumn("id", "integer")
SPEC = Spec(
    "m", "sum", "public", "Order Items", (ID, KeyColumn('na"me', "text")),
    (SetColumn("v", "text", "lower(v)"),),
)  # fmt: skip


def text(composed: psycopg.sql.Composable) -> str:
    return composed.as_string(None)


def test_a_range_is_compared_in_steps_with_the_types_of_its_columns() -> None:
    assert text(statements.within(SPEC, ["1", "O'x"], None)) == (
        """("id", "na""me") > ('1'::integer, 'O''x'::text) AND """
        """(("id" > '1'::integer) OR ("id" = '1'::integer AND ("na""me") > ('O''x'::text)))"""
    )
    assert text(statements.within(SPEC, ["1", "a"], ["1", "b"])) == (
        """"id" = '1'::integer AND ("na""me") > ('a'::text) AND ("na""me") <= ('b'::text)"""
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


@pytest.mark.parametrize(("kind", "ahead"), [("set", False), ("sql", False), ("transform", True)])
def test_each_kind_sweeps_by_its_where_and_only_python_runs_ahead(kind: Kind, ahead: bool) -> None:
    found = kinds.of(replace(SPEC, kind=kind))
    assert isinstance(found, kinds.Kind)
    assert found.prepares is ahead
    assert found.explains(replace(SPEC, where="v IS NULL"))
    assert not found.explains(SPEC)


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
    assert split.how_many(300_000, 5_000, 1) == 1
    assert split.how_many(1_000_000, 5_000, 1) == 16  # more lanes may come while it runs
    assert split.how_many(1_000_000, 5_000, 2) == 8
    assert split.how_many(10_000, 5_000, 2) == 1
    assert split.how_many(30_000, 5_000, 4) == 6


def test_a_dead_worker_does_not_count_however_lately_it_polled() -> None:
    here, me = socket.gethostname(), os.getpid()
    assert temporal.living(f"qb|{here}|{me}|{born(me)}", silent=500)
    assert not temporal.living(f"qb|{here}|{me}|earlier", silent=0)
    assert temporal.living("qb|elsewhere|1|x", silent=10)
    assert not temporal.living("qb|elsewhere|1|x", silent=100)
