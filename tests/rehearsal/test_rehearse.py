"""a migration goes up, down and up again on a shadow, and what that shows is said and kept"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.errors import RefusedError
from qb_engine.project import FILE, Project
from tests.conftest import fresh

Write = Callable[..., None]
Qb = Callable[..., Any]
Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def users(connection: Connection) -> Connection:
    """A table with rows, in the target."""
    connection.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
    connection.execute("INSERT INTO users SELECT i, 'n' || i FROM generate_series(1, 50) AS i")
    return connection


def files(project: Project) -> str:
    return (project.root / FILE).read_text()


def produce(project: Project) -> None:
    """Say that the target is production."""
    text = files(project)
    url = text.split('test = "')[1].split('"')[0]
    made = text.replace(f'test = "{url}"', f'test = {{ url = "{url}", production = true }}')
    (project.root / FILE).write_text(made)


GOOD = "-- qb:up\nALTER TABLE users ADD COLUMN age int;\n-- qb:down\nALTER TABLE users DROP age;\n"


def test_it_goes_up_down_and_up_again(qb: Qb, write: Write, users: Connection) -> None:
    write("20240101000000_age.sql", GOOD)
    found = qb("rehearse")
    assert found.ok
    assert [s.name for s in found.found.stages] == ["up", "down", "up again"]
    assert found.as_dict()["reversible"] is True
    assert found.as_dict()["sampled"] == {"public.users": 50}


def test_the_target_stays_as_it_is(qb: Qb, write: Write, users: Connection) -> None:
    write("20240101000000_age.sql", GOOD)
    qb("rehearse")
    columns = users.execute(
        "SELECT attname::text FROM pg_attribute"
        " WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped"
    ).fetchall()
    assert [name for (name,) in columns] == ["id", "name"]
    assert qb("status").as_dict()["migrations"][0]["state"] == "pending"


def test_a_way_back_that_forgets_something_is_seen(qb: Qb, write: Write, users: Connection) -> None:
    write(
        "20240101000000_age.sql",
        "-- qb:up\nALTER TABLE users ADD COLUMN age int;\nCREATE INDEX by_name ON users (name);\n"
        "-- qb:down\nALTER TABLE users DROP age;\n",
    )
    found = qb("rehearse")
    assert not found.ok
    assert "by_name" in str(found)
    assert "not recorded" in str(found)


def test_what_the_way_back_loses_is_said(qb: Qb, write: Write, users: Connection) -> None:
    write(
        "20240101000000_gone.sql",
        "-- qb:up\nALTER TABLE users DROP name;\n"
        "-- qb:down\nALTER TABLE users ADD COLUMN name text;\n",
    )
    found = qb("rehearse")
    assert found.ok
    assert found.as_dict()["losses"] == [
        {"table": "public.users", "column": "name", "what": "50 of 50 values"}
    ]


def test_rows_that_fail_it_fail_the_rehearsal(qb: Qb, write: Write, users: Connection) -> None:
    users.execute("INSERT INTO users VALUES (99, NULL)")
    write(
        "20240101000000_name.sql",
        "-- qb:up\nALTER TABLE users ALTER name SET NOT NULL;\n"
        "-- qb:down\nALTER TABLE users ALTER name DROP NOT NULL;\n",
    )
    found = qb("rehearse")
    assert not found.ok
    assert "null values" in str(found)


def test_a_backfill_is_run_with_it(
    qb: Qb, write: Write, users: Connection, project: Project
) -> None:
    write(
        "20240101000000_full/backfill.py",
        "from qb_engine.migrations import Backfill\n\nclass Fill(Backfill):\n"
        '    table = "users"\n    set = {"full_name": "upper(name)"}\n'
        '    where = "full_name IS NULL"\n    batch_size = 7\n',
    )
    write(
        "20240101000000_full/migration.sql",
        "-- qb:up\nALTER TABLE users ADD COLUMN full_name text;\n"
        "-- qb:down\nALTER TABLE users DROP full_name;\n",
    )
    write(
        "20240101000000_full/post.sql",
        "-- qb:up\nALTER TABLE users ALTER full_name SET NOT NULL;\n"
        "-- qb:down\nALTER TABLE users ALTER full_name DROP NOT NULL;\n",
    )
    found = qb("rehearse")
    stages = found.as_dict()["stages"]
    assert found.ok, str(found)
    assert [s["name"] for s in stages] == [
        "up", "backfill", "up: post", "down", "up again", "backfill", "up again: post",
    ]  # fmt: skip
    assert stages[1]["backfill"] == {"state": "completed", "rows": 50}


@pytest.mark.parametrize(
    "does",
    [
        '    sql = "UPDATE users SET full_name = upper(name) WHERE {batch}"\n',
        '    columns = ["name"]\n    def transform(self, rows):\n'
        '        return rows.assign(full_name=rows["name"].str.upper())\n',
    ],
)
def test_every_kind_of_backfill_is_planned_and_rehearsed(
    qb: Qb, write: Write, users: Connection, does: str
) -> None:
    write(
        "20240101000000_full/backfill.py",
        "from qb_engine.migrations import Backfill\n\nclass Fill(Backfill):\n"
        f'    table = "users"\n    batch_size = 7\n{does}',
    )
    write(
        "20240101000000_full/migration.sql",
        "-- qb:up\nALTER TABLE users ADD COLUMN full_name text;\n"
        "-- qb:down\nALTER TABLE users DROP full_name;\n",
    )
    said = "transform, which is Python" if "transform" in does else "runs over users: UPDATE"
    assert said in str(qb("plan"))
    (shown,) = qb("panel").migrations  # type: ignore[attr-defined]
    assert said in shown.fills
    if "transform" in does:
        found = qb("rehearse")
        assert found.ok, str(found)
        assert found.as_dict()["stages"][1]["backfill"] == {"state": "completed", "rows": 50}
        assert any("what it does elsewhere was done" in note for note in found.notes())


def test_without_a_way_back_it_goes_up_only(qb: Qb, write: Write, users: Connection) -> None:
    write("20240101000000_age.sql", "ALTER TABLE users ADD COLUMN age int;")
    found = qb("rehearse")
    assert found.ok
    assert [s.name for s in found.found.stages] == ["up"]
    assert "no way back" in str(found)


def test_an_error_in_it_names_the_statement(qb: Qb, write: Write, users: Connection) -> None:
    write("20240101000000_bad.sql", "ALTER TABLE users ADD COLUMN age int;\nSELECT 1 / 0;")
    found = qb("rehearse")
    assert not found.ok
    assert "division by zero" in str(found)


# -- production --------------------------------------------------------------------------------


def test_production_wants_a_rehearsal(
    qb: Qb, write: Write, users: Connection, project: Project
) -> None:
    write("20240101000000_age.sql", GOOD)
    produce(project)
    again = Session(root=project.root)
    with pytest.raises(RefusedError) as refused:
        invoke(again, ("run", "--confirm", "test"))
    assert refused.value.code == "not-rehearsed"
    assert "qb rehearse age" in refused.value.todo
    assert invoke(again, ("rehearse",)).ok
    assert invoke(again, ("run", "--confirm", "test")).ok


def test_an_edit_wants_another_rehearsal(
    qb: Qb, write: Write, users: Connection, project: Project
) -> None:
    write("20240101000000_age.sql", GOOD)
    produce(project)
    assert invoke(Session(root=project.root), ("rehearse",)).ok
    write("20240101000000_age.sql", GOOD.replace("age int", "age bigint"))
    with pytest.raises(RefusedError, match="not rehearsed"):
        invoke(Session(root=project.root), ("run", "--confirm", "test"))


def test_a_reason_to_go_without_is_kept(
    qb: Qb, write: Write, users: Connection, project: Project
) -> None:
    write("20240101000000_age.sql", GOOD)
    produce(project)
    again = Session(root=project.root)
    assert invoke(again, ("run", "--confirm", "test", "--without-rehearsal", "hot fix")).ok
    row = users.execute("SELECT reason FROM qb.event WHERE what = 'run without rehearsal'")
    assert row.fetchall() == [("hot fix",)]


def test_a_full_rehearsal_is_not_held_on_the_target(
    qb: Qb, write: Write, users: Connection
) -> None:
    write("20240101000000_age.sql", GOOD)
    with pytest.raises(RefusedError, match="the target itself"):
        qb("rehearse", "--full", "test")


def test_what_belongs_to_the_whole_server_is_left_out_and_said(
    qb: Qb, write: Write, users: Connection
) -> None:
    write(
        "20240101000000_role.sql",
        '-- qb:up\nCREATE ROLE "rehearsed reader" NOLOGIN;\n'
        'GRANT SELECT ON users TO "rehearsed reader";\n'
        '-- qb:down\nREVOKE ALL ON users FROM "rehearsed reader";\n'
        'DROP ROLE "rehearsed reader";\n',
    )
    found = qb("rehearse")
    assert found.ok, str(found)
    assert "CREATE ROLE" in str(found)
    planned = qb("plan")
    assert planned.ok, str(planned)
    assert "a role belongs to the whole server" in str(planned)
    left = users.execute("SELECT FROM pg_roles WHERE rolname = 'rehearsed reader'").fetchall()
    assert not left


def test_a_full_rehearsal_is_held_on_a_restored_copy(
    qb: Qb, write: Write, users: Connection, server: EmbeddedPostgres
) -> None:
    """On all its rows; the target stays as it is."""
    write("20240101000000_age.sql", GOOD)
    with fresh(server) as copy, psycopg.connect(copy.conninfo, autocommit=True) as conn:
        conn.execute("CREATE TABLE users (id int PRIMARY KEY, name text)")
        conn.execute("INSERT INTO users SELECT i, 'n' FROM generate_series(1, 9) AS i")
        name = psycopg.conninfo.conninfo_to_dict(copy.conninfo)["dbname"]
        url = server.url.replace("postgresql:///qb?", f"postgresql:///{name}?")
        assert qb("rehearse", "--full", url).ok
        assert conn.execute("SELECT count(*) FROM users WHERE age IS NULL").fetchone() == (9,)
    assert qb("status").as_dict()["migrations"][0]["state"] == "pending"
