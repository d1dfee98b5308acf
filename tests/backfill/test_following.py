"""what a terminal shows of a backfill, and the commands that tell of the past"""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console

from qb_engine.backfill import records
from qb_engine.backfill.reporting import telling
from qb_engine.backfill.reporting.measure import Hold, Progress, SegmentProgress
from qb_engine.backfill.reporting.totals import totals
from qb_engine.commands import Session, invoke
from qb_engine.commands.backfill import screen, status
from tests.backfill.conftest import ID, Case
from tests.conftest import Qb

SEGMENTS = tuple(
    SegmentProgress(n, 0, None, None, None, 1, status, 10, 10, 0, 1, "", "", share=share, retries=n)
    for n, status, share in ((0, "done", 1.0), (1, "running", 0.25), (2, "open", 0.0))
)
HOLD = Hold("lag", "stop", "the standby is 9 s behind", "it is below 5 s", "", 12.0, (1,))
MOVING = Progress(
    "m", "running", 400, 1_000, 50.0, 12.0, "public.t", True, segments=SEGMENTS,
    eta_low=9.0, eta_high=20.0, batch_size=50, retries=3, rates=(10.0, 50.0, 0.0, 60.0),
)  # fmt: skip


def shown(found: Progress, *, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120)
    if terminal:
        console.print(screen.drawn(found))
    else:
        with screen.watching(console) as show:
            show(found)
            show(found)
    return out.getvalue()


def test_a_terminal_shows_the_bar_the_range_and_a_bar_per_segment() -> None:
    text = shown(MOVING, terminal=True)
    assert "40%  400 of 1,000 rows of public.t" in text
    assert "50/s, 9.0 s to 20.0 s left" in text
    assert "50 rows a batch" in text
    for each in ("segment 0", "segment 1", "segment 2"):
        assert each in text


def test_why_it_is_held_is_said_instead_of_an_end_that_nobody_knows() -> None:
    text = shown(replace(MOVING, holds=(HOLD,)), terminal=True)
    assert "stopped by lag for 12.0 s: the standby is 9 s behind" in text
    assert "goes on when it is below 5 s" in text
    assert "left" not in text


def test_without_a_terminal_there_are_lines_not_too_many() -> None:
    (line,) = shown(MOVING, terminal=False).splitlines()
    assert line.startswith("running: 400 of 1,000 rows (40%); 50/s")


def test_an_estimate_is_said_as_one() -> None:
    assert telling.rows(replace(MOVING, exact=False)) == "400 of about 1,000 rows"


def test_every_batch_is_kept_as_pandas_and_as_json(case: Case) -> None:
    case.counted(100)
    case.driven_here(case.filling(batch_size=10))
    session = Session(root=case.project.root)
    report = invoke(session, ["backfill", "history"])
    assert report is not None
    assert list(report.df["rows"]) == [10] * 10
    assert {"at", "segment", "ms", "held_by", "wal_bytes", "worker"} <= set(report.df.columns)
    last = invoke(session, ["backfill", "history", "--last", "3", "--json"])
    assert last is not None
    found = json.loads(last.to_json())
    assert (found["count"], len(found["batches"])) == (10, 3)


def test_wal_of_batches_that_ran_at_once_counts_once(case: Case) -> None:
    """Each saw the WAL of the whole server: two lanes beside each other must not double it."""
    case.counted(10)
    case.written_down(case.filling())
    case.sql(
        f"INSERT INTO qb.segment (backfill, number) VALUES ('{ID}', 0), ('{ID}', 1);"
        "INSERT INTO qb.batch (backfill, segment, number, rows, seen, ms, wal_bytes, at)"
        f" SELECT '{ID}', lane, n, 1, 1, 100, 1000, timestamptz 'epoch' + n * interval '100 ms'"
        " + lane * interval '50 ms' FROM generate_series(0, 1) AS lane, generate_series(1, 10) AS n"
    )
    assert totals(case.conn, ID).wal_bytes == 10_500


def test_watching_what_was_never_started_says_so(case: Case, qb: Qb) -> None:
    case.filling()
    report = qb("backfill", "watch", ID)
    assert report is not None
    assert "is not applied up to its backfill; qb run fill" in " ".join(report.notes())
    case.counted(10)  # with the migration as a run would leave it
    report = qb("backfill", "watch", ID)
    assert report is not None
    assert "not started: qb backfill start" in report.notes()


def test_without_temporal_it_is_told_from_the_ledger_and_that_is_said(case: Case) -> None:
    case.counted(10)
    case.written_down(case.filling())
    case.sql("UPDATE qb.backfill SET state = 'running', started_at = now() - interval '1 hour'")
    report = invoke(Session(root=case.project.root), ["backfill", "status"])
    assert report is not None
    said = "\n".join(report.notes())
    assert "Temporal does not run; this is from the ledger" in said
    assert "no worker is heard of" in said


def test_all_backfills_are_listed(case: Case) -> None:
    case.counted(10)
    case.filling()
    session = Session(root=case.project.root)
    listed = invoke(session, ["backfill", "list"])
    assert listed is not None
    assert [row[3] for row in listed.tables()[0].rows] == ["not started"]
    case.written_down(case.filling())
    again = invoke(session, ["backfill", "list", "--json"])
    assert again is not None
    (one,) = json.loads(again.to_json())["backfills"]
    assert (one["migration"], one["state"], one["table"]) == (ID, "pending", "public.t")

    error = 'new row for relation "t" violates check constraint "small" at row id = 7 of public.t'
    records.fail(case.conn, ID, error)
    failed = invoke(session, ["backfill", "list"])
    assert failed is not None
    assert len(failed.tables()[0].rows[0][-1]) <= 40
    assert failed.notes() == [f"its whole note: qb backfill status {ID}"]
    assert json.loads(failed.to_json())["backfills"][0]["note"] == error


def test_the_keys_of_the_json_are_those_that_the_help_lists(case: Case) -> None:
    case.counted(10)
    case.written_down(case.filling())
    report = invoke(Session(root=case.project.root), ["backfill", "status", "--json"])
    assert report is not None
    text = " ".join((status.part.help or "").split())
    listed = text.split("whose keys stay: ")[1].split(". Times")[0].split(", ")
    assert set(json.loads(report.to_json())) == {"report", "ok", *listed}
