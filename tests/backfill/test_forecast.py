"""the range that the end is expected in: true for most looks, however the rate varies"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from qb_engine.backfill.reporting.forecast import (
    HALF_LIFE_S,
    SLICES,
    Left,
    Range,
    Stretch,
    left,
    rate_of,
    remaining,
)

SECONDS = 240


@pytest.mark.parametrize("since", [0.5, 3.0, 60.0, 3600.0])
def test_a_steady_rate_gives_itself(since: float) -> None:
    step = 0.01
    weighted = sum(100 * step * 0.5 ** (i * step / HALF_LIFE_S) for i in range(int(since / step)))
    assert math.isclose(rate_of(weighted, since), 100, rel_tol=0.02)


def steady(chance: random.Random, second: int) -> float:
    return 1000 * chance.uniform(0.8, 1.2)


def noisy(chance: random.Random, second: int) -> float:
    return 1000 * math.exp(chance.gauss(0, 0.5))


def wavy(chance: random.Random, second: int) -> float:
    return 1000 * (1 + 0.6 * math.sin(second / SECONDS * 20))


def held(chance: random.Random, second: int) -> float:
    """A signal says stop for a quarter of the time."""
    return 0.0 if (second // 15) % 4 == 3 else steady(chance, second)


def tiring(chance: random.Random, second: int) -> float:
    """A table that bloats: every batch a little slower."""
    return 1000 * (1 - 0.5 * second / SECONDS)


def looks(rates: list[float]) -> Iterator[tuple[int, tuple[float, Range] | None]]:
    """What is said after each second of a run, once it has begun."""
    total = sum(rates)
    for now in range(SECONDS // 30, SECONDS):
        past = rates[:now]
        count = min(SLICES, now)
        edges = [round(i * now / count) for i in range(count + 1)]
        slices = [sum(past[a:b]) / (b - a) for a, b in pairwise(edges)]
        weighted = sum(r * 0.5 ** ((now - i - 0.5) / HALF_LIFE_S) for i, r in enumerate(past))
        rate, done = rate_of(weighted, now), sum(past)
        rest = left(int(total), exact=True, stretches=[Stretch(int(done), int(done), False)])
        yield now, remaining(rest, slices, rate, done / total, spent=now, sweeps=False)


@pytest.mark.parametrize("kind", [steady, noisy, wavy, held, tiring])
def test_the_true_end_lies_in_the_range(kind: object) -> None:
    """For at least four of five looks, with a range that is still worth reading."""
    assert callable(kind)
    chance = random.Random(7)
    found = list(looks([kind(chance, second) for second in range(SECONDS)]))
    said = [(SECONDS - now, told) for now, told in found if told is not None]
    met = [true for true, (_, r) in said if r.high is not None and r.low <= true <= r.high]
    widths = sorted(r.high / r.low for _, (_, r) in said if r.high and r.low)
    assert len(met) >= 0.8 * len(said)
    assert widths[len(widths) // 2] < 5
    assert all(r.low <= expected <= (r.high or expected) for _, (expected, r) in said)


def test_nothing_is_expected_of_what_does_not_move() -> None:
    assert remaining(Left(10, 10, 10), (), 0.0, 0.5, spent=1.0, sweeps=False) is None


def test_a_guessed_total_is_corrected_by_what_was_walked_over() -> None:
    """Of the keys so far one in ten had to be written, so of the rest as many."""
    rest = left(10_000, exact=False, stretches=[Stretch(100, 1_000, False)])
    assert rest.rows == 900
    assert rest.low < 900 < rest.high


def test_ranges_that_are_done_tell_of_the_others() -> None:
    done = [Stretch(400, 1_000, True), Stretch(600, 1_000, True)]
    rest = left(
        9_999, exact=False, stretches=[*done, Stretch(100, 200, False), Stretch(0, 0, False)]
    )
    assert rest.rows == 900
