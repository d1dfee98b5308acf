"""what a worker counts, and how Prometheus reads it: one page with ours and Temporal's own

The SDK binds a port of its own for its figures, on loopback and of nobody's choice; our page
fetches them from there. So there is one port to open, and one to scrape.
"""

from __future__ import annotations

import logging
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from qb_engine.errors import InputError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric
    from temporalio.runtime import Runtime

    from qb_engine.backfill.batches.batch import Around, Batch

LOOPBACK = "127.0.0.1"
FETCH_S = 2.0
BUCKETS_MS = (1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 30_000)

log = logging.getLogger("qb.worker")


@dataclass(frozen=True, slots=True)
class Counted:
    """What a worker did since it started."""

    rows: int = 0
    batches: int = 0
    retries: int = 0
    holds: int = 0
    quarantined: int = 0
    ms: float = 0.0
    waited_ms: float = 0.0


class Meter:
    """Counts batches as they are committed; costs nothing when nobody asks."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.lanes = 0
        self.counted = Counted()
        self.buckets = [0] * (len(BUCKETS_MS) + 1)
        self._lock = threading.Lock()

    @contextmanager
    def lane(self) -> Iterator[None]:
        """Count a lane while it runs."""
        with self._lock:
            self.lanes += 1
        try:
            yield
        finally:
            with self._lock:
                self.lanes -= 1

    def batch(self, did: Batch, around: Around) -> None:
        """Count a batch that was committed."""
        place = sum(did.ms > bound for bound in BUCKETS_MS)
        with self._lock:
            now = self.counted
            self.buckets[place] += 1
            self.counted = Counted(
                now.rows + did.rows,
                now.batches + 1,
                now.retries + around.attempts - 1,
                now.holds + bool(around.held_by),
                now.quarantined,
                now.ms + did.ms,
                now.waited_ms + around.waited_ms,
            )

    def aside(self) -> None:
        """Count a row that was set aside."""
        with self._lock:
            self.counted = replace(self.counted, quarantined=self.counted.quarantined + 1)

    def collect(self) -> Iterator[Metric]:
        """The figures, as prometheus_client wants them."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        with self._lock:
            now, buckets, lanes = self.counted, list(self.buckets), self.lanes
        for name, said, value in (
            ("rows", "Rows written.", now.rows),
            ("batches", "Batches committed.", now.batches),
            ("retries", "Batches tried again.", now.retries),
            ("holds", "Batches that waited for a signal or the rate.", now.holds),
            ("hold_seconds", "Time waited for a signal or the rate.", now.waited_ms / 1000),
            ("quarantined", "Rows set aside.", now.quarantined),
        ):
            yield CounterMetricFamily(f"qb_backfill_{name}", said, value=value)
        yield GaugeMetricFamily("qb_backfill_lanes", "Lanes that run.", value=lanes)
        total, bounds = 0, []
        for bound, count in zip((*BUCKETS_MS, None), buckets, strict=True):
            total += count
            bounds.append(("+Inf" if bound is None else str(bound / 1000), total))
        yield HistogramMetricFamily(
            "qb_backfill_batch_seconds",
            "How long a batch held its locks.",
            buckets=bounds,
            sum_value=now.ms / 1000,
        )


def registry(meter: Meter) -> CollectorRegistry:
    """Ours: the meter, and the process's CPU seconds, memory and open files."""
    from prometheus_client import CollectorRegistry, ProcessCollector

    made = CollectorRegistry()
    made.register(meter)
    ProcessCollector(registry=made)
    return made


def exporting() -> tuple[Runtime, str]:
    """Temporal's runtime with its own exporter, and the address of that."""
    from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

    address = f"{LOOPBACK}:{_free_port()}"
    metrics = PrometheusConfig(address, counters_total_suffix=True, durations_as_seconds=True)
    return Runtime(telemetry=TelemetryConfig(metrics=metrics)), f"http://{address}/metrics"


@contextmanager
def page(meter: Meter, port: int, theirs: str) -> Iterator[int]:
    """Serve the figures at /metrics, ours and those of `theirs`; give the port (0: any free one).

    Raise InputError when the port is taken.
    """
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    ours = registry(meter)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] not in ("/", "/metrics"):
                self.send_error(404)
                return
            text = generate_latest(ours) + _fetched(theirs)
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing: it is asked every few seconds."""

    try:
        server = ThreadingHTTPServer(("", port), Page)
    except OSError as error:
        raise InputError(
            f"the figures cannot be served on port {port}",
            why=error.strerror or str(error),
            todo="name another one: --metrics-port, 0 for any that is free",
            code="bad-option",
        ) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="qb-metrics", daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _fetched(address: str) -> bytes:
    """Temporal's own page; empty, and said in the log, when it does not answer."""
    try:
        with urllib.request.urlopen(address, timeout=FETCH_S) as answer:
            return bytes(answer.read())
    except OSError as error:
        log.warning("Temporal's own figures cannot be read: %s", error)
        return b""
