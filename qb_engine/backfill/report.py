"""a backfill as a report: how far it is while it runs, what it took once it has ended"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg

from qb_engine.backfill import failures, telling
from qb_engine.backfill.control import Done
from qb_engine.backfill.measure import Progress, SegmentProgress
from qb_engine.backfill.throttle import holds
from qb_engine.backfill.totals import Totals, curve, totals
from qb_engine.report import Column, Kind, Line, Report, Table, format_value, jsonable

HELD = ("paused", "cancelled")  # neither going nor done
LISTED = 24  # segments; of more, those that are open or run are shown first

VALIDATE = "SELECT validate_sql FROM qb.backfill WHERE id = %s"  # as it was when it started


@dataclass(frozen=True)
class BackfillReport(Report):
    """How far a backfill is, and what it took so far.

    The keys of its JSON stay as they are: `qb backfill status --help` lists them.
    """

    name: ClassVar[str] = "backfill"
    progress: Progress
    ui: str | None = None
    said: tuple[str, ...] = ()
    totals: Totals | None = None
    curve: tuple[tuple[float, float], ...] = ()
    started: bool = False  # the command was to make it go

    @property
    def migration(self) -> str:
        return self.progress.id

    @property
    def state(self) -> str:
        return self.progress.state

    @property
    def rows_done(self) -> int:
        return self.progress.rows_done

    @property
    def rows_total(self) -> int:
        return self.progress.rows_total

    @property
    def quarantined(self) -> int:
        return self.progress.quarantined

    @property
    def error(self) -> str:
        return self.progress.error

    @property
    def ok(self) -> bool:
        state = self.progress.state
        if self.progress.post_state == "failed":
            return False
        return state != "failed" and not (self.started and state in HELD)

    def headline(self) -> str:
        p = self.progress
        text = f"backfill {p.id}: {p.state}, {telling.rows(p)} of {p.table}"
        return f"{text}, {pace}" if (pace := telling.pace(p)) else text

    def tables(self) -> Sequence[Table]:
        p = self.progress
        found = [_facts(p)]
        if p.holds:
            found.append(_holds(p))
        if p.workers and p.moving:
            found.append(_workers(p))
        found.append(_segments(p))
        if self.totals and p.ended and p.batches:
            found += [*_took(p, self.totals), *_compared(p, self.totals)]
        if checked := _checked(p.checked):
            found.append(checked)
        return found

    def notes(self) -> Sequence[str]:
        p = self.progress
        found = [p.error] if p.error else []
        found += self.said
        if not p.ended and p.state != "paused":
            found += [each for each in telling.waits(p) if each not in found]
        if p.state == "failed":
            found += _advised(p)
        if p.quarantined and not any("quarantine" in each for each in found):
            found.append(
                f"{p.quarantined:,} rows were set aside: qb backfill quarantine {p.id} shows them"
            )
        found += _swept(p)
        if p.then_post and p.post_state:
            found.append(f"what comes after it: {p.post_state} {p.post_error}".strip())
        if p.in_sync:
            text = f"rows that are written meanwhile are filled by the trigger {p.in_sync}"
            drop = f"; once nobody writes the old form any more: qb backfill sync {p.id} --drop"
            found.append(text if p.moving else text + drop)
        if p.moving:
            found += [each for each in (p.key_said, _looked_at(p.explained)) if each]
        if self.ui:
            found.append(f"workflow: {self.ui}")
        return tuple(found)

    def charts(self) -> Sequence[Line]:
        if len(self.curve) < 2:
            return ()
        xs, ys = zip(*self.curve)
        return (Line(f"Rows of {self.progress.table} over time", xs, ys, "seconds", "rows"),)

    def as_dict(self) -> dict[str, Any]:
        p = self.progress
        return {
            "migration": p.id,
            "table": p.table,
            "kind": p.kind,
            "state": p.state,
            "wanted": p.wanted,
            "rows_done": p.rows_done,
            "rows_total": p.rows_total,
            "rows_total_exact": p.exact,
            "fraction": round(p.fraction, 4),
            "rate": round(p.rate, 1),
            "eta": p.eta,
            "eta_low": p.eta_low,
            "eta_high": p.eta_high,
            "batches": p.batches,
            "batch_size": p.batch_size,
            "parallel": p.parallel,
            "options": jsonable(dict(p.options)),
            "retries": p.retries,
            "quarantined": p.quarantined,
            "sweeps": p.sweeps,
            "segments": jsonable(p.segments),
            "holds": jsonable(p.holds),
            "waits": telling.waits(p) if p.moving else [],
            "workers": jsonable(p.workers),
            "key_said": p.key_said,
            "error": p.error,
            "error_code": p.error_code,
            "then_post": p.then_post,
            "post_state": p.post_state,
            "post_error": p.post_error,
            "in_sync": p.in_sync,
            "explained": jsonable(p.explained),
            "estimated": jsonable(p.estimated),
            "checked": jsonable(p.checked),
            "totals": jsonable(self.totals),
            "started_at": jsonable(p.started_at),
            "finished_at": jsonable(p.finished_at),
            "last_batch_at": jsonable(p.last_at),
            "workflow": p.workflow,
            "ui": self.ui,
            "notes": list(self.said),
        }


def report(
    conn: psycopg.Connection[Any] | None, done: Done, *more: str, started: bool = False
) -> BackfillReport:
    """The report of a command; with a connection, what it took and its rows over time too."""
    found = done.progress
    if conn and found.error.startswith("`validate`"):
        query = conn.execute(VALIDATE, [found.id]).fetchone()
        more = (*more, f"validate: {query[0]}") if query and query[0] else more
    if conn and found.batches:
        unread = holds.unread(conn, found.id)
        more = (*more, *(f"{signal} could not be read: {why}" for signal, why in unread))
    return BackfillReport(
        found,
        ui=done.ui,
        said=(*done.notes, *more),
        totals=totals(conn, found.id) if conn and found.ended and found.batches else None,
        curve=curve(conn, found.id) if conn and found.batches else (),
        started=started,
    )


# -- tables ----------------------------------------------------------------------------------


def _facts(p: Progress) -> Table:
    now = (
        *(Column("batch size", "count"), Column("rate", "rate")),
        *(Column("left", "seconds"), Column("at most", "seconds")),
    )
    columns = (
        *(Column("state"), Column("table"), Column("rows", "count"), Column("of", "count")),
        *(Column("done", "percent"), Column("batches", "count")),
        *((Column("rate", "rate"), Column("time", "seconds")) if p.ended else now),
        *(Column("retries", "count"), Column("set aside", "count")),
    )
    row = (
        *(p.state, p.table, p.rows_done, p.rows_total, p.fraction * 100, p.batches),
        *((p.rate, p.spent) if p.ended else (p.batch_size, p.rate, p.eta_low, p.eta_high)),
        *(p.retries, p.quarantined),
    )
    return Table("Backfill", columns, (row,))


def _holds(p: Progress) -> Table:
    columns = (
        *(Column("signal"), Column("says"), Column("for", "seconds"), Column("reason")),
        *(Column("goes on when"), Column("segments")),
    )
    rows = tuple(
        (h.signal, h.says, h.seconds, h.reason, h.release or None, list(h.segments))
        for h in p.holds
    )
    return Table("Held up by", columns, rows)


def _workers(p: Progress) -> Table:
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


def _segments(p: Progress) -> Table:
    columns = (
        *(Column("segment"), Column("after"), Column("up to"), Column("cursor")),
        *(Column("status"), Column("done", "percent"), Column("rows", "count")),
        *(Column("batches", "count"), Column("retries", "count"), Column("epoch", "count")),
        Column("note"),
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
                *(s.retries, s.epoch, s.note),
            )
    for of in _sweeps(segments):
        if _vain(of):
            continue
        done = sum(s.status == "done" for s in of)
        yield (
            *(f"sweep {of[0].sweep}", None, None, None, f"{done} of {len(of)} done"),
            *(100 * done / len(of), sum(s.rows_done for s in of), sum(s.batches for s in of)),
            *(sum(s.retries for s in of), max(s.epoch for s in of)),
            "; ".join(s.note for s in of if s.note),
        )


def _took(p: Progress, t: Totals) -> Iterator[Table]:
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


def _compared(p: Progress, t: Totals) -> Iterator[Table]:
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


def _checked(checked: Mapping[str, Any] | None) -> Table | None:
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


# -- words -----------------------------------------------------------------------------------


def _looked_at(explained: Mapping[str, Any] | None) -> str:
    """The plan of a batch that was looked at last: how it comes to its rows."""
    if not explained or not explained.get("node"):
        return ""
    how = " ".join(str(explained[name]) for name in ("node", "condition") if explained.get(name))
    return f"a batch comes to its rows by {how}"


def _advised(p: Progress) -> list[str]:
    """The class of the error, and what to do before it goes on."""
    if "retry --quarantined" in p.error:  # says so itself
        return []
    advice = failures.advice(p.error_code)
    found = [f"class {advice.name}: {advice.means}"] if advice.name else []
    todo = advice.todo if advice.name else "mend the row or the expression"
    return [*found, f"next: {todo}, then: qb backfill retry {p.id}"]


def _swept(p: Progress) -> list[str]:
    found = []
    sweeps = _sweeps(p.segments)
    if sweeps and _vain(sweeps[-1]):
        found.append("a last look over the whole table found no row that came late")
    if any(s.rows_again for s in p.segments):
        found.append(
            "written rows still match `where` and would change again, so rows that came late "
            "cannot be told from them: there is no sweep"
        )
    found += sorted({s.note for s in p.segments if s.status == "done" and s.note})
    return found


def _sweeps(segments: Sequence[SegmentProgress]) -> list[list[SegmentProgress]]:
    """The segments of each sweep, in order."""
    numbers = sorted({s.sweep for s in segments if s.sweep})
    return [[s for s in segments if s.sweep == number] for number in numbers]


def _vain(sweep: Sequence[SegmentProgress]) -> bool:
    """True for a sweep that found nothing to do, as it should be."""
    return all(s.status == "done" and not s.rows_done for s in sweep)
