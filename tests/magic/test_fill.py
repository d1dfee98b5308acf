"""the panel of a backfill: its view is a function of its state, its threads end with it"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from qb_engine.backfill.reporting.measure import Hold, Progress, SegmentProgress
from qb_engine.commands import Session
from qb_engine.commands.backfill.live import LiveReport
from qb_engine.database import Target
from qb_engine.errors import QbError
from qb_engine.project import Project
from qb_magic.widgets.fill.panel import FillPanel
from qb_magic.widgets.fill.state import FillState
from qb_magic.widgets.fill.view import view
from tests.backfill.conftest import Case, until
from tests.backfill.conftest import case as case

NASTY = "<script>alert(1)</script>"
SEGMENTS = tuple(
    SegmentProgress(n, 0, None, None, None, 1, status, 10, 10, 0, 1, "", "", share=share)
    for n, status, share in ((0, "done", 1.0), (1, "running", 0.25), (2, "open", 0.0))
)
MOVING = Progress(
    "m", "running", 400, 1_000, 50.0, 12.0, "public.t", True, segments=SEGMENTS,
    eta_low=9.0, eta_high=20.0, batch_size=50, rates=(10.0, 50.0), rates_s=8.0,
)  # fmt: skip
STATE = FillState(MOVING, "prod")


def test_rows_range_and_segments_have_names_and_words() -> None:
    shown = view(STATE)
    assert '<progress aria-label="backfill rows" max="1000" value="400">40 %' in shown.body
    assert "9.0 s to 20.0 s left" in shown.body
    assert 'aria-label="segment 1" max="100" value="25"' in shown.body
    assert 'aria-label="rate, highest 50/s' in shown.body


def test_what_holds_it_up_is_said_with_what_would_release_it() -> None:
    hold = Hold("lag", "stop", NASTY, "it is below 5 s", "", 12.0, (1,))
    shown = view(replace(STATE, progress=replace(MOVING, holds=(hold,)), away=NASTY))
    assert "stopped by lag for 12.0 s" in shown.body
    assert "it is below 5 s" in shown.body
    assert "the server does not answer" in shown.body
    assert "<script>" not in shown.body


def test_only_what_fits_the_state_may_be_pressed() -> None:
    def may(state: FillState) -> set[str]:
        return {verb for verb, control in view(state).buttons.items() if control.enabled}

    assert may(STATE) == {"pause", "cancel", "yes", "no"}
    assert may(replace(STATE, max_rate="100")) == {"pause", "cancel", "tune", "yes", "no"}
    paused = replace(STATE, progress=replace(MOVING, state="paused"))
    assert may(paused) == {"resume", "cancel", "yes", "no"}
    assert "resume" not in may(replace(paused, production=True))
    assert "resume" in may(replace(paused, production=True, typed="prod"))
    assert may(replace(STATE, doing="something")) == set()
    failed = replace(STATE, progress=replace(MOVING, state="failed"))
    assert may(failed) == set()
    assert view(failed).buttons["pause"].tip == "it has failed"
    assert view(replace(STATE, asks=True)).asks


def live(case: Case, project: Project, target: Target) -> FillPanel:
    report = LiveReport(case.progress(), target=target.name, on=target)
    return FillPanel(report, Session(root=project.root))


def test_it_follows_the_ledger_and_leaves_a_card(case: Case) -> None:
    """Whatever drives the backfill, with no Temporal there at all."""
    case.counted(10)
    migration = case.filling()
    case.written_down(migration)
    panel = live(case, case.project, case.target)
    published: list[dict[str, Any]] = []
    panel.publish = published.append
    plain = panel.root._repr_mimebundle_()["text/plain"]
    assert plain == f"backfill {panel.migration} on test: followed live here"
    case.sql("UPDATE qb.backfill SET state = 'running', rows_total = 10, total_exact = true")
    until("the state is seen", lambda: panel.state.progress.state == "running")
    case.driven_here(migration)
    until("a card is left", lambda: published)
    assert "completed, 10 of 10 rows" in published[0]["text/plain"]
    assert "What it took" in published[0]["text/html"]
    assert panel.controls.row.layout.display == "none"


def test_a_button_submits_and_an_error_stays_in_the_panel(case: Case) -> None:
    case.counted(10)
    case.written_down(case.filling())
    panel = live(case, case.project, case.target)
    panel.controls.buttons["pause"].click()
    until("it is paused", lambda: panel.state.progress.state == "paused")
    panel.controls.max_rate.value = "nonsense"
    until("it may be tuned", lambda: not panel.controls.buttons["tune"].disabled)
    panel.controls.buttons["tune"].click()
    until("the error is shown", lambda: panel.state.error is not None)
    assert isinstance(panel.state.error, QbError)
    panel.controls.buttons["cancel"].click()
    assert case.progress().state == "paused"
    panel.controls.buttons["yes"].click()
    until("it is cancelled", lambda: panel.state.progress.state == "cancelled")
    panel.close()


def test_a_server_that_is_away_is_said_and_asked_again(case: Case) -> None:
    case.counted(10)
    case.written_down(case.filling())
    panel = live(case, case.project, case.target)
    until("it looks", lambda: panel._conn is not None)
    with psycopg.connect(case.target.conninfo, autocommit=True) as other:
        other.execute("ALTER TABLE qb.backfill RENAME TO elsewhere")
        until("that is said", lambda: panel.state.away)
        other.execute("ALTER TABLE qb.elsewhere RENAME TO backfill")
    until("it is there again", lambda: not panel.state.away)
    panel.close()


def test_an_older_output_gives_way_to_a_newer_one(case: Case) -> None:
    """It ends with a line that says so: "running, 0 %" would stand there for ever."""
    case.counted(10)
    case.written_down(case.filling())
    panel = live(case, case.project, case.target)
    published: list[dict[str, Any]] = []
    panel.publish = published.append
    until("it looks", lambda: panel._conn is not None)
    panel.give_way()
    said = f"backfill {panel.migration} on test: it is followed in a newer output"
    assert published[0]["text/plain"] == said
    assert said in published[0]["text/html"]
    assert set(published[0]) == {"text/plain", "text/html"}
    c = panel.controls
    assert "newer output" in c.activity.value
    assert "progress" not in c.body.value
    assert "pending" not in c.head.value.split("</style>")[-1]
    assert c.row.layout.display == "none"
    until("its connection is given back", lambda: panel._conn is None)


def test_a_card_of_an_end_does_not_give_way(case: Case) -> None:
    """What it took stays true when the same is tried again and followed elsewhere."""
    case.counted(10)
    migration = case.filling()
    case.driven_here(migration)
    panel = live(case, case.project, case.target)
    published: list[dict[str, Any]] = []
    panel.publish = published.append
    until("a card is left", lambda: published)
    panel.give_way()
    assert len(published) == 1
    assert "What it took" in panel.controls.body.value


def test_an_error_goes_with_the_next_order_wherever_it_is_given(case: Case) -> None:
    """Under what a newer order came to, an old refusal would be read as its answer."""
    case.counted(10)
    case.written_down(case.filling())
    panel = live(case, case.project, case.target)
    panel.controls.max_rate.value = "nonsense"
    until("it may be tuned", lambda: not panel.controls.buttons["tune"].disabled)
    panel.controls.buttons["tune"].click()
    until("the error is shown", lambda: panel.state.error is not None)
    assert 'role="alert"' in panel.controls.activity.value
    case.sql("UPDATE qb.backfill SET state = 'paused'")
    until("the error is gone", lambda: panel.state.error is None)
    assert 'role="alert"' not in panel.controls.activity.value
    panel.close()
