"""text arrives as it was written, in a database of any encoding"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from qb_engine.database import Target
from qb_engine.database.connect import connect


@pytest.fixture
def latin1(database: Target) -> Iterator[Target]:
    """A fresh database that keeps its text as LATIN1."""
    name = f"{conninfo_to_dict(database.conninfo)['dbname']}_latin1"
    with psycopg.connect(database.conninfo, autocommit=True) as conn:
        create = "CREATE DATABASE {} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"
        conn.execute(sql.SQL(create).format(sql.Identifier(name)))
        yield Target("latin1", make_conninfo(database.conninfo, dbname=name))
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def stored(target: Target) -> tuple[str, int]:
    """What a letter of SQL sent as bytes has become, and how long the server finds it."""
    with connect(target) as conn:
        conn.execute("CREATE TABLE t (a text)")
        conn.execute("INSERT INTO t VALUES ('é')".encode())
        row = conn.execute("SELECT a, length(a) FROM t").fetchone()
    assert row is not None
    return row[0], row[1]


def test_a_letter_stays_one_letter_in_a_latin1_database(latin1: Target) -> None:
    assert stored(latin1) == ("é", 1)


def test_the_environment_does_not_change_the_encoding(
    database: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    assert stored(database) == ("é", 1)


def test_the_url_does_not_change_the_encoding(database: Target) -> None:
    other = Target("test", make_conninfo(database.conninfo, client_encoding="LATIN1"))
    assert stored(other) == ("é", 1)
