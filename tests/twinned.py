"""a session whose twins are made on the run's own server: its files are within reach"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qb_engine.commands import Session
from qb_engine.project import FILE, Project
from tests.conftest import HOME, OTHERS


@pytest.fixture
def twinned(project: Project) -> Session:
    """A session of `project` without a scratch server's URL.

    Where tests run on another PostgreSQL, the project starts an embedded server of its own.
    """
    file = project.root / FILE
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("shadow")]
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")
    if not os.environ.get(OTHERS):
        (project.root / ".qb").symlink_to(Path(os.environ[HOME]))
    return Session(root=project.root)
