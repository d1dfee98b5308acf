"""folders of other tools are planned, run, rolled back and validated as they stand"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.constraints.rules import RuleBroken
from qb_engine.errors import InputError, RefusedError

FOLDERS = {
    "dbmate": {
        "20240101000000_a.sql": "-- migrate:up\nCREATE TABLE a (id int);\n"
        "-- migrate:down\nDROP TABLE a;\n",
        "20240102000000_b.sql": "-- migrate:up transaction:false\n"
        "CREATE INDEX CONCURRENTLY a_id ON a (id);\n"
        "-- migrate:down\nDROP INDEX a_id;\n",
    },
    "golang-migrate": {
        "9_a.up.sql": "BEGIN;\nCREATE TABLE a (id int);\nCOMMIT;\n",
        "9_a.down.sql": "DROP TABLE a",
        "10_b.up.sql": "CREATE INDEX CONCURRENTLY a_id ON a (id)",
        "10_b.down.sql": "DROP INDEX a_id",
    },
    "diesel": {
        "2024-01-01-000000_a/up.sql": "CREATE TABLE a (id int)",
        "2024-01-01-000000_a/down.sql": "DROP TABLE a",
        "20240102000000_b/up.sql": "CREATE INDEX CONCURRENTLY a_id ON a (id)",
        "20240102000000_b/down.sql": "DROP INDEX a_id",
        "20240102000000_b/metadata.toml": "run_in_transaction = false\n",
    },
    "goose": {
        "00009_a.sql": "-- +goose Up\n-- +goose StatementBegin\nCREATE TABLE a (id int);\n"
        "-- +goose StatementEnd\n-- +goose Down\nDROP TABLE a;\n",
        "10_b.sql": "-- +goose NO TRANSACTION\n-- +goose Up\n"
        "CREATE INDEX CONCURRENTLY a_id ON a (id);\n-- +goose Down\nDROP INDEX a_id;\n",
    },
    "flyway": {
        "V1_9__a.sql": "CREATE TABLE a (id int)",
        "U1_9__a.sql": "DROP TABLE a",
        "V1.10__b.sql": "CREATE INDEX CONCURRENTLY a_id ON a (id)",
        "V1.10__b.sql.conf": "executeInTransaction=false\n",
        "U1.10__b.sql": "DROP INDEX a_id",
    },
    "sqitch": {
        "sqitch.plan": "%project=shop\n\na 2024-01-01T00:00:00Z M <m@example.com>\n"
        "b [a] 2024-01-02T00:00:00Z M <m@example.com>\n",
        "deploy/a.sql": "-- Deploy shop:a\nBEGIN;\nCREATE TABLE a (id int);\nCOMMIT;\n",
        "revert/a.sql": "BEGIN;\nDROP TABLE a;\nCOMMIT;\n",
        "deploy/b.sql": "CREATE INDEX CONCURRENTLY a_id ON a (id)",
        "revert/b.sql": "DROP INDEX a_id",
    },
    "alembic": {
        "env.py": "from alembic import context\n"
        "context.configure(url='postgresql://', literal_binds=True)\n"
        "with context.begin_transaction():\n    context.run_migrations()\n",
        "../alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
        "versions/f1_a.py": "revision = 'f1'\ndown_revision = None\n"
        "from alembic import op\nimport sqlalchemy as sa\n"
        "def upgrade():\n    op.create_table('a', sa.Column('id', sa.Integer))\n"
        "def downgrade():\n    op.drop_table('a')\n",
        "versions/e2_b.py": "revision = 'e2'\ndown_revision = 'f1'\nfrom alembic import op\n"
        "def upgrade():\n    with op.get_context().autocommit_block():\n"
        "        op.create_index('a_id', 'a', ['id'], postgresql_concurrently=True)\n"
        "def downgrade():\n    op.drop_index('a_id')\n",
    },
}


@pytest.mark.parametrize("tool", FOLDERS)
def test_a_folder_goes_up_and_down_without_conversion(qb, write, tables, connection, tool) -> None:
    for name, text in FOLDERS[tool].items():
        write(name, text)
    first, second = (s.migration for s in qb("status").migrations)
    assert [s.state for s in qb("status").migrations] == ["pending", "pending"]
    assert qb("plan").ok
    assert qb("verify").ok
    assert qb("dryrun").ok
    assert [r.migration for r in qb("run").ran] == [first, second]
    assert tables() == ["a"]
    assert connection.execute("SELECT to_regclass('a_id') IS NOT NULL").fetchone() == (True,)
    assert qb("validate").ok
    assert qb("roundtrip").ok
    assert [s.state for s in qb("status").migrations] == ["applied", "applied"]
    assert qb("history", second).steps
    qb("rollback")
    assert connection.execute("SELECT to_regclass('a_id') IS NULL").fetchone() == (True,)
    qb("rollback")
    assert tables() == []
    assert qb("validate").ok


def test_the_tools_own_record_is_neither_made_nor_written(qb, write, tables) -> None:
    for name, text in FOLDERS["dbmate"].items():
        write(name, text)
    qb("run")
    assert tables() == ["a"]


def test_a_repeatable_one_runs_again_when_it_changed_and_after_newer_versions(
    qb, write, connection
) -> None:
    write("V1__a.sql", "CREATE TABLE a (id int)")
    write("R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT id FROM a")
    assert [r.migration for r in qb("run").ran] == ["V1__a", "R__v"]
    write("V2__c.sql", "CREATE TABLE c (); ALTER TABLE a ADD COLUMN b int")
    write("R__v.sql", "-- said better\nCREATE OR REPLACE VIEW v AS SELECT id FROM a")
    assert [r.migration for r in qb("run").ran] == ["V2__c"]
    write("R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT id, b FROM a")
    assert [s.state for s in qb("status").migrations] == ["applied", "applied", "pending"]
    assert [r.migration for r in qb("run").ran] == ["R__v"]
    connection.execute("SELECT id, b FROM v")
    assert qb("validate").ok
    write("V3__d.sql", "CREATE TABLE d ()")
    write("U3__d.sql", "DROP TABLE d")
    write("R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT id, b, 1 AS one FROM a")
    assert [r.migration for r in qb("run").ran] == ["V3__d", "R__v"]
    assert qb("rollback").ran.migration == "V3__d"
    assert qb("validate").ok


def test_a_verify_script_that_fails_rolls_its_change_back(qb, write, tables) -> None:
    when = "2024-01-01T00:00:00Z M <m@example.com>"
    write("sqitch.plan", f"a {when}\n")
    write("deploy/a.sql", "BEGIN;\nCREATE TABLE a ();\nCOMMIT;\n")
    write("verify/a.sql", "BEGIN;\nSELECT id FROM a WHERE false;\nROLLBACK;\n")
    with pytest.raises(RuleBroken) as caught:
        qb("run")
    assert "works: SELECT id FROM a" in str(caught.value)
    assert tables() == []
    write("verify/a.sql", "SELECT 1 FROM a WHERE false;\n")
    assert [r.status for r in qb("run").ran] == ["applied"]


def test_a_misspelt_file_stops_the_run(qb, write, tables) -> None:
    write("1_a.up.sql", "CREATE TABLE a ()")
    write("2_b_up.sql", "CREATE TABLE b ()")
    with pytest.raises(InputError, match=r"2_b_up\.sql is not run by anybody"):
        qb("run")
    assert tables() == []


def test_an_edited_migration_of_another_tool_is_refused(qb, write) -> None:
    write("1_a.up.sql", "CREATE TABLE a ()")
    qb("run")
    write("1_a.up.sql", "CREATE TABLE a (id int)")
    with pytest.raises(RefusedError, match="edited"):
        qb("run")


def test_an_empty_way_up_is_applied_as_it_is(qb, write) -> None:
    write("1_a.up.sql", "-- nothing any more\n")
    assert [r.status for r in qb("run").ran] == ["applied"]
    assert [s.state for s in qb("status").migrations] == ["applied"]


def test_one_file_is_planned_by_its_path(qb, write, project: object) -> None:
    write("1_a.up.sql", "CREATE TABLE a ()")
    write("1_a.down.sql", "DROP TABLE a")
    path = Path(project.root) / "migrations" / "1_a.up.sql"  # type: ignore[attr-defined]
    assert qb("plan", str(path)).ok
