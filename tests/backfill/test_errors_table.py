"""the table of errors, the strategy of trying again, the search for a row: pure arithmetic"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import errors

from qb_engine.backfill.batches import failures, poison, recovery
from qb_engine.backfill.batches.failures import Verdict
from qb_engine.backfill.batches.mending import Stopped
from qb_engine.backfill.batches.poison import BadAnswer, Narrowing
from qb_engine.backfill.batches.recovery import Recovery
from qb_engine.backfill.frames.failed import TransformFailed
from qb_engine.backfill.options import Options
from qb_engine.backfill.spec import Spec
from qb_engine.backfill.walk.keys import KeyColumn
from qb_engine.errors import InputError, ServerError

SPEC = Spec("m", "", "public", "t", (KeyColumn("id", "integer"),), ())

CLASSES = {
    "retry": ("40001", "40P01", "55P03", "40000", "55006"),
    "shrink": ("57014", "53400"),
    "reconnect": (
        *("08000", "08003", "08006", "08P01", "57P01", "57P02", "57P03", "57P05"),
        *("25006", "25P03", "25P04", "53300", "53200", "40003", "58030"),
    ),
    "stop": (
        *("42P01", "42703", "42501", "42883", "42601", "28000", "28P01", "3D000", "53100"),
        *("57P04", "0A000", "XX000", "54001", "55000"),
    ),
    "data": (
        *("22001", "22003", "22012", "22P02", "23502", "23503", "23505", "23514", "23P01"),
        *("21000", "P0001", "P0002", "P0003", "P0004", "38000", "44000", "54000", "40002"),
    ),
}


@pytest.mark.parametrize(
    ("name", "state"), [(name, state) for name, states in CLASSES.items() for state in states]
)
def test_every_sqlstate_has_a_class_and_words(name: str, state: str) -> None:
    verdict = failures.by_state(state)
    assert verdict.value == name
    said = failures.advice(state)
    assert said.name == name
    assert said.means
    assert said.todo
    assert "%(" not in said.todo
    assert verdict.final == (name in ("stop", "data"))


def test_every_sqlstate_that_psycopg_knows_is_judged() -> None:
    known = [state for state in vars(errors)["_sqlcodes"] if len(state) == 5]
    assert len(known) > 200
    assert {failures.by_state(state) for state in known} == set(Verdict)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (psycopg.DataError("integer out of range"), Verdict.DATA),
        (psycopg.ProgrammingError("cannot adapt type 'set'"), Verdict.DATA),
        (psycopg.ProgrammingError("the query has 2 placeholders"), Verdict.STOP),
        (psycopg.NotSupportedError("pipeline"), Verdict.STOP),
        (psycopg.InterfaceError("the connection is closed"), Verdict.LATER),
        (psycopg.OperationalError("server closed the connection"), Verdict.LATER),
        (InputError("no such column"), Verdict.STOP),
        (ServerError("cannot connect", why="timeout expired"), Verdict.LATER),
        (ServerError("cannot connect", why='role "x" is not permitted to log in'), Verdict.STOP),
        (ServerError("too old", code="server-too-old"), Verdict.STOP),
    ],
)
def test_what_the_client_raises_itself_is_judged_too(error: Exception, verdict: Verdict) -> None:
    assert failures.judge(error) is verdict


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [("data", Verdict.DATA), ("code", Verdict.STOP), ("transient", Verdict.AGAIN)],
)
def test_what_the_users_python_caused_says_whose_fault_it_is(fault: Any, verdict: Verdict) -> None:
    error = TransformFailed("it raised", where="backfill.py:7", why="KeyError: 'a'", fault=fault)
    assert failures.judge(error) is verdict
    assert failures.told(error) == "it raised at backfill.py:7: KeyError: 'a'"
    assert failures.named(error) == "TransformFailed"
    stopped = Stopped(error, "row id = 7 of public.t")
    assert failures.advice(stopped.sqlstate).name == verdict.value
    assert str(stopped).endswith("'a', at row id = 7 of public.t")


# -- the strategy -------------------------------------------------------------------------------


def recovering(code: Any = None, *, calls: bool = False, **retry: Any) -> Recovery:
    return Recovery(replace(SPEC, options=Options(retry=retry, retry_calls=calls)), code)


def test_waits_double_up_to_the_longest() -> None:
    mind = recovering(first=1, longest=8)
    for most in (2, 4, 8, 8, 8):
        found = mind.decide(errors.DeadlockDetected())
        assert found is not None
        assert found.verdict is Verdict.AGAIN
        assert most / 2 <= found.wait_s <= most


def test_attempts_end_and_a_success_begins_anew() -> None:
    mind = recovering(attempts=3, first=0)
    for _ in range(3):
        for _ in range(2):
            found = mind.decide(errors.LockNotAvailable())
            assert found is not None
            assert found.verdict is Verdict.AGAIN
        mind.succeeded()
    for _ in range(3):
        found = mind.decide(errors.LockNotAvailable())
    assert found is not None
    assert found.verdict is Verdict.STOP
    assert "after 3 tries" in found.said


def test_a_deadline_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(recovery.time, "monotonic", lambda: now[0])
    mind = recovering(deadline=10, longest=100, first=100)
    found = mind.decide(errors.AdminShutdown())
    assert found is not None
    assert found.verdict is Verdict.LATER
    assert found.wait_s <= 10
    now[0] += 10
    found = mind.decide(errors.AdminShutdown())
    assert found is not None
    assert found.verdict is Verdict.STOP


def test_a_class_that_is_left_out_stops_at_once() -> None:
    found = recovering(classes=["retry"]).decide(errors.QueryCanceled())
    assert found is not None
    assert found.verdict is Verdict.STOP
    assert "shrink" in found.said


def test_without_a_strategy_it_is_never_given_up_only_started_over() -> None:
    mind = recovering()
    answers = [mind.decide(errors.LockNotAvailable()) for _ in range(recovery.ATTEMPTS + 1)]
    assert answers[-1] is None
    assert all(each and each.verdict is Verdict.AGAIN for each in answers[:-1])


class Asked:
    """A declaration whose methods answer what they are told to."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.heard: list[tuple[Any, ...]] = []

    def _next(self, *heard: Any) -> Any:
        self.heard.append(heard)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    retry = on_error = _next


def test_a_method_says_how_long_to_wait_or_gives_up() -> None:
    code = Asked(1.5, 0, None)
    mind = recovering(code, calls=True)
    error = errors.DeadlockDetected()
    waits = [mind.decide(error) for _ in range(2)]
    assert [each.wait_s for each in waits if each] == [1.5, 0.0]
    last = mind.decide(error)
    assert last is not None
    assert last.verdict is Verdict.STOP
    assert "gave it up" in last.said
    assert code.heard == [(error, 1), (error, 2), (error, 3)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ValueError("oh"), "retry raised ValueError: oh"),
        ("soon", "not seconds or None"),
        (True, "not seconds or None"),
        (-1, "cannot be waited"),
        (float("nan"), "cannot be waited"),
    ],
)
def test_a_method_that_makes_no_sense_stops_with_its_words(answer: Any, said: str) -> None:
    found = recovering(Asked(answer), calls=True).decide(errors.DeadlockDetected())
    assert found is not None
    assert found.verdict is Verdict.STOP
    assert said in found.said


def test_errors_of_rows_and_final_ones_are_not_asked_about() -> None:
    code = Asked()
    mind = recovering(code, calls=True)
    for error, verdict in (
        (errors.CheckViolation(), Verdict.DATA),
        (errors.UndefinedTable(), Verdict.STOP),
    ):
        found = mind.decide(error)
        assert found is not None
        assert found.verdict is verdict
    assert code.heard == []


@pytest.mark.parametrize("says", ["stop", "quarantine", "skip"])
def test_on_error_is_asked_with_the_error_and_the_key(says: str) -> None:
    code, error = Asked(says), errors.CheckViolation()
    spec = replace(SPEC, options=Options(on_error="call"))
    assert poison.answer(spec, code, error, ["7"]) == says  # type: ignore[arg-type]
    assert code.heard == [(error, {"id": "7"})]


@pytest.mark.parametrize("answer", [None, "ignore", 7, KeyError("x")])
def test_an_on_error_that_makes_no_sense_is_told(answer: Any) -> None:
    spec = replace(SPEC, options=Options(on_error="call"))
    with pytest.raises(BadAnswer, match="on_error r"):
        poison.answer(spec, Asked(answer), errors.CheckViolation(), ["7"])  # type: ignore[arg-type]


# -- the search for a row -----------------------------------------------------------------------


def searched(rows: int, bad: set[int], wanted: int) -> tuple[list[int], int]:
    """Walk over rows as a segment does: the rows that were found, and how many batches failed."""
    mind, at, found, failed = Narrowing(), 0, [], 0
    while at < rows:
        size = mind.size(wanted)
        assert 1 <= size <= wanted
        batch = range(at, min(at + size, rows))
        if not bad.intersection(batch):
            at = batch.stop
            mind.passed(size)
        elif size == 1 and mind.careful:
            found.append(at)
            at += 1
            mind.found()
        else:
            failed += 1
            mind.failed(size)
    return found, failed


@given(st.data(), st.integers(1, 300), st.integers(1, 400))
def test_exactly_the_bad_rows_are_found_in_few_tries(data: Any, rows: int, wanted: int) -> None:
    bad = data.draw(st.sets(st.integers(0, rows - 1), max_size=8))
    found, failed = searched(rows, bad, wanted)
    assert found == sorted(bad)
    assert failed <= len(bad) * 2 * (wanted.bit_length() + 1)


def test_one_row_of_a_hundred_thousand_costs_seventeen_failures() -> None:
    assert searched(200_000, {77_777}, 100_000)[1] <= 17


def test_when_every_row_fails_each_costs_one_try_after_the_first() -> None:
    found, failed = searched(500, set(range(500)), 100_000)
    assert len(found) == 500
    assert failed <= 17
