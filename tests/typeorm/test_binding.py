"""values and places that do not agree: what PostgreSQL refuses, qb refuses when it reads it"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.database import Target
from qb_engine.errors import InputError
from qb_engine.migrations.typescript import Query
from qb_engine.migrations.typescript.binding import unbound
from qb_engine.migrations.typescript_file import load
from qb_engine.project import Project
from qb_engine.typeorm.traps.trap import written
from tests.conftest import Qb
from tests.typeorm.real import VERSIONS, TypeOrm, needs_node

NAME = "AddNotes1710460800000"
FITS: list[tuple[str, list[Any] | None]] = [
    ("SELECT $1::int, '$2', $$ $3 $$ -- $4", [1]),
    ("SELECT $2::int, $1::int, $1::int", [1, 2]),
    ("INSERT INTO t SELECT $1::int WHERE $2::bool", [1, True]),
    ("WITH x AS (UPDATE t SET a = $1 RETURNING a) SELECT a FROM x LIMIT $2", [1, 2]),
    ("DELETE FROM t WHERE a = ANY ($1)", [[1, 2]]),
    ("MERGE INTO t USING (SELECT $1::int AS b) s ON a = b WHEN MATCHED THEN DELETE", [1]),
    ("EXPLAIN SELECT $1::int", [1]),
    ("CREATE TABLE made AS SELECT $1::int AS a", [1]),
    ("CALL p($1)", [1]),
    ("SELECT 1", []),
    ("ALTER TABLE t ALTER a SET DEFAULT 5", None),
    ("CREATE FUNCTION f(int) RETURNS int LANGUAGE sql RETURN $1", None),
    ("CREATE FUNCTION g(int) RETURNS int LANGUAGE sql AS 'SELECT $1'", []),
    ("PREPARE asked AS SELECT $1::int; EXECUTE asked(1)", None),
    ("DO $_$ BEGIN EXECUTE 'SELECT $1' USING 1; END $_$", None),
]
REFUSED: list[tuple[str, list[Any] | None, str]] = [
    ("SELECT $1::int", [1, 2], "no place for the value of $2"),
    ("SELECT 1", [1], "no place for the value of $1"),
    ("SELECT $2::int", [1, 2], "no place for the value of $1"),
    ("INSERT INTO t VALUES ($1)", [1, 2, 3], "no place for the value of $2"),
    ("SELECT '$2', $1::int", [1, 2], "no place for the value of $2"),
    ("SELECT $1::int, $2::int", [1], "no value for $2"),
    ("SELECT $1::int, $3::int", [1, 2], "no value for $3"),
    ("SELECT $1::int", [], "no value for $1"),
    ("SELECT 1; UPDATE t SET a = $1", None, "no value for $1"),
    ("ALTER TABLE t ALTER a SET DEFAULT $1", None, "no value for $1"),
    ("ALTER TABLE t ALTER a SET DEFAULT $1", [1], "takes none"),
    ("CREATE TABLE more (a int DEFAULT $1)", [1], "takes none"),
    ("CREATE VIEW v AS SELECT $1::int AS a", [1], "takes none"),
    ("CREATE MATERIALIZED VIEW m AS SELECT $1::int AS a", [1], "takes none"),
    ("CREATE FUNCTION h(int) RETURNS int LANGUAGE sql RETURN $1", [1], "takes none"),
    ("ALTER TABLE t ADD b int", [1], "takes none"),
]
SCRIPT = """
import source from "./data-source";
async function main() {
  await source.initialize();
  await source.query("CREATE TABLE t (a int)");
  await source.query("CREATE PROCEDURE p(int) LANGUAGE sql AS 'SELECT 1'");
  const said: string[] = [];
  for (const [sql, values] of %s as any[]) {
    try { await source.query(sql, values ?? undefined); said.push(""); }
    catch (error: any) { said.push(`${error.driverError.code}: ${error.message}`); }
  }
  console.log(JSON.stringify(said));
  await source.destroy();
}
main();
"""


@pytest.fixture
def home(project: Project) -> Path:
    (project.root / "src/migrations").mkdir(parents=True)
    settings = 'migrations = "src/migrations"\nformat = "typeorm"\n'
    project.file.write_text(settings + project.file.read_text())
    return project.root


@pytest.mark.parametrize(("sql", "values"), FITS)
def test_a_place_for_each_value_and_a_value_for_each_place(
    sql: str, values: list[Any] | None
) -> None:
    assert unbound(Query(sql, None if values is None else tuple(values))) is None


@pytest.mark.parametrize(("sql", "values", "what"), REFUSED)
def test_a_migration_that_typeorm_cannot_run_is_not_run_by_qb(
    tmp_path: Path, sql: str, values: list[Any] | None, what: str
) -> None:
    """It is an error of the migration, at the line of the call, in `up` as in `down`."""
    more = "" if values is None else f", {json.dumps(values)}"
    call = f"await queryRunner.query(\n  `SELECT 1`)\nawait queryRunner.query(`{sql}`{more})"
    path = tmp_path / "1710460800000-AddNotes.ts"
    for text, line in (
        (written(NAME, code=call), 8), (written(NAME, ["SELECT 1"], back=call), 11)
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            load(path, "migration")
        assert what in caught.value.what
        assert caught.value.where.endswith(f"1710460800000-AddNotes.ts:{line}")
        assert "TypeORM could not run it either" in caught.value.why
        assert caught.value.todo


def test_nothing_runs_and_the_check_names_it_with_its_line(
    home: Path, qb: Qb, connection: psycopg.Connection[Any]
) -> None:
    """Neither is the value written in, nor is what stands before it run."""
    path = home / "src/migrations/1710460800000-AddNotes.ts"
    path.write_text(
        written(NAME, code="await queryRunner.query(`CREATE TABLE notes (id int)`)\n"
                "await queryRunner.query(`INSERT INTO notes VALUES ($1)`, [1, 2])")
    )  # fmt: skip
    with pytest.raises(InputError, match=r"no place for the value of \$2"):
        qb("run", "--yes")
    assert connection.execute("SELECT to_regclass('notes')").fetchone() == (None,)
    report = qb("typeorm", "check")
    (found,) = [each for each in report.findings if each.trap == "values-without-places"]
    assert (Path(found.file).name, found.line) == (path.name, 7)
    assert found.message.startswith(f"up of {NAME} fails: the statement has no place")
    assert "give as many values" in found.fix
    assert report.exit_code == 1


@needs_node
@pytest.mark.node
@pytest.mark.parametrize("version", VERSIONS)
def test_typeorm_refuses_the_same(version: str, tmp_path: Path, database: Target) -> None:
    """With the very words that the error of qb quotes."""
    project = TypeOrm.make(tmp_path, version, database)
    calls = [*FITS, *((sql, values) for sql, values, _ in REFUSED)]
    said = json.loads(project.script(SCRIPT % json.dumps(calls)).splitlines()[-1])
    assert dict(zip([sql for sql, _ in FITS], said)) == {sql: "" for sql, _ in FITS}
    for (sql, values, _), error in zip(REFUSED, said[len(FITS) :]):
        wrong = unbound(Query(sql, None if values is None else tuple(values)))
        assert wrong is not None
        said_so = wrong.why.partition("(")[2].partition(")")[0]
        if "MATERIALIZED" not in sql:  # of which it says 0A000
            assert error.replace('"" ', "") == said_so, sql
        assert error, sql
