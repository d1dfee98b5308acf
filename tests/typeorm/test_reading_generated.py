"""a project that TypeORM itself generated, in several steps, is read without a gap"""

# ruff: noqa: E501 - entities have a property in a line

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from qb_engine.database import Target
from qb_engine.migrations.typescript import describe, methods
from tests.typeorm.real import VERSIONS, TypeOrm, needs_node
from tests.typeorm.test_reading import RECORD, told

HEAD = """import {
  Check, Column, CreateDateColumn, DataSource, Entity, Index, JoinTable, ManyToMany, ManyToOne,
  PrimaryColumn, PrimaryGeneratedColumn, TableInheritance, Unique, ViewColumn, ViewEntity, ChildEntity,
} from "typeorm";
"""

FIRST = r"""
@Entity({ comment: "people; `so to say` ${x} \\ it is" })
@Check(`"age" > 0 AND "age" < 150`)
export class User {
  @PrimaryGeneratedColumn() id: number;
  @Column({ type: "varchar", length: 80, default: "a b\\c`d${e}", comment: "two\nlines" }) name: string;
  @Column({ type: "int" }) age: number;
  @Column({ type: "jsonb", default: { a: [1, "x"] } }) data: object;
  @Column({ type: "text", array: true, default: "{}" }) tags: string[];
  @Column({ type: "enum", enum: ["new", "it is"], default: "new" }) state: string;
  @CreateDateColumn({ type: "timestamptz" }) made: Date;
}
@Entity("orders")
@Index(["user", "price"], { where: `"price" > 10` })
export class Order {
  @PrimaryColumn({ type: "bigint" }) id: string;
  @Column({ type: "numeric", precision: 10, scale: 2, nullable: true }) price: string;
  @ManyToOne(() => User, { onDelete: "CASCADE" }) user: User;
}
"""

SECOND = (
    FIRST.replace('"it is"], default: "new"', '"old", "gone"], default: "old"').replace(
        "  @CreateDateColumn",
        """  @Column({ type: "int", generatedType: "STORED", asExpression: `"age" * 2` }) twice: number;
  @ManyToMany(() => Order) @JoinTable() liked: Order[];
  @CreateDateColumn""",
    )
    + r"""
@Entity({ name: "Odd Name", schema: "public" })
@Unique("both", ["a", "b"])
@TableInheritance({ column: { type: "varchar", name: "kind" } })
export class Odd {
  @PrimaryGeneratedColumn("identity", { generatedIdentity: "ALWAYS" }) id: number;
  @Column({ type: "int", name: "a" }) a: number;
  @Column({ type: "varchar", name: "b c", nullable: true, collation: "C" }) b: string;
}
@ChildEntity()
export class Odder extends Odd { @Column({ type: "tsrange", nullable: true }) during: string; }
@ViewEntity({ expression: `SELECT "id", "name" || '\\' || '${"$"}{x}' AS "n" FROM "user" WHERE "age" > 17` })
export class Adult { @ViewColumn() id: number; @ViewColumn() n: string; }
"""
)

THIRD = (
    FIRST.replace("length: 80", "length: 120")
    .replace("  @Column({ type: \"jsonb\", default: { a: [1, \"x\"] } }) data: object;\n", "")
    .replace('@Index(["user", "price"], { where: `"price" > 10` })', '@Index("by_price", ["price"])')
    .replace('onDelete: "CASCADE"', 'onDelete: "SET NULL", deferrable: "INITIALLY DEFERRED"')
    + r"""
@ViewEntity({ expression: `SELECT count(*) AS "n" FROM "user"`, materialized: true })
@Index(["n"])
export class Adult { @ViewColumn() n: number; }
"""
)  # fmt: skip

# What the command does, once for each state of the entities, in one process; then what it wrote
# is run on the database, so that the next state is compared with this one.
GENERATE = """
import { MigrationGenerateCommand } from "typeorm/commands/MigrationGenerateCommand";

async function generate() {
  process.exit = ((code: number) => { if (code) throw new Error(`ended with ${code}`); }) as any;
  const log = console.log;
  console.log = console.error = (...words: any[]) => void process.stderr.write(words.join(" "));
  for (const step of ["first", "second", "third"]) {
    const given = { path: `src/migrations/${step}`, dataSource: `src/${step}.ts` };
    await new MigrationGenerateCommand().handler(given as any);
    const source: DataSource = (await import(path.join(__dirname, step))).default;
    if (!source.isInitialized) await source.initialize();
    await source.runMigrations();
    await source.destroy();
  }
  console.log = log;
  await main();
}
generate();
"""


@needs_node
@pytest.mark.node
@pytest.mark.parametrize("version", VERSIONS)
def test_a_generated_project_is_read_whole(version: str, tmp_path: Path, database: Target) -> None:
    project = TypeOrm.make(tmp_path, version, database)
    source = (project.root / "src" / "data-source.ts").read_text()
    options = source[source.index("({") + 1 : source.rindex(" as any")]
    for step, entities in (("first", FIRST), ("second", SECOND), ("third", THIRD)):
        listed = "Object.values(module.exports).filter((e) => typeof e === 'function') as any"
        text = f"{HEAD}{entities}\nconst entities = {listed};\n"
        text += f"export default new DataSource({{ ...{options}, entities }} as any);\n"
        (project.root / "src" / f"{step}.ts").write_text(text)
    recorded = json.loads(project.script(RECORD.replace("\nmain();", GENERATE)).splitlines()[-1])

    files = sorted(project.migrations.glob("*.ts"))
    assert [file.name.split("-")[1] for file in files] == ["first.ts", "second.ts", "third.ts"]
    for file in files:
        (found,) = describe(file).classes
        assert (found.own_name, len(found.stamp)) == (True, 13)
        read = methods(file)
        assert told(read.up) == recorded[file.name]["up"]
        assert told(read.down) == recorded[file.name]["down"]
        assert read.up.rung <= 2
    statements = [sent["sql"] for each in recorded.values() for sent in each["up"]["sent"]]
    assert len(statements) > 25
    assert any("typeorm_metadata" in sql for sql in statements)
    with psycopg.connect(database.conninfo) as conn:
        rows = conn.execute("SELECT name FROM migrations ORDER BY id").fetchall()
    assert [name for (name,) in rows] == [describe(file).classes[0].name for file in files]
