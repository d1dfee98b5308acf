"""what `make demo` shows works, and leaves nothing behind"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_tour_goes_from_draft_to_validated_and_cleans_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qb_engine.commands", "tour", "--rows", "2000", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["ok"]
    said = " ".join(done.stderr.split())
    assert "completed, 2,000 of 2,000 rows" in said
    assert "is violated by some row" in said  # the dry run finds the mistake
    assert "rolled back: nothing of " in said  # and running it keeps nothing
    assert not (tmp_path / ".qb" / "tour").exists()
    listed = subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True, check=True)
    assert str(tmp_path) not in listed.stdout
