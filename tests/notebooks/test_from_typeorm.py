"""05_from_typeorm.ipynb does what it shows"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.compared import compare


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_going_over_from_typeorm_gives_the_outputs_that_it_shows(
    copy: Path, tmp_path: Path
) -> None:
    compare("05_from_typeorm.ipynb", copy, tmp_path)
