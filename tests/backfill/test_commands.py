"""`qb backfill` and `qb worker` as commands: what they say, and their JSON"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from qb_engine import backfill
from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError, RefusedError
from qb_engine.project import Project
from tests.backfill.conftest import ID, Case, until

STATES = {"pending", "running", "paused", "verifying", "completed", "failed", "cancelled"}


def said(case: Case, *words: str) -> dict[str, Any]:
    """The JSON of a `qb backfill` command, run in this process."""
    report = invoke(Session(root=case.project.root), ["backfill", *words, "--json"])
    assert report is not None
    found: dict[str, Any] = json.loads(report.to_json())
    return found


def test_the_json_has_the_promised_facts(driven: Case) -> None:
    driven.counted(1_000)
    driven.filling(slow=0.002, batch_size=20)
    before = said(driven, "status")
    assert (before["state"], before["eta"]) == ("pending", None)
    started = said(driven, "start", "fill")
    assert started["report"] == "backfill"
    assert started["ok"] is True
    assert {"state", "rows_done", "rows_total", "rate", "eta", "segments"} <= set(started)
    assert started["state"] in STATES
    until("rows are written", lambda: driven.progress().rows_done > 100)
    moving = said(driven, "status", "fill")
    assert moving["rate"] > 0
    assert moving["eta"] > 0
    assert moving["rows_total"] == 1_000
    assert said(driven, "pause")["state"] == "paused"
    assert said(driven, "resume")["state"] == "running"
    watched = said(driven, "watch")
    assert (watched["state"], watched["rows_done"]) == ("completed", 1_000)
    assert watched["ok"] is True
    assert said(driven, "cancel")["state"] == "completed"


def test_start_waits_when_told_and_shows_rows_over_time(driven: Case) -> None:
    driven.counted(1_000)
    driven.filling(batch_size=50)
    report = invoke(Session(root=driven.project.root), ["backfill", "start", "--wait"])
    assert report is not None
    assert "completed, 1,000 of 1,000 rows of public.t" in report.headline()
    (line,) = report.charts()
    assert line.ys[-1] == 1_000  # type: ignore[union-attr]
    assert list(line.xs) == sorted(line.xs)  # type: ignore[union-attr]
    assert len(report.tables()[1].rows) == 1


def test_an_interrupt_ends_only_the_waiting(driven: Case) -> None:
    driven.counted(1_000)
    driven.filling(slow=0.002, batch_size=20)
    command = [sys.executable, "-m", "qb_engine.commands", "backfill", "start", "--wait"]
    waiting = subprocess.Popen(
        [*command, "--project", str(driven.project.root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until("rows are written", lambda: backfill.progress(driven.conn, ID))
    until("rows are written", lambda: driven.progress().rows_done > 0)
    waiting.send_signal(signal.SIGINT)
    told = waiting.communicate(timeout=60)[1]
    assert waiting.returncode == 130
    assert "stopped watching; the backfill goes on" in told
    assert driven.ended().state == "completed"
    assert driven.writes() == {1: 1_000}


def test_a_production_target_needs_its_alias_typed_back(case: Case) -> None:
    case.counted(10)
    case.filling()
    file = case.project.file
    url = case.project.config.aliases["test"].url
    file.write_text(f'default = "prod"\n[aliases]\nprod = {{ url = "{url}", production = true }}\n')
    case.project = Project(case.project.root)
    with pytest.raises(RefusedError, match="production"):
        said(case, "start", "fill")
    assert backfill.progress(case.conn, ID) is None


def test_a_migration_without_a_backfill_is_named(case: Case) -> None:
    with pytest.raises(InputError, match="no migration has a backfill"):
        said(case, "status")
    (case.project.migrations / "20240101000000_plain.sql").write_text("-- qb:up\nSELECT 1;\n")
    with pytest.raises(InputError, match="has no backfill"):
        said(case, "start", "plain")
    with pytest.raises(InputError, match="has no backfill"):
        said(case, "status", "plain")


def test_start_is_not_ok_for_one_that_stays_paused(case: Case) -> None:
    case.counted(10)
    case.written_down(case.filling())
    assert said(case, "pause")["ok"] is True
    started = said(case, "start", "fill")
    assert (started["state"], started["ok"]) == ("paused", False)
    assert any("qb backfill resume" in note for note in started["notes"])
    status = said(case, "status")
    assert (status["state"], status["ok"]) == ("paused", True)


def test_a_failed_one_says_what_is_next_and_what_was_asked(case: Case) -> None:
    case.counted(10)
    case.driven_here(case.filling(validate="SELECT id FROM t WHERE id = 7"))
    report = invoke(Session(root=case.project.root), ["backfill", "status"])
    assert report is not None
    assert not report.ok
    notes = "\n".join(report.notes())
    assert "SELECT id FROM t WHERE id = 7" in notes
    assert f"then: qb backfill retry {ID}" in notes


def test_help_needs_no_temporal() -> None:
    """The commands are listed, and described, without importing what drives them."""
    code = (
        "import sys\nfrom qb_engine.commands import Session, invoke\n"
        "invoke(Session(), ['backfill', '--help'])\ninvoke(Session(), ['worker', '--help'])\n"
        "heavy = {'temporalio', 'psycopg', 'sqlalchemy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
