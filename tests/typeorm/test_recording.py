"""recording what cannot be read, with the real TypeORM, and never on the target"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.commands.typeorm._imported import ImportReport
from qb_engine.database import Target
from qb_engine.errors import InputError
from qb_engine.migrations.typescript.recordings import FILE
from qb_engine.project import Project
from qb_engine.typeorm import node as running
from tests.typeorm.real import TypeOrm, needs_node

pytestmark = [needs_node, pytest.mark.node]

ENTITIES = """
import { Column, Entity, PrimaryColumn } from "typeorm";
@Entity({ name: "users" })
export class User {
  @PrimaryColumn({ type: "int" }) id: number;
  @Column({ type: "text" }) name: string;
}
"""

UP = {
    # read: the recorder gets its SQL
    "Init": "await q.query(`CREATE TABLE users (id int PRIMARY KEY, name text)`);"
    " await q.query(`CREATE TYPE mood AS ENUM ('calm')`);",
    # recorded
    "Api": """await q.createTable(new Table({ name: "tags", columns: [
        { name: "id", type: "int", isPrimary: true }, { name: "label", type: "varchar" }],
        indices: [{ columnNames: ["label"] }] }), true);""",
    "Looks": "if (!(await q.hasColumn('users', 'age')))"
    " await q.query(`ALTER TABLE users ADD age int`);"
    " const all = await q.query(`SELECT column_name FROM information_schema.columns"
    " WHERE table_name = 'users' ORDER BY 1`);"
    " for (const c of all) await q.query(`COMMENT ON COLUMN users.${c.column_name} IS 'x'`);",
    "Built": "await q.manager.createQueryBuilder().update(User).set({ name: 'x' })"
    ".where('id = :id', { id: 7 }).execute();",
    "Alone": "const name = String(Symbol('i').description);"
    " await q.query(`CREATE INDEX CONCURRENTLY ${name} ON users (name)`);",
    "Grown": "const m = Symbol('wild').description;"
    " await q.query(`ALTER TYPE mood ADD VALUE '${m}'`);",
    "Used": "const m = Symbol('wild').description;"
    " await q.query(`CREATE TABLE moods (m mood DEFAULT '${m}')`);",
    # opaque
    "Rows": "for (const u of await q.query(`SELECT id FROM users`))"
    " await q.query(`UPDATE users SET age = 1 WHERE id = ${u.id}`);",
    "Clock": "await q.query(`COMMENT ON TABLE users IS '${Date.now()} ${Math.random()}'`);",
    "Canary": """require("node:fs").writeFileSync("canary.json", JSON.stringify(process.env));
        await q.query(`DROP TABLE IF EXISTS precious`);
        await q.query(`COMMENT ON TABLE users IS '${process.env.STAGE}'`);""",
    "Own": "await q.connection.query(`DROP TABLE IF EXISTS precious`);",
    "Commits": "const end = Symbol('COMMIT').description; await q.query(end);"
    " await q.query(`BEGIN`);",
    # fails: it asks for the target itself
    "Away": "const { Client } = require('pg');"
    " const target = require('../data-source').default.options;"
    " const c = new Client({ ...target, user: target.username }); await c.connect();"
    " await c.query(`DROP TABLE precious`);",
}
DOWN = {
    "Api": "await q.dropTable('tags');",
    "Alone": "const name = String(Symbol('i').description);"
    " await q.query(`DROP INDEX CONCURRENTLY ${name}`);",
    "Looks": "throw new Error(['no', 'way'].map(String).join(' '));",
}
FIRST = 1710460800000


def named(name: str) -> str:
    return f"{name}{FIRST + list(UP).index(name)}"


def text_of(name: str) -> str:
    alone = "transaction = false;" if name == "Alone" else ""
    return f"""import {{ MigrationInterface, QueryRunner, Table }} from "typeorm";
import {{ User }} from "../entities";

export class {named(name)} implements MigrationInterface {{
  {alone}
  async up(q: QueryRunner): Promise<void> {{ {UP[name]} }}
  async down(q: QueryRunner): Promise<void> {{ {DOWN.get(name, "")} }}
}}
"""


def made(project: Project, database: Target, version: str, *names: str) -> TypeOrm:
    """A project with some of these migrations; nothing of it is applied."""
    typeorm = TypeOrm.make(project.root, version, database, entities=ENTITIES)
    for name in names:
        (typeorm.migrations / f"{named(name)[-13:]}-{name}.ts").write_text(text_of(name))
    return typeorm


def imported(project: Project, *words: str) -> ImportReport:
    report = invoke(Session(root=project.root), ["typeorm", "import", *words])
    assert isinstance(report, ImportReport)
    return report


def reasons(report: ImportReport) -> dict[str, str]:
    return {each.name[:-13]: each.reason for each in report.migrations if each.how == "opaque"}


def recorded(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / FILE).read_text())["migrations"]
    return {name[:-13]: each for name, each in found.items()}


def test_what_cannot_be_read_is_recorded_and_the_target_is_never_touched(
    project: Project, database: Target, connection: psycopg.Connection[Any], monkeypatch: Any
) -> None:
    """One run shows what each sends; whatever else it might depend on keeps it opaque."""
    monkeypatch.setenv("PGPASSWORD", "hidden-word")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://somebody@localhost/{database.name}")
    typeorm = made(project, database, "v03", *UP)
    connection.execute("CREATE TABLE precious AS SELECT 1 AS a")
    before = connection.execute(
        "SELECT pg_catalog.string_agg(relname, ',' ORDER BY 1) FROM pg_catalog.pg_class"
    ).fetchone()

    report = imported(project, "--allow-execution", "--yes")
    found = recorded(typeorm.migrations)
    assert {e.name[:-13] for e in report.migrations if e.how == "read"} == {"Init"}
    assert set(found) == {"Api", "Looks", "Built", "Alone", "Grown", "Used"}

    sent = {name: [q["sql"] for q in each["up"]] for name, each in found.items()}
    assert sent["Api"][0].startswith('CREATE TABLE "tags"')
    assert sent["Api"][1].startswith('CREATE INDEX "IDX_')
    assert len(sent["Looks"]) == 4  # one column, and a comment on each; no look at the schema
    assert found["Looks"]["notes"][0] == "hasColumn(users.age): no"
    assert found["Looks"]["irreversible"] == "no way"
    assert found["Built"]["up"][0]["parameters"] == ["x", 7]
    assert sent["Alone"] == ["CREATE INDEX CONCURRENTLY i ON users (name)"]
    assert found["Alone"]["down"] == [{"sql": "DROP INDEX CONCURRENTLY i"}]
    assert found["Api"]["typeorm"].startswith("0.3.")

    why = reasons(report)
    assert "depends on rows" in why["Rows"]
    assert "when it was run again" in why["Clock"]
    assert "process.env.STAGE" in why["Canary"]
    assert "a connection of its own" in why["Own"]
    assert "transactions itself" in why["Commits"]
    assert "qb lets it reach nothing" in why["Away"]

    seen = (project.root / "canary.json").read_text()
    dbname = connection.info.dbname
    assert "hidden-word" not in seen
    assert dbname not in seen
    after = connection.execute(
        "SELECT pg_catalog.string_agg(relname, ',' ORDER BY 1) FROM pg_catalog.pg_class"
    ).fetchone()
    assert after == before  # `precious` above all

    again = imported(project)
    assert again.count("recorded") == 6
    assert not any("can be recorded" in note for note in again.notes())
    path = next(typeorm.migrations.glob("*-Api.ts"))
    path.write_text(path.read_text().replace("label", "labels"))
    stale = imported(project)
    assert "from another text of this file" in reasons(stale)["Api"]
    assert any("1 can be recorded" in note for note in stale.notes())


def test_what_is_pending_is_run_on_the_schema_of_the_target_too(
    project: Project, database: Target, connection: psycopg.Connection[Any]
) -> None:
    """Where the way from nothing ends early, and where a look at the schema might have differed."""
    typeorm = made(project, database, "v1", "Init", "Rows", "Looks", "Canary")
    first = next(typeorm.migrations.glob("*-Init.ts"))
    accounts = "CREATE TABLE accounts (id int, name text)"
    first.write_text(first.read_text().replace("CREATE TYPE mood AS ENUM ('calm')", accounts))
    path = next(typeorm.migrations.glob("*-Rows.ts"))
    text = path.read_text()
    path.write_text(text.replace("for (const u", "process.exit(7); for (const u"))
    last = next(typeorm.migrations.glob("*-Canary.ts"))
    last.write_text(text_of("Canary").replace(UP["Canary"], "await new Promise(() => {});"))
    for table in ("users", "accounts"):
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text)".encode())
    connection.execute('CREATE TABLE migrations (id serial, "timestamp" bigint, name text)')
    for name in ("Init", "Rows"):
        connection.execute(
            'INSERT INTO migrations ("timestamp", name) VALUES (0, %s)', [named(name)]
        )
    report = imported(project, "--allow-execution", "--yes", "--timeout", "3s")
    assert {each.name[:-13]: each.applied for each in report.migrations} == {
        "Init": True, "Rows": True, "Looks": False, "Canary": False,
    }  # fmt: skip
    assert set(recorded(typeorm.migrations)) == {"Looks"}
    assert "it called process.exit(7)" in reasons(report)["Rows"]
    assert "did not end within 3 s" in reasons(report)["Canary"]

    path.write_text(text)
    last.write_text(text_of("Canary").replace(UP["Canary"], f"if (true) {{ {UP['Looks']} }}"))
    looks = next(typeorm.migrations.glob("*-Looks.ts"))
    looks.write_text(looks.read_text().replace("users", "accounts"))
    connection.execute("ALTER TABLE users ADD age int")  # by hand, or by somebody else
    report = imported(project, "--allow-execution", "--yes")
    assert "the same on the target's schema" in recorded(typeorm.migrations)["Looks"]["notes"]
    assert (
        "on the target's it sends something else: hasColumn(users.age): yes"
        in (reasons(report)["Canary"])
    )


def test_a_data_source_that_is_computed_is_asked_for_its_options(
    project: Project, database: Target
) -> None:
    """Its text does not tell; node loads it, connects to nothing, and says them."""
    typeorm = made(project, database, "v1", "Init")
    source = project.root / "src" / "data-source.ts"
    text = source.read_text().replace(
        '"migrations": [', '"migrationsTableName": ["hist", "ory"].join(""), "migrations": ['
    )
    text = text.replace('"src/migrations/**/*.ts"', "globs()")
    source.write_text(f"{text}\nfunction globs() {{ return require('./where').globs; }}\n")
    (source.parent / "where.ts").write_text(
        "import * as net from 'net';\n"
        "export const globs = process.argv.map(() => __dirname + '/migrations/*.ts')[0];\n"
        "net.connect(5432, 'localhost');\n"
    )
    with pytest.raises(Exception, match="does not tell migrations"):
        imported(project)
    with pytest.raises(Exception, match="cannot be loaded") as error:
        imported(project, "--allow-execution")
    assert "qb lets it reach nothing" in str(error.value)
    where = source.parent / "where.ts"
    where.write_text(where.read_text().replace("net.connect", "// net.connect"))
    report = imported(project, "--allow-execution", "--yes")
    assert report.headline() == "1 of 1 migrations read"
    assert Project(project.root).config.typeorm.table == "history"
    assert typeorm.migrations.is_dir()


def test_what_is_missing_to_run_anything_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No TypeORM in the project; a Node.js that is too old."""
    with pytest.raises(InputError, match="TypeORM is not installed in the project"):
        running.found(tmp_path)
    monkeypatch.setattr(running, "OLDEST", (99, 0))
    with pytest.raises(InputError, match=r"too old: \d+\.\d+"):
        running.found(tmp_path)


def test_what_an_alias_of_the_tsconfig_leads_to_is_watched(
    project: Project, database: Target
) -> None:
    """Node finds the helper by it, and so does the recording."""
    typeorm = made(project, database, "v1", "Init", "Used")
    path = next(typeorm.migrations.glob("*-Used.ts"))
    head = 'import { mood } from "@/helpers";\n'
    path.write_text(head + path.read_text().replace("Symbol('wild').description", "mood()"))
    helpers = project.root / "src" / "helpers.ts"
    helpers.write_text("export const mood = () => 'calm';\n")
    config = project.root / "tsconfig.json"
    aliases = '"compilerOptions": { /* ours */ "paths": { "@/*": ["./src/*"] },'
    config.write_text(config.read_text().replace('"compilerOptions": {', aliases, 1))
    report = imported(project, "--allow-execution", "--yes")
    assert report.headline() == "1 of 2 migrations read, 1 recorded"
    helpers.write_text("export const mood = () => 'wild';\n")
    (used,) = [each for each in imported(project).migrations if each.how == "recorded"]
    assert "../helpers.ts was edited since: record it again" in used.notes
