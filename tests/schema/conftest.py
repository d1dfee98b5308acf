"""databases for the tests of schema/: an empty one, and one with every kind of object"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from qb_engine.database.embedded import EmbeddedPostgres

SERVER = "QB_TEST_URL"  # another server to run these tests on, of another version
ZOO = (Path(__file__).parent / "zoo.sql").read_text(encoding="utf-8")

Connection = psycopg.Connection[tuple[object, ...]]
Connect = Callable[[], Connection]


@pytest.fixture(scope="session")
def url(request: pytest.FixtureRequest) -> str:
    """The server that these tests run on."""
    if found := os.environ.get(SERVER):
        return found
    server: EmbeddedPostgres = request.getfixturevalue("server")
    return server.conninfo


@pytest.fixture
def create(url: str) -> Iterator[Callable[[], str]]:
    """Create databases: each call returns the connection string of another one."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(created(url))


@contextmanager
def created(url: str) -> Iterator[str]:
    """A database that is dropped at the end, whoever is still connected."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield make_conninfo(url, dbname=name)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def where(create: Callable[[], str]) -> str:
    """The connection string of an empty database."""
    return create()


@pytest.fixture
def conn(where: str) -> Iterator[Connection]:
    """A connection to an empty database."""
    with psycopg.connect(where, autocommit=True) as conn:
        yield conn


@pytest.fixture
def another(create: Callable[[], str]) -> Iterator[Connection]:
    """A connection to another empty database."""
    with psycopg.connect(create(), autocommit=True) as conn:
        yield conn


def brought(conn: Connection, text: str) -> str:
    """A script without the lines about extensions that this PostgreSQL does not bring."""
    query = "SELECT name::text FROM pg_available_extensions"
    there = {name for (name,) in conn.execute(query).fetchall()}
    about = (re.search(r"\bEXTENSION (\w+)", line) for line in text.splitlines())
    return "\n".join(
        line for line, found in zip(text.splitlines(), about) if not found or found[1] in there
    )


@pytest.fixture(scope="module")
def zoo(url: str) -> Iterator[Connection]:
    """A connection to a database with one of every kind; not to be changed."""
    with created(url) as where, psycopg.connect(where, autocommit=True) as conn:
        conn.execute(brought(conn, ZOO))
        yield conn
