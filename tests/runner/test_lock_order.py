"""a second try takes first what the first one waited for, while it holds nothing"""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.errors import QbError
from qb_engine.project import Project

Connection = psycopg.Connection[Any]
TWO = "ALTER TABLE a ADD COLUMN x int;\nALTER TABLE b ADD COLUMN x int;\n"


@pytest.fixture
def patient(session: Session, project: Project) -> Session:
    config = project.file.read_text()
    project.file.write_text(config + '\n[timeouts]\nlock = "1s"\nlock_deadline = "60s"\n')
    session.project = Project(project.root)
    return session


def test_nothing_is_held_while_a_lock_is_waited_for_again(
    patient: Session, write: Any, database: Any, connection: Connection
) -> None:
    connection.execute("CREATE TABLE a (id int); CREATE TABLE b (id int)")
    write("20240101_m.sql", TWO)
    said: list[str] = []
    told = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    patient.face.say = say  # type: ignore[method-assign]
    failures: list[BaseException] = []

    def run() -> None:
        try:
            invoke(patient, ["run"])
        except QbError as error:
            failures.append(error)

    with psycopg.connect(database.conninfo, application_name="reader") as reader:
        reader.execute("SELECT * FROM b")
        thread = threading.Thread(target=run)
        thread.start()
        assert told.wait(60)  # the first try held `a` while it waited for `b`
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'b'::regclass"
        held = "SELECT count(*) FROM pg_locks WHERE granted AND relation = 'a'::regclass"
        looks = 0
        for _ in range(100_000):
            row = connection.execute(f"SELECT ({waiting}), ({held})".encode()).fetchone()
            assert row is not None
            if row[0]:
                assert row[1] == 0, "the second try holds a while it waits for b"
                looks += 1
            if looks > 20:
                break
        assert looks > 20
        reader.rollback()
        thread.join(60)
    assert not failures
    row = connection.execute(
        "SELECT count(*) FROM pg_attribute WHERE attname = 'x' AND attrelid::regclass::text IN"
        " ('a', 'b')"
    ).fetchone()
    assert row == (2,)
    assert "reader" in said[0]
