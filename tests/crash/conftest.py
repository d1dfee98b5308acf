"""runners that can be killed, and projects for them"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qb_engine.database import Target
from qb_engine.project import Project
from tests.crash.crashing import Crash
from tests.crash.runner_process import Runners


@pytest.fixture(scope="session")
def runners() -> Iterator[Runners]:
    """Starts runners; the imports are paid once."""
    found = Runners()
    yield found
    found.close()


@pytest.fixture
def crash(project: Project, database: Target, runners: Runners) -> Iterator[Crash]:
    """A project with the migration of twelve statements."""
    found = Crash(project, database, runners)
    yield found
    found.conn.close()
