"""a notebook deletes nothing that it did not make, wherever it stands

A notebook that makes a folder to practise in may stand beside or below somebody's `qb.toml`, and a
folder counts as a project only by a `qb.toml` of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal
from qb_engine.project import Project
from tests.notebooks.compared import FOLDER
from tests.notebooks.test_notebooks import NOTEBOOKS

PURGE = re.compile(r'"dev", "down", "--purge"|%qb dev down --purge')
OWN = re.compile(r'\(WORK / "qb\.toml"\)\.touch\(\)|terminal\("init"\)')


def code(name: str) -> list[str]:
    """The code cells of a notebook."""
    cells = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_folder_is_a_project_of_its_own_before_its_data_is_deleted(name: str) -> None:
    whole = "\n".join(code(name))
    purge, own = PURGE.search(whole), OWN.search(whole)
    assert not purge or (own and own.start() < purge.start())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_folder_that_somebody_else_made_is_not_taken_away(name: str) -> None:
    whole = "\n".join(code(name))
    if removes := re.search(r"shutil\.rmtree\(", whole):
        before = whole[: removes.start()]
        assert 'mark = WORK / ".practice"' in before or 'mark = practice / ".practice"' in before


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_command_that_sets_a_notebook_up_fails_in_silence(name: str) -> None:
    """What it said is in the error."""
    for cell in code(name):
        if "capture_output=True" in cell:
            assert "{done.stdout}{done.stderr}" in cell


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name.startswith("runbooks/")])
def test_a_runbook_works_on_its_target_and_not_on_the_default(name: str) -> None:
    """Whatever it runs, or tells to run, goes through the helper that adds `-c`."""
    cells = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    assert set(re.findall(r"%qb ([\w-]+)", text)) <= {"error"}


# -- beside somebody's project -------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """Somebody's project, with a table `mine`."""
    root = Project.create(tmp_path / "shop").root
    with psycopg.connect(EmbeddedPostgres(root / ".qb").ensure()) as conn:
        conn.execute("CREATE TABLE mine AS SELECT 1 AS kept")
    yield root
    for home in (root / ".qb", *root.glob("*/.qb")):
        EmbeddedTemporal(home).purge()
        EmbeddedPostgres(home).purge()


def run(cell: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a cell's code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", cell],
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["03_from_unsafe_to_safe.ipynb", "runbooks/backfill.ipynb"])
def test_the_first_cells_beside_a_project_leave_its_data_alone(name: str, project: Path) -> None:
    """Everything of their set-up up to the first data, twice: the second visit deletes."""
    start = "\n".join(each for each in code(name)[:2] if not each.startswith("%"))
    start = start.split('    shutil.rmtree("migrations"')[0]
    for _ in range(2):
        done = run(start, project)
        assert done.returncode == 0, done.stderr
    assert [folder.parent.name for folder in project.glob("*/qb.toml")] != []
    with psycopg.connect(EmbeddedPostgres(project / ".qb").ensure()) as conn:
        assert conn.execute("SELECT kept FROM mine").fetchall() == [(1,)]


@pytest.mark.slow
def test_a_folder_of_the_same_name_is_said_and_left(project: Path) -> None:
    other = project / "from_unsafe_to_safe"
    other.mkdir()
    (other / "thesis.txt").write_text("a year of work")
    done = run(code("03_from_unsafe_to_safe.ipynb")[0], project)
    assert "is not this notebook's" in done.stderr
    assert (other / "thesis.txt").exists()
