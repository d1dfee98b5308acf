"""what every test may ask for: a server, a fresh database, a project; nothing outlives the run"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres, EmbeddedTemporal
from qb_engine.database.processes import alive, born
from qb_engine.database.target import ENVIRONMENT, LIBPQ
from qb_engine.project import FILE, Project

HOME = "QB_TEST_HOME"  # the run's embedded servers; the controller makes it, its workers inherit it
OTHERS = "QB_TEST_PG_BIN"  # the programs of another PostgreSQL to test on: make test-matrix
MISSING = re.compile(r'extension "(\w+)" (?:is not available|does not exist)')
Write = Callable[..., None]
Qb = Callable[..., Any]
FAST = "-c fsync=off -c full_page_writes=off -c max_wal_size=1GB -c max_prepared_transactions=10"
SECRETS = ("PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", "PGOPTIONS", "QB_STABLE")

# `pytest --hypothesis-profile=long`: for a night, not for CI
settings.register_profile("long", max_examples=1_000, deadline=None, print_blob=True)


# -- the run: servers for all workers, gone at its end -----------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder, once; forget the databases that the shell speaks of."""
    for name in (*ENVIRONMENT, *LIBPQ, *SECRETS):
        os.environ.pop(name, None)
    if hasattr(config, "workerinput"):
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `timeout` shall clean up, too
    _sweep()
    home = Path(tempfile.mkdtemp(prefix="qb-test-"))
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)  # as root, the server is another user
    (home / "owner").write_text(f"{os.getpid()} {born(os.getpid())}")
    os.environ[HOME] = str(home)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the run's servers, after the last worker, also when the run was interrupted."""
    if not hasattr(config, "workerinput") and (home := os.environ.pop(HOME, None)):
        _remove(Path(home))


def _sweep() -> None:
    """Remove what runs left behind that were killed in a way that nothing can catch."""
    for home in Path(tempfile.gettempdir()).glob("qb-test-*"):
        with contextlib.suppress(OSError, ValueError):  # another user's, or just being made
            pid, _, birth = (home / "owner").read_text().partition(" ")
            if not alive(int(pid), birth):
                _remove(home)


def _remove(home: Path) -> None:
    for note in home.glob("projects-*"):
        stop_servers_below(Path(note.read_text()))
    for server in (EmbeddedPostgres(home), EmbeddedTemporal(home)):
        server.purge()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stop the embedded servers that tests started in projects of their own."""
    projects = tmp_path_factory.getbasetemp()
    (Path(os.environ[HOME]) / f"projects-{os.getpid()}").write_text(str(projects))
    yield
    stop_servers_below(projects)


def stop_servers_below(folder: Path) -> None:
    """Stop and delete the embedded servers of every project in a folder."""
    for place, folders, files in os.walk(folder):
        if "postgres.json" in files:
            EmbeddedPostgres(Path(place)).purge()
        if "temporal.json" in files:
            EmbeddedTemporal(Path(place)).purge()
        folders[:] = [name for name in folders if name not in ("postgres", "temporal")]


@pytest.fixture(autouse=True)
def _passwords_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test gave as a password may be a word of another's message."""
    monkeypatch.setattr("qb_engine.secrets._known", set())


# -- servers -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def server() -> EmbeddedPostgres:
    """The run's PostgreSQL, shared by all workers; without fsync, for speed.

    The embedded one, or another version: that of the programs in the folder QB_TEST_PG_BIN.
    """
    others = os.environ.get(OTHERS)
    postgres = EmbeddedPostgres(Path(os.environ[HOME]), Path(others) if others else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QB_EMBEDDED_OPTIONS", FAST)
        postgres.ensure()
    return postgres


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Leave out, by name, what needs an extension that another PostgreSQL does not bring."""
    try:
        return (yield)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedObject) as error:
        lacks = MISSING.search(str(error))
        if not lacks or not os.environ.get(OTHERS):
            raise
        pytest.skip(f"this PostgreSQL does not bring the extension {lacks[1]}")


@pytest.fixture(scope="session")
def temporal() -> str:
    """`host:port` of the run's Temporal, shared by all workers."""
    return EmbeddedTemporal(Path(os.environ[HOME])).ensure()


# -- databases ---------------------------------------------------------------------------------


@contextlib.contextmanager
def fresh(server: EmbeddedPostgres) -> Iterator[Target]:
    """A fresh, empty database, dropped at the end whoever is still connected."""
    name = f"test_{secrets.token_hex(6)}"
    admin = make_conninfo(server.ensure(), dbname="postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    yield Target("test", make_conninfo(server.conninfo, dbname=name))
    with psycopg.connect(admin, autocommit=True) as conn:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        conn.execute(drop.format(sql.Identifier(name)))


@pytest.fixture
def database(server: EmbeddedPostgres) -> Iterator[Target]:
    """A database of the test's own."""
    with fresh(server) as made:
        yield made


@pytest.fixture(scope="module")
def shared_database(server: EmbeddedPostgres) -> Iterator[Target]:
    """A database of the module's own, for tests that leave nothing in it."""
    with fresh(server) as made:
        yield made


@pytest.fixture
def connection(database: Target) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """An autocommit connection to `database`."""
    with psycopg.connect(database.conninfo, autocommit=True) as conn:
        yield conn


# -- projects ----------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, server: EmbeddedPostgres, database: Target) -> Iterator[Project]:
    """A project whose default target, the alias `test`, is `database`."""
    made = Project.create(tmp_path / "project")
    name = psycopg.conninfo.conninfo_to_dict(database.conninfo)["dbname"]
    url = server.url.replace("postgresql:///qb?", f"postgresql:///{name}?")
    (made.root / FILE).write_text(
        f'default = "test"\nshadow = "{server.url}"\n\n[aliases]\ntest = "{url}"\n',
        encoding="utf-8",
    )
    yield Project(made.root)
    stop_servers_below(made.root)


# -- migrations and commands in a project ---------------------------------------------------------


@pytest.fixture
def write(project: Project) -> Write:
    """Write files of migrations: `write("20240101_a.sql", "CREATE TABLE a ()")`."""

    def one(name: str, text: str) -> None:
        path = project.migrations / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return one


@pytest.fixture
def session(project: Project) -> Session:
    return Session(root=project.root)


@pytest.fixture
def qb(session: Session) -> Qb:
    """Run a command as both faces do and return its report: `qb("run", "--no-verify")`."""
    return lambda *args: invoke(session, args)
