"""04_backfill_that_survives.ipynb does what it shows"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.compared import compare


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebook_on_backfills_gives_the_outputs_that_it_shows(
    copy: Path, tmp_path: Path
) -> None:
    compare("04_backfill_that_survives.ipynb", copy, tmp_path)
