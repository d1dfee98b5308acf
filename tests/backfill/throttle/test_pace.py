"""the size of a batch finds the target time on any server, and never runs away"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qb_engine.backfill import pace
from qb_engine.backfill.pace import Pace

Cost = Callable[[int, int], float]
"""Milliseconds of a batch, by the keys that it looks at and the rows that it writes."""

START = Pace()


def server(fixed: float, key: float, row: float) -> Cost:
    return lambda keys, rows: fixed + key * keys + row * rows


def driven(
    cost: Cost, shares: Iterable[float], now: Pace = START
) -> tuple[Pace, list[tuple[int, float]]]:
    """Batches on a simulated server, with the share of rows that match: sizes and times."""
    past = []
    for share in shares:
        keys = now.size
        rows = int(keys * share)
        ms = cost(keys, rows)
        past.append((keys, ms))
        now = now.after(keys, keys, rows, ms)
    return now, past


costs = st.builds(
    server,
    fixed=st.floats(0, 10),
    key=st.floats(0.00001, 0.01),
    row=st.floats(0.001, 5),
)


@given(cost=costs)
def test_a_steady_server_comes_to_the_target_time(cost: Cost) -> None:
    _, past = driven(cost, [1.0] * 40)
    keys, ms = past[-1]
    assert ms <= 1.1 * pace.TARGET_MS
    assert keys in (pace.SMALLEST, pace.LARGEST) or ms >= 0.5 * pace.TARGET_MS


@given(cost=costs)
def test_a_steady_server_is_not_swung_about(cost: Cost) -> None:
    _, past = driven(cost, [1.0] * 60)
    settled = [keys for keys, _ in past[-15:]]
    assert max(settled) <= 1.05 * min(settled) + 1


@given(cost=costs, noise=st.lists(st.floats(0.8, 1.25), min_size=60, max_size=60))
def test_a_noisy_server_stays_near_the_target_time(cost: Cost, noise: list[float]) -> None:
    now = Pace()
    late = []
    for factor in noise:
        keys = now.size
        ms = cost(keys, keys) * factor
        late.append(ms)
        now = now.after(keys, keys, keys, ms)
    if now.size > pace.SMALLEST:
        assert max(late[30:]) <= 2 * pace.TARGET_MS


@given(
    key=st.floats(0.0001, 0.01),
    row=st.floats(0.001, 1),
    few=st.floats(0, 0.01),
)
def test_when_few_rows_match_a_batch_in_which_all_do_is_still_within_bounds(
    key: float, row: float, few: float
) -> None:
    cost = server(1, key, row)
    now, _ = driven(cost, [1.0] * 20)  # what a row takes is known from here
    now, _ = driven(cost, [few] * 60, now)
    if now.size > pace.SMALLEST:
        assert cost(now.size, now.size) <= pace.WORST * 1.25 * pace.TARGET_MS


def test_a_batch_that_saw_many_keys_and_wrote_three_rows_does_not_run_away() -> None:
    now = Pace(100_000).after(100_000, 100_000, 3, 100, largest=10_000_000)
    assert now.size <= pace.WORST * pace.TARGET_MS / pace.ROW_MS


@given(share=st.floats(0.05, 1))
def test_where_some_rows_match_batches_are_large_enough_to_be_quick(share: float) -> None:
    fixed = 2.0
    _, past = driven(server(fixed, 0.001, 0.01), [share] * 60)
    assert past[-1][1] >= 10 * fixed


@given(cost=costs, factor=st.floats(2, 50))
def test_one_slow_batch_is_recovered_from(cost: Cost, factor: float) -> None:
    now, _ = driven(cost, [1.0] * 40)
    before = now.size
    now = now.after(now.size, now.size, now.size, cost(now.size, now.size) * factor)
    assert now.size <= max(before, 1)
    now, past = driven(cost, [1.0] * 15, now)
    assert max(ms for _, ms in past) <= max(1.5 * pace.TARGET_MS, cost(1, 1))
    assert now.size >= 0.9 * before - 1


@given(cost=costs, factor=st.floats(4, 100))
def test_a_server_that_becomes_slow_is_followed_down_at_once(cost: Cost, factor: float) -> None:
    now, _ = driven(cost, [1.0] * 40)
    size, slow = now.size, lambda keys, rows: factor * cost(keys, rows)
    now = now.after(size, size, size, slow(size, size))
    if slow(size, size) > pace.SHRINK * pace.TARGET_MS:
        assert now.size <= max(1, size / pace.SHRINK)
    _, past = driven(slow, [1.0] * 20, now)
    assert past[-1][1] <= 1.3 * max(pace.TARGET_MS, slow(1, 1))  # a row may take longer by itself


@given(
    start=st.integers(1, pace.LARGEST),
    rows=st.floats(0, 1),
    ms=st.floats(0, 1e7, allow_nan=False),
    largest=st.integers(1, pace.LARGEST),
)
def test_a_batch_grows_step_by_step_and_stays_in_its_bounds(
    start: int, rows: float, ms: float, largest: int
) -> None:
    found = Pace(start).after(start, start, int(start * rows), ms, largest=largest).size
    assert pace.SMALLEST <= found <= largest
    assert found <= start * pace.GROWTH
    if ms > 2 * pace.TARGET_MS:
        assert found <= start


def test_a_short_last_batch_says_nothing_about_speed() -> None:
    assert Pace(500).after(500, 3, 3, 0.1) == Pace(500)


@pytest.mark.parametrize("target", [50.0, 1_000.0])
def test_the_target_is_the_users(target: float) -> None:
    now, cost = Pace(), server(1, 0.001, 0.05)
    for _ in range(30):
        ms = cost(now.size, now.size)
        now = now.after(now.size, now.size, now.size, ms, target_ms=target)
    assert cost(now.size, now.size) == pytest.approx(target, rel=0.2)


def test_what_is_computed_before_a_batch_bounds_what_a_kill_can_lose() -> None:
    now = Pace(100)
    for _ in range(20):  # a service that answers for ten rows a second
        now = now.after(now.size, now.size, now.size, 0.01 * now.size, apart_ms=100 * now.size)
    assert now.size * 100 == pytest.approx(pace.APART_MS, rel=0.1)


def test_a_limit_below_the_least_is_one_row() -> None:
    assert Pace(500).within(0).size == 1
    assert Pace(2).fewer().size == 1
