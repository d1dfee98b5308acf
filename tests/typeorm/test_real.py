"""the harness itself: the real TypeORM runs, shows and reverts what stands in a project"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from qb_engine.database import Target
from tests.typeorm.real import VERSIONS, TypeOrm, needs_node

ADD = """
import { MigrationInterface, QueryRunner } from "typeorm";
export class AddUsers1710460800000 implements MigrationInterface {
  name = "AddUsers1710460800000";
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`CREATE TABLE "users" ("id" integer PRIMARY KEY)`);
  }
  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`DROP TABLE "users"`);
  }
}
"""


@needs_node
@pytest.mark.node
@pytest.mark.parametrize("version", VERSIONS)
def test_typeorm_runs_shows_and_reverts(version: str, tmp_path: Path, database: Target) -> None:
    project = TypeOrm.make(tmp_path, version, database)
    (project.migrations / "1710460800000-AddUsers.ts").write_text(ADD)
    assert project.show() == ["[ ] AddUsers1710460800000"]
    project.run()
    assert project.show() == ["[X] 1 AddUsers1710460800000"]
    project.revert()
    with psycopg.connect(database.conninfo) as conn:
        assert conn.execute("SELECT to_regclass('users')").fetchone() == (None,)
