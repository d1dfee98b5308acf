"""`qb probe`: statements on the target itself, cancelled at the first work, and nothing stays"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.errors import RefusedError
from qb_engine.project import Project
from qb_engine.report import Report
from qb_engine.schema import snapshot

Conn = psycopg.Connection[tuple[Any, ...]]

# what a statement that was not rolled back would have changed
STATE = """
SELECT c.relname::text, c.relfilenode::bigint, c.relnatts::int, c.relkind::text
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1
"""


@pytest.fixture
def session(project: Project, connection: Conn) -> Session:
    connection.execute("""
        CREATE TABLE cities (id int PRIMARY KEY);
        CREATE TABLE users (id serial PRIMARY KEY, email text, city int);
        INSERT INTO users (email, city)
        SELECT repeat('x', 100), 1 FROM generate_series(1, 20000) n;
        INSERT INTO cities VALUES (1);
    """)
    return Session(root=project.root)


@pytest.fixture
def other(database: Target) -> Iterator[Conn]:
    with psycopg.connect(database.conninfo, application_name="shop") as conn:
        yield conn


def probe(session: Session, sql: str, *more: str) -> tuple[Report, list[dict[str, Any]]]:
    path = session.project.migrations / "20240101000000_m.sql"
    path.write_text(sql, encoding="utf-8")
    report = invoke(session, ["probe", *more])
    assert report is not None
    return report, json.loads(report.to_json())["statements"]


@pytest.mark.parametrize(
    ("sql", "work"),
    [
        ("ALTER TABLE users ALTER id TYPE bigint", 'rewriting table "users"'),
        ("ALTER TABLE users ALTER email SET NOT NULL", 'verifying table "users"'),
        ("CREATE INDEX ON users (email)", 'building index "users_email_idx"'),
        (
            "ALTER TABLE users ADD CONSTRAINT c FOREIGN KEY (city) REFERENCES cities",
            'validating foreign key constraint "c"',
        ),
        ("DO $$ BEGIN ALTER TABLE users ADD CHECK (id > 0); END $$", "verifying table"),
    ],
)
def test_work_is_cancelled_where_it_begins_and_nothing_stays(
    session: Session, connection: Conn, sql: str, work: str
) -> None:
    before, schema = connection.execute(STATE).fetchall(), snapshot(connection).fingerprint
    report, (one,) = probe(session, sql)
    assert report.ok
    assert one["seen"] == "work"
    assert one["work"].startswith(work)
    assert "public.users" in one["locks"]
    assert connection.execute(STATE).fetchall() == before
    assert snapshot(connection).fingerprint == schema
    assert connection.execute("SELECT count(*) FROM users").fetchone() == (20000,)
    assert connection.execute("SELECT to_regnamespace('qb')").fetchone() == (None,)
    held = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
    held += " WHERE c.relname = 'users' AND l.pid <> pg_backend_pid()"
    assert connection.execute(held).fetchone() == (0,)


def test_a_statement_that_only_changes_the_catalog_does_no_work(session: Session) -> None:
    report, (one,) = probe(session, "ALTER TABLE users ADD note text DEFAULT 'none'")
    assert (one["seen"], one["work"]) == ("no work", None)
    assert one["locks"] == {"public.users": "AccessExclusiveLock"}
    assert "0 of 1 statements" in report.headline()


def test_what_is_proved_is_no_work(session: Session, connection: Conn) -> None:
    connection.execute("ALTER TABLE users ADD CHECK (email IS NOT NULL)")
    _, (one,) = probe(session, "ALTER TABLE users ALTER email SET NOT NULL")
    assert one["seen"] == "no work"


def test_a_statement_that_needs_an_earlier_one_is_tried_after_it(session: Session) -> None:
    _, found = probe(
        session,
        """
        CREATE TABLE tags (id int PRIMARY KEY, name text);
        CREATE INDEX tags_name ON tags (name);
        ALTER TABLE users ADD tag int;
        ALTER TABLE users ADD CONSTRAINT tagged CHECK (tag > 0) NOT VALID;
        ALTER TABLE users VALIDATE CONSTRAINT tagged
        """,
    )
    assert [one["seen"] for one in found] == ["no work"] * 4 + ["work"]


def test_what_an_earlier_statement_failed_to_make_is_missing(session: Session) -> None:
    report, found = probe(session, "ALTER TABLE users ADD CHECK (nothing > 0)")
    assert not report.ok
    assert (found[0]["seen"], found[0]["why"][:6]) == ("fails", "42703:")


def test_what_needs_a_statement_that_was_cancelled_is_not_said_to_fail(session: Session) -> None:
    report, found = probe(
        session,
        "ALTER TABLE users ADD k uuid DEFAULT gen_random_uuid(); CREATE INDEX ON users (k)",
    )
    assert report.ok
    assert [one["seen"] for one in found] == ["work", "not probed"]
    assert "statement 1" in found[1]["why"]


def test_who_is_in_the_way_is_named(session: Session, connection: Conn, other: Conn) -> None:
    other.execute("SELECT count(*) FROM users")
    report, (one,) = probe(session, "ALTER TABLE users ADD note text")
    assert not report.ok
    assert one["seen"] == "blocked"
    assert one["blocked_by"][0]["pid"] == other.info.backend_pid
    assert f"pid {other.info.backend_pid}" in report.headline()


def test_rows_are_not_changed_only_planned(session: Session, connection: Conn) -> None:
    connection.execute("ANALYZE users")
    _, (one,) = probe(session, "UPDATE users SET email = upper(email)")
    assert one["seen"] == "work"
    assert one["rows"] == 20000
    assert one["locks"] == {"public.users": "RowExclusiveLock"}
    dead = "SELECT pg_stat_force_next_flush(), n_dead_tup FROM pg_stat_user_tables"
    assert connection.execute(dead + " WHERE relname = 'users'").fetchone()[1] == 0  # type: ignore[index]


def test_what_refuses_a_transaction_is_not_probed(session: Session, connection: Conn) -> None:
    report, (one,) = probe(session, "CREATE INDEX CONCURRENTLY i ON users (email)")
    assert report.ok
    assert one["seen"] == "not probed"
    assert "transaction" in one["why"]
    assert connection.execute("SELECT to_regclass('i')").fetchone() == (None,)


def test_what_reaches_outside_is_not_probed(session: Session) -> None:
    _, (one,) = probe(session, "COPY users TO PROGRAM 'cat'")
    assert one["seen"] == "not probed"


def test_a_statement_that_says_nothing_holds_its_locks_for_a_moment_only(
    session: Session,
) -> None:
    sql = "DO $$ BEGIN LOCK TABLE users; PERFORM pg_sleep(60); END $$"
    report, (one,) = probe(session, sql, "--held", "300ms")
    assert not report.ok
    assert one["seen"] == "too long"


def test_values_of_a_sequence_are_said_to_be_gone(session: Session) -> None:
    report, (one,) = probe(session, "SELECT nextval('users_id_seq')")
    assert one["sequences"] == ["public.users_id_seq"]
    assert any("not given back" in note for note in report.notes())


def test_production_is_probed_only_when_its_alias_is_typed(session: Session) -> None:
    file = session.project.file
    text = file.read_text()
    line = next(each for each in text.splitlines() if each.startswith("test = "))
    url = line.partition(" = ")[2]
    file.write_text(text.replace(line, f"test = {{ url = {url}, production = true }}"))
    again = Session(root=session.project.root)
    with pytest.raises(RefusedError) as refused:
        probe(again, "ALTER TABLE users ADD note text")
    assert "--confirm test" in refused.value.todo
    _, (one,) = probe(again, "ALTER TABLE users ADD note text", "--confirm", "test")
    assert one["seen"] == "no work"


def test_nothing_that_is_pending_needs_no_probe(session: Session) -> None:
    path = session.project.migrations / "20240101000000_m.sql"
    path.write_text("ALTER TABLE users ADD note text", encoding="utf-8")
    invoke(session, ["run"])
    report = invoke(session, ["probe"])
    assert report is not None
    assert report.name == "nothing"
