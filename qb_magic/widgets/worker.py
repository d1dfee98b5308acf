"""one thread that does what buttons ask for, one job after the other"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]


class Worker:
    """A daemon thread with a queue. Jobs must not raise: their error boundary is around them."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Have a job done as soon as those before it are; returns at once, from any thread."""
        self._jobs.put(job)

    def stop(self) -> None:
        """End the thread once the jobs that were submitted are done."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class Pulse:
    """A daemon thread that calls `beat` again and again while it is wanted, and `end` at last."""

    def __init__(self, name: str, period_s: float, beat: Job, end: Job = lambda: None) -> None:
        self._period_s, self._beat, self._end = period_s, beat, end
        self._wanted, self._stopped = threading.Event(), threading.Event()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def want(self, wanted: bool) -> None:
        """Begin or end the beating."""
        (self._wanted.set if wanted else self._wanted.clear)()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._wanted.set()

    def _work(self) -> None:
        while self._wanted.wait() and not self._stopped.is_set():
            self._beat()
            self._stopped.wait(self._period_s)
        self._end()
