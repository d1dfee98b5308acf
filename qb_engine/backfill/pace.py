"""how many keys a batch takes: as many as keep its locks for a quarter of a second"""

from __future__ import annotations

TARGET_MS = 250.0  # rows are locked for about this long; larger batches gain little speed
FIRST = 500  # keys; nobody knows yet how long a row takes
LARGEST = 100_000  # keys, unless the declaration says less; what one failed batch can lose
SMALLEST = 1
GROWTH = 4.0  # a fast batch may be luck, so grow step by step
SHRINK = 4.0


def next_size(size: int, ms: float, *, largest: int = LARGEST, seen: int | None = None) -> int:
    """The size of the next batch, after one of `size` keys that took `ms` milliseconds.

    Never more than `largest`. A batch that saw fewer keys than it might (the last of a segment)
    says nothing about more.
    """
    if seen is not None and seen < size:
        return size
    wanted = size * TARGET_MS / max(ms, 0.1)
    return bounded(min(max(wanted, size / SHRINK), size * GROWTH), largest)


def smaller(size: int) -> int:
    """The size to try after a statement timeout."""
    return bounded(size / SHRINK)


def bounded(size: float, largest: int = LARGEST) -> int:
    return int(min(max(size, SMALLEST), largest))
