"""the panel's view: a pure function of its state, escaped, in words, with reasons"""

from __future__ import annotations

from dataclasses import replace

from qb_engine.commands._panel_actions import Situation, actions
from qb_engine.commands.panel import PanelMigration, PanelReport
from qb_engine.errors import ServerError
from qb_magic.widgets.controls import ACTIONS
from qb_magic.widgets.state import PanelState, Result
from qb_magic.widgets.view import MAY_BREAK, Control, view
from tests.magic.samples import NASTY

PENDING = Situation("20240101000000_add_users", "pending")


def migration(situation: Situation, **parts: str) -> PanelMigration:
    texts = {"note": "", "up": "SELECT 1;", "down": "", "fills": "", **parts}
    return PanelMigration(
        situation.migration, "add_users", situation.state, situation.fill,
        constraints=(("users", "yes"),), actions=actions(situation), **texts,
    )  # fmt: skip


def state(situation: Situation = PENDING, **changes: object) -> PanelState:
    found = PanelReport("test", situation.production, situation.migration, (migration(situation),))
    return replace(PanelState(found, chosen=situation.migration), **changes)  # type: ignore[arg-type]


def test_every_action_has_a_button_of_its_label() -> None:
    """The engine names what may be done; the panel has a button for each, and no other."""
    labels = {verb: label for group in ACTIONS.values() for verb, label in group.items()}
    assert labels == {verb: action.label for verb, action in actions(PENDING).items()}


def test_a_button_that_may_not_be_pressed_says_why_twice() -> None:
    """On the button and in a line below, for those who cannot point."""
    shown = view(state(), 0)
    assert not shown.buttons["rollback"].enabled
    assert shown.buttons["rollback"].tip == "it is not applied here"
    assert "<b>Roll back</b>: it is not applied here" in shown.why
    assert shown.buttons["run"].enabled


def test_while_something_runs_only_stop_may_be_pressed() -> None:
    shown = view(state(doing="Run of add_users", since=10.0), 13.5)
    assert {verb for verb, c in shown.buttons.items() if c.enabled} == {"stop"}
    assert "Run of add_users, 3 s" in shown.activity


def test_production_asks_for_its_alias_before_anything_changes() -> None:
    situation = replace(PENDING, production=True)
    assert not view(state(situation), 0).buttons["run"].enabled
    assert "type test to allow it" in view(state(situation), 0).why
    assert view(state(situation, typed="test"), 0).buttons["run"].enabled
    assert view(state(situation), 0).buttons["plan"].enabled
    assert view(state(situation), 0).confirm


def test_a_draft_needs_a_name_and_sql() -> None:
    assert not view(state(name="a"), 0).buttons["generate"].enabled
    assert view(state(name="a", sql="SELECT 1"), 0).buttons["generate"].enabled


def test_progress_is_a_native_element_with_a_name_and_words() -> None:
    situation = Situation("m", "expanded", fill="running")
    facts = {"state": "running", "rows_done": 500, "rows_total": 2000, "rate": 100.0, "eta": 15.0}
    shown = view(state(situation, fills={"m": facts}), 0).fill
    assert '<progress aria-label="backfill rows" max="2000" value="500">25 %</progress>' in shown
    for text in ("500 of 2,000 rows", "100/s", "15.0 s left", ">running<"):
        assert text in shown


def test_progress_of_nothing_is_no_division() -> None:
    situation = Situation("m", "expanded", fill="running")
    facts = {"state": "running", "rows_done": 0, "rows_total": 0, "rate": 0.0, "eta": None}
    assert 'max="1" value="0"' in view(state(situation, fills={"m": facts}), 0).fill


def test_an_error_is_shown_until_the_next_action() -> None:
    error = ServerError("no answer", where="db:5432", why="refused", todo="start it")
    shown = view(state(error=error), 0).activity
    assert 'role="alert"' in shown
    for part in ("no answer", "db:5432", "refused", "start it"):
        assert part in shown


def test_nothing_of_a_name_becomes_markup() -> None:
    situation = Situation("m", "expanded", note=NASTY, fill="running")
    one = migration(situation, up=NASTY, down=NASTY, fills=NASTY, note=NASTY)
    report = PanelReport(NASTY, True, "m", (replace(one, name=NASTY),))
    shown = view(
        PanelState(
            report,
            place=NASTY,
            chosen="m",
            said=NASTY,
            results={"m": (Result("plan", NASTY, True, NASTY, ""),)},
            fills={"m": {"state": NASTY, "rows_done": 1, "rows_total": 2, "note": NASTY}},
        ),
        0,
    )
    pages = (shown.head, shown.why, shown.activity, shown.fill, shown.detail, shown.results)
    assert all("<script>" not in page for page in pages)


def test_the_newest_result_is_open_and_each_kind_is_there_once() -> None:
    one = state().with_result("m", Result("plan", "Plan", True, "first", ""))
    two = one.with_result("m", Result("verify", "Verify", False, "second", ""))
    three = two.with_result("m", Result("plan", "Plan", True, "third", ""))
    assert [r.headline for r in three.results["m"]] == ["third", "second"]
    shown = view(replace(three, chosen="m"), 0).results
    assert shown.count(" open>") == 1
    assert shown.index("third") < shown.index("second")


def test_what_cannot_be_taken_back_waits_for_a_yes() -> None:
    """The question names no other action, and goes away when there is nothing to ask any more."""
    situation = Situation("m", "expanded", fill="running")
    assert "yes" not in view(state(situation), 0).buttons
    assert view(state(situation), 0).asked == ""
    shown = view(state(situation, asks="cancel"), 0)
    assert "End the backfill" in shown.asked
    assert shown.buttons["yes"].label == "Yes, cancel it"
    assert shown.buttons["yes"].tip == "qb backfill cancel m"
    assert not shown.buttons["cancel"].enabled
    ended = replace(situation, fill="completed")
    assert view(state(ended, asks="cancel"), 0).asked == ""
    back = view(state(ended, asks="rollback"), 0)
    assert back.buttons["yes"].label == "Yes, roll it back"
    assert "is gone" in back.asked
    assert view(state(ended, asks="rollback", doing="Plan"), 0).asked == ""


def test_a_backfill_that_failed_is_retried() -> None:
    """The card after a failure names `qb backfill retry`; so does the button."""
    failed = view(state(Situation("m", "expanded", fill="failed")), 0).buttons["start"]
    assert failed == Control(True, "qb backfill retry m", "Retry backfill")
    ready = view(state(Situation("m", "expanded", fill="not started")), 0).buttons["start"]
    assert ready.label == "Start backfill"


def test_a_result_of_a_backfill_is_not_shown_beside_newer_figures() -> None:
    """Only the bar moves; a table of segments below it would contradict it at once."""
    old = (Result("backfill", "Backfill", True, "running, 0 of 10,000 rows", "<table>"),)
    for fill, seen in (("running", False), ("paused", True), ("completed", True)):
        shown = view(
            state(Situation("m", "expanded", fill=fill), chosen="m", results={"m": old}), 0
        )
        assert ("0 of 10,000" in shown.results) is seen


def test_a_line_of_the_list_breaks_between_its_words() -> None:
    """ipywidgets makes every space of a list one that never breaks."""
    ((line, _),) = view(state(Situation("m_long", "expanded", fill="running")), 0).options
    assert line.replace(MAY_BREAK, "") == "m_long (expanded, backfill running)"
    assert line.split(MAY_BREAK) == ["m_", "long ", "(expanded, ", "backfill ", "running)"]


def test_a_yes_is_never_of_another_migration_than_was_asked_of() -> None:
    """The chosen one may go while the question stands: its file was taken away."""
    asked = state(Situation("m", "applied"), asks="rollback")
    other = PanelReport("test", False, "n", (migration(Situation("n", "applied")),))
    assert view(asked.with_report(asked.report), 0).asked
    assert not view(asked.with_report(other), 0).asked
