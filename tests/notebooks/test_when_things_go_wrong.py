"""06_when_things_go_wrong.ipynb does what it shows"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.compared import compare


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_goes_wrong_gives_the_outputs_that_it_shows(copy: Path, tmp_path: Path) -> None:
    compare("06_when_things_go_wrong.ipynb", copy, tmp_path)
