"""an IPython shell in a project folder, with the extension loaded"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from qb_engine.project import Project


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell whose working folder is a fresh project without anything in it."""
    root = Project.create(tmp_path / "work").root
    monkeypatch.chdir(root)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    yield shell
    shell.run_line_magic("unload_ext", "qb_magic")
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(bare: InteractiveShell) -> InteractiveShell:
    """The same shell after `%load_ext qb_magic`."""
    bare.run_line_magic("load_ext", "qb_magic")
    return bare
