"""keeping Python's search for cycles away from thousands of new values that have none"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python from looking for cycles among thousands of new values; there are none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():
                # what was made counts as old, or the next collection would go through all of it
                gc.freeze()
                gc.unfreeze()
            gc.enable()
