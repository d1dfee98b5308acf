"""`import qb_magic` against `import pandas`"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from tests.benchmarks.ratio import Ratio

ROUNDS = 15

PANDAS = "import pandas"
QB = "import qb_magic"

# What a user waits for in the first cell, in a kernel that has IPython already.
LOADED = "shell.run_line_magic('load_ext', 'qb_magic')"
SHELL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
"""


def run() -> list[Ratio]:
    """Time each in fresh Pythons with compiled bytecode; the interpreter's start is left out."""
    times: dict[str, list[float]] = {PANDAS: [], QB: [], LOADED: []}
    for code in times:
        seconds(code)  # bytecode is compiled and the disk is read
    for _ in range(ROUNDS):
        for code, taken in times.items():
            taken.append(seconds(code))
    pandas, qb, loaded = (statistics.median(taken) for taken in times.values())
    return [
        Ratio(f"{code} / import pandas", value / pandas, 0.3, "at most", detail(value, pandas))
        for code, value in (("import qb_magic", qb), ("%load_ext qb_magic", loaded))
    ]


def seconds(code: str) -> float:
    """How long a line of Python takes in a process of its own."""
    timed = (
        f"import time; started = time.perf_counter(); {code}\nprint(time.perf_counter() - started)"
    )
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    ran = subprocess.run(
        [sys.executable, "-c", (SHELL if code == LOADED else "") + timed],
        env=compiled,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(ran.stdout.splitlines()[-1])


def detail(value: float, pandas: float) -> str:
    """Both medians in milliseconds."""
    return f"{value * 1e3:.0f} ms / {pandas * 1e3:.0f} ms"
