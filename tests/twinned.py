"""a session whose twins are made on the run's own server: its files are within reach"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qb_engine.commands import Session
from qb_engine.database import Target
from qb_engine.database.connect import connect
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.database.embedded.settings import OPTIONS_VARIABLE
from qb_engine.project import FILE, Project
from qb_engine.shadow import Scratch
from qb_engine.shadow.twin import Twin, twin
from tests.conftest import FAST, HOME, OTHERS


@pytest.fixture(scope="session")
def twin_home(server: EmbeddedPostgres) -> Iterator[Path]:
    """The folder of a server that twins can be made on: the run's own, unless it is another's."""
    home = Path(os.environ[HOME])
    if not os.environ.get(OTHERS):
        yield home
        return
    own = home / f"twins-{os.getpid()}"
    own.mkdir(mode=0o711, exist_ok=True)  # each module that imports this has a fixture of its own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OPTIONS_VARIABLE, FAST)
        EmbeddedPostgres(own).ensure()
    yield own
    EmbeddedPostgres(own).purge()


@pytest.fixture
def scratches(twin_home: Path) -> Scratch:
    """The server that twins are made on."""
    return Scratch(Target("embedded", EmbeddedPostgres(twin_home).ensure(), origin="embedded"))


@contextmanager
def twin_of(scratches: Scratch, target: Target, **options: Any) -> Iterator[Twin]:
    """The twin of a target on which nothing is written."""
    with connect(target) as conn:
        conn.execute("SET default_transaction_read_only = on")
        with twin(scratches, target, conn, **options) as made:
            yield made


@pytest.fixture
def twinned(project: Project, twin_home: Path) -> Session:
    """A session of `project` without a scratch server's URL: its embedded server is the run's."""
    file = project.root / FILE
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("shadow")]
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")
    (project.root / ".qb").symlink_to(twin_home)
    return Session(root=project.root)
