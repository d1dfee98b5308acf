"""the magics in a real kernel: what a frontend, nbval and the interrupt button see"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.project import Project
from qb_engine.report import plain
from tests.magic.kernels import Kernel
from tests.magic.samples import EVERY_CHART, Sample

SLEEPING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND query LIKE '%pg_sleep%'
  AND pid <> pg_backend_pid()
"""
WIDGET = "application/vnd.jupyter.widget-view+json"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def kernel(project: Project) -> Iterator[Kernel]:
    """A kernel in a project whose target is a fresh database, with the extension loaded."""
    made = Kernel(project.root)
    try:
        loaded = made.run("%load_ext qb_magic")
        assert loaded.outputs == []
        yield made
    finally:
        made.stop()


def write(project: Project, name: str, up: str, down: str = "") -> None:
    text = f"-- qb:up\n{up}\n" + (f"-- qb:down\n{down}\n" if down else "")
    (project.migrations / f"{name}.sql").write_text(text)


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        time.sleep(0.02)


def test_an_error_is_an_error_output_of_three_lines(kernel: Kernel) -> None:
    """Run All stops, nbval and papermill see it; there is no traceback to scroll past."""
    ran = kernel.run("%qb plan --nope")
    assert ran.reply["status"] == "error"
    assert ran.error.splitlines() == [
        "InputError: No such option '--nope'.  [qb plan]",
        "  next: see: qb plan --help",
        "  more: qb error bad-option",
    ]
    assert ran.of("stream") == []


def test_a_report_that_is_kept_is_not_shown(kernel: Kernel, project: Project) -> None:
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);")
    assert kernel.run("x = %qb status").outputs == []
    ran = kernel.run("x")
    (bundle,) = ran.bundles
    assert [o["msg_type"] for o in ran.outputs] == ["execute_result"]
    assert bundle["text/plain"].startswith("ok: test: 1 pending")
    assert "20240101000000_add_users" in bundle["text/html"]
    assert kernel.run("print(x.df['state'].tolist())").of("stream")[0]["text"] == "['pending']\n"


def test_charts_follow_as_a_picture_with_their_size(kernel: Kernel) -> None:
    ran = kernel.run("from tests.magic.samples import *\nSample(pictures=EVERY_CHART)")
    first, second = ran.of("display_data")
    assert first["data"]["text/plain"] == plain(Sample(pictures=EVERY_CHART))
    assert second["data"]["image/png"].startswith("iVBORw0KGgo")
    assert second["metadata"]["image/png"]["width"] == 768
    assert "locks held" in second["metadata"]["image/png"]["alt"]


def test_the_panel_is_a_widget_whose_text_is_fixed(kernel: Kernel, project: Project) -> None:
    """What moves is inside the widget; nbval and readers of the file see the same each time."""
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);")
    bundles = [kernel.run("%qb panel").bundles, kernel.run("%qb panel").bundles]
    for (bundle,) in bundles:
        assert set(bundle) == {"text/plain", "text/html", WIDGET}
    (one,), (two,) = bundles
    assert one["text/plain"] == two["text/plain"]
    assert one["text/html"] == two["text/html"]
    assert "panel on test: 1 migration" in one["text/plain"]


def test_an_interrupt_cancels_on_the_server(
    kernel: Kernel, project: Project, connection: psycopg.Connection[Any]
) -> None:
    """The stop button of a notebook ends the statement, not only the waiting for it."""
    write(project, "20240101000000_slow", "CREATE TABLE t (id int);\nSELECT pg_sleep(120);")

    def sleeping() -> int:
        row = connection.execute(SLEEPING).fetchone()
        assert row is not None
        return int(row[0])

    def stop() -> None:
        until(sleeping, "the statement")
        kernel.manager.interrupt_kernel()

    ran = kernel.run("%qb run", meanwhile=stop)
    assert ran.of("error")[0]["ename"] == "InterruptedRun"
    assert "rolled back: nothing of " in ran.error
    until(lambda: not sleeping(), "the end of the statement")
    found = connection.execute("SELECT to_regclass('t'), status FROM qb.history").fetchall()
    assert found == [(None, "stopped")]
    assert kernel.run("%qb status").reply["status"] == "ok"


def test_tab_offers_migrations_tables_and_columns(
    kernel: Kernel, project: Project, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TABLE customers (id int, full_name text)")
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);")
    kernel.run("_ = %qb status")
    assert kernel.complete("%qb plan add") == ["add_users"]
    until(lambda: kernel.complete("%%qb draft a\nALTER TABLE custo") == ["customers"], "the names")
    assert kernel.complete("%%qb draft a\nUPDATE customers SET fu") == ["full_name"]


def test_a_password_is_asked_for_as_a_password(kernel: Kernel) -> None:
    """The frontend shows dots; without a user the error says what to do, and nothing hangs."""
    code = "from qb_magic.face import NotebookFace\nlen(NotebookFace().ask_password('Password: '))"
    ran = kernel.run(code, answer="s3cr3t-canary")
    assert ran.of("input_request")[0]["password"] is True
    assert ran.bundles[0]["text/plain"] == "13"
    alone = kernel.run(code)
    assert alone.of("error")[0]["ename"] == "InputError"
    assert "passfile" in alone.error
    assert "s3cr3t-canary" not in repr(ran.outputs[-1]) + repr(alone.outputs)


def test_background_threads_print_nothing(kernel: Kernel, project: Project) -> None:
    """A thread's print would land in whatever cell runs next."""
    kernel.run("panel = %qb panel\npanel")
    kernel.run("import time; time.sleep(1.5)")
    assert kernel.run("1").of("stream") == []
