"""from TypeORM to qb and back again, with the real TypeORM at both ends"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.project import Project
from tests.typeorm.real import TypeOrm, needs_node

pytestmark = [needs_node, pytest.mark.node]

CLASS = """import {{ MigrationInterface, QueryRunner, Table, TableColumn }} from "typeorm";
export class {name} implements MigrationInterface {{
  async up(q: QueryRunner): Promise<void> {{ {up} }}
  async down(q: QueryRunner): Promise<void> {{ {down} }}
}}
"""
USERS, TAGS, LABEL = "Users1710460800000", "Tags1710460800001", "Label1710460800002"
API = """await q.createTable(new Table({ name: "tags", columns: [
    { name: "id", type: "uuid", isPrimary: true, default: "gen_random_uuid()" },
    { name: "user", type: "int" }],
    foreignKeys: [{ columnNames: ["user"], referencedTableName: "users",
                    referencedColumnNames: ["id"] }] }));"""

# what TypeORM's runner does when it has its migrations back
THERE_AND_BACK = """
import source from "./data-source";
async function main() {
  await source.initialize();
  const last = "SELECT name FROM migrations ORDER BY id DESC LIMIT 1";
  const [{ name }] = await source.query(last);
  await source.undoLastMigration({ transaction: "all" });
  const [after] = await source.query(last);
  console.log(name, after.name === name ? "there" : "undone");
  const ran = await source.runMigrations({ transaction: "all" });
  console.log(ran.map((each) => each.name).join(), "done");
  await source.destroy();
}
main();
"""


def write(typeorm: TypeOrm, name: str, up: str, down: str) -> None:
    file = typeorm.migrations / f"{name[-13:]}-{name[:-13]}.ts"
    file.write_text(CLASS.format(name=name, up=up, down=down))


def test_taken_over_from_typeorm_and_given_back_to_it(
    project: Project, database: Target, connection: psycopg.Connection[Any]
) -> None:
    """What TypeORM made is proven from what was read and recorded; it finds its history true."""
    typeorm = TypeOrm.make(project.root, "v1", database)
    write(typeorm, USERS, "await q.query(`CREATE TABLE users (id int PRIMARY KEY)`);",
          "await q.query(`DROP TABLE users`);")  # fmt: skip
    write(typeorm, TAGS, API, "await q.dropTable('tags');")
    typeorm.run()
    label = "new TableColumn({ name: 'label', type: 'varchar', isUnique: true })"
    up, down = f"await q.addColumn('tags', {label});", "await q.dropColumn('tags', 'label');"
    write(typeorm, LABEL, up, down)

    def qb(*words: str) -> Any:
        return invoke(Session(root=project.root), words)

    imported = qb("typeorm", "import", "--allow-execution", "--yes")
    assert imported.headline() == "1 of 3 migrations read, 2 recorded"
    adopted = qb("typeorm", "adopt", "--prove", "--guard", "--yes")
    assert [row.migration for row in adopted.rows] == [USERS, TAGS]
    assert adopted.proof.ok, adopted.proof
    assert qb("run", "--no-verify").ok
    assert typeorm.show() == [f"[X] 1 {USERS}", f"[X] 2 {TAGS}", f"[X] 3 {LABEL}"]

    released = qb("typeorm", "release", "--yes")
    assert set(released.migrations) == {USERS, TAGS}
    assert released.own == (LABEL,)
    names = connection.execute("SELECT name FROM migrations ORDER BY id").fetchall()
    assert typeorm.script(THERE_AND_BACK).split() == [LABEL, "undone", LABEL, "done"]
    assert connection.execute("SELECT name FROM migrations ORDER BY id").fetchall() == names
    again = qb("typeorm", "adopt", "--yes")
    assert [row.migration for row in again.rows] == [USERS, TAGS]
    assert qb("validate").ok
