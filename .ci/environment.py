"""build the environment: a virtual environment with pinned packages, once

Runs on any Python 3.11+ with nothing installed. The package index, its certificates and its
credentials are whatever pip is configured with; uv is told the same.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"

# What pip's configuration calls it, and what uv does.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}

# Compiled at set-up: our own packages, and what most commands of qb import.
PACKAGES = ("qb_engine", "qb_magic")
OFTEN = (
    *("alembic.autogenerate", "pandas", "postgast", "psycopg", "psycopg_pool", "pydantic"),
    *("rich.progress", "sqlalchemy.dialects.postgresql.psycopg", "yaml"),
    *("temporalio.client", "temporalio.worker"),
)


class SetupError(Exception):
    """The environment cannot be built, and why."""


def main(arguments: list[str] | None = None) -> int:
    """Build `.venv`, or fill the environment of the Python that runs this."""
    parser = argparse.ArgumentParser(description="Build the environment of qb.")
    parser.add_argument("--here", action="store_true", help="install into the running environment")
    parser.add_argument("--extras", default="notebook,dev", help="extras to install")
    options = parser.parse_args(arguments)
    try:
        if options.here:
            install(Path(sys.executable), options.extras)
        else:
            build(ROOT / ".venv", options.extras)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


def build(venv: Path, extras: str) -> None:
    """Make the virtual environment what the pins say, unless it is that already."""
    python, stamp, wanted = venv / "bin" / "python", venv / ".qb-ready", digest(extras)
    if stamp.is_file() and stamp.read_text() == wanted and works(python):
        return
    started = time.monotonic()
    if not works(python):
        if venv.exists():
            shutil.rmtree(venv)
        say(f"a virtual environment in {venv.name}/ with Python {sys.version.split()[0]}")
        made = subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False)
        if made.returncode != 0:
            raise SetupError(
                f"{sys.executable} cannot make a virtual environment; its venv module is missing "
                "(on Debian and Ubuntu: apt-get install python3-venv)"
            )
    install(python, extras)
    stamp.write_text(wanted)
    say(f"ready in {time.monotonic() - started:.0f} s: {venv.name}/bin/qb")


def install(python: Path, extras: str) -> None:
    """Install qb with the pinned versions; uv is quick, pip is the way out when uv cannot."""
    log = python.parent.parent / "qb-setup.log"
    pip, uv = [str(python), "-m", "pip", "install"], [str(python), "-m", "uv", "pip", "install"]
    pins = str(CONSTRAINTS)
    packages = ["-e", f"{ROOT}[{extras}]"]
    say(f"installing qb and its pinned packages (log: {log})")
    with log.open("w") as output:

        def run(command: list[str], settings: dict[str, str] | None = None) -> bool:
            output.write(f"$ {' '.join(command)}\n")
            output.flush()
            done = subprocess.run(
                command,
                env=os.environ | (settings or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            return done.returncode == 0

        done = run([*pip, "--quiet", f"uv=={pin('uv')}"]) and run(
            [*uv, "--python", str(python), "-c", pins, "-b", pins, *packages], uv_settings(python)
        )
        if not done:
            say("uv could not install them; trying pip, which is slower")
            done = run([*pip, "-c", pins, *packages], {"PIP_CONSTRAINT": pins})
        if done:
            warm(python)
            return
    last = "\n  ".join(log.read_text(errors="replace").splitlines()[-12:])
    raise SetupError(f"the packages could not be installed; {log} ends with\n  {last}")


def warm(python: Path) -> None:
    """Compile what most processes of qb import.

    Where Python is told to write no bytecode (as in many images), each would do it again.
    """
    code = (
        "import compileall, importlib, sys\n"
        f"for package in {PACKAGES!r}:\n"
        "    compileall.compile_dir(package, quiet=2)\n"
        f"for module in {OFTEN!r}:\n"
        "    try: importlib.import_module(module)\n"
        "    except ImportError: continue\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([str(python), "-c", code], cwd=ROOT, env=environment, check=False)


def uv_settings(python: Path) -> dict[str, str]:
    """Tell uv what pip's files and variables say about the package index.

    What is set for uv itself wins. Indexes are read as pip reads them: the best version of all.
    """
    listed = subprocess.run(
        [str(python), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    found: dict[str, str] = {}
    ranks: dict[str, int] = {}
    for line in listed.stdout.splitlines():
        place, _, value = line.partition("=")
        section, _, key = place.rpartition(".")
        rank = {"global": 1, "install": 2, ":env:": 3}.get(section, 0)
        name = UV_NAMES.get(key)
        if name is None or rank < ranks.get(name, 1) or name in os.environ:
            continue
        ranks[name] = rank
        found[name] = " ".join(str(ast.literal_eval(value)).split())
    if "UV_FIND_LINKS" in found:
        found["UV_FIND_LINKS"] = found["UV_FIND_LINKS"].replace(" ", ",")
    if "UV_INDEX" in found:
        found["UV_INDEX_STRATEGY"] = os.environ.get("UV_INDEX_STRATEGY", "unsafe-best-match")
    return found


def pin(package: str) -> str:
    """The version that the constraints give a package."""
    for line in CONSTRAINTS.read_text().splitlines():
        name, _, version = line.partition("==")
        if name == package:
            return version.split()[0]
    raise SetupError(f"{CONSTRAINTS.name} does not pin {package}")


def digest(extras: str) -> str:
    """What the environment depends on, as one value."""
    parts = [CONSTRAINTS.read_bytes(), (ROOT / "pyproject.toml").read_bytes()]
    parts += [str(ROOT).encode(), extras.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def works(python: Path) -> bool:
    """True when the environment's Python runs and is new enough."""
    if not python.exists():
        return False
    probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    tried = subprocess.run([str(python), "-c", probe], capture_output=True, check=False)
    return tried.returncode == 0


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
