"""02_know_before_you_run.ipynb does what it shows"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.compared import compare


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_knowing_before_you_run_gives_the_outputs_that_it_shows(copy: Path, tmp_path: Path) -> None:
    compare("02_know_before_you_run.ipynb", copy, tmp_path)
