"""the engine's one thread with its own event loop: whatever is asynchronous runs there

The Temporal client lives only on this loop, so that notebooks, scripts and tests, whichever thread
they call from and whatever loop they run themselves, all reach it the same way.

The client's own threads are not Python's: one that answers while the interpreter ends aborts the
process (temporalio/sdk-python issue 300). So they come to rest before it does.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SETTLED_S = 0.05  # 1 of 4 scripts that left calls behind was aborted without it, none with it

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def loop() -> asyncio.AbstractEventLoop:
    """The engine's loop; its thread is started when first needed."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_loop.run_forever, name="qb-engine", daemon=True)
            thread.start()
            atexit.register(_end, _loop, thread)
        return _loop


def _end(running: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """Ask for nothing more, and give the client's threads the time to let go of what they hold."""
    running.call_soon_threadsafe(running.stop)
    thread.join(2)
    time.sleep(SETTLED_S)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the engine's loop and wait for its result.

    An interrupt of the waiting thread cancels it. Must not be called from the engine's own thread.
    """
    future = asyncio.run_coroutine_threadsafe(coroutine, loop())
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise
