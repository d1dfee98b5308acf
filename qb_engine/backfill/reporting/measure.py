"""how far a backfill is: one query, one value"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.resources import files
from typing import Any

import psycopg

from qb_engine.backfill.driving.payloads import ENDED
from qb_engine.backfill.reporting import forecast
from qb_engine.backfill.reporting.forecast import Range, Stretch, rate_of

__all__ = ["Hold", "Progress", "SegmentProgress", "progress", "rate_of"]

WINDOW_S = 300.0  # of the past that the rate and its spread are taken from
LOOKED_AT = 2_000  # batches at most: 100,000 in the ledger cost no more than these
HOLDS = 50  # that are named at once
DIVISORS = (1, 2, 3, 4, 6, 8, 12, 24)  # of the slices
BATCHES_EACH = 3  # at least, so that a slice tells a rate
HEARD_S = 30.0  # a worker that has not been heard of for longer is not named
SILENT_S = 30.0  # without a batch, while nothing holds it up: then it is said
LIVES_S = 8.0  # one that lives tells of itself every two seconds

QUERY = files(__package__).joinpath("measure.sql").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class SegmentProgress:
    """One key range: keys as text, an open end as None. `share` is what is done of it, 0 to 1.

    `sweep` counts the looks for late rows; it is negative for those of a try that ended before.
    `held_s` is for how many seconds a signal has said stop.
    """

    number: int
    sweep: int
    lo: str | None
    hi: str | None
    cursor: str | None
    epoch: int
    status: str
    rows_done: int
    rows_seen: int
    rows_again: int
    batches: int
    worker: str
    note: str
    part: str | None = None
    size: int | None = None
    retries: int = 0
    quarantined: int = 0
    held_s: float | None = None
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Hold:
    """A signal that holds segments up now: why, for how many seconds, and what would end it."""

    signal: str
    says: str
    reason: str
    release: str
    since: str
    seconds: float
    segments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker of the target, by what it told of itself; a share of 1.0 is one core."""

    name: str
    lanes: int
    concurrency: int
    rss_bytes: int
    cpu_share: float
    server_cpu_share: float | None
    silent_s: float

    @property
    def lives(self) -> bool:
        return self.silent_s < LIVES_S


@dataclass(frozen=True, slots=True)
class Progress:
    """A backfill at one moment. `rate` is in rows per second, `eta` in seconds or None.

    `eta_low` and `eta_high` are the range that the end is expected in. `exact` tells whether
    `rows_total` was counted; else it is an estimate. `rates` are those of the recent past, the
    oldest first, over `rates_s` seconds in all.
    """

    id: str
    state: str
    rows_done: int
    rows_total: int
    rate: float
    eta: float | None
    table: str
    exact: bool = False
    wanted: str = "run"
    batches: int = 0
    segments: tuple[SegmentProgress, ...] = ()
    error: str = ""
    note: str = ""
    task_queue: str = ""
    workflow: str = ""
    checksum: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    kind: str = "set"
    error_code: str = ""
    eta_low: float | None = None
    eta_high: float | None = None
    batch_size: int | None = None
    holds: tuple[Hold, ...] = ()
    retries: int = 0
    quarantined: int = 0
    sweeps: int = 0
    swept: int = 0
    workers: tuple[WorkerSeen, ...] = ()
    key_said: str = ""
    parallel: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    then_post: bool = False
    post_state: str = ""
    post_error: str = ""
    in_sync: str = ""
    explained: Mapping[str, Any] | None = None
    estimated: Mapping[str, Any] | None = None
    checked: Mapping[str, Any] | None = None
    spent: float = 0.0
    last_at: datetime | None = None
    silent_s: float | None = None
    rates: tuple[float, ...] = ()
    rates_s: float = 0.0

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def moving(self) -> bool:
        """True while a worker fills rows, or will at once."""
        return not self.ended and self.state != "paused"

    @property
    def quiet_s(self) -> float:
        """Seconds since the last batch, or since it began."""
        return self.spent if self.silent_s is None else self.silent_s

    @property
    def stranded(self) -> bool:
        """True when nobody drives it: no batch and no worker for long, and nothing says why."""
        waiting = self.state in ("pending", "running") and not self.holds and not self.note
        return waiting and self.quiet_s >= SILENT_S and not any(w.lives for w in self.workers)

    @property
    def fraction(self) -> float:
        """The share that is done, 0 to 1."""
        if self.state == "completed":
            return 1.0
        return min(1.0, self.rows_done / self.rows_total) if self.rows_total else 0.0


def progress(conn: psycopg.Connection[Any], backfill: str) -> Progress | None:
    """How far a backfill is, from the ledger alone; None when it was never started."""
    given = {
        "id": backfill, "half": forecast.HALF_LIFE_S, "window": WINDOW_S, "most": LOOKED_AT,
        "slices": forecast.SLICES, "holds": HOLDS, "heard": HEARD_S,
    }  # fmt: skip
    found = conn.execute(QUERY, given).fetchone()
    if found is None:
        return None
    (
        kind, key_said, state, wanted, schema, table, total, exact, error, code, note, queue,
        workflow, checksum, where, parallel, options, then_post, post_state, post_error, in_sync,
        explained, estimated, checked, started, finished, spent, rows, since, weighted, recent,
        last, first, sliced, holds, quarantined, workers, now,
    ) = found  # fmt: skip
    segments = _shared([_segment(row, state) for row in rows or ()], total or 0, exact=exact)
    done = sum(each.rows_done for each in segments)
    ended = state in ENDED
    span = max((last - first).total_seconds(), 0.001) if last and first else 0.0
    rate = done / span if ended and span else rate_of(float(weighted or 0), since or 0.0)
    main = [each for each in segments if not each.sweep]
    stretches = [Stretch(e.rows_done, e.rows_seen, e.status == "done") for e in main]
    rest = forecast.left(total or 0, exact=exact, stretches=stretches)
    if state == "completed":
        total, exact = done, True
    elif not exact and main and any(each.rows_seen for each in main):
        total = done + round(rest.rows)
    total = max(total or 0, done)  # an estimate is not held against what was counted
    rates, rates_s = _slices(sliced, since or 0.0, recent or 0)
    coming = None
    if state in ("running", "verifying"):
        sweeping = bool(where) and kind != "sql"
        if state == "verifying":
            coming = _sweep_left(segments, spent)
        else:
            coming = forecast.remaining(
                rest, rates, rate, done / total if total else 0.0, spent=spent, sweeps=sweeping
            )
    expected, between = coming or (None, Range(0.0, None))
    current = [e for e in segments if e.status == "running"] or [e for e in segments if e.size]
    sizes = [each.size for each in current if each.size]
    measured = Progress(
        backfill, state, done, total, rate, _rounded(expected), f"{schema}.{table}", exact, wanted,
        sum(each.batches for each in segments), segments, error, note, queue, workflow, checksum,
        started, finished, kind=kind, error_code=code,
        eta_low=_rounded(between.low) if coming else None,
        eta_high=_rounded(between.high) if coming else None,
        batch_size=round(sum(sizes) / len(sizes)) if sizes else None,
        holds=_holds(holds or ()), retries=sum(each.retries for each in segments),
        quarantined=quarantined, sweeps=max((each.sweep for each in segments), default=0),
        swept=sum(each.rows_done for each in segments if each.sweep),
        workers=tuple(WorkerSeen(*row) for row in workers or ()), key_said=key_said,
        parallel=parallel, options=options, then_post=then_post, post_state=post_state,
        post_error=post_error, in_sync=in_sync, explained=explained, estimated=estimated,
        checked=checked, spent=spent, last_at=last,
        silent_s=(now - last).total_seconds() if last else None, rates=rates, rates_s=rates_s,
    )  # fmt: skip
    if measured.stranded:  # a rate of the past says nothing about an end
        return replace(measured, rate=0.0, eta=None, eta_low=None, eta_high=None)
    return measured


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _segment(row: Sequence[Any], state: str) -> SegmentProgress:
    """As the ledger has it; a claim that stands when nothing runs any more is nobody's."""
    found = SegmentProgress(*row)
    if found.status != "running" or (state != "paused" and state not in ENDED):
        return found
    return replace(found, status="open", note="" if state in ENDED else found.note)


def _shared(
    segments: Sequence[SegmentProgress], total: int, *, exact: bool
) -> tuple[SegmentProgress, ...]:
    """The segments with their shares: by keys where some are done, else by the rows of the total.

    Ranges are of equally many keys; what one has beyond that does not make it whole.
    """
    passes: dict[int, list[SegmentProgress]] = {}
    for each in segments:
        passes.setdefault(each.sweep, []).append(each)
    keys = {
        number: _mean(e.rows_seen for e in of if e.status == "done")
        for number, of in passes.items()
    }
    rows = total / len(passes[0]) if 0 in passes else 0.0

    def share(each: SegmentProgress) -> float:
        if each.status == "done":
            return 1.0
        if mean := keys[each.sweep]:
            return min(0.99, each.rows_seen / mean)
        walked = each.rows_done if exact else each.rows_seen
        return min(0.99, walked / rows) if rows and not each.sweep else 0.0

    return tuple(replace(each, share=round(share(each), 4)) for each in segments)


def _mean(values: Iterable[int]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else 0.0


def _slices(
    found: Mapping[str, float] | None, since: float, batches: int
) -> tuple[tuple[float, ...], float]:
    """The rates of the recent past, the oldest first, and the seconds that they are of.

    As many as have a few batches each: the rows of a batch all count where it ended.
    """
    if not found or since <= 0:
        return (), 0.0
    rows = [found.get(str(place), 0.0) for place in reversed(range(forecast.SLICES))]
    count = max(n for n in DIVISORS if n <= max(1, batches // BATCHES_EACH))
    each = forecast.SLICES // count
    width = since / count
    return tuple(sum(rows[i * each : (i + 1) * each]) / width for i in range(count)), since


def _sweep_left(segments: Sequence[SegmentProgress], spent: float) -> tuple[float, Range]:
    """The look for late rows takes a small part of what writing them all took."""
    last = max((each.sweep for each in segments), default=0)
    of = [each for each in segments if each.sweep == last and last]
    open_ = 1.0 - _mean_share(of) if of else 1.0
    high = spent * forecast.SWEEP * open_
    return high / 2, Range(0.0, high)


def _mean_share(of: Sequence[SegmentProgress]) -> float:
    return sum(each.share for each in of) / len(of)


def _holds(rows: Sequence[Sequence[Any]]) -> tuple[Hold, ...]:
    """Holds by signal and words: what stops four lanes is said once."""
    grouped: dict[tuple[str, str], list[Sequence[Any]]] = {}
    for row in rows:
        grouped.setdefault((row[1], row[2]), []).append(row)
    found = []
    for (signal, says), of in grouped.items():
        newest = of[-1]
        found.append(
            Hold(
                signal, says, newest[3], newest[4], of[0][6], max(row[5] for row in of),
                tuple(sorted({row[0] for row in of})),
            )
        )  # fmt: skip
    return tuple(found)
