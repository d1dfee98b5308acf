"""the notebooks were run from top to bottom, and each has a file here that runs it again

A file for each, so that two workers share them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.notebooks.compared import FOLDER

NOTEBOOKS = sorted(
    path.relative_to(FOLDER).as_posix()
    for folder in (FOLDER, FOLDER / "runbooks")
    for path in folder.glob("*.ipynb")
)


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


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_run_again(name: str) -> None:
    """By a test of its own."""
    tests = Path(__file__).parent.glob("test_*.py")
    assert any(f'compare("{name}"' in path.read_text(encoding="utf-8") for path in tests)
