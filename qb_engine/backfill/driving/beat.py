"""the life of an activity: it beats while it works, and hears when it shall end"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from types import TracebackType

from temporalio import activity

BEAT_S = 2.0  # the server hears of life, and we of a cancellation, this often
ASK_S = 5.0  # how soon Temporal is asked again whether it is back


class Beat:
    """A heartbeat on a timer, however long a batch takes; `wait` hears of a stop.

    With `slice_s`, the time is over after so many seconds; but only while Temporal answers, for
    without it nobody could start the next slice: the rows go on while it is away.
    """

    def __init__(
        self,
        stop: threading.Event,
        slice_s: float | None = None,
        answers: Callable[[], bool] = lambda: True,
    ) -> None:
        self._stop = stop
        self._answers = answers
        self._until = None if slice_s is None else time.monotonic() + slice_s
        self._asked = 0.0
        self._ended = threading.Event()
        self._timer = threading.Thread(target=self._beat, name="qb-heartbeat", daemon=True)
        self._inside = contextvars.copy_context()
        self.over = False
        """Whether the time was over."""

    def __enter__(self) -> Beat:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._timer.join()

    def wait(self, seconds: float) -> bool:
        """Wait, less when told to stop; True when the work shall go on."""
        if seconds:
            self._stop.wait(seconds)
        if self._stop.is_set() or activity.is_worker_shutdown() or called_off():
            return False
        self.over = self.over or self._is_over()
        return not self.over

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            self._inside.run(activity.heartbeat)

    def _is_over(self) -> bool:
        now = time.monotonic()
        due = self._until is not None and (now > self._until or given_up())
        if not due or now < self._asked + ASK_S:
            return False
        self._asked = now
        return self._answers()


def given_up() -> bool:
    """Whether Temporal did not hear of this activity for too long, and gives it to another one.

    That is safe: the epoch fences this one off when the other one begins.
    """
    details = activity.cancellation_details()
    return details is not None and details.timed_out and not details.cancel_requested


def called_off() -> bool:
    """Whether Temporal ended this activity: not when it only was not heard of."""
    return activity.is_cancelled() and not given_up()


def cancelled() -> bool:
    """Whether the workflow wants this activity to end, and waits for it."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested
