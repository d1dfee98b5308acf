"""`qb fix` from the user's side: shown, written, refused"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.errors import InputError, RefusedError
from qb_engine.project import Project

Connection = psycopg.Connection[tuple[Any, ...]]
Qb = Callable[..., Any]
ID = "20240101000000_strict"
STRICT = """-- qb:constraints {users: {must_exist: true}}
-- qb:up
-- the mail is needed by now
ALTER TABLE users ALTER COLUMN email SET NOT NULL;
CREATE TABLE notes (id int);
"""


@pytest.fixture
def qb(project: Project, connection: Connection) -> Qb:
    connection.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text, age int)")
    connection.execute("INSERT INTO users SELECT n, 'a', n FROM generate_series(1, 20000) AS n")
    connection.execute("ANALYZE users")
    session = Session(root=project.root)
    project.migrations.mkdir(exist_ok=True)
    return lambda *args: invoke(session, args)


@pytest.fixture
def strict(project: Project) -> Path:
    path = project.migrations / f"{ID}.sql"
    project.migrations.mkdir(exist_ok=True)
    path.write_text(STRICT, encoding="utf-8")
    return path


def test_it_shows_the_safe_form_and_writes_nothing(qb: Qb, strict: Path) -> None:
    report = qb("fix", "strict")
    assert report.ok, report
    text = str(report)
    assert "-ALTER TABLE users ALTER COLUMN email SET NOT NULL;" in text
    assert "VALIDATE CONSTRAINT" in text
    assert "qb fix strict --write" in text
    assert "not-null-scan" in text
    assert "gone" in text
    assert strict.is_file()
    assert not (strict.parent / ID).exists()


def test_what_is_written_takes_the_files_place_and_runs(
    qb: Qb, strict: Path, connection: Connection
) -> None:
    report = qb("fix", "strict", "--write")
    assert report.folder == strict.parent / ID
    assert not strict.exists()
    assert (strict.parent / ID / "_original.sql").read_text(encoding="utf-8") == STRICT
    assert "must_exist" in (strict.parent / ID / "migration.sql").read_text(encoding="utf-8")
    assert qb("run").ok
    row = connection.execute(
        "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'users'::regclass"
        " AND attname = 'email'"
    ).fetchone()
    assert row == (True,)
    assert qb("rollback").ok
    assert qb("roundtrip").ok


def test_what_has_run_is_not_rewritten(qb: Qb, strict: Path) -> None:
    assert qb("run").ok
    with pytest.raises(RefusedError) as refused:
        qb("fix", "strict")
    assert "a new migration" in refused.value.todo
    assert strict.is_file()


def test_a_small_table_needs_no_fix(qb: Qb, strict: Path, connection: Connection) -> None:
    connection.execute("TRUNCATE users; ANALYZE users")
    report = qb("fix", "strict", "--write")
    assert report.ok
    assert not report.fixed.files
    assert strict.is_file()


def test_a_python_migration_and_a_folder_are_fixed_too(qb: Qb, project: Project) -> None:
    (project.migrations / "20240101000000_key.py").write_text(
        "from qb_engine import Migration\n\n\nclass Key(Migration):\n"
        "    constraints = {'users': {'must_exist': True}}\n"
        "    up = 'ALTER TABLE users ADD UNIQUE (id, email)'\n"
        "    down = 'ALTER TABLE users DROP CONSTRAINT users_id_email_key'\n",
        encoding="utf-8",
    )
    folder = project.migrations / "20240102000000_check"
    folder.mkdir()
    (folder / "migration.sql").write_text("ALTER TABLE users ADD CHECK (age > 0);")
    (folder / "README.md").write_text("why it is there")
    assert qb("fix", "key", "--write").ok
    made = project.migrations / "20240101000000_key"
    assert (made / "_original.py").is_file()
    assert "must_exist" in "".join(path.read_text() for path in made.glob("*.sql"))
    assert qb("fix", "check", "--write").ok  # on what the one before it has made
    names = {"README.md", "_original_migration.sql", "migration.sql", "post_1_validate.sql"}
    assert {path.name for path in folder.iterdir()} == names
    assert qb("run").ok
    assert qb("roundtrip").ok


def test_a_file_of_no_project_is_fixed_into_a_folder(qb: Qb, tmp_path: Path) -> None:
    file = tmp_path / "change.sql"
    file.write_text("CREATE INDEX ON users (age);", encoding="utf-8")
    shown = qb("fix", str(file))
    assert "CREATE INDEX CONCURRENTLY users_age_idx ON users (age);" in str(shown)
    out = tmp_path / "out"
    assert qb("fix", str(file), "--out", str(out)).folder == out
    assert [path.name for path in out.iterdir()] == ["migration.sql"]
    assert file.is_file()


def test_a_schema_stands_in_for_a_target(qb: Qb, tmp_path: Path) -> None:
    schema, file = tmp_path / "schema.sql", tmp_path / "change.sql"
    schema.write_text("CREATE TABLE things (a int);", encoding="utf-8")
    file.write_text("ALTER TABLE things ADD CHECK (a > 0);", encoding="utf-8")
    report = qb("fix", str(file), "--schema", str(schema))
    assert report.ok
    assert list(report.fixed.files) == ["migration.sql", "post_1_validate.sql"]


def test_a_value_that_only_the_user_knows_is_left_open_and_refused(
    qb: Qb, project: Project, connection: Connection
) -> None:
    (project.migrations / "20240102000000_plan.sql").write_text(
        "ALTER TABLE users ADD COLUMN plan text NOT NULL;", encoding="utf-8"
    )
    report = qb("fix", "plan", "--write")
    assert report.ok
    assert report.fixed.open == ("plan",)
    with pytest.raises(InputError, match="dictionary of SQL texts"):
        qb("run")
    assert not connection.execute(
        "SELECT 1 FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'plan'"
    ).fetchall()


def test_a_value_may_be_given(qb: Qb, project: Project) -> None:
    (project.migrations / "20240102000000_plan.sql").write_text(
        "ALTER TABLE users ADD COLUMN plan text NOT NULL;", encoding="utf-8"
    )
    report = qb("fix", "plan", "--default", "plan='free'")
    assert report.ok
    assert report.fixed.open == ()
    assert "'free'" in report.fixed.files["backfill.py"]
    with pytest.raises(InputError):
        qb("fix", "plan", "--default", "plan")
