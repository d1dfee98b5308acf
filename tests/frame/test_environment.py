"""the environment is built from pins, with the index that pip knows, and only when it must be"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import chromium
import environment
import pytest
import run_tests

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pip_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of pip's that alone says where packages come from."""
    file = tmp_path / "pip.conf"
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "SSL_CERT")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    return file


def settings() -> dict[str, str]:
    """What uv is told about the index."""
    return environment.uv_settings(Path(sys.executable))


def test_uv_is_told_what_pips_file_says(pip_file: Path) -> None:
    """Index, further indexes, certificates: one place to set them."""
    pip_file.write_text(
        "[global]\n"
        "index-url = https://packages.example/simple\n"
        "extra-index-url =\n    https://one.example/simple\n    https://two.example/simple\n"
        "cert = /etc/ssl/ours.pem\n"
        "[install]\nfind-links = /opt/one /opt/two\n"
    )
    told = settings()
    assert told["UV_DEFAULT_INDEX"] == "https://packages.example/simple"
    assert told["UV_INDEX"] == "https://one.example/simple https://two.example/simple"
    assert told["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert told["SSL_CERT_FILE"] == "/etc/ssl/ours.pem"
    assert told["UV_FIND_LINKS"] == "/opt/one,/opt/two"


def test_a_variable_of_pips_wins_over_its_file(
    pip_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does for pip."""
    pip_file.write_text("[global]\nindex-url = https://file.example/simple\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.example/simple")
    assert settings()["UV_DEFAULT_INDEX"] == "https://variable.example/simple"


def test_what_is_set_for_uv_itself_is_left_alone(
    pip_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who sets UV_DEFAULT_INDEX means it."""
    pip_file.write_text("[global]\nindex-url = https://file.example/simple\n")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    assert "UV_DEFAULT_INDEX" not in settings()


def test_every_requirement_is_pinned() -> None:
    """The core, the extras and uv itself have one version."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += extra
    for requirement in wanted:
        name = re.split(r"[\[<>=]", requirement)[0]
        assert environment.pin(name), name


def test_a_machine_without_a_fitting_python_is_told_so(tmp_path: Path) -> None:
    """The message says what was looked for and what to do."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    ran = subprocess.run(
        ["/bin/sh", ".ci/setup"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert "needs Python 3.11 or newer" in ran.stderr
    assert "next:" in ran.stderr


def test_an_environment_that_stands_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a change of the pins or of pyproject.toml does it."""
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / ".qb-ready").write_text(environment.digest("notebook,dev"))
    built: list[str] = []
    monkeypatch.setattr(environment, "install", lambda python, extras: built.append(extras))
    environment.build(venv, "notebook,dev")
    assert built == []
    environment.build(venv, "notebook")
    assert built == ["notebook"]


def test_a_process_that_a_test_leaves_is_found_named_and_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever carries the run's mark ends with the run."""
    monkeypatch.setattr(run_tests, "GRACE_S", 0.0)
    code = "import time; print('started', flush=True); time.sleep(600)"
    left = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {run_tests.MARK: "a-run-of-a-test"},
        stdout=subprocess.PIPE,
    )
    try:
        assert left.stdout
        assert left.stdout.readline()
        (named,) = run_tests.end_leftovers("a-run-of-a-test")
        assert named.startswith(f"{left.pid} {sys.executable} -c")
        assert left.wait(timeout=10) == -9
    finally:
        left.kill()
        left.communicate()
    assert run_tests.end_leftovers("a-run-of-a-test") == []


def test_a_missing_browser_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nothing can install one, the reason says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    browser, why = chromium.find_or_install()
    assert browser is None
    assert "chromium" in why
