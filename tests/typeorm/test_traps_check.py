"""`qb typeorm check` on projects of the disk, with and without a database"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.analysis.accept import accepted
from qb_engine.commands import Session, invoke
from qb_engine.database.target import ENVIRONMENT, LIBPQ
from qb_engine.errors import InputError
from qb_engine.ledger.typeorm import History, ddl
from qb_engine.migrations.typescript.recordings import Recording, digest
from qb_engine.migrations.typescript.recordings import write as keep
from qb_engine.migrations.typescript.values import Query
from qb_engine.project import FILE, Project
from qb_engine.typeorm.traps.trap import file_of, written

SOURCE = """
import { DataSource } from "typeorm";
export default new DataSource({
  type: "postgres",
  migrations: ["src/migrations/**/*.ts"],
  %s
});
"""
NOTES, TAGS = "AddNotes1710460800000", "AddTags1710460900000"
TAGGED = (["CREATE TABLE tags (id int)"], ["DROP TABLE tags"])


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No database is named by the environment."""
    for variable in (*ENVIRONMENT, *LIBPQ):
        monkeypatch.delenv(variable, raising=False)


def shop(root: Path, *, options: str = "", **more: str) -> Path:
    """A project of two good migrations, `more` files by class."""
    folder = root / "src" / "migrations"
    folder.mkdir(parents=True)
    (root / "src" / "data-source.ts").write_text(SOURCE % options, encoding="utf-8")
    texts = {NOTES: written(NOTES), TAGS: written(TAGS, *TAGGED), **more}
    for name, text in texts.items():
        (folder / file_of(name)).write_text(text, encoding="utf-8")
    return root


def check(root: Path, *args: str) -> Any:
    return invoke(Session(root=root), ["typeorm", "check", *args])


def found(report: Any) -> list[str]:
    return [finding.trap for finding in report.findings]


# -- without a database ------------------------------------------------------------------------


@pytest.mark.usefixtures("nobody")
def test_a_good_project_is_quiet_and_no_server_is_started(tmp_path: Path) -> None:
    report = check(shop(tmp_path))
    assert (report.ok, report.findings, report.migrations) == (True, (), 2)
    assert "history was not looked at" in report.said[-1]
    assert sorted(os.listdir(tmp_path)) == ["src"]


@pytest.mark.usefixtures("nobody")
def test_the_data_source_says_which_files_count_and_how_they_run(tmp_path: Path) -> None:
    root = shop(
        tmp_path,
        options="url: 'postgres://localhost', /* x\n */ synchronize: true, // migrationsRun: true,",
    )
    (root / "src" / "migrations" / "deep").mkdir()
    (root / "src" / "migrations" / "deep" / "helper.ts").write_text("export function f() {}\n")
    (root / "src" / "outside.ts").write_text("export function f() {}\n")
    report = check(root)
    assert found(report) == ["synchronize-on", "exported-function"]
    assert [Path(finding.file).name for finding in report.findings] == [
        "data-source.ts",
        "helper.ts",
    ]
    assert report.findings[0].line == 7
    assert report.exit_code == 1


@pytest.mark.usefixtures("nobody")
def test_what_many_files_share_is_told_once(tmp_path: Path) -> None:
    names = [f"More{letter}171046100000{n}" for n, letter in enumerate("ABCDEFGH")]
    more = {name: written(name, ["SELECT 1"], ()) for name in names}
    report = check(shop(tmp_path, **more))
    assert found(report) == ["empty-down"] * 8
    (shared, why) = report.tables()
    assert [row[:3] for row in shared.rows] == [(8, "warning", "empty-down")]
    assert "and 2 more" in shared.rows[0][3]
    assert [row[0] for row in why.rows] == ["empty-down"]
    assert len(report.df) == 8
    assert check(tmp_path, "--fail-on", "error").ok
    assert json.loads(report.to_json())["findings"][0]["trap"] == "empty-down"


@pytest.mark.usefixtures("nobody")
def test_what_one_file_has_many_times_is_counted(tmp_path: Path) -> None:
    lost = "\n".join("queryRunner.query(`SELECT 1`)" for _ in range(9))
    report = check(shop(tmp_path, **{TAGS: written(TAGS, code=lost, down=TAGGED[1])}))
    assert found(report) == ["missing-await"] * 9
    rows = report.tables()[0].rows
    assert [int(row[0]) for row in rows] == [6, 7, 8, 9]
    assert "and 5 more" in rows[-1][3]


@pytest.mark.usefixtures("nobody")
def test_what_somebody_accepts_with_a_reason_does_not_count(tmp_path: Path) -> None:
    text = written(TAGS, TAGGED[0], ()).replace(
        "export", "// qb:accept empty-down because nobody goes back there\nexport"
    )
    report = check(shop(tmp_path, **{TAGS: text}))
    assert (report.ok, report.headline()) == (True, "1 accepted in 2 migrations")
    assert report.findings[0].accepted == "nobody goes back there"
    assert "accepted because nobody goes back there" in str(report)


def test_lint_leaves_the_acceptance_of_a_trap_to_the_check() -> None:
    said = "// qb:accept empty-down because nobody goes back there\n"
    assert accepted((), {"a.ts": said}) == ()
    (unused,) = accepted((), {"a.ts": "// qb:accept drop-table because it is empty\n"})
    assert "matches nothing" in unused.message


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("emtpy-down because nobody goes back there", "did you mean empty-down?"),
        ("drop-tabel because it is empty", "did you mean drop-table?"),
        ("zzz because", "nothing is called zzz, which a comment accepts"),
        ("empty-down", "gives no reason, and does not count"),
        ("empty-down because of that", ""),
        ("drop-table because it is empty", ""),
        ("drop-table", ""),  # qb lint tells it
    ],
)
def test_an_acceptance_that_accepts_nothing_is_told(tmp_path: Path, said: str, told: str) -> None:
    """With the name that is nearest, at its line; what it was meant for counts as ever."""
    text = written(TAGS, TAGGED[0], ()).replace("export", f"// qb:accept {said}\nexport")
    report = check(shop(tmp_path, **{TAGS: text}))
    notices = [each for each in report.findings if each.trap == "accepts-nothing"]
    assert [(each.line, told in each.message) for each in notices] == [(3, True)] * bool(told)
    assert report.ok == (said == "empty-down because of that")
    assert all(each.message in " ".join(str(report).split()) for each in notices)


@pytest.mark.usefixtures("nobody")
def test_a_folder_without_migrations_is_no_good_project(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no migration of TypeORM was found"):
        check(tmp_path)


@pytest.mark.usefixtures("nobody")
def test_a_file_that_does_not_parse_hides_no_other(tmp_path: Path) -> None:
    name = "Broken1710461000000"
    report = check(shop(tmp_path, **{name: written(name).replace("{", "((", 1), TAGS: "x\ny"}))
    assert {"does-not-parse", "no-class"} <= set(found(report))
    latin = tmp_path / "src" / "migrations" / "1710461100000-Latin.ts"
    latin.write_bytes(b"// \xe9t\xe9\n")
    assert "1710461100000-Latin.ts was not looked at" in " ".join(check(tmp_path).said)


@pytest.mark.usefixtures("nobody")
def test_a_file_that_does_not_parse_has_that_against_it_alone(tmp_path: Path) -> None:
    """Its down is there: it is only not read any more. Line, column and the line are named."""
    text = written(NOTES).replace("id int PRIMARY KEY)`)", "id int PRIMARY KEY)`")
    text = text.replace("    public async down", "    // é\n    public async do wn")
    report = check(shop(tmp_path, **{NOTES: "// qb:accept nothing because of it\n" + text}))
    (one,) = report.findings
    assert (one.trap, one.line) == ("does-not-parse", 7)
    line = "await queryRunner.query(`CREATE TABLE notes (id int PRIMARY KEY)`"
    assert one.message == (
        f"line 7, column 32 does not parse, at: {line}; no migration of the project can be loaded"
    )


@pytest.mark.usefixtures("nobody")
def test_what_was_recorded_need_not_be_recorded_although_qb_toml_says_nothing_yet(
    tmp_path: Path,
) -> None:
    """Before `qb typeorm import` wrote where the migrations are; until the file is edited."""
    body = "for (const row of await queryRunner.query(`SELECT 1 AS id`)) {\n"
    body += "    await queryRunner.query(`CREATE TABLE notes_${row.id} (id int)`)\n}"
    root = shop(tmp_path, **{NOTES: written(NOTES, code=body)})
    folder = root / "src" / "migrations"
    assert found(check(root)) == ["dynamic-method"]
    file = folder / file_of(NOTES)
    query = Query("CREATE TABLE notes_1 (id int)")
    keep(folder, {NOTES: Recording(NOTES, file.name, digest(file), (query,), (query,))})
    assert not (root / FILE).exists()
    assert found(check(root)) == []
    file.write_text(file.read_text() + "// edited\n")
    assert found(check(root)) == ["dynamic-method"]


def test_a_target_that_cannot_be_reached_is_said_and_the_files_are_looked_at(
    tmp_path: Path,
) -> None:
    root = shop(tmp_path, options="migrationsRun: true,")
    report = check(root, "-c", "postgresql://nobody@127.0.0.1:1/shop?connect_timeout=2")
    assert found(report) == ["migrations-at-start"]
    assert report.said[-1].startswith("TypeORM's history was not looked at: ")


# -- with TypeORM's history --------------------------------------------------------------------


@pytest.fixture
def adopted(project: Project) -> Path:
    """A project of two migrations whose database is the test's."""
    shop(project.root)
    text = (project.root / FILE).read_text(encoding="utf-8")
    keys = 'migrations = "src/migrations"\nformat = "typeorm"\n'
    (project.root / FILE).write_text(keys + text, encoding="utf-8")
    return project.root


def record(conn: psycopg.Connection[Any], *rows: tuple[int, str]) -> None:
    conn.execute(ddl(History("public", "migrations")).encode())
    for stamp, name in rows:
        conn.execute('INSERT INTO migrations ("timestamp", name) VALUES (%s, %s)', [stamp, name])


def test_the_history_is_compared_with_the_files(
    adopted: Path, connection: psycopg.Connection[Any]
) -> None:
    assert "has no history of TypeORM yet" in check(adopted).said[-1]
    record(
        connection,
        (1710460900000, TAGS),
        (1710460900000, TAGS),
        (1710460800, "Gone1710460700000"),
        (1710460600000, "Late1710460650000"),
    )
    connection.execute("ALTER TABLE migrations ADD who text NOT NULL DEFAULT 'x', ADD n int")
    connection.execute("ALTER TABLE migrations ALTER who DROP DEFAULT")
    report = check(adopted)
    assert sorted(found(report)) == [
        *("duplicate-rows", "history-altered", "out-of-order"),
        *("row-without-file", "row-without-file", "seconds-in-history"),
    ]
    assert (report.applied, report.target) == (1, "test")


def test_what_was_edited_since_it_was_adopted_is_found(
    adopted: Path, connection: psycopg.Connection[Any]
) -> None:
    record(connection, (1710460800000, NOTES), (1710460900000, TAGS))
    for sql in ("CREATE TABLE notes (id int PRIMARY KEY)", "CREATE TABLE tags (id int)"):
        connection.execute(sql.encode())
    assert found(check(adopted)) == []
    assert invoke(Session(root=adopted), ["typeorm", "adopt", "--yes"])
    assert found(check(adopted)) == ["unguarded-history"]
    (adopted / "src" / "migrations" / file_of(TAGS)).write_text(
        written(TAGS, ["CREATE TABLE tags (id bigint)"], TAGGED[1]), encoding="utf-8"
    )
    assert found(check(adopted)) == ["unguarded-history", "edited-after-applied"]


def test_what_happens_in_up_is_a_notice_where_it_has_run(
    adopted: Path, connection: psycopg.Connection[Any]
) -> None:
    path = adopted / "src" / "migrations" / file_of(TAGS)
    path.write_text(
        path.read_text().replace("await queryRunner.query(`CREATE", "queryRunner.query(`CREATE")
    )
    assert [str(f.severity) for f in check(adopted).findings] == ["error"]
    record(connection, (1710460800000, NOTES), (1710460900000, TAGS))
    report = check(adopted)
    assert [str(f.severity) for f in report.findings] == ["notice"]
    assert report.ok


def test_a_view_in_place_of_the_table_is_found_where_it_cannot_be_written(
    adopted: Path, connection: psycopg.Connection[Any]
) -> None:
    record(connection, (1710460800000, NOTES))
    connection.execute("ALTER TABLE migrations RENAME TO kept")
    connection.execute("CREATE VIEW migrations AS SELECT * FROM kept")
    assert found(check(adopted)) == []
    connection.execute("CREATE OR REPLACE VIEW migrations AS SELECT * FROM kept LIMIT 100")
    assert found(check(adopted)) == ["history-altered"]
