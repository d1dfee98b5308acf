"""the tables of a backfill's report: where it stands, what it took, what was checked"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qb_engine.backfill.reporting.measure import Progress, SegmentProgress
from qb_engine.backfill.reporting.totals import Totals
from qb_engine.report import Column, Kind, Table, format_value

LISTED = 24  # segments; of more, those that are open or run are shown first


def facts(p: Progress) -> Table:
    """What is not in the headline; narrow, for a terminal of 80 columns."""
    ended = (("rate", "rate", p.rate), ("time", "seconds", p.spent))
    moving = (
        ("rate", "rate", p.rate),
        ("left", "seconds", p.eta_low),
        ("at most", "seconds", p.eta_high),
    )
    more = (("retries", p.retries), ("set aside", p.quarantined))
    facts: tuple[tuple[str, Kind, Any], ...] = (
        *(("rows", "count", p.rows_done), ("of", "count", p.rows_total)),
        *(("done", "percent", p.fraction * 100), ("batches", "count", p.batches)),
        *(ended if p.ended else moving),
        *((name, "count", count) for name, count in more if count),
    )
    columns = tuple(Column(name, kind) for name, kind, _ in facts)
    return Table("Backfill", columns, (tuple(value for _, _, value in facts),))


def held(p: Progress) -> Table:
    columns = (
        *(Column("signal"), Column("says"), Column("for", "seconds"), Column("reason")),
        *(Column("goes on when"), Column("segments")),
    )
    rows = tuple(
        (h.signal, h.says, h.seconds, h.reason, h.release or None, list(h.segments))
        for h in p.holds
    )
    return Table("Held up by", columns, rows)


def workers(p: Progress) -> Table:
    columns = (
        *(Column("worker"), Column("lanes", "count"), Column("of", "count")),
        *(Column("memory", "bytes"), Column("CPU", "percent"), Column("server's CPU", "percent")),
        Column("heard of before", "seconds"),
    )
    rows = tuple(
        (
            *(w.name, w.lanes, w.concurrency, w.rss_bytes, w.cpu_share * 100),
            *(None if w.server_cpu_share is None else w.server_cpu_share * 100, w.silent_s),
        )
        for w in p.workers
    )
    return Table("Workers", columns, rows)


def segments(p: Progress) -> Table:
    columns = (
        *(Column("segment"), Column("after"), Column("up to"), Column("cursor")),
        *(Column("status"), Column("done", "percent"), Column("rows", "count")),
        *(Column("batches", "count"), Column("note")),
    )
    rows = tuple(_rows(p.segments))
    hidden = len(rows) - LISTED
    if hidden > 0:
        rows = (*sorted(rows, key=lambda row: row[4] == "done")[:LISTED],)
    title = f"Segments ({hidden} more)" if hidden > 0 else "Segments"
    return Table(title, columns, rows, empty="none yet")


def _rows(segments: Sequence[SegmentProgress]) -> Iterator[tuple[Any, ...]]:
    """A row per segment, and one per sweep that is on its way or found something."""
    for s in segments:
        if not s.sweep:
            label = f"{s.number} {s.part}" if s.part else str(s.number)
            yield (
                *(label, s.lo, s.hi, s.cursor, s.status, s.share * 100, s.rows_done, s.batches),
                s.note,
            )
    for of in sweeps(segments):
        if vain(of):
            continue
        done = sum(s.status == "done" for s in of)
        yield (
            *(f"sweep {of[0].sweep}", None, None, None, f"{done} of {len(of)} done"),
            *(100 * done / len(of), sum(s.rows_done for s in of), sum(s.batches for s in of)),
            "; ".join(s.note for s in of if s.note),
        )


def took(p: Progress, t: Totals) -> Iterator[Table]:
    """What it took in all, and what held it up."""
    columns = (
        *(Column("median batch", "seconds"), Column("longest", "seconds")),
        *(Column("WAL of the server", "bytes"), Column("waited", "seconds")),
        *(Column("late rows", "count"), Column("workers", "count")),
    )
    median, longest = ((ms or 0) / 1000 for ms in (t.median_ms, t.longest_ms))
    row = (median, longest, t.wal_bytes, t.waited_s, p.swept, t.workers)
    yield Table("What it took", columns, (row,))
    if t.held:
        names = (Column("signal"), Column("times", "count"), Column("in all", "seconds"))
        yield Table(
            "What held it up",
            (*names, Column("last reason")),
            tuple((h.signal, h.times, h.seconds, h.reason) for h in t.held),
        )


def compared(p: Progress, t: Totals) -> Iterator[Table]:
    """What was expected before it started beside what came."""
    came: tuple[tuple[str, str, Kind, float], ...] = (
        ("rows", "rows", "count", p.rows_done),
        ("batches", "batches", "count", p.batches),
        ("time", "seconds", "seconds", p.spent),
        ("WAL", "wal_bytes", "bytes", t.wal_bytes),
    )
    rows = []
    for name, key, kind, real in came:
        given = p.estimated or {}
        low = given.get(f"{key}_low", given.get(key))
        high = given.get(f"{key}_high", given.get(key))
        if low is None or high is None:
            continue
        ends = dict.fromkeys((format_value(low, kind), format_value(high, kind)))
        off = "less" if real < low * 0.95 else "more" if real > high * 1.05 else "as expected"
        rows.append((name, " to ".join(ends), format_value(real, kind), off))
    if len(rows) > 1:  # a count alone is the planner's guess
        columns = (Column("what"), Column("expected"), Column("came"), Column("that is"))
        yield Table("Expected and come", columns, tuple(rows))


def checked(checked: Mapping[str, Any] | None) -> Table | None:
    """What validation looked at, and found."""
    if not checked:
        return None
    rows: list[tuple[str, bool | None, str]] = []
    if said := checked.get("validate"):
        rows.append(("validate", said == "met", f"what it must not find: {_found(said == 'met')}"))
    if sample := checked.get("sample"):
        text = f"{sample['compared']:,} rows computed again, {sample['wrong']:,} differ"
        if sample.get("since"):
            text += f"; {sample['since']:,} more were written by somebody since"
        if sample.get("left_out"):
            text += f"; left out {', '.join(sample['left_out'])}"
        if sample["compared"]:
            rows.append(("random sample", not sample["wrong"], text))
    rows += [("problem", False, each) for each in checked.get("problems", ())]
    rows += [("note", None, each) for each in checked.get("notes", ())]
    columns = (Column("check"), Column("result", "check"), Column("found"))
    return Table("Validation", columns, tuple(rows)) if rows else None


def _found(met: bool) -> str:
    return "nothing" if met else "rows"


def sweeps(segments: Sequence[SegmentProgress]) -> list[list[SegmentProgress]]:
    """The segments of each sweep, in order."""
    numbers = sorted({s.sweep for s in segments if s.sweep > 0})
    return [[s for s in segments if s.sweep == number] for number in numbers]


def vain(sweep: Sequence[SegmentProgress]) -> bool:
    """True for a sweep that found nothing to do, as it should be."""
    return all(s.status == "done" and not s.rows_done for s in sweep)
