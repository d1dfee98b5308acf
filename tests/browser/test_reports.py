"""reports in a real JupyterLab: tables, pictures, errors and completion, in light and dark"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from qb_engine.project import Project
from tests.browser.lab import CONTRAST, Lab, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

MIGRATION = """\
-- qb:constraints
users:
  must_exist: true
-- qb:up
ALTER TABLE users ADD COLUMN email text;
UPDATE users SET email = name || '@example.com' WHERE email IS NULL;
-- qb:down
ALTER TABLE users DROP COLUMN email;
"""
CELLS = (
    "%load_ext qb_magic",
    "%qb demo --rows 5000",
    "%qb verify",
    "%qb plan",
    "%qb dryrun",
    "%qb plan --nope",
)
TEXTS = (".qb-head", ".qb-word", "td", "th", "caption", "td code", ".qb-notes li")


def test_reports_are_read_on_any_theme(
    lab: Lab, browser: Browser, workshop: Project, pictures: Path
) -> None:
    """Words stand out from what is behind them, pictures have their size, errors are short."""
    (workshop.migrations / "20240101000000_add_email.sql").write_text(MIGRATION)
    write_notebook(workshop.root / "work.ipynb", CELLS)
    notebook = lab.open(browser, f"{workshop.root.name}/work.ipynb")
    notebook.run_all()
    notebook.wait_until_run(len(CELLS) - 1, timeout_s=120)
    notebook.page.set_viewport_size({"width": 1280, "height": 2600})
    outputs = notebook.page.locator(".jp-OutputArea-output .qb")
    expect(outputs).to_have_count(4)
    for theme in ("light", "dark"):
        notebook.theme(theme)
        for selector in TEXTS:
            found = outputs.locator(selector).first
            assert found.evaluate(CONTRAST) >= 4.5, f"{theme}, {selector}: {found.inner_text()}"
        notebook.page.screenshot(path=pictures / f"reports-{theme}.png")
    assert outputs.nth(1).locator("td").all_inner_texts()[-1] == "PASS"
    picture = notebook.cell(4).locator("img")
    expect(picture).to_have_count(1)
    assert picture.evaluate("image => [image.width, image.naturalWidth > 1000]") == [768, True]
    error = notebook.cell(5).locator('[data-mime-type="application/vnd.jupyter.stderr"]')
    expect(error).to_have_text(
        "InputError: No such option '--nope'.  [qb plan]\n  next: see: qb plan --help\n"
        "  more: qb error bad-option"
    )


PRESSES = 4  # JupyterLab gives a kernel a second to answer, which a busy machine may not


def test_tab_completes_names_in_a_draft(lab: Lab, browser: Browser, workshop: Project) -> None:
    """The popup shows the tables of the target first."""
    cells = ["%load_ext qb_magic", "%qb demo --rows 1000", "%%qb draft a\nALTER TABLE addr"]
    write_notebook(workshop.root / "work.ipynb", cells)
    notebook = lab.open(browser, f"{workshop.root.name}/work.ipynb")
    for _ in range(2):
        notebook.page.evaluate(
            "() => jupyterapp.commands.execute('notebook:run-cell-and-select-next')"
        )
    notebook.wait_until_run(1, timeout_s=120)
    editor = notebook.cell(2).locator(".cm-content")
    editor.click()
    notebook.page.keyboard.press("Control+End")
    first = notebook.page.locator(".jp-Completer-item").first
    for _ in range(PRESSES):
        notebook.page.keyboard.press("Tab")
        with contextlib.suppress(PlaywrightTimeout):
            first.wait_for(timeout=8_000)
            break
        notebook.page.keyboard.press("Escape")
        editor.click()
        notebook.page.keyboard.press("Control+End")
    expect(first).to_contain_text("addresses", timeout=20_000)
    notebook.page.keyboard.press("Enter")
    expect(editor).to_contain_text("ALTER TABLE addresses")
