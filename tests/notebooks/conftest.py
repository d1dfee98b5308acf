"""the notebooks in a folder where they may leave files and servers"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebooks.compared import FOLDER


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """The notebooks where they may leave files and servers; the servers are stopped after."""
    left_behind = shutil.ignore_patterns(".qb", ".ipynb_checkpoints", "__pycache__")
    folder = tmp_path / "notebooks"
    shutil.copytree(FOLDER, folder, ignore=left_behind)
    yield folder
    down = [sys.executable, "-m", "qb_engine.commands", "dev", "down"]
    for home in (
        each for deep in ("", "*/", "*/*/") for each in folder.glob(f"{deep}.qb")
    ):  # some work in a folder of their own
        if home.is_dir():
            subprocess.run(down, cwd=home.parent, check=True, timeout=120, capture_output=True)
