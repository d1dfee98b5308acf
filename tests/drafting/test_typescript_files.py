"""where a generated TypeORM migration goes, what it is called, and that qb itself runs it"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.drafting.typeorm_names import Names
from qb_engine.errors import InputError
from qb_engine.migrations import stamps
from qb_engine.project import Project

Connection = psycopg.Connection[Any]
Qb = Callable[..., Any]
Write = Callable[[str, str], None]
FUTURE = 4_102_444_800_000  # 2100
CLASS = """
import {{ MigrationInterface, QueryRunner }} from "typeorm";
export class {name} implements MigrationInterface {{
    async up(q: QueryRunner) {{ await q.query(`SELECT 1`); }}
    async down(q: QueryRunner) {{ await q.query(`SELECT 1`); }}
}}
"""
COMMONJS = """
module.exports = class {name} {{
    async up(q) {{ await q.query(`SELECT 1`); }}
    async down(q) {{ await q.query(`SELECT 1`); }}
}}
"""


@pytest.fixture
def sql(tmp_path: Path) -> str:
    path = tmp_path / "change.sql"
    path.write_text("CREATE TABLE b (id int PRIMARY KEY, a int UNIQUE);\nCREATE INDEX ON b (a);\n")
    return str(path)


def files(project: Project) -> list[str]:
    """Every file below the project's migrations, with its folders."""
    return sorted(
        str(path.relative_to(project.root))
        for path in project.root.rglob("*.*s")
        if ".qb" not in path.parts
    )


def settings(project: Project, text: str) -> Qb:
    """Another session of the project, with more in its qb.toml."""
    (head, _, _) = project.file.read_text().partition("\n[typeorm]")
    project.file.write_text(f"{head}\n[typeorm]\n{text}\n")
    return lambda *args: invoke(Session(root=project.root), args)


def said(report: Any) -> str:
    return " ".join(report.notes())


def test_in_a_folder_of_qb_it_is_named_as_qb_names_files(
    qb: Qb, sql: str, project: Project, connection: Connection
) -> None:
    """The class's stamp is the file's in milliseconds; qb plans, runs and takes back what it is."""
    report = qb("generate", "2fa-thing", "--format", "typeorm", "--sql", sql)
    (path,) = report.generated.paths
    stamp, name = stamps.split(path.stem) or ("", "")
    assert name == "2fa_thing"
    assert path.suffix == ".ts"
    assert f"class Migration2faThing{stamps.to_ms(stamp)} implements" in path.read_text()
    assert f"TypeORM knows it as Migration2faThing{stamps.to_ms(stamp)}" in said(report)
    assert report.generated.id == path.stem
    assert report.generated.proven
    qb("run")
    names = connection.execute(
        "SELECT conname::text FROM pg_constraint WHERE contype = 'u' AND conrelid = 'b'::regclass"
    )
    assert [name[:3] for (name,) in names] == ["UQ_"]
    qb("rollback")
    assert connection.execute("SELECT to_regclass('b')").fetchone() == (None,)
    with pytest.raises(InputError, match="there already"):
        qb("generate", "2fa thing", "--format", "typeorm", "--sql", sql)


def test_in_a_typeorm_project_it_stands_beside_the_others(
    qb: Qb, write: Write, sql: str, project: Project
) -> None:
    """Without --format; later than every class, as the latest one is named, in its folder."""
    write("old/1710460800000-CreateA.ts", CLASS.format(name="CreateA1710460800000"))
    write(f"new/{FUTURE}-add-more.ts", CLASS.format(name=f"AddMore{FUTURE}"))
    report = qb("generate", "add_b", "--sql", sql)
    (path,) = report.generated.paths
    ms = FUTURE + 1000
    assert path == project.migrations / "new" / f"{ms}-add-b.ts"
    assert report.generated.id == f"AddB{ms}"
    assert stamps.from_ms(ms) == "21000101000001"
    assert "typeorm_metadata" not in said(report)
    with pytest.raises(InputError, match="a migration AddB already"):
        qb("generate", "add_b", "--sql", sql)
    again = qb("generate", "add_c", "--sql", sql)
    assert again.generated.id == f"AddC{ms + 1000}"
    assert len(files(project)) == 4
    assert [each.migration for each in qb("status").migrations] == [
        "CreateA1710460800000", f"AddMore{FUTURE}", f"AddB{ms}", f"AddC{ms + 1000}",
    ]  # fmt: skip


def test_it_is_later_than_what_typeorm_has_run(
    qb: Qb, write: Write, sql: str, connection: Connection
) -> None:
    """Also what stands in its history alone: another branch's, say."""
    write("1710460800000-CreateA.ts", CLASS.format(name="CreateA1710460800000"))
    connection.execute(
        'CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint, name varchar)'
    )
    rows = f"(5, 'Gone{FUTURE}'), (6, 'x')"
    connection.execute(f'INSERT INTO migrations ("timestamp", name) VALUES {rows}'.encode())
    report = qb("generate", "add_b", "--sql", sql)
    assert report.generated.id == f"AddB{FUTURE + 1000}"


@pytest.mark.parametrize(
    ("suffix", "text", "wanted"),
    [
        (".js", COMMONJS, "module.exports = class AddB"),
        (".js", CLASS.replace(": QueryRunner", "").replace(" implements MigrationInterface", ""),
         "export class AddB"),
        (".mjs", CLASS.replace(": QueryRunner", "").replace(" implements MigrationInterface", ""),
         "export class AddB"),
    ],
)  # fmt: skip
def test_javascript_stays_javascript(
    qb: Qb, write: Write, sql: str, suffix: str, text: str, wanted: str
) -> None:
    write(f"1710460800000-CreateA{suffix}", text.format(name="CreateA1710460800000"))
    (path,) = qb("generate", "add_b", "--sql", sql).generated.paths
    assert path.suffix == suffix
    assert wanted in path.read_text()
    assert "QueryRunner)" not in path.read_text()


def test_types_are_imported_as_the_others_import_them(
    qb: Qb, write: Write, sql: str, project: Project
) -> None:
    """With verbatimModuleSyntax the compiler refuses an interface that is imported as a value."""
    text = CLASS.format(name="A1710460800000")
    for head in ("import type { MigrationInterface,", "import { type MigrationInterface, type"):
        write("1710460800000-A.ts", text.replace("import { MigrationInterface,", head))
        name = "first" if head.startswith("import type") else "second"
        (made,) = qb("generate", name, "--sql", sql).generated.paths
        assert made.read_text().startswith("import type { MigrationInterface, QueryRunner } from")
        made.unlink()


def test_more_parts_make_a_folder_among_them(
    qb: Qb, session: Any, write: Write, project: Project
) -> None:
    """Each part is a class of its own, later than the one before; the backfill is qb's."""
    write("1710460800000-CreateA.ts", CLASS.format(name="CreateA1710460800000"))
    for part, text in (
        ("--pre", "CREATE TABLE t (id int PRIMARY KEY)"),
        ("", "ALTER TABLE t ADD COLUMN a int"),
        ("--post", "ALTER TABLE t ALTER COLUMN a SET NOT NULL"),
        ("--backfill", 'class Fill(Backfill):\n    table = "t"\n    where = "a IS NULL"\n'
         "    def transform(self, rows):\n        return rows\n"),
    ):  # fmt: skip
        session.cell = text
        qb("draft", "fill_t", *([part] if part else []))
    session.cell = None
    report = qb("generate", "fill_t")
    folder, *paths = report.generated.paths
    assert [path.name for path in paths] == [
        "pre.ts", "migration.ts", "post.ts", "backfill.py", "backfill.ts"
    ]  # fmt: skip
    ms = stamps.to_ms(folder.name[:14])
    for number, part in enumerate(("FillTPre", "FillT", "FillTPost")):
        assert f"class {part}{ms + number} " in paths[number].read_text()
    assert "counts on the backfill, which TypeORM does not run" in paths[2].read_text()
    assert 'export const python = ["transform"]' in paths[4].read_text()
    assert "backfill.ts cannot hold transform" in said(report)
    assert folder.parent == project.migrations
    assert qb("status").migrations[-1].migration == folder.name


def test_what_no_glob_finds_is_taken_back(qb: Qb, write: Write, sql: str, project: Project) -> None:
    """The first folder of the globs is where new files go; they have to match there."""
    qb = settings(project, 'files = ["src/db/migrations/*.ts"]')
    (path,) = qb("generate", "add_b", "--sql", sql).generated.paths
    assert path.parent == project.root / "src" / "db" / "migrations"
    qb = settings(project, 'files = ["src/db/migrations/*Old.ts"]')
    before = files(project)
    with pytest.raises(InputError, match="would not be found"):
        qb("generate", "add_c", "--sql", sql)
    assert files(project) == before


def test_typescript_in_another_tools_folder_is_refused(qb: Qb, write: Write, sql: str) -> None:
    write("20240101000000_a.sql", "-- migrate:up\nCREATE TABLE a ();\n-- migrate:down\n")
    with pytest.raises(InputError, match="kept for dbmate"):
        qb("generate", "add_b", "--format", "typeorm", "--sql", sql)


def test_a_draft_in_python_says_what_a_class_of_typeorm_cannot_hold(qb: Qb, session: Any) -> None:
    session.cell = (
        "class Add(Migration):\n"
        '    expect = ["SELECT 1 WHERE false"]\n'
        "    transaction = False\n"
        "    def up(self, q):\n"
        "        q(f\"CREATE TABLE t{q.rows('SELECT 7')[0][0]} (id int)\")\n"
        '    down = "DROP TABLE t7"\n'
    )
    qb("draft", "add_t", "--py")
    session.cell = None
    report = qb("generate", "--format", "typeorm")
    assert "cannot hold the rules of expect" in said(report)
    assert "what it gave for this target" in said(report)
    text = report.generated.paths[0].read_text()
    assert "`CREATE TABLE t7 (id int)`" in text
    assert "transaction = false;" in text


def test_names_are_the_databases_own_where_it_has_some(
    qb: Qb, sql: str, connection: Connection, project: Project
) -> None:
    connection.execute("CREATE TABLE a (id int PRIMARY KEY, b int UNIQUE)")
    (path,) = qb("generate", "add_b", "--format", "typeorm", "--sql", sql).generated.paths
    assert "UQ_" not in path.read_text()
    qb = settings(project, 'naming = "typeorm"')
    (path,) = qb("generate", "add_c", "--format", "typeorm", "--sql", sql).generated.paths
    assert '"UQ_' in path.read_text()


def test_what_typeorm_keeps_in_a_table_of_its_own_is_said(
    qb: Qb, session: Any, write: Write
) -> None:
    """Views and generated columns of entities: migration:generate would make them again."""
    write("1710460800000-CreateA.ts", CLASS.format(name="CreateA1710460800000"))
    for number, sql in enumerate(
        (
            "CREATE TABLE g (a int, b int GENERATED ALWAYS AS (a + 1) STORED)",
            "CREATE VIEW v AS SELECT 1 AS a",
            "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a",
        )
    ):
        session.cell = sql
        qb("draft", f"make_{number}")
        session.cell = None
        assert "typeorm_metadata" in said(qb("generate", f"make_{number}"))


def test_models_become_typescript_with_typeorms_names(
    qb: Qb, project: Project, connection: Connection
) -> None:
    """SQLAlchemy names indexes itself; what it leaves open is named."""
    (project.root / "models_of_the_shop.py").write_text(
        "from sqlalchemy import ForeignKey\n"
        "from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column\n\n\n"
        "class Base(DeclarativeBase):\n    pass\n\n\n"
        'class User(Base):\n    __tablename__ = "users"\n'
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        '    boss: Mapped[int] = mapped_column(ForeignKey("users.id"))\n'
    )
    models = ("--models", "models_of_the_shop:Base")
    report = qb("generate", "make_users", *models, "--format", "typeorm")
    text = report.generated.paths[0].read_text()
    assert f'"{Names().primary_key("users", ["id"])}" PRIMARY KEY' in text
    assert f'"{Names().foreign_key("users", ["boss"])}" FOREIGN KEY' in text
    qb("run")
    with pytest.raises(InputError, match="has the models' schema already"):
        qb("generate", "again", *models, "--format", "typeorm")
