"""what a worker and the server take for it: memory and CPU, seen in /proc, kept in the ledger"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

import psycopg

from qb_engine.errors import QbError

if TYPE_CHECKING:
    from qb_engine.backfill.driving.metrics import Meter
    from qb_engine.database.pool import Pool

PULSE_S = 2.0

WRITE = """
INSERT INTO qb.worker (id, lanes, concurrency, rss_bytes, cpu_share, server_cpu_share)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET (lanes, rss_bytes, cpu_share, server_cpu_share, seen_at)
    = (excluded.lanes, excluded.rss_bytes, excluded.cpu_share, excluded.server_cpu_share,
       pg_catalog.clock_timestamp())
"""
FORGET = "DELETE FROM qb.worker WHERE seen_at < clock_timestamp() - interval '1 day'"

LEAVE = "DELETE FROM qb.worker WHERE id = %s"

log = logging.getLogger("qb.worker")


def rss(pid: int | None = None) -> int:
    """Bytes of memory that a process (this one) has now; 0 when that cannot be seen."""
    try:
        pages = int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0 if pid else peak_rss()
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_rss(pid: int | None = None) -> int:
    """The most bytes of memory that a process (this one) has had; 0 when that cannot be seen."""
    if pid is None:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0


def cpu_s(pids: Iterable[int]) -> float | None:
    """Seconds of CPU that PostgreSQL's processes have used; None when none is to be seen here."""
    ticks, seen = 0, False
    for pid in pids:
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        except OSError:
            continue
        if "(postgres" not in name:  # a pid of another machine, or of another namespace
            continue
        fields = rest.split()
        ticks, seen = ticks + int(fields[11]) + int(fields[12]), True
    return ticks / os.sysconf("SC_CLK_TCK") if seen else None


class Pulse:
    """Writes down every few seconds what a busy worker takes, from a thread of its own."""

    def __init__(
        self, meter: Meter, pool: Pool, concurrency: int, busy: Callable[[], bool]
    ) -> None:
        self._meter = meter
        self._pool = pool
        self._concurrency = concurrency
        self._busy = busy
        self._told = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="qb-pulse", daemon=True)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._told:  # who was killed is named for a while, who left is not
            self._write(LEAVE, [self._meter.worker])

    def _run(self) -> None:
        before, own, theirs = time.monotonic(), time.process_time(), None
        while not self._ended.wait(PULSE_S):
            now, mine, servers = time.monotonic(), time.process_time(), cpu_s(self._pool.backends)
            if self._busy():
                share = None
                if servers is not None and theirs is not None:
                    share = max(0.0, servers - theirs) / (now - before)
                self._tell((mine - own) / (now - before), share)
            before, own, theirs = now, mine, servers

    def _tell(self, share: float, server: float | None) -> None:
        self._told = True
        self._write(
            WRITE,
            [
                *(self._meter.worker, self._meter.lanes, self._concurrency, rss()),
                *(round(share, 3), None if server is None else round(server, 3)),
            ],
        )

    def _write(self, statement: LiteralString, values: list[object]) -> None:
        try:
            with self._pool.connection("qb worker") as conn:
                conn.execute(statement, values)
                conn.execute(FORGET)
        except (psycopg.Error, QbError) as error:
            log.debug("what it takes is not written down: %s", type(error).__name__)
