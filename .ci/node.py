"""install the TypeORM versions that the tests run against, where there is a Node.js"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "typeorm" / "node"  # a package.json and its lock file per version
HOME = ROOT / ".venv" / "node"
OLDEST = 20  # the major version that TypeORM 1.x asks for


def find() -> Path | None:
    """The folder that holds one installed TypeORM per version; None before they are installed."""
    return HOME if all(_installed(pins) for pins in _versions()) else None


def find_or_install() -> tuple[Path | None, str]:
    """The same, installed when it is not; or None and why not."""
    if found := find():
        return found, ""
    if why := missing():
        return None, why
    for pins in _versions():
        if not _installed(pins) and (why := _install(pins)):
            return None, why
    return find(), ""


def missing() -> str:
    """Why there is no Node.js to run it with; empty when there is one."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not installed"
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    major = said.stdout.strip().removeprefix("v").partition(".")[0]
    if not major.isdigit() or int(major) < OLDEST:
        return f"node is {said.stdout.strip() or 'broken'}, and {OLDEST} or newer is needed"
    return ""


def _versions() -> list[Path]:
    return sorted(path.parent for path in PINS.glob("*/package.json"))


def _installed(pins: Path) -> bool:
    stamp = HOME / pins.name / ".ready"
    return stamp.is_file() and stamp.read_text() == _digest(pins)


def _install(pins: Path) -> str:
    """Install one version as its lock file has it; why it failed, empty when it did not."""
    folder = HOME / pins.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(pins / name, folder / name)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    environment = {**os.environ, "npm_config_update_notifier": "false"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"npm ci failed for TypeORM {pins.name}: {done.stderr.strip()[-500:]}"
    (folder / ".ready").write_text(_digest(pins))
    return ""


def _digest(pins: Path) -> str:
    return hashlib.sha256((pins / "package-lock.json").read_bytes()).hexdigest()
