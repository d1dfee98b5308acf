"""what was seen of a run from outside: the lock timeline, who was kept waiting, how far it is"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from qb_engine.report import Column, Span, Table, Timeline, exact_seconds, format_seconds

if TYPE_CHECKING:
    from qb_engine.execution import Observation
    from qb_engine.execution.sample import Sample

MOST_WAITS = 20  # in the table
MOST_LANES = 8  # sessions that wait, in the picture
NEXT_LOOK_S = 0.5  # what was seen at one look and not at the next ended at most this long after it


def timeline(
    title: str, seen: Sequence[Observation], samples: Sequence[Sample] = ()
) -> Timeline | None:
    """Which lock was held on what from when to when, and who waited for the run meanwhile.

    From the samples; a step that was too short to be looked at is drawn from its observation.
    """
    ran = [o for o in seen if not o.skipped and not o.error]
    observed = list(_observed(ran))
    spans = observed + [span for span in _sampled(samples) if not _within(span, observed)]
    waits = list(_waits(samples))
    if not spans:
        return None
    zero = min(span.start for span in [*spans, *waits])
    zero = min([zero, *(o.start for o in ran)])
    return Timeline(
        f"{title}: locks held" + (", and who waited" if waits else ""),
        tuple(
            Span(s.lane, max(s.start - zero, 0.0), s.end - zero, s.label, s.weight)
            for s in [*spans, *waits]
        ),
    )


def kept_waiting(seen: Iterable[Observation], samples: Sequence[Sample]) -> Table | None:
    """Who waited for the run, how long, and by which statement; None when nobody was seen to."""
    from qb_engine.commands._steps import short
    from qb_engine.execution.sample import waits

    found = waits(samples)
    if not found:
        return None
    sql = {o.number: short(o.sql, 40) for o in seen}
    rows = tuple(
        (
            f"pid {wait.who.pid} ({wait.who.application})",
            short(wait.who.query, 40) or None,
            wanted(wait.who.wants) or None,
            wait.seconds,
            f"{wait.step} {sql.get(wait.step, '')}".strip(),
            "the run gave way" if wait.cancelled else None,
        )
        for wait in found[:MOST_WAITS]
    )
    columns = (
        *(Column("who"), Column("its query", "code"), Column("wanted"), Column("time", "seconds")),
        *(Column("while this ran", "code"), Column("then")),
    )
    title = "kept waiting"
    if len(found) > len(rows):
        title += f" (the longest {len(rows)} of {len(found)} waits)"
    return Table(title, columns, rows)


def waited_for(seen: Iterable[Observation], samples: Sequence[Sample]) -> Table | None:
    """For whom the run waited, and at which statement; None when nobody was seen in its way.

    `samples` are those of all tries: a try that was given up is not among the observations.
    """
    from qb_engine.commands._steps import short

    sql = {o.number: short(o.sql, 40) for o in seen}
    last = {(sample.step, who.pid): who for sample in samples for who in sample.waits_for}
    if not last:
        return None
    found = sorted(last.items(), key=lambda each: (each[0][0], -each[1].seconds))
    rows = tuple(
        (
            f"pid {who.pid} ({who.application})",
            who.seconds or None,
            short(who.query, 60) or None,
            f"{step} {sql.get(step, '')}".strip(),
        )
        for (step, _), who in found[:MOST_WAITS]
    )
    columns = (
        *(Column("who was in the way"), Column("in transaction", "seconds")),
        *(Column("last query", "code"), Column("of this statement", "code")),
    )
    return Table("waited for", columns, rows)


def as_facts(samples: Sequence[Sample]) -> list[dict[str, object]]:
    """Who was kept waiting, for JSON."""
    from qb_engine.execution.sample import waits

    return [
        {
            "pid": wait.who.pid,
            "application": wait.who.application,
            "query": wait.who.query,
            "wanted": wait.who.wants,
            "seconds": round(wait.seconds, 3),
            "step": wait.step,
            "cancelled": wait.cancelled,
        }
        for wait in waits(samples)
    ]


def live(sample: Sample) -> str:
    """What a run is at, in a few words, for a progress bar."""
    found = [str(sample.progress)] if sample.progress else []
    if sample.waits_for:
        found.append(f"waits for pid {sample.waits_for[0].pid} ({sample.waits_for[0].application})")
    if sample.blocked:
        word = "session waits" if len(sample.blocked) == 1 else "sessions wait"
        found.append(f"{len(sample.blocked)} {word} for it, {format_seconds(sample.longest)}")
    return "; ".join(found)


def wanted(lock: str) -> str:
    """A lock as PostgreSQL's documentation writes it: `ACCESS SHARE public.a`."""
    from qb_engine.execution import Lock

    mode, _, relation = lock.partition(" on ")
    return f"{Lock(relation, mode).sql_mode} {relation}".strip() if mode.endswith("Lock") else lock


def _observed(seen: Sequence[Observation]) -> Iterator[Span]:
    """Spans from what was observed at the end of each step: a transaction keeps its locks."""
    end = {o.transaction: max(o.start + o.seconds, o.held_until) for o in seen}
    for o in seen:
        until = o.start + o.seconds if o.transaction is None else end[o.transaction]
        for lock in o.locks:
            yield _span(lock.relation, o.start, until, lock.mode)


def _sampled(samples: Sequence[Sample]) -> Iterator[Span]:
    """Spans from consecutive looks that saw the same lock."""
    for name in dict.fromkeys(name for sample in samples for name in sample.held):
        start, last, mode, given_up = 0.0, 0.0, "", False
        for sample in [*samples, None]:
            now = sample.held.get(name, "") if sample else ""
            if mode and now != mode:
                soon = sample is not None and sample.at - last < NEXT_LOOK_S
                yield _span(name, start, sample.at if sample and soon else last, mode, given_up)
            if sample is None:
                break
            if now != mode:
                start, given_up = sample.at, False
            last, mode, given_up = sample.at, now, given_up or sample.cancelled


def _waits(samples: Sequence[Sample]) -> Iterator[Span]:
    from qb_engine.execution.sample import waits

    for wait in sorted(waits(samples)[:MOST_LANES], key=lambda w: w.start):
        label = f"waits {exact_seconds(wait.seconds)}" + (", cancelled" if wait.cancelled else "")
        yield Span(f"pid {wait.who.pid} ({wait.who.application})", wait.start, wait.end, label)


def _span(name: str, start: float, end: float, mode: str, given_up: bool = False) -> Span:
    from qb_engine.execution import Lock
    from qb_engine.execution.observation import strength

    label = Lock(name, mode).sql_mode + (" (given up)" if given_up else "")
    return Span(name, start, end, label, max(strength(mode), 1))


def _within(span: Span, others: Iterable[Span]) -> bool:
    """True when another span says the same: the same lane and mode, around this one's middle."""
    middle = (span.start + span.end) / 2
    return any(
        other.lane == span.lane
        and other.weight == span.weight
        and other.start <= middle <= other.end
        for other in others
    )
