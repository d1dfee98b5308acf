"""qb starts quickly: what is heavy is imported when it is needed"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("pandas", "numpy", "matplotlib", "temporalio", "sqlalchemy", "alembic")

STARTS = {
    "import qb_magic": "import qb_magic",
    "import qb_engine.commands": "import qb_engine.commands",
    "qb --help": """
import sys
sys.argv = ["qb", "--help"]
from qb_engine.commands import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
""",
    "%load_ext qb_magic": """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "qb_magic")
assert "qb" in shell.magics_manager.magics["line"]
assert "qb" in shell.magics_manager.magics["cell"]
""",
}


def imported_by(code: str) -> set[str]:
    """The top-level packages that are loaded after the code ran in a fresh Python."""
    code += "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return {name.partition(".")[0] for name in json.loads(ran.stdout.splitlines()[-1])}


@pytest.mark.parametrize("start", STARTS)
def test_starting_imports_nothing_heavy(start: str) -> None:
    """Neither face imports pandas, matplotlib, temporalio or SQLAlchemy before it needs them."""
    assert not imported_by(STARTS[start]).intersection(HEAVY)


def test_the_engine_starts_without_any_face() -> None:
    """The command line needs neither IPython nor ipywidgets."""
    assert not imported_by(STARTS["qb --help"]) & {"IPython", "ipywidgets", "qb_magic"}


STATUS = """
from qb_engine.ledger.reading import patiently
from qb_engine.migrations import Migrations
from qb_engine.runner import status
from qb_engine.runner.findings import findings
from qb_engine.runner.leftovers import invalid_indexes, orphans
assert callable(status)
"""


def test_how_things_stand_is_asked_without_the_parser() -> None:
    """What is applied and was not touched since is never parsed."""
    assert not imported_by(STATUS) & {"postgast", "google"}


def test_a_public_name_is_not_the_module_of_the_same_name() -> None:
    code = "import qb_engine.runner.run, qb_engine.ledger.history\n"
    code += "from qb_engine import ledger, runner\n"
    code += "assert callable(runner.run) and callable(ledger.history)\n"
    code += "assert 'run' in dir(runner) and not hasattr(runner, 'nothing')"
    imported_by(code)
