"""a notebook run again, and every output compared with what it shows"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
CELL_TIMEOUT_S = 180  # a cell that waits for a whole backfill, on a busy machine
PRIVATE = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")


def compare(name: str, copy: Path, tmp_path: Path) -> None:
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
