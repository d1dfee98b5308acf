"""how many keys a batch takes: as many as keep its locks for about the target time

Two things are known of the batches so far: what a key takes as things are now (rows that need
nothing among them), and what a written row takes at most. The first says how many keys fill the
target time; the second how many may be taken if all of a sudden every one of them is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

TARGET_MS = 250.0  # rows are locked for about this long; larger batches gain little speed
FIRST = 500  # keys; nobody knows yet how long a row takes
LARGEST = 100_000  # keys, unless the declaration says less; what one failed batch can lose
SMALLEST = 1
GROWTH = 4.0  # a fast batch may be luck, so grow step by step
SHRINK = 4.0
WORST = 2.0  # times the target, if all keys were written: a range where few are says nothing
ROW_MS = 0.025  # what a written row is taken to need while nobody knows
SMOOTH = 0.5  # the weight of the last batch; the ones before it share the rest
OUTLIER = 4.0  # a batch is not believed to be slower than this, against those before it
LATE = 1.5  # times the target: then the last batch alone decides how far to shrink
TELLING = 0.5  # of the keys written: then the time is that of the writing
APART_MS = (
    5_000.0  # what is computed before, with nothing locked, may take as long: it is lost, too
)


@dataclass(frozen=True, slots=True)
class Pace:
    """The size of the next batch in keys, and what is known of the ones before.

    `key_ms` is milliseconds per key, smoothed (0: not known yet); `row_ms` the most that a written
    row takes, as far as known; `share` rows written per key, smoothed.
    """

    size: int = FIRST
    key_ms: float = 0.0
    row_ms: float = ROW_MS
    share: float = 1.0

    def after(
        self,
        keys: int,
        seen: int,
        rows: int,
        ms: float,
        *,
        apart_ms: float = 0.0,
        target_ms: float = TARGET_MS,
        largest: int = LARGEST,
    ) -> Pace:
        """The pace after a batch of up to `keys` keys that saw `seen`, wrote `rows`, took `ms`.

        `apart_ms` is what it took before, with nothing locked. A batch that saw fewer keys than it
        might (the last of a segment) says nothing about more.
        """
        if seen < keys or seen <= 0:
            return self
        took = max(ms, 0.1) / seen
        key_ms = _smoothed(self.key_ms, took)
        share = self.share + SMOOTH * (rows / seen - self.share)
        row_ms = self.row_ms
        if rows and (rows >= TELLING * seen or ms / rows < row_ms):
            row_ms = _smoothed(row_ms, max(ms, 0.1) / rows)
        slowest = max(key_ms, took) if ms > LATE * target_ms else key_ms
        wanted = min(max(target_ms / slowest, keys / SHRINK), keys * GROWTH)
        most = WORST * target_ms / row_ms  # if every key is written
        if apart_ms > 0:
            most = min(most, APART_MS * seen / apart_ms)
        size = bounded(min(wanted, most), largest)
        return Pace(size, key_ms, row_ms, share)

    def fewer(self) -> Pace:
        """What to try after a timeout."""
        return replace(self, size=smaller(self.size))

    def within(self, largest: int) -> Pace:
        """The same with an upper bound of its size."""
        return replace(self, size=bounded(self.size, largest))


def smaller(size: int) -> int:
    """The size to try after a statement timeout."""
    return bounded(size / SHRINK)


def bounded(size: float, largest: int = LARGEST) -> int:
    return int(max(min(size, largest), SMALLEST))


def _smoothed(before: float, now: float) -> float:
    return before + SMOOTH * (min(now, before * OUTLIER) - before) if before else now
