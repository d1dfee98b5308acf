"""generated migrations over generated schemas: every derived way back leads back

A few examples, always the same; `--hypothesis-profile=long` tries many, and others each time.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from qb_engine import drafting, operations
from qb_engine.schema import Snapshot, diff, snapshot
from qb_engine.sql import Statement, ident, read, read_one
from tests.runner.generated import operation, schemas

Connection = psycopg.Connection[Any]

DISPROVED = "the derived way back"  # what derive says of an inverse that does not lead back
LONG = settings.get_current_profile_name() == "long"


def examples(few: int) -> settings:
    """So many examples, the same in every run; the profile `long` has its own mind."""
    quiet = settings(suppress_health_check=list(HealthCheck), deadline=None)
    if LONG:
        return quiet
    return settings(quiet, max_examples=few, derandomize=True, database=None)


def emptied(conn: Connection) -> None:
    """Make an empty database of a used one."""
    rows = conn.execute(
        "SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_' AND"
        " nspname <> 'information_schema'"
    ).fetchall()
    with conn.transaction():
        conn.execute("SET LOCAL client_min_messages = warning")
        for (name,) in rows:
            conn.execute(f"DROP SCHEMA {ident(name)} CASCADE")
        conn.execute("CREATE SCHEMA public")


def begun(conn: Connection, statements: Iterable[str]) -> list[str]:
    """Those of the statements that the server takes, run on an empty database."""
    emptied(conn)
    found = []
    for sql in statements:
        try:
            conn.execute(sql)
        except psycopg.Error:
            continue  # two draws that do not go together
        note(f"{sql};")
        found.append(sql)
    return found


def works(conn: Connection, statements: list[Statement]) -> bool:
    """True when the server takes these statements, one after the other, now."""
    if any(s.refuses_transaction for s in statements):
        return len(statements) == 1  # it is tried when its way back is derived
    try:
        with conn.transaction(force_rollback=True):
            for statement in statements:
                conn.execute(statement.sql)
    except psycopg.Error:
        return False
    return True


def drawn(data: Any, conn: Connection, before: Snapshot) -> list[Statement]:
    """The statements of a migration that works on this schema; none when the draws were bad."""
    found: list[Statement] = []
    for _ in range(data.draw(st.integers(1, 2), label="statements")):
        more = read(operation(data.draw, before))
        if works(conn, [*found, *more]):
            found += more
    for statement in found:
        note(f"{statement.sql};")
    return found


def go(conn: Connection, statements: Iterable[str]) -> None:
    for sql in statements:
        conn.execute(sql)


def same(one: Snapshot, other: Snapshot) -> str:
    """What is different, as sentences; a column that came back as the last one does not count."""
    return "\n".join(
        d.sentence()
        for d in diff(one, other)
        if not (d.id.kind == "table" and d.fields == ("columns",))
    )


@examples(20)
@given(begin=schemas(), data=st.data())
def test_up_down_up_alone_and_all_together(
    connection: Connection, begin: list[str], data: Any
) -> None:
    """Snapshots are equal after each turn, of single steps and of the whole chain."""
    begun(connection, begin)
    start = before = snapshot(connection)
    chain: list[tuple[list[str], tuple[str, ...]]] = []
    for _ in range(data.draw(st.integers(2, 6), label="migrations")):
        up = drawn(data, connection, before)
        if not up:
            continue
        found = drafting.derive([up], before, connection)
        (way,) = found.parts
        assert DISPROVED not in way.irreversible, way.irreversible
        if found.notes or way.irreversible:  # it stays, and the chain begins anew
            start = before = snapshot(connection)
            chain = []
            continue
        note(f"-- down: {'; '.join(way.down)}")
        forth = [s.sql for s in up]
        go(connection, forth)
        after = snapshot(connection)
        go(connection, way.down)
        assert same(before, snapshot(connection)) == ""
        go(connection, forth)
        assert same(after, snapshot(connection)) == ""
        chain.append((forth, way.down))
        before = after
    for _, back in reversed(chain):
        go(connection, back)
    assert same(start, snapshot(connection)) == ""
    for forth, _ in chain:
        go(connection, forth)
    assert same(before, snapshot(connection)) == ""


@examples(20)
@given(begin=schemas(), data=st.data())
def test_operations_write_what_they_read(
    connection: Connection, begin: list[str], data: Any
) -> None:
    begun(connection, begin)
    schema = snapshot(connection)
    for _ in range(20):
        for statement in read(operation(data.draw, schema)):
            for each in operations.read(statement):
                assert operations.read(read_one(each.write())) == (each,)


@pytest.fixture
def scratch(connection: Connection, server: Any) -> Iterator[Connection]:
    """Another database, in which the schema goes on as the migrations are written."""
    name = f"scratch_{secrets.token_hex(4)}"
    connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    with psycopg.connect(make_conninfo(server.conninfo, dbname=name), autocommit=True) as conn:
        yield conn
    connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@examples(2)
@given(begin=schemas(), data=st.data())
def test_generated_files_make_the_round_trip(
    qb: Any, project: Any, connection: Connection, scratch: Connection, begin: list[str], data: Any
) -> None:
    """From the drawn SQL to files with a derived down, and from these to `qb roundtrip`."""
    begun(scratch, begun(connection, begin))
    folder: Path = project.migrations
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(data.draw(st.integers(2, 4), label="migrations")):
        before = snapshot(scratch)
        up = drawn(data, scratch, before)
        if not up or any(s.refuses_transaction for s in up):
            continue
        made = drafting.generate(
            project, f"m{number}", sql=";\n".join(s.sql for s in up), conn=scratch,
            scratch=scratch, kind=data.draw(st.sampled_from(["python", "sql"])),
            stamp=f"2024010100000{number}",
        )  # fmt: skip
        note(made.text)
        if made.down:  # it went up and down again; what is irreversible has stayed
            go(scratch, [s.sql for s in up])
    report = qb("roundtrip")
    assert report.ok, str(report)
