"""a backfill followed in a real JupyterLab: live, held, tuned, and as a card when it has ended"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from qb_engine.project import Project
from tests.browser.lab import CONTRAST, Lab, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROWS = 12_000
PATIENCE_MS = 90_000
FILL = """\
from qb_engine import Backfill


class Fill(Backfill):
    table = "users"
    set = {"greeting": "'hello ' || name || pg_sleep(0.0008)::text"}
    where = "greeting IS NULL"
    batch_size = 200
    parallel = 2
"""


@pytest.mark.timeout(300)
def test_a_backfill_is_followed_paused_tuned_and_leaves_a_card(
    lab: Lab, browser: Browser, workshop: Project, pictures: Path
) -> None:
    """The kernel is free all the while; the card is there after a reload without any kernel."""
    folder = workshop.migrations / "20240316090000_greet"
    folder.mkdir(parents=True)
    (folder / "migration.sql").write_text("-- qb:up\nALTER TABLE users ADD COLUMN greeting text;\n")
    (folder / "backfill.py").write_text(FILL)
    cells = [
        "%load_ext qb_magic",
        f"%qb demo --rows {ROWS}",
        "ran = %qb run greet",
        "%qb backfill start",
        "%qb backfill watch",
        "'the kernel is free'",
    ]
    lab.theme("dark")
    write_notebook(workshop.root / "work.ipynb", cells)
    notebook = lab.open(browser, f"{workshop.root.name}/work.ipynb")
    page = notebook.page
    page.set_viewport_size({"width": 1100, "height": 1800})
    notebook.run_all()
    notebook.wait_until_run(5, timeout_s=120)
    older = notebook.cell(3).locator(".jp-OutputArea-output")
    expect(older).to_contain_text("it is followed in a newer output")
    expect(older.get_by_role("progressbar")).to_have_count(0)
    box = page.locator(".qb-live")
    bar = box.get_by_role("progressbar", name="backfill rows")
    expect(box.locator(".qb-rates svg")).to_be_visible(timeout=PATIENCE_MS)
    expect(box.get_by_role("progressbar", name="segment 0")).to_be_visible()
    box.screenshot(path=pictures / "moving.png")
    for selector in (".qb-key", ".qb-facts b", ".qb-share", ".qb-word"):
        seen = f"(box, selector) => ({CONTRAST})(box.querySelector(selector))"
        assert box.evaluate(seen, selector) >= 4.5, selector  # at once: it is drawn anew often
    box.get_by_role("button", name="Pause").click()
    expect(box.locator(".qb-bar")).to_contain_text("paused", timeout=PATIENCE_MS)
    assert 0 < float(bar.get_attribute("value") or 0) < ROWS
    box.get_by_role("button", name="Cancel", exact=True).click()
    expect(box.get_by_role("button", name="Yes, cancel it")).to_be_visible()
    box.screenshot(path=pictures / "asked.png")
    box.get_by_role("button", name="No, let it go on").click()
    expect(box.get_by_role("button", name="Yes, cancel it")).to_be_hidden()
    box.get_by_label("rows/s at most").fill("50000")
    box.get_by_role("button", name="Tune").click()
    expect(box.locator(".qb-facts")).to_contain_text("50,000/s", timeout=PATIENCE_MS)
    box.get_by_role("button", name="Resume").click()
    card = notebook.cell(4).locator(".jp-OutputArea-output")
    expect(card).to_contain_text(re.compile("completed, 12,000 of 12,000"), timeout=PATIENCE_MS)
    expect(card).to_contain_text("What it took")
    card.screenshot(path=pictures / "card.png")
    notebook.save()
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    lab.end_sessions()
    page.reload()
    expect(card).to_contain_text(re.compile("completed, 12,000 of 12,000"), timeout=PATIENCE_MS)
