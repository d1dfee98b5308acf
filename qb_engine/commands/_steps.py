"""observed steps as tables and charts, the same for plan, dry run and run"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qb_engine.analysis.facts import WorkKind
from qb_engine.commands._watched import timeline
from qb_engine.report import Bars, Chart, Column, Table, Tree, format_seconds

if TYPE_CHECKING:
    from qb_engine.analysis.facts import Examined, Facts
    from qb_engine.execution import Observation
    from qb_engine.execution.sample import Sample

WIDTH = 60  # characters of SQL in a table cell


def steps_table(
    title: str,
    seen: Iterable[Observation],
    *,
    timed: bool,
    examined: Sequence[Examined] = (),
) -> Table:
    """Steps with their transaction, locks and work; with time, rows and WAL when they ran.

    Before they run, `examined` gives how long each may take, and on how much.
    """
    facts = {each.number: each.facts for each in examined}
    columns = [Column("#", "count"), Column("tx"), Column("statement", "code")]
    columns += [Column("locks on what was there"), Column("work")]
    if timed:
        columns += [Column("time", "seconds"), Column("rows", "count"), Column("WAL", "bytes")]
        columns += [Column("pages", "count")]
    if facts:
        columns += [
            Column("rows", "count"),
            Column("size", "bytes"),
            Column("takes, at most", "seconds"),
        ]
    rows = []
    for o in seen:
        row: list[object] = [o.number, _transaction(o), short(o.sql), _locks(o)]
        row.append(_work(o, timed, facts.get(o.number)))
        if timed:
            ran = not (o.skipped or o.error)
            row += [o.seconds if ran else None, o.rows, o.wal_bytes if ran else None, o.buffers]
        if facts:
            row += _estimated(facts.get(o.number))
        rows.append(tuple(row))
    return Table(title, tuple(columns), tuple(rows), empty="no statement to run")


def charts(title: str, seen: Sequence[Observation], samples: Sequence[Sample] = ()) -> list[Chart]:
    """Statement times, the lock timeline with who waited, and the plans of DML."""
    ran = [o for o in seen if not o.skipped and not o.error]
    found: list[Chart] = []
    if len(ran) > 1:
        labels = tuple(f"{o.number} {short(o.sql, 34)}" for o in ran)
        found.append(Bars(f"{title}: time per statement", labels, tuple(o.seconds for o in ran)))
    if locks := timeline(title, seen, samples):
        found.append(locks)
    found += [
        Tree(f"{o.number} {short(o.sql, 50)}", o.explain) for o in ran if o.explain is not None
    ]
    return found


def short(sql: str, width: int = WIDTH) -> str:
    """SQL on one line, cut to a width."""
    text = " ".join(sql.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _transaction(o: Observation) -> str:
    if o.error:
        return "FAIL"
    return "none" if o.transaction is None else f"{o.transaction}"


def _locks(o: Observation) -> str:
    lines = [f"{lock.sql_mode} {lock.relation}" for lock in o.locks if not lock.index]
    indexes = [lock for lock in o.locks if lock.index]
    if indexes:
        modes = sorted({lock.sql_mode for lock in indexes})
        word = "index" if len(indexes) == 1 else "indexes"
        lines.append(f"{', '.join(modes)} {len(indexes)} {word}")
    return "\n".join(lines) or "-"


def _estimated(facts: Facts | None) -> list[object]:
    """The largest of what a statement works on, and the longest that it may take."""
    if facts is None:
        return [None, None, None]
    own = [facts.figures[w.relation] for w in facts.work if w.relation in facts.figures]
    rows = [f.rows for f in own if f.rows is not None]
    sizes = [f.bytes for f in own if f.bytes is not None]
    count = facts.rows if facts.rows is not None else max(rows, default=None)
    return [count, max(sizes, default=None), facts.seconds[1] if facts.seconds else None]


def _work(o: Observation, timed: bool, facts: Facts | None = None) -> str:
    if o.skipped or o.error:
        return o.skipped or o.error
    if facts is not None:
        proved = [f"{w.relation}.{w.column}" for w in facts.works(WorkKind.PROVED) if w.column]
        lines = [str(w) for w in facts.work if w.kind not in (WorkKind.PROVED, WorkKind.REBUILD)]
        rebuilt = len(facts.works(WorkKind.REBUILD))
        lines += [f"rebuilds {rebuilt} index" + ("es" if rebuilt > 1 else "")] if rebuilt else []
        return "\n".join([*lines, *(f"no scan: {name} is proved" for name in proved)]) or "-"
    lines = [f"rewrites {name}" for name in o.rewrites]
    if o.rebuilds:
        lines.append(f"rebuilds {len(o.rebuilds)} index" + ("es" if len(o.rebuilds) > 1 else ""))
    for scan in o.scans:
        lines.append(f"scans {scan.relation}" + (f" ({scan.rows:,} rows)" if timed else ""))
    if o.attempts > 1:
        lines.append(f"tried {o.attempts} times")
    if o.waiters:
        word = "session" if o.waiters == 1 else "sessions"
        lines.append(f"kept {o.waiters} {word} waiting, up to {format_seconds(o.blocked_s)}")
    return "\n".join(lines) or "-"
