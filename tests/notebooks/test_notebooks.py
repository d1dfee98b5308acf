"""the notebooks do what they show: each is run again, and every output compared"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
CELL_TIMEOUT_S = 180  # a cell that waits for a whole backfill, on a busy machine
PRIVATE = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """The notebooks where they may leave files and servers; the servers are stopped after."""
    left_behind = shutil.ignore_patterns(".qb", ".ipynb_checkpoints", "__pycache__")
    folder = tmp_path / "notebooks"
    shutil.copytree(FOLDER, folder, ignore=left_behind)
    yield folder
    down = [sys.executable, "-m", "qb_engine.commands", "dev", "down"]
    for home in (folder / ".qb", *folder.glob("*/.qb")):  # some work in a folder of their own
        if home.is_dir():
            subprocess.run(down, cwd=home.parent, check=True, timeout=120, capture_output=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_gives_the_outputs_that_it_shows(name: str, copy: Path, tmp_path: Path) -> None:
    """Strict: every output of every cell is what the committed notebook holds."""
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    private = {variable: str(tmp_path / variable.lower()) for variable in PRIVATE}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["--nbval", "--nbval-current-env", "--nbval-sanitize-with=sanitize.cfg"]
    command += [f"--nbval-cell-timeout={CELL_TIMEOUT_S}", "--rootdir=.", "--tb=short", name]
    ran = subprocess.run(
        command,
        cwd=copy,
        env=os.environ | quiet | private,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=850,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_was_run_from_top_to_bottom(name: str) -> None:
    """A reader who has not run it sees every output, in order, and no error that is not meant."""
    cells = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"])]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        if "raises-exception" not in cell["metadata"].get("tags", []):
            assert not [out for out in cell["outputs"] if out["output_type"] == "error"]


def test_the_quickstart_is_there() -> None:
    """`make lab` and Binder open it."""
    assert "01_quickstart.ipynb" in NOTEBOOKS
