"""rows per second of a backfill against one plain `UPDATE`, and against loops that others write"""

from __future__ import annotations

import os
from statistics import median

from tests.benchmarks.filling import TRANSFORM, Place, place
from tests.benchmarks.ratio import Ratio

SIZES = tuple(map(int, os.environ.get("QB_BENCH_ROWS", "1000000,5000000").split(",")))
ROUNDS = int(os.environ.get("QB_BENCH_ROUNDS", "3"))  # at the first size; one at the others
TARGETS = {1: 0.9, 2: 1.1}  # by `parallel`
START_S = 2.0
TRANSFORMED = 200_000


def run() -> list[Ratio]:
    """Measure on servers of its own, in rounds that take turns."""
    with place() as here:
        here.fresh(1_000)
        cold = here.first_batch()  # starts the worker
        here.fresh(1_000)
        warm = median(here.first_batch() for _ in range(3))
        small, *rest = SIZES
        found = measured(here, small, ROUNDS)
        ratios = [
            Ratio("backfill: time to the first batch / 2 s", warm / START_S, 1.0, "at most",
                  f"{warm:.2f} s; {cold:.2f} s when no worker ran"),
            *compared(small, found),
            *others(here, small, median(found[1])),
        ]  # fmt: skip
        peak = here.worker_peak()
        for rows in rest:
            big = measured(here, rows, 1)
            ratios += compared(rows, big)
            for parallel in TARGETS:
                ratio = speed(rows, big, parallel) / speed(small, found, parallel)
                name = f"backfill, parallel = {parallel}: {rows:,} rows against {small:,}"
                ratios.append(Ratio(name, ratio, 0.9, "at least", "of the ratios above"))
            now = here.worker_peak()
            ratios.append(
                Ratio(f"backfill: worker's peak memory, {rows:,} rows / {small:,}", now / peak, 1.1,
                      "at most", f"{now:.0f} MB against {peak:.0f} MB")
            )  # fmt: skip
        return [*ratios, transformed(here)]


def measured(here: Place, rows: int, rounds: int) -> dict[int, list[float]]:
    """Seconds: of the plain UPDATE under 0, of the backfill under its `parallel`."""
    taken: dict[int, list[float]] = {parallel: [] for parallel in (0, *TARGETS)}
    for _ in range(rounds):
        for parallel, seconds in taken.items():
            here.fresh(rows)
            seconds.append(here.backfilled(parallel=parallel) if parallel else here.plain())
    return taken


def speed(rows: int, taken: dict[int, list[float]], parallel: int) -> float:
    return median(taken[0]) / median(taken[parallel])


def compared(rows: int, taken: dict[int, list[float]]) -> list[Ratio]:
    return [
        Ratio(
            f"backfill, parallel = {parallel}, {rows:,} rows: rows/s of a plain UPDATE",
            speed(rows, taken, parallel),
            target,
            "at least",
            f"{rows / median(taken[parallel]):,.0f} rows/s against {rows / median(taken[0]):,.0f}",
        )
        for parallel, target in TARGETS.items()
    ]


def others(here: Place, rows: int, ours: float) -> list[Ratio]:
    """Loops as they are written by hand, and by tools that join a CTE with a LIMIT."""
    found = []
    for name, act in (("a loop by hand", here.looped), ("a CTE with LIMIT, joined", here.joined)):
        here.fresh(rows)
        taken = act()
        found.append(
            Ratio(f"backfill, parallel = 1: rows/s of {name}", taken / ours, 1.0, "at least",
                  f"{rows / ours:,.0f} rows/s against {rows / taken:,.0f}")
        )  # fmt: skip
    return found


def transformed(here: Place) -> Ratio:
    """Rows through Python against the same by SQL."""
    here.fresh(TRANSFORMED)
    by_set = here.backfilled()
    here.fresh(TRANSFORMED)
    by_python = here.backfilled(TRANSFORM)
    return Ratio(
        "backfill: rows/s of a Python transform, of those by `set`",
        by_set / by_python,
        0.25,
        "at least",
        f"{TRANSFORMED / by_python:,.0f} rows/s against {TRANSFORMED / by_set:,.0f}",
    )
