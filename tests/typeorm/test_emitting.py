"""what qb writes for TypeORM, run by the real one: every mode, every loader, names and all"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine import drafting
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.drafting import Generated
from qb_engine.project import Project
from qb_engine.schema import snapshot
from qb_engine.sql import literal
from tests.conftest import fresh
from tests.typeorm.real import RUN_S, VERSIONS, TypeOrm, needs_node

Connection = psycopg.Connection[Any]
pytestmark = [needs_node, pytest.mark.node]

# each is a row that has to arrive as it is
NASTY = (
    "back\\slash \\n \\u0041 \\",
    "`tick` \\` ${not} $ {this} \\${x} $${y} $",
    '$1 $$ $body$ %s :x ? \'" ""',
    "line\nline\r\nline\rline\ttab\u2028and\u2029more",
    "größe 😀 \ufeff \u00a0 //* */ -- <!-- ",
)
NOTES = "CREATE TABLE notes (id integer PRIMARY KEY, body text NOT NULL);\n" + "".join(
    f"-- note {i} `${{}}\\\n/* and\u2028 a `second` */\n"
    f"INSERT INTO notes VALUES ({i}, {literal(text)});\n"
    for i, text in enumerate(NASTY)
)
FUNCTIONS = """-- qb:up
-- what a `function` ${may} hold
CREATE FUNCTION twice(int) RETURNS text LANGUAGE plpgsql AS $body$
BEGIN -- `a comment` ${x} \\
    RETURN format('%s \\ `${y}`', $1 * 2);
END $body$;
DO $$ BEGIN EXECUTE $x$COMMENT ON TABLE notes IS '`${$1}\\'$x$; END $$;
-- qb:down
DROP FUNCTION twice(int);
COMMENT ON TABLE notes IS NULL
"""

RUN = """
import "reflect-metadata";
import { DataSource } from "typeorm";
import source from "./data-source";

const compiled = __filename.endsWith(".js");
const files = (name: string) =>
    compiled ? `dist/${name}/**/*.js` : `src/${name}/**/*.ts`;

async function open(name: string): Promise<DataSource> {
    return new DataSource({ ...source.options, migrations: [files(name)] } as any).initialize();
}

async function said(work: Promise<unknown>): Promise<string> {
    try {
        await work;
        return "";
    } catch (error) {
        return (error as Error).message;
    }
}

async function main() {
    const out: any = { modes: {} };
    for (const mode of ["each", "none", "all"] as const) {
        const one: any = (out.modes[mode] = {});
        let found = await open("migrations");
        one.pending = await found.showMigrations();
        one.ran = (await found.runMigrations({ transaction: mode })).map((each) => each.name);
        one.left = await found.showMigrations();
        one.history = await found.query(
            `SELECT "timestamp"::text, name FROM migrations ORDER BY id`
        );
        const notes = await found.query("SELECT body FROM notes ORDER BY id");
        one.notes = notes.map((each: any) => each.body);
        one.twice = (await found.query("SELECT twice(21)"))[0].twice;
        if (mode !== "all") {
            for (const _ of one.ran) await found.undoLastMigration({ transaction: mode });
            const tables = await found.query(
                "SELECT relname FROM pg_class WHERE relkind = 'r'" +
                " AND relnamespace = 'public'::regnamespace"
            );
            one.tables = tables.map((each: any) => each.relname);
        }
        await found.destroy();
    }
    let found = await open("alone");
    out.refused = await said(found.runMigrations({ transaction: "all" }));
    for (const mode of ["each", "none"] as const) {
        await found.runMigrations({ transaction: mode });
        out[`revert ${mode}`] = await said(found.undoLastMigration({ transaction: "each" }));
        await found.undoLastMigration({ transaction: "none" });
    }
    await found.destroy();
    found = await open("gone");
    await found.runMigrations({ transaction: "each" });
    out.gone = await said(found.undoLastMigration({ transaction: "each" }));
    await found.query(`DELETE FROM migrations WHERE name LIKE 'Gone%'`);
    await found.destroy();
    console.log(JSON.stringify(out));
}
main().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.fixture
def other(server: EmbeddedPostgres) -> Iterator[Connection]:
    """A database of qb's own, to compare with."""
    with fresh(server) as target, psycopg.connect(target.conninfo, autocommit=True) as conn:
        yield conn


def project_in(real: TypeOrm) -> Project:
    (real.root / "qb.toml").write_text('migrations = "src/migrations"\nformat = "typeorm"\n')
    return Project(real.root)


def moved(real: TypeOrm, made: Generated, folder: str) -> None:
    """Put a migration where only some runs look."""
    (real.root / "src" / folder).mkdir()
    made.paths[0].rename(real.root / "src" / folder / made.paths[0].name)


@pytest.mark.parametrize("version", VERSIONS)
def test_emitted_files_run_show_and_revert(
    version: str, tmp_path: Path, database: Target, other: Connection
) -> None:
    """In every mode, through tsx and compiled; the rows and the schema are what qb's would be.

    A migration that may not run in a transaction is refused in mode all, as documented, and one
    without a way back says so. A folder under the documented glob does not break it.
    """
    real = TypeOrm.make(tmp_path, version, database)
    home = project_in(real)
    made = [
        drafting.generate(home, "make-notes", sql=NOTES, conn=other),
        drafting.generate(home, "functions", sql=FUNCTIONS, conn=other),
    ]
    for part, text, python in (
        ("pre", "CREATE TABLE logs (id integer)", False),
        ("migration", "ALTER TABLE logs ADD COLUMN body text", False),
        ("post", "ALTER TABLE logs ALTER COLUMN body SET NOT NULL", False),
        ("backfill", 'class Fill(Backfill):\n    table = "logs"\n    set = {"body": "id::text"}\n'
         '    where = "body IS NULL"\n', True),
    ):  # fmt: skip
        drafting.save(home, "fill_logs", text, part=part, python=python)
    made.append(drafting.generate(home, "fill_logs", conn=other))
    names = [name for each in made for name in each.notes[0].split(" as ")[1].split(", ")]
    assert [name[:-13] for name in names] == [
        "MakeNotes", "Functions", "FillLogsPre", "FillLogs", "FillLogsPost"
    ]  # fmt: skip
    sql = "CREATE INDEX CONCURRENTLY ON notes (body)"
    moved(real, drafting.generate(home, "alone", sql=sql, conn=other), "alone")
    moved(real, drafting.generate(home, "gone", sql="DELETE FROM notes", conn=other), "gone")
    migrations = made_by_qb(home, other)
    tsx = told(real.script(RUN))
    with psycopg.connect(database.conninfo, autocommit=True) as conn:
        conn.execute("DROP TABLE migrations")
        assert snapshot(conn).fingerprint == migrations
        conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for found in (tsx, compiled(real)):
        for mode in ("all", "each", "none"):
            one = found["modes"][mode]
            assert one["pending"] is True
            assert one["ran"] == names
            assert one["left"] is False
            assert [row["name"] for row in one["history"]] == names
            assert [row["timestamp"] for row in one["history"]] == [n[-13:] for n in names]
            assert one["notes"] == list(NASTY)
            assert one["twice"] == "42 \\ `${y}`"
            assert one.get("tables", ["migrations"]) == ["migrations"]
        assert "transaction" in found["refused"]
        assert "CONCURRENTLY cannot run inside a transaction block" in found["revert each"]
        assert "CONCURRENTLY cannot run inside a transaction block" in found["revert none"]
        assert found["gone"].startswith("irreversible because")


def made_by_qb(home: Project, conn: Connection) -> str:
    """The fingerprint of the schema that the same files make when qb's reader runs them."""
    from qb_engine.migrations import load

    found = load(home.migrations, format="typeorm", project=home)
    assert not found.broken
    for migration in found.all:
        for statement in migration.up:
            conn.execute(statement.sql.encode())
    return snapshot(conn).fingerprint


def told(printed: str) -> Any:
    """The last line that a script prints: TypeORM has words of its own before it."""
    return json.loads(printed.rstrip("\n").rpartition("\n")[2])


def compiled(real: TypeOrm) -> Any:
    """What the same script prints when all of it was compiled by tsc, strictly."""
    for command in (
        ["node", "node_modules/typescript/bin/tsc", "-p", ".", "--noUnusedLocals",
         "--noUnusedParameters", "--types", "node"],
        ["node", "dist/script.js"],
    ):  # fmt: skip
        done = subprocess.run(
            command, cwd=real.root, capture_output=True, text=True, timeout=RUN_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return told(done.stdout)


ENTITIES = """
import {
    Check, Column, Entity, Exclusion, Index, JoinColumn, ManyToOne, OneToOne, PrimaryColumn, Unique,
} from "typeorm";

@Entity("orgs")
export class Org {
    @PrimaryColumn("integer") id!: number;
    @Column("text") name!: string;
}

@Entity("profiles")
export class Profile {
    @PrimaryColumn("integer") id!: number;
}

@Entity("users")
@Check(`"age" > 0 AND "age" < 200`)
@Index(["org", "age"])
@Index(["email"], { where: `"deletedAt" IS NULL` })
@Unique(["age", "email"])
@Exclusion(`USING gist ("during" WITH &&)`)
export class User {
    @PrimaryColumn("integer") id!: number;
    @Column("text", { unique: true }) email!: string;
    @Column("integer") age!: number;
    @Column("timestamptz", { nullable: true }) deletedAt!: Date | null;
    @Column("tsrange") during!: string;
    @ManyToOne(() => Org, { onDelete: "CASCADE" }) org!: Org;
    @OneToOne(() => Profile) @JoinColumn() profile!: Profile;
}
"""
BY_HAND = """
CREATE TABLE orgs (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE profiles (id integer PRIMARY KEY);
CREATE TABLE users (
    id integer PRIMARY KEY,
    email text NOT NULL UNIQUE,
    age integer NOT NULL,
    "deletedAt" timestamptz,
    during tsrange NOT NULL,
    "orgId" integer REFERENCES orgs ON DELETE CASCADE,
    "profileId" integer UNIQUE REFERENCES profiles,
    UNIQUE (age, email),
    CHECK ("age" > 0 AND "age" < 200),
    EXCLUDE USING gist ("during" WITH &&)
);
CREATE INDEX ON users ("orgId", age);
CREATE INDEX ON users (email) WHERE "deletedAt" IS NULL;
"""
DIFFER = """
import source from "./data-source";

async function main() {
    const found = await source.initialize();
    const before = await found.driver.createSchemaBuilder().log();
    await found.runMigrations();
    const after = await found.driver.createSchemaBuilder().log();
    const told = (log: any) => log.upQueries.map((each: any) => each.query);
    console.log(JSON.stringify({ before: told(before), after: told(after) }));
    await found.destroy();
}
main().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_typeorm_proposes_no_change_for_what_qb_has_named(
    version: str, tmp_path: Path, database: Target, connection: Connection
) -> None:
    """SQL without names becomes what the entities would have become, name by name."""
    real = TypeOrm.make(tmp_path, version, database, entities=ENTITIES)
    home = project_in(real)
    drafting.generate(home, "users", sql=BY_HAND, conn=connection)
    found = told(real.script(DIFFER))
    assert found["after"] == []
    own = "\n".join(found["before"])
    rows = connection.execute(
        "SELECT conname::text FROM pg_constraint WHERE contype <> 'n' AND conrelid = ANY"
        " (ARRAY['orgs', 'profiles', 'users']::regclass[]) UNION SELECT relname::text FROM pg_class"
        " JOIN pg_index ON indexrelid = oid WHERE indrelid = 'users'::regclass"
    ).fetchall()
    assert len(rows) == 12
    assert [name for (name,) in rows if f'"{name}"' not in own] == []
