"""the panel in a real JupyterLab: from draft to validate by clicks, live, in light and dark"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from qb_engine.project import Project
from tests.browser.lab import CONTRAST, Lab, Notebook, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROWS = 10_000
THEMES = ("light", "dark")
FILL = """\
class Fill(Backfill):
    table = "users"
    set = {"greeting": "'hello ' || name || pg_sleep(0.0005)::text"}
    where = "greeting IS NULL"
    batch_size = 200
"""
PATIENCE_MS = 90_000

# Every value the progress element ever had, seen from inside the page.
WATCH = """() => {
  window.seen = [];
  const look = () => document.querySelectorAll('progress[aria-label="backfill rows"]').forEach(
    bar => { if (window.seen.at(-1) !== bar.value) window.seen.push(bar.value); });
  new MutationObserver(look).observe(document.body,
    {subtree: true, childList: true, attributes: true, characterData: true});
  look(); }"""


class OnPage:
    """The panel as a user meets it: by roles and names."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.locator(".qb-panel")
        self.activity = self.box.locator(".qb-activity, [role=alert]")

    def button(self, name: str) -> Locator:
        return self.box.get_by_role("button", name=name, exact=True)

    def press(self, name: str, outcome: str) -> None:
        """Press a button and wait until the panel says what came of it."""
        button = self.button(name)
        expect(button).to_be_enabled(timeout=PATIENCE_MS)
        button.click()
        expect(self.activity).to_contain_text(re.compile(outcome), timeout=PATIENCE_MS)
        expect(self.button("Refresh")).to_be_enabled(timeout=PATIENCE_MS)

    def draft(self, name: str, sql: str, backfill: str = "") -> None:
        self.box.get_by_label("Draft name").fill(name)
        self.box.get_by_label("Draft SQL").fill(sql)
        self.box.get_by_label("Draft backfill").fill(backfill)

    def fits(self) -> bool:
        """True when nothing sticks out to the right."""
        return bool(
            self.box.evaluate(
                "box => [box, ...box.querySelectorAll('.widget-html-content, .widget-box')]"
                ".every(e => e.scrollWidth <= e.clientWidth + 1)"
            )
        )

    def picture(self, path: Path) -> None:
        """The whole panel as an image."""
        size = self.page.viewport_size or {"width": 1280, "height": 1000}
        self.page.set_viewport_size({"width": size["width"], "height": 2600})
        self.box.scroll_into_view_if_needed()
        self.box.screenshot(path=path)
        self.page.set_viewport_size(size)


def opened(lab: Lab, browser: Browser, project: Project, cells: list[str]) -> Notebook:
    """A notebook that was run, its last cell showing the panel."""
    write_notebook(project.root / "work.ipynb", ["%load_ext qb_magic", *cells, "%qb panel"])
    notebook = lab.open(browser, f"{project.root.name}/work.ipynb")
    notebook.run_all()
    notebook.wait_until_run(len(cells) + 1, timeout_s=120)
    return notebook


@pytest.mark.timeout(600)
def test_from_draft_to_validate_by_clicks(
    lab: Lab, browser: Browser, workshop: Project, pictures: Path
) -> None:
    """The whole main job without a line of code, its backfill seen while it moves."""
    notebook = opened(lab, browser, workshop, [f"%qb demo --rows {ROWS}"])
    panel = OnPage(notebook.page)
    expect(panel.button("Generate")).to_be_disabled()
    panel.draft("add_greeting", "ALTER TABLE users ADD COLUMN greeting text;", FILL)
    panel.press("Generate", r"wrote .*_add_greeting")
    expect(panel.box.get_by_label("Migrations")).to_contain_text("add_greeting (pending")
    for button in ("Roll back", "Start backfill", "Pause backfill", "Validate"):
        expect(panel.button(button)).to_be_disabled()
    expect(panel.box.get_by_role("list", name="why not")).to_contain_text("run the migration first")
    panel.press("Verify", r"Verify: all \d+ constraints")
    panel.press("Plan", r"Plan: 1 step")
    expect(panel.box).to_contain_text("ACCESS EXCLUSIVE public.users")
    panel.press("Dry run", r"Dry run: .* rolled back")
    expect(panel.box.get_by_role("img", name=re.compile("locks held"))).to_be_visible()
    for theme in THEMES:
        notebook.theme(theme)
        panel.picture(pictures / f"dryrun-{theme}.png")
        for button in ("Roll back", "Generate"):  # may not be pressed now, and can be read
            expect(panel.button(button)).to_be_disabled()
            assert panel.button(button).evaluate(CONTRAST) >= 4.5, (theme, button)
    panel.press("Run", r"Run: 1 migration")
    panel.button("Roll back").click()
    expect(panel.button("Yes, roll it back")).to_be_visible()
    panel.picture(pictures / "asked.png")
    panel.button("No, leave it").click()
    expect(panel.button("Yes, roll it back")).to_be_hidden()
    notebook.page.evaluate(WATCH)
    panel.press("Start backfill", r"backfill .*_add_greeting")
    bar = panel.box.get_by_role("progressbar", name="backfill rows")
    expect(panel.box.locator(".qb-fill")).to_contain_text("completed", timeout=PATIENCE_MS)
    expect(bar).to_have_attribute("value", str(ROWS))
    seen = notebook.page.evaluate("() => window.seen")
    assert len([value for value in seen if 0 < value < ROWS]) >= 2, seen
    assert seen == sorted(seen)
    panel.press("Validate", r"Validate: .* is what")
    expect(panel.box.get_by_label("Migrations")).to_contain_text("(applied, backfill completed)")
    assert panel.fits()
    for theme in THEMES:
        notebook.theme(theme)
        panel.picture(pictures / f"done-{theme}.png")
        for selector in (".qb-activity", ".qb-word", ".qb-sql code", ".qb-why li", "summary"):
            assert panel.box.locator(selector).first.evaluate(CONTRAST) >= 4.5, (theme, selector)
    outputs = notebook.cell(2).locator(".jp-OutputArea-child")
    expect(outputs).to_have_count(1)


@pytest.mark.timeout(300)
def test_errors_stay_inside_the_panel(
    lab: Lab, browser: Browser, workshop: Project, pictures: Path
) -> None:
    """What the server says is read in the panel; nothing appears elsewhere, and work goes on."""
    panel = OnPage(opened(lab, browser, workshop, []).page)
    panel.draft("wrong", "ALTER TABLE nowhere ADD COLUMN x int;\nSELEC 1;")
    panel.press("Generate", "syntax error")
    alert = panel.box.get_by_role("alert")
    expect(alert).to_contain_text("SELEC")
    expect(panel.box.get_by_label("Draft SQL")).not_to_have_value("")
    panel.draft("right", "CREATE TABLE notes (id int PRIMARY KEY);")
    panel.press("Generate", r"wrote .*_right")
    expect(alert).to_have_count(0)
    expect(panel.page.locator('.jp-OutputArea-output[data-mime-type*="stderr"]')).to_have_count(0)
    panel.picture(pictures / "after-an-error.png")


@pytest.mark.timeout(300)
def test_the_stop_button_ends_a_statement_while_the_kernel_is_free(
    lab: Lab, browser: Browser, workshop: Project
) -> None:
    (workshop.migrations / "20240101000000_slow.sql").write_text(
        "-- qb:up\nCREATE TABLE slow (id int);\nSELECT pg_sleep(240);\n"
    )
    panel = OnPage(opened(lab, browser, workshop, []).page)
    began = time.monotonic()
    panel.button("Run").click()
    expect(panel.activity).to_contain_text(re.compile(r"running Run of slow, \d+ s"))
    panel.button("Stop").click()
    expect(panel.box.get_by_role("alert")).to_be_visible(timeout=PATIENCE_MS)
    assert time.monotonic() - began < 200
    expect(panel.box.get_by_label("Migrations")).to_contain_text("slow (pending)")


@pytest.mark.timeout(300)
def test_a_narrow_page_and_a_reload(
    lab: Lab, browser: Browser, workshop: Project, pictures: Path
) -> None:
    """Nothing sticks out on a narrow page; a reload finds the panel as it was."""
    notebook = opened(lab, browser, workshop, [])
    panel = OnPage(notebook.page)
    column = "a_rather_long_name_" * 3
    panel.draft("narrow", f"CREATE TABLE x (id int); ALTER TABLE x ADD COLUMN {column} text;")
    panel.press("Generate", r"wrote .*_narrow")
    notebook.page.set_viewport_size({"width": 620, "height": 1400})
    assert panel.fits()
    panel.picture(pictures / "narrow.png")
    notebook.save()
    expect(notebook.page.locator(".jp-mod-dirty")).to_have_count(0)
    notebook.page.reload()
    expect(panel.box.get_by_label("Draft name")).to_be_visible(timeout=PATIENCE_MS)
    expect(panel.button("Refresh")).to_be_enabled(timeout=PATIENCE_MS)
