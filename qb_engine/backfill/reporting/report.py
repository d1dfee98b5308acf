"""a backfill as a report: how far it is while it runs, what it took once it has ended"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg

from qb_engine.backfill.batches import failures
from qb_engine.backfill.control import Done
from qb_engine.backfill.reporting import tables, telling
from qb_engine.backfill.reporting.measure import Progress
from qb_engine.backfill.reporting.totals import Totals, curve, totals
from qb_engine.backfill.throttle import holds
from qb_engine.report import Line, Report, Table, jsonable

if TYPE_CHECKING:
    import pandas as pd

HELD = ("paused", "cancelled")  # neither going nor done

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
        found = [tables.facts(p)]
        if p.holds:
            found.append(tables.held(p))
        if p.workers and p.moving:
            found.append(tables.workers(p))
        found.append(tables.segments(p))
        if self.totals and p.ended and p.batches:
            found += [*tables.took(p, self.totals), *tables.compared(p, self.totals)]
        if checked := tables.checked(p.checked):
            found.append(checked)
        return found

    def notes(self) -> Sequence[str]:
        p = self.progress
        found = [p.error] if p.error else []
        found += self.said
        if not p.ended and p.state != "paused":
            asked = replace(p, silent_s=0.0) if self.started else p  # a worker was just started
            found += [each for each in telling.waits(asked) if each not in found]
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

    @property
    def df(self) -> pd.DataFrame:
        """One row with every figure; lengths of time in seconds, `rate` in rows per second."""
        import pandas as pd

        p = self.progress
        return pd.DataFrame(
            [
                {
                    "migration": p.id, "table": p.table, "state": p.state, "rows": p.rows_done,
                    "of": p.rows_total, "exact": p.exact, "done": p.fraction, "rate": p.rate,
                    "left": p.eta_low, "at_most": p.eta_high, "seconds": p.spent,
                    "batches": p.batches, "batch_size": p.batch_size, "retries": p.retries,
                    "set_aside": p.quarantined, "late_rows": p.swept,
                }
            ]
        )  # fmt: skip

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


# -- words -----------------------------------------------------------------------------------


def _looked_at(explained: Mapping[str, Any] | None) -> str:
    """The plan of a batch that was looked at last: how it comes to its rows."""
    if not explained or not explained.get("node"):
        return ""
    how = " ".join(str(explained[name]) for name in ("node", "condition") if explained.get(name))
    return f"a batch comes to its rows by {how}"


def _advised(p: Progress) -> list[str]:
    """The class of the error, and what to do before it goes on."""
    if "--quarantined" in p.error:  # says so itself
        return []
    advice = failures.advice(p.error_code)
    found = [f"class {advice.name}: {advice.means}"] if advice.name else []
    todo = advice.todo if advice.name else "mend the row or the expression"
    return [*found, f"next: {todo}, then: qb backfill retry {p.id}"]


def _swept(p: Progress) -> list[str]:
    found = []
    sweeps = tables.sweeps(p.segments)
    if sweeps and tables.vain(sweeps[-1]):
        found.append("a last look over the whole table found no row that came late")
    if any(s.rows_again for s in p.segments):
        found.append(
            "written rows still match `where` and would change again, so rows that came late "
            "cannot be told from them: there is no sweep"
        )
    found += sorted({s.note for s in p.segments if s.status == "done" and s.note})
    return found
