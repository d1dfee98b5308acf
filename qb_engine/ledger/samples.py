"""what a run held and whom it kept waiting, as it was seen from outside while it ran"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qb_engine.execution.progress import Progress
from qb_engine.execution.sample import Sample, Waiting, thinned
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

MOST = 1_000  # of one call; half an hour of changes at every look, or many hours without

RECORD = """
INSERT INTO qb.sample (run, at, step, held, waits_for, blocked, longest, blocked_by_run, cancelled,
                       wal_bytes, io, progress)
SELECT %s, s.at, s.step, s.held, s.waits_for, s.blocked, s.longest, s.blocked_by_run, s.cancelled,
       s.wal_bytes, s.io, s.progress
  FROM pg_catalog.jsonb_to_recordset(%s) AS s(
       at float8, step int, held jsonb, waits_for jsonb, blocked int, longest float8,
       blocked_by_run jsonb, cancelled boolean, wal_bytes bigint, io jsonb, progress jsonb)
    ON CONFLICT (run, at) DO NOTHING
"""

READ = """
SELECT at, step, held, waits_for, blocked_by_run, wal_bytes, io, progress, cancelled
  FROM qb.sample WHERE run = %s ORDER BY at
"""


def record_samples(
    conn: Connection, run: int, samples: Iterable[Sample], since: float = 0.0
) -> None:
    """Keep what was seen of a run, in one statement; of very many looks every n-th.

    `since` is the start of the run's first statement, when the executor has run others before.
    """
    rows = [_row(sample, since) for sample in thinned(tuple(samples), MOST)]
    if rows:
        conn.execute(RECORD, [run, json.dumps(rows)])


def samples(conn: Connection, run: int) -> tuple[Sample, ...]:
    """What was seen of a run, in order; `at` counts seconds from its first statement."""
    return tuple(
        Sample(
            at,
            step,
            held,
            tuple(Waiting(**each) for each in waits_for),
            tuple(Waiting(**each) for each in blocked),
            int(wal or 0),
            io,
            Progress(**progress) if progress else None,
            cancelled,
        )
        for at, step, held, waits_for, blocked, wal, io, progress, cancelled in conn.execute(
            READ, [run]
        ).fetchall()
    )


def _row(sample: Sample, since: float) -> dict[str, Any]:
    return {
        "at": round(sample.at - since, 3),
        "step": sample.step,
        "held": sample.held,
        "waits_for": [_session(each) for each in sample.waits_for],
        "blocked": len(sample.blocked),
        "longest": round(sample.longest, 3),
        "blocked_by_run": [_session(each) for each in sample.blocked],
        "cancelled": sample.cancelled,
        "wal_bytes": sample.wal_bytes,
        "io": sample.io,
        "progress": _known(asdict(sample.progress)) if sample.progress else {},
    }


def _session(waiting: Waiting) -> dict[str, Any]:
    found = asdict(waiting)
    return _known(found | {"seconds": round(waiting.seconds, 3), "query": mask(waiting.query)})


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known; a session's query may be hidden."""
    return {name: value for name, value in fields.items() if value not in (None, "")}
