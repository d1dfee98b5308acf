"""a JupyterLab and a Chromium for all browser tests; a project of its own for each"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import find
from playwright.sync_api import Browser, sync_playwright

from qb_engine.project import Project
from tests.browser.lab import FLAGS, Lab
from tests.conftest import stop_servers_below


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium; nothing is downloaded."""
    path = find()
    if path is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=path, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def running_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    """JupyterLab without any kernel, in its light theme."""
    running_lab.theme("light")
    yield running_lab
    running_lab.end_sessions()


@pytest.fixture
def workshop(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A new project below JupyterLab's files, with embedded servers of its own."""
    project = Project.create(lab.root / request.node.name.replace("[", "_").replace("]", ""))
    yield project
    lab.end_sessions()
    down = [sys.executable, "-m", "qb_engine.commands", "dev", "down"]
    subprocess.run(down, cwd=project.root, check=True, timeout=120, capture_output=True)
    stop_servers_below(project.root)


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where screenshots go: a folder that pytest keeps for a while."""
    return tmp_path
