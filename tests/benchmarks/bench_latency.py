"""how long an application waits for the table while it is filled, against before"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from statistics import median

import psycopg

from tests.benchmarks.filling import Place, place
from tests.benchmarks.ratio import Ratio

ROWS = int(os.environ.get("QB_BENCH_LOAD_ROWS", "1000000"))
CLIENTS = 4
PAUSE_S = 0.005  # between the transactions of a client: a busy application, not a full machine
BEFORE_S = 6.0
ROUNDS = int(os.environ.get("QB_BENCH_ROUNDS", "3"))
NUMBERS = 30_000_000  # as long as a backfill takes, about

# Nothing is read, written or locked: what it costs others is the core that it has.
COMPUTING = f"SELECT count(*) FROM generate_series(1, {NUMBERS})"


class Load:
    """Clients that read a row, and write one, as pgbench does; every transaction is timed."""

    def __init__(self, here: Place) -> None:
        self.seconds: list[float] = []
        self._conninfo = here.target.conninfo
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._client, args=(n,)) for n in range(CLIENTS)]
        for client in self._clients:
            client.start()

    def _client(self, number: int) -> None:
        chance = random.Random(number)
        with psycopg.connect(self._conninfo, autocommit=True) as conn:
            while not self._stop.wait(PAUSE_S):
                row = chance.randint(1, ROWS)
                started = time.perf_counter()
                with conn.transaction():
                    conn.execute("SELECT name FROM users WHERE id = %s", [row])
                    conn.execute("UPDATE users SET created_at = now() WHERE id = %s", [row])
                self.seconds.append(time.perf_counter() - started)

    def ended(self) -> list[float]:
        self._stop.set()
        for client in self._clients:
            client.join()
        return self.seconds


def run() -> list[Ratio]:
    """Measure before, during a backfill with its throttle on, and during two other statements.

    One is a plain UPDATE, the other only computes: what is left on this machine when a core is
    gone. A first backfill has the server make the files of its WAL, which it uses again later.
    """
    with place() as here:
        here.fresh(ROWS)
        here.backfilled()  # starts the worker, too
        rounds = [measured(here) for _ in range(ROUNDS)]
        here.fresh(ROWS)
        plain = loaded(here, here.plain)
    before, computing, during = (median(p99(each) for each in kind) for kind in zip(*rounds))
    worst = max(max(each) for _, _, each in rounds)
    return [
        Ratio("application's p99 during a backfill / before", during / before, 2.0,
              "at most", f"{ms(during)} against {ms(before)}; worst {ms(worst)}; during a plain"
              f" UPDATE {ms(p99(plain))}, worst {ms(max(plain))}"),
        Ratio("application's p99 during a backfill / during a query that only computes",
              during / computing, 1.25, "at most", f"{ms(during)} against {ms(computing)}"),
    ]  # fmt: skip


def measured(here: Place) -> tuple[list[float], list[float], list[float]]:
    """Seconds of the application's transactions: alone, beside a computation, a backfill."""
    here.fresh(ROWS)
    return (
        loaded(here, lambda: time.sleep(BEFORE_S)),
        loaded(here, lambda: here.conn.execute(COMPUTING)),
        loaded(here, lambda: here.backfilled(target_ms=20.0)),
    )


def loaded(here: Place, act: Callable[[], object]) -> list[float]:
    load = Load(here)
    act()
    return load.ended()


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
