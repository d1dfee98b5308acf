"""how long an application waits for the table while it is filled, against before"""

from __future__ import annotations

import os
import random
import threading
import time

import psycopg

from tests.benchmarks.filling import Place, place
from tests.benchmarks.ratio import Ratio

ROWS = int(os.environ.get("QB_BENCH_LOAD_ROWS", "1000000"))
CLIENTS = 4
PAUSE_S = 0.005  # between the transactions of a client: a busy application, not a full machine
BEFORE_S = 8.0


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
    """Measure before, during a backfill with its throttle on, and during one plain UPDATE."""
    with place() as here:
        here.fresh(1_000)
        here.backfilled()  # starts the worker
        here.fresh(ROWS)
        load = Load(here)
        time.sleep(BEFORE_S)
        before = load.ended()
        during = loaded(here, lambda: here.backfilled(target_ms=20.0))
        here.fresh(ROWS)
        plain = loaded(here, here.plain)
    detail = f"{ms(p99(during))} against {ms(p99(before))}; worst {ms(max(during))}"
    return [
        Ratio("application's p99 during a backfill / before", p99(during) / p99(before), 2.0,
              "at most", f"{detail}; during a plain UPDATE {ms(p99(plain))},"
              f" worst {ms(max(plain))}"),
    ]  # fmt: skip


def loaded(here: Place, act: object) -> list[float]:
    assert callable(act)
    load = Load(here)
    act()
    return load.ended()


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
