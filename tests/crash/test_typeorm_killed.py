"""`kill -9` of the runner: TypeORM's history has a migration when it is applied, and once"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.project import Project
from tests.crash.runner_process import Runners, wait_for
from tests.runner.test_typeorm import ts

pytestmark = pytest.mark.crash

NAME = "AddEmail1710460900000"
UP = "ALTER TABLE users ADD email text\n{}\nUPDATE users SET email = 'x'"
LOOSE = "CREATE INDEX CONCURRENTLY users_email ON users (email)"
MINE = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name IN ('qb run', 'qb runner', 'qb watch')"
)


@pytest.mark.parametrize(
    ("stop", "loose"),
    [("done 3", False), ("done 2", True), ("running 3", True), ("done 3", True)],
)
def test_its_row_is_there_once_it_is_whole_and_once(
    project: Project,
    database: Target,
    runners: Runners,
    connection: psycopg.Connection[Any],
    stop: str,
    loose: bool,
) -> None:
    connection.execute("CREATE TABLE users (id int); INSERT INTO users VALUES (1)")
    up = UP.format(LOOSE if loose else "SELECT 1")
    text = ts(NAME, up, "ALTER TABLE users DROP email", "transaction = false;" if loose else "")
    project.migrations.mkdir(exist_ok=True)
    (project.migrations / "1.ts").write_text(text)
    qb = Session(root=project.root)
    runner = runners.start(project.root, stop)
    assert runner.until(stop), runner.ended
    runner.kill()
    wait_for(lambda: connection.execute(MINE).fetchone() == (0,), "the runner has ended")
    state = invoke(qb, ["status"]).migrations[0].state
    assert state == ("partial" if loose else "pending")
    assert told(connection) == []
    assert invoke(qb, ["run"]).ok
    assert told(connection) == [NAME]
    assert not invoke(qb, ["status", "--check"]).findings


def told(conn: psycopg.Connection[Any]) -> list[str]:
    return [name for (name,) in conn.execute("SELECT name FROM migrations ORDER BY id").fetchall()]
