"""the panel's widgets on a real database, without a page: buttons, jobs, errors, production"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from qb_engine.backfill import stop_worker
from qb_engine.commands import Session, invoke
from qb_engine.commands.panel import PanelReport
from qb_engine.project import FILE, Project
from qb_magic.widgets.panel import Panel
from qb_magic.widgets.view import BUSY
from tests.magic.test_kernel import SLEEPING, until, write

PATIENCE_S = 60


class Hand:
    """A user in front of a panel."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def press(self, verb: str) -> None:
        """Press a button, and wait for what comes of it."""
        button = self.panel.controls.buttons[verb]
        assert not button.disabled, button.tooltip
        button.click()
        if self.panel.state.asks == verb:
            assert not self.panel.state.doing
            self.panel.controls.buttons["yes"].click()
        until(lambda: not self.panel.state.doing and not self.busy, f"the end of {verb}")

    @property
    def busy(self) -> bool:
        """True while the page still shows that something runs."""
        return any(b.tooltip == BUSY for b in self.panel.controls.buttons.values())

    @property
    def done(self) -> int:
        """The rows that the bar shows as written."""
        state = self.panel.state
        return int(state.fills.get(state.chosen, {}).get("rows_done") or 0)

    def type(self, **texts: str) -> None:
        for field, text in texts.items():
            self.panel.controls.fields[field].value = text

    def may(self, verb: str) -> bool:
        return not self.panel.controls.buttons[verb].disabled

    @property
    def alarmed(self) -> bool:
        return 'role="alert"' in self.panel.controls.activity.value

    def sees(self, text: str) -> bool:
        c = self.panel.controls
        return any(text in w.value for w in (c.head, c.why, c.activity, c.detail, c.results))


@pytest.fixture
def opened(project: Project) -> Iterator[Callable[[], Hand]]:
    """Opens a panel on the project; all are closed at the end."""
    panels: list[Panel] = []

    def opened() -> Hand:
        session = Session(root=project.root)
        report = invoke(session, ["panel"])
        assert isinstance(report, PanelReport)
        panels.append(Panel(report, session))
        return Hand(panels[-1])

    yield opened
    for panel in panels:
        panel.close()


def test_from_draft_to_validate(
    opened: Callable[[], Hand], connection: psycopg.Connection[Any]
) -> None:
    """The main job without a backfill, each step by its button."""
    connection.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
    hand = opened()
    assert not hand.may("generate")
    hand.type(name="add_email", sql="ALTER TABLE users ADD COLUMN email text;")
    hand.press("generate")
    assert hand.panel.state.error is None
    assert hand.panel.controls.sql.value == ""
    assert not hand.may("generate")
    for verb in ("verify", "plan", "dryrun", "run", "validate"):
        hand.press(verb)
        assert hand.panel.state.error is None
        assert hand.panel.state.results[hand.panel.state.chosen][0].ok
    assert hand.panel.controls.results.value.count("<details") == 6
    assert not hand.may("run")
    hand.press("rollback")
    assert hand.may("run")
    found = connection.execute(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'email'"
    ).fetchone()
    assert found == (0,)


def test_nothing_is_rolled_back_by_one_click(
    opened: Callable[[], Hand], project: Project, connection: psycopg.Connection[Any]
) -> None:
    """A click that missed its aim costs nothing: what drops a column asks first."""
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);", "DROP TABLE users;")
    hand = opened()
    hand.press("run")
    c = hand.panel.controls
    assert c.ask.layout.display == "none"
    c.buttons["rollback"].click()
    assert c.ask.layout.display == "flex"
    assert c.buttons["yes"].description == "Yes, roll it back"
    assert not hand.may("rollback")
    c.buttons["no"].click()
    assert c.ask.layout.display == "none"
    c.buttons["yes"].click()  # the page may still send it
    assert not hand.panel.state.doing
    assert connection.execute("SELECT to_regclass('users') IS NOT NULL").fetchone() == (True,)
    hand.press("rollback")
    assert connection.execute("SELECT to_regclass('users') IS NULL").fetchone() == (True,)


def test_an_error_stays_inside_and_the_panel_goes_on(
    opened: Callable[[], Hand], project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, "20240101000000_wrong", "ALTER TABLE nowhere ADD COLUMN x int;")
    hand = opened()
    hand.press("run")
    assert hand.alarmed
    assert hand.sees("nowhere")
    assert hand.may("run")
    hand.press("refresh")
    assert not hand.alarmed
    assert capsys.readouterr() == ("", "")


def test_a_callback_that_fails_says_so_in_the_panel(
    opened: Callable[[], Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = opened()

    def broken(migration: str | None) -> None:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(hand.panel, "choose", broken)
    hand.panel.controls.chosen.options = [("a", "a"), ("b", "b")]
    hand.panel.controls.chosen.value = "b"
    assert hand.sees("nobody foresaw this")


def test_choosing_another_migration_shows_it_at_once(
    opened: Callable[[], Hand], project: Project
) -> None:
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);")
    write(project, "20240102000000_add_orders", "CREATE TABLE orders (id int);")
    hand = opened()
    assert hand.sees("CREATE TABLE users")
    hand.panel.controls.chosen.value = "20240102000000_add_orders"
    assert hand.sees("CREATE TABLE orders")
    assert hand.sees("20240101000000_add_users comes first")


def test_stop_cancels_on_the_server(
    opened: Callable[[], Hand], project: Project, connection: psycopg.Connection[Any]
) -> None:
    """Commands run on a thread that no interrupt reaches; the button cancels all the same."""
    write(project, "20240101000000_slow", "SELECT pg_sleep(120);")
    hand = opened()

    def sleeping() -> bool:
        return connection.execute(SLEEPING).fetchone() != (0,)

    hand.panel.controls.buttons["run"].click()
    until(sleeping, "the statement")
    assert not hand.may("plan")
    hand.press("stop")
    until(lambda: not sleeping(), "the end of the statement")
    assert hand.alarmed
    assert connection.execute("SELECT status FROM qb.history").fetchall() == [("stopped",)]


def test_production_asks_for_the_alias_each_time(
    opened: Callable[[], Hand], project: Project, connection: psycopg.Connection[Any]
) -> None:
    text = (project.root / FILE).read_text()
    url = text.split('test = "')[1].split('"')[0]
    (project.root / FILE).write_text(
        f'default = "shop"\n[aliases]\nshop = {{ url = "{url}", production = true }}\n'
    )
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);")
    hand = opened()
    assert hand.sees("PRODUCTION")
    assert not hand.may("run")
    assert not hand.may("dryrun")
    hand.press("rehearse")  # what runs on production was seen to work before
    assert hand.panel.state.error is None
    hand.type(typed="shop")
    hand.press("run")
    assert hand.panel.state.error is None
    assert connection.execute("SELECT to_regclass('users') IS NOT NULL").fetchone() == (True,)
    assert hand.panel.controls.confirm.value == ""
    assert not hand.may("rollback")


def test_it_does_not_matter_which_thread_calls(
    opened: Callable[[], Hand], project: Project
) -> None:
    """Kernels call back on the main thread or on a thread of their own, depending on version."""
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);")
    hand = opened()
    button = hand.panel.controls.buttons["verify"]
    caller = threading.Thread(target=button.click)
    caller.start()
    caller.join(PATIENCE_S)
    until(lambda: hand.panel.state.results and not hand.panel.state.doing, "the result")
    assert hand.panel.state.error is None


def test_the_panel_stays_on_its_target(
    opened: Callable[[], Hand], project: Project, connection: psycopg.Connection[Any]
) -> None:
    """A later choice of another target in the notebook does not move an open panel."""
    session = Session(root=project.root)
    report = invoke(session, ["panel"])
    assert isinstance(report, PanelReport)
    session.option = "host=/nowhere"
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);")
    panel = Panel(report, session)
    try:
        hand = Hand(panel)
        hand.press("refresh")
        hand.press("run")
        assert panel.state.error is None
        assert connection.execute("SELECT to_regclass('users') IS NOT NULL").fetchone() == (True,)
    finally:
        panel.close()


def test_a_backfill_is_followed_by_itself(
    opened: Callable[[], Hand],
    project: Project,
    temporal: str,
    connection: psycopg.Connection[Any],
) -> None:
    """Also by a panel that was opened while it runs: the ledger knows, not the widget."""
    with (project.root / FILE).open("a") as config:
        config.write(f'\n[temporal]\naddress = "{temporal}"\n')
    connection.execute(
        "CREATE TABLE users (id int PRIMARY KEY, name text);"
        "INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, 3000) i"
    )
    hand = opened()
    hand.type(
        name="add_greeting",
        sql="ALTER TABLE users ADD COLUMN greeting text;",
        python='class Fill(Backfill):\n    table = "users"\n    where = "greeting IS NULL"\n'
        "    batch_size = 100\n"
        '    set = {"greeting": "\'hello \' || name || pg_sleep(0.002)::text"}\n',
    )
    hand.press("generate")
    hand.press("run")
    try:
        hand.press("start")
        assert hand.panel.state.error is None
        until(lambda: hand.done > 0, "the first rows")
        hand.press("pause")
        for shown in (hand.panel.controls.fill, hand.panel.controls.results):
            assert "paused" in shown.value
            assert f"{hand.done:,} of 3,000" in shown.value
        hand.press("resume")
        with hand.panel._lock:  # it moves: only the bar counts
            if hand.panel.state.moving:
                assert "3,000" not in hand.panel.controls.activity.value
                assert "Segments" not in hand.panel.controls.results.value
        late = opened()
        for each in (hand, late):
            until(lambda each=each: each.may("rollback"), "the end of the backfill")
            assert "completed" in each.panel.controls.fill.value
            assert 'max="3000" value="3000"' in each.panel.controls.fill.value
            assert each.sees("<img")
    finally:
        stop_worker(project)


def test_a_backfill_that_failed_goes_on_by_the_button_that_its_card_names(
    opened: Callable[[], Hand],
    project: Project,
    temporal: str,
    connection: psycopg.Connection[Any],
) -> None:
    with (project.root / FILE).open("a") as config:
        config.write(f'\n[temporal]\naddress = "{temporal}"\n')
    connection.execute(
        "CREATE TABLE users (id int PRIMARY KEY, share int);"
        "INSERT INTO users SELECT i, i - 7 FROM generate_series(1, 20) i"
    )
    hand = opened()
    hand.type(
        name="add_part",
        sql="ALTER TABLE users ADD COLUMN part int;",
        python='class Fill(Backfill):\n    table = "users"\n    where = "part IS NULL"\n'
        '    set = {"part": "100 / share"}\n',
    )
    hand.press("generate")
    hand.press("run")
    start = hand.panel.controls.buttons["start"]
    assert start.description == "Start backfill"
    try:
        hand.press("start")
        until(lambda: start.description == "Retry backfill", "the failure")
        assert hand.sees("qb backfill retry")
        assert start.tooltip.startswith("qb backfill retry")
        connection.execute("UPDATE users SET share = 1 WHERE share = 0")
        hand.press("start")
        assert hand.panel.state.error is None
        until(lambda: "completed" in hand.panel.controls.fill.value, "the end of the backfill")
        assert start.description == "Start backfill"
    finally:
        stop_worker(project)


def test_closing_ends_the_threads(opened: Callable[[], Hand]) -> None:
    before = {t for t in threading.enumerate() if t.name.startswith("qb panel")}
    hand = opened()
    mine = {t for t in threading.enumerate() if t.name.startswith("qb panel")} - before
    assert len(mine) == 2
    hand.panel.close()
    deadline = time.monotonic() + PATIENCE_S
    for thread in mine:
        thread.join(deadline - time.monotonic())
    assert not any(thread.is_alive() for thread in mine)


def test_every_control_has_a_name(opened: Callable[[], Hand]) -> None:
    """Screen readers read descriptions; a button without one is a riddle."""
    c = opened().panel.controls
    assert all(b.description and b.tooltip for b in c.buttons.values())
    assert all(f.description for f in (*c.fields.values(), c.chosen))
