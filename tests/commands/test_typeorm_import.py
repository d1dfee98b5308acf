"""`qb typeorm import` without node: what it finds, what it writes, what it leaves alone"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qb_engine.commands import Face, Session, invoke
from qb_engine.commands.typeorm._imported import ImportReport
from qb_engine.errors import InputError, RefusedError
from qb_engine.project import FILE, Project
from qb_engine.typeorm.traps.trap import written

SOURCE = """
import { DataSource } from "typeorm";
export const AppDataSource = new DataSource({
  type: "postgres",
  url: process.env.DATABASE_URL,
  migrations: [__dirname + "/migrations/*{.ts,.js}"],
  migrationsTableName: "history",
});
"""
READ = """
import { MigrationInterface, QueryRunner } from "typeorm";
export class Users1710460800000 implements MigrationInterface {
  async up(q: QueryRunner): Promise<void> { await q.query(`CREATE TABLE users (id int)`); }
  async down(q: QueryRunner): Promise<void> {
    for (const t of await q.query(`SELECT name FROM tables`)) await q.query(`DROP TABLE ${t.name}`);
  }
}
"""
OPAQUE = """
import { MigrationInterface, QueryRunner, Table } from "typeorm";
export class Tags1710460800001 implements MigrationInterface {
  async up(q: QueryRunner): Promise<void> {
    await q.createTable(new Table({ name: "tags" }));
  }
  async down(q: QueryRunner): Promise<void> {}
}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TypeORM project without anything installed; one migration is read, and one is not."""
    (tmp_path / "src" / "migrations").mkdir(parents=True)
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "src" / "data-source.ts").write_text(SOURCE)
    (tmp_path / "src" / "migrations" / "1710460800000-Users.ts").write_text(READ)
    (tmp_path / "src" / "migrations" / "1710460800001-Tags.ts").write_text(OPAQUE)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing-here"))
    return tmp_path


def imported(root: Path, *words: str) -> ImportReport:
    report = invoke(Session(root=root), ["typeorm", "import", *words])
    assert isinstance(report, ImportReport)
    return report


def files(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


def test_the_report_tells_of_each_migration_and_only_qb_toml_is_written(root: Path) -> None:
    """Read, or opaque with the line and the reason; nothing of the project's own is changed."""
    before = files(root)
    shown = imported(root)
    assert files(root) == before
    assert shown.headline() == "1 of 2 migrations read, 1 opaque"
    assert "--yes" in " ".join(shown.notes())
    done = imported(root, "--yes")
    assert {name: text for name, text in files(root).items() if name != FILE} == before
    users, tags = done.migrations
    assert (users.how, users.up, users.record) == ("read", 1, "down")
    assert users.reason.startswith("no way back")
    assert users.line == 6
    assert (tags.how, tags.line, tags.applied) == ("opaque", 5, None)
    said = json.loads(done.to_json())
    assert said["counts"] == {"read": 1, "recorded": 0, "opaque": 1, "broken": 0}
    assert said["wrote"] is True
    config = Project(root).config
    assert config.typeorm.table == "history"
    assert config.typeorm.files == ("src/migrations/*{.ts,.js}",)
    assert config.typeorm.data_source == "src/data-source.ts"
    assert not imported(root, "--yes").added


def test_where_a_file_does_not_parse_is_a_plain_sentence(root: Path) -> None:
    file = next((root / "src" / "migrations").glob("*.ts"))
    file.write_text(written("AddNotes1710460800000").replace("KEY)`)", "KEY)`"))
    text = str(imported(root))
    assert "the file does not parse, at column 32 of" in " ".join(text.split())
    assert "what stands there" not in text


def test_without_node_it_is_said_what_stays_opaque(root: Path) -> None:
    """Everything that needs no node is done."""
    report = imported(root, "--allow-execution", "--yes")
    assert "Node.js is not installed" in " ".join(report.notes())
    assert report.count("opaque") == 1
    assert Project(root).config.format == "typeorm"


def test_options_say_what_the_data_source_does_not(root: Path) -> None:
    """A computed option is named with its line; options and a missing data source go together."""
    source = root / "src" / "data-source.ts"
    source.write_text(SOURCE.replace('"history"', "tableName()"))
    with pytest.raises(InputError, match="migrationsTableName") as error:
        imported(root)
    assert error.value.where.endswith("data-source.ts:7")
    report = imported(root, "--table", "hist", "--schema", "app", "--yes")
    assert 'typeorm.table = "hist"' in report.added
    source.unlink()
    with pytest.raises(InputError, match="no data source"):
        imported(root, "--data-source", "src/data-source.ts")
    (root / FILE).unlink()
    globs = ("--migrations", "src/migrations/*.ts", "--table", "hist")
    assert imported(root, *globs, "--yes").wrote
    with pytest.raises(RefusedError, match="says otherwise"):
        imported(root, *globs[:3], "other", "--yes")


def test_sources_are_read_where_the_globs_name_what_is_compiled(root: Path) -> None:
    """And a folder without a migration is one that holds none yet."""
    text = SOURCE.replace('__dirname + "/migrations/*{.ts,.js}"', '"dist/migrations/*.js"')
    (root / "src" / "data-source.ts").write_text(text)
    report = imported(root)
    assert len(report.migrations) == 2
    assert any("is compiled" in note for note in report.notes())
    for path in (root / "src" / "migrations").iterdir():
        path.unlink()
    (root / "src" / "data-source.ts").write_text(SOURCE)
    empty = imported(root, "--yes")
    assert empty.headline() == "no migration is in src/migrations yet"


def test_what_the_target_has_applied_is_told(project: Project, connection: Any, root: Path) -> None:
    """By the table of the data source; where there is none, nothing is."""
    for name, text in files(root).items():
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert [each.applied for each in imported(project.root).migrations] == [False, False]
    connection.execute('CREATE TABLE history (id serial, "timestamp" bigint, name text)')
    connection.execute("INSERT INTO history VALUES (1, 1710460800000, 'Users1710460800000')")
    assert [each.applied for each in imported(project.root).migrations] == [True, False]
    connection.execute("ALTER TABLE history DROP COLUMN timestamp")
    report = imported(project.root)
    assert [each.applied for each in report.migrations] == [None, None]
    assert any("what is applied is not known" in note for note in report.notes())


class Answering(Face):
    """Somebody who sits there and answers in turn."""

    interactive = True

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def ask(self, prompt: str) -> str | None:
        self.asked.append(prompt)
        return self.answers.pop(0)


def test_who_sits_there_is_asked_before_anything_is_written_or_run(root: Path) -> None:
    """Each by itself; whoever says no has a report, and nothing else."""
    face = Answering("no", "no")
    report = invoke(Session(face, root=root), ["typeorm", "import"])
    assert isinstance(report, ImportReport)
    assert not report.wrote
    assert "write it?" in face.asked[0]
    assert "run the code of 2 migrations on a scratch database?" in face.asked[1]
    assert not (root / FILE).exists()
    report = invoke(Session(Answering("yes", "no"), root=root), ["typeorm", "import"])
    assert isinstance(report, ImportReport)
    assert report.wrote
