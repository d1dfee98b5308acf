"""the rooms of the engine are as the design says"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "qb_engine").rglob("*.py"), *(ROOT / "qb_magic").rglob("*.py")])

# Names under which a driver opens a connection; engines and pools would open their own.
OPENERS = {"psycopg.connect", "psycopg.Connection.connect", "psycopg.AsyncConnection.connect"}
POOLS = {"ConnectionPool", "AsyncConnectionPool", "NullConnectionPool"}

# In what import-linter would refuse: a room low down that imports one high up, and so on.
BREACHES = {
    "rooms": ("qb_engine/secrets.py", "from qb_engine.report import Report"),
    "faces": ("qb_engine/report.py", "import matplotlib"),
    "temporal": ("qb_engine/project.py", "import temporalio"),
    "parser": ("qb_engine/project.py", "import postgast"),
}


def calls(source: Path) -> Iterator[tuple[int, str]]:
    """Every call in a file: its line and the dotted name that is called."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over a copy of the packages."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and the contracts, where they can be changed."""
    folder = tmp_path_factory.mktemp("rooms")
    for package in ("qb_engine", "qb_magic"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_only_database_opens_connections() -> None:
    """No other room connects to PostgreSQL, directly or through a pool."""
    elsewhere = [
        f"{source.relative_to(ROOT)}:{line} {name}"
        for source in SOURCES
        if "database" not in source.relative_to(ROOT).parts
        for line, name in calls(source)
        if name in OPENERS or name.rpartition(".")[2] in POOLS
    ]
    assert elsewhere == []


def test_the_contracts_hold(copy: Path) -> None:
    """Rooms import only the rooms below them."""
    checked = lint_imports(copy)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("contract", BREACHES)
def test_a_breach_of_a_contract_is_caught(copy: Path, contract: str) -> None:
    """Each contract does refuse the import that it is there to refuse."""
    name, line = BREACHES[contract]
    file = copy / name
    before = file.read_text()
    file.write_text(f"{before}\n\ndef breach():\n    {line}\n")
    try:
        checked = lint_imports(copy)
    finally:
        file.write_text(before)
    assert checked.returncode == 1, checked.stdout
    (title,) = [c["name"] for c in contracts() if c["id"] == contract]
    assert f"{title} BROKEN" in checked.stdout


def test_every_room_says_what_it_is() -> None:
    """Each package and module begins with a docstring."""
    silent = [
        str(source.relative_to(ROOT))
        for source in SOURCES
        if not ast.get_docstring(ast.parse(source.read_text()))
    ]
    assert silent == []


def test_there_is_no_module_without_a_subject() -> None:
    """No utils, helpers or common."""
    assert not {s.stem for s in SOURCES} & {"util", "utils", "helper", "helpers", "common", "misc"}


def contracts() -> list[dict[str, str]]:
    """The contracts of import-linter in pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, str]] = settings["tool"]["importlinter"]["contracts"]
    return found
