"""how long it will still take: a range, from how the rate varied and how sure the total is"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

HALF_LIFE_S = 10.0  # of the rate: what was done this long ago counts half
SLICES = 24  # that the recent past is looked at in
QUARTER = SLICES // 4  # a stretch of this many tells how much the rate wanders
MARGIN = 0.08  # of a rate, however steady it was
EARLY = 0.20  # more of it at the very beginning: little was seen of the table
SLOWEST = 0.2  # of the mean rate: a hold that ended is not taken for what is to come
GUESSED = (0.75, 1.3)  # of the rows that are left, where their number is the planner's guess
SAMPLED = (0.85, 1.15)  # where ranges that are done tell how many rows the others have
SWEEP = 0.08  # of the time of the main pass: the look for late rows after it takes up to this


@dataclass(frozen=True, slots=True)
class Range:
    """Seconds at least and at most; `high` is None when nothing can be said."""

    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The rows that one key range has written and walked over."""

    rows: int
    keys: int
    done: bool


@dataclass(frozen=True, slots=True)
class Left:
    """Rows that are still to be written: what is expected, at least, at most."""

    rows: float
    low: float
    high: float


def rate_of(weighted: float, since: float) -> float:
    """Rows per second, exponentially weighted (half-life 10 s).

    `weighted` is the sum of rows, each halved for every half-life of its age; `since` the seconds
    since the first one began. A steady rate gives itself, from the first second on.
    """
    if since <= 0 or weighted <= 0:
        return 0.0
    decay = math.log(2) / HALF_LIFE_S
    return weighted * decay / (1.0 - math.exp(-decay * since))


def left(total: int, *, exact: bool, stretches: Sequence[Stretch]) -> Left:
    """What is left of `total` rows; where it is not exact, it is the number of keys.

    Ranges of equally many keys that are done tell most of it; before, the share of the keys that
    had to be written does.
    """
    done = sum(each.rows for each in stretches)
    if exact:
        rest = float(max(total - done, 0))
        return Left(rest, rest * 0.98, rest * 1.02)
    finished = [each.rows for each in stretches if each.done]
    if len(finished) >= 2:
        mean = sum(finished) / len(finished)
        rest = sum(max(mean - each.rows, mean * 0.02) for each in stretches if not each.done)
        return Left(rest, rest * SAMPLED[0], rest * SAMPLED[1])
    walked = sum(each.keys for each in stretches)
    share = min(done / walked, 1.0) if walked else 1.0
    rest = max(total - walked, 0) * share
    return Left(rest, rest * GUESSED[0], rest * GUESSED[1])


def spread(slices: Sequence[float], rate: float, fraction: float) -> tuple[float, float]:
    """The slowest and the fastest that is to be expected, from the rates of the recent past."""
    margin = MARGIN + EARLY * (1.0 - min(max(fraction, 0.0), 1.0))
    seen = [rate]
    if slices:
        count = min(QUARTER, len(slices))
        sums = [sum(slices[i : i + count]) / count for i in range(len(slices) - count + 1)]
        seen += [*sums, sum(slices) / len(slices)]
        if len(sums) > QUARTER and sums[0] > 0:  # what became slower may become slower still
            seen.append(sums[-1] * min(max(sums[-1] / sums[0], 0.5), 1.0))
    mean = sum(slices) / len(slices) if slices else rate
    slowest = max(min(seen), mean * SLOWEST)
    return slowest * (1.0 - margin), max(seen) * (1.0 + margin)


def remaining(
    rest: Left, slices: Sequence[float], rate: float, fraction: float, *, spent: float, sweeps: bool
) -> tuple[float, Range] | None:
    """Seconds until the end, and their range; None when nothing moves.

    `slices` are rates of the recent past, the oldest first; `spent` the seconds until now.
    """
    if rate < 0.5:
        return None
    slow, fast = spread(slices, rate, fraction)
    mean = sum(slices) / len(slices) if slices else rate
    middle = (rate + mean) / 2
    low = rest.low / fast
    high = rest.high / slow if slow > 0 else None
    if high is not None and sweeps:
        high += (spent + high) * SWEEP
    expected = rest.rows / middle
    return max(low, min(expected, high or expected)), Range(low, high)
