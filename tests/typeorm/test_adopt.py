"""taking over what TypeORM has applied, in a project whose history TypeORM has written"""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.commands._adoption import AdoptionReport
from qb_engine.errors import InputError, QbError, RefusedError
from qb_engine.project import Project

TABLE = """
CREATE TABLE {} (id serial NOT NULL, "timestamp" bigint NOT NULL, name varchar NOT NULL,
                 CONSTRAINT "PK_8c82d7f526340ab734260ea46be" PRIMARY KEY (id))
"""
USERS, EMAIL, AGE = "Users1710460800000", "Email1710460800001", "Age1710460800002"
UP = {
    USERS: ("CREATE TABLE users (id int PRIMARY KEY)", "DROP TABLE users"),
    EMAIL: ("ALTER TABLE users ADD email text", "ALTER TABLE users DROP email"),
    AGE: ("ALTER TABLE users ADD age int", "ALTER TABLE users DROP age"),
}
OPAQUE = "Ages1710460800003"

Connection = psycopg.Connection[tuple[Any, ...]]


def class_of(name: str, up: str, down: str) -> str:
    return f"""import {{ MigrationInterface, QueryRunner }} from "typeorm";

export class {name} implements MigrationInterface {{
  name = "{name}";
  async up(queryRunner: QueryRunner): Promise<void> {{ {up} }}
  async down(queryRunner: QueryRunner): Promise<void> {{ {down} }}
}}
"""


def query(sql: str) -> str:
    return f"await queryRunner.query(`{sql}`);"


@pytest.fixture
def typeorm(project: Project, connection: Connection) -> Project:
    """Three migrations and one that cannot be read; TypeORM has applied the first two."""
    folder = project.root / "src" / "migrations"
    folder.mkdir(parents=True)
    for name, (up, down) in UP.items():
        (folder / f"{name[-13:]}-{name[:-13]}.ts").write_text(
            class_of(name, query(up), query(down))
        )
    rows = "for (const u of await queryRunner.query(`SELECT id FROM users`)) "
    (folder / f"{OPAQUE[-13:]}-Ages.ts").write_text(
        class_of(OPAQUE, rows + query("UPDATE users SET age = ${u.id}"), "")
    )
    text = project.file.read_text()
    project.file.write_text(f'migrations = "src/migrations"\nformat = "typeorm"\n{text}')
    connection.execute(TABLE.format("migrations").encode())
    applied(connection, USERS, EMAIL)
    return Project(project.root)


def applied(connection: Connection, *names: str) -> None:
    """What TypeORM's runner leaves behind."""
    for name in names:
        if name in UP:
            connection.execute(UP[name][0].encode())
        connection.execute(
            'INSERT INTO migrations ("timestamp", name) VALUES (%s, %s)', [int(name[-13:]), name]
        )


def history(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute('SELECT id, "timestamp", name FROM migrations ORDER BY id').fetchall()


def states(qb: Any) -> dict[str, str]:
    return {row["migration"]: row["state"] for row in qb("status").as_dict()["migrations"]}


def test_adopt_and_release_go_round(typeorm: Project, qb: Any, connection: Connection) -> None:
    """Taken over, followed, given back, taken over again; TypeORM's table is never touched."""
    before = history(connection)
    shown = qb("typeorm", "adopt")
    assert not shown.recorded
    assert [row.migration for row in shown.rows] == [USERS, EMAIL]
    with pytest.raises(RefusedError, match="take it over"):
        qb("run", "--no-verify")

    done = qb("typeorm", "adopt", "--yes", "--prove")
    assert done.recorded
    assert done.proof.ok
    assert history(connection) == before
    assert states(qb)[EMAIL] == "applied"
    assert not qb("typeorm", "adopt", "--yes").rows  # a second time nothing is left

    applied(connection, AGE, OPAQUE)
    again = qb("typeorm", "adopt", "--yes")
    assert [row.migration for row in again.rows] == [AGE, OPAQUE]
    assert again.rows[1].checksum.startswith("unread:")

    connection.execute("DELETE FROM migrations WHERE name = %s", [OPAQUE])  # reverted by TypeORM
    assert qb("typeorm", "adopt", "--yes").reverted == (OPAQUE,)
    qb("rollback")
    assert [row[2] for row in history(connection)] == [USERS, EMAIL]
    assert qb("validate").ok  # although the baseline holds what was rolled back

    assert qb("typeorm", "release").released is False
    released = qb("typeorm", "release", "--yes")
    assert set(released.migrations) >= {USERS, EMAIL}
    assert [row[2] for row in history(connection)] == [USERS, EMAIL]
    with pytest.raises(RefusedError, match="take it over"):
        qb("run", "--no-verify")
    assert [row.migration for row in qb("typeorm", "adopt", "--yes").rows] == [USERS, EMAIL]


def test_what_stands_oddly_is_said_before_anything_is_recorded(
    typeorm: Project, qb: Any, connection: Connection
) -> None:
    """Rows without a file, rows that are there twice, stamps that differ, what is out of order."""
    applied(connection, OPAQUE)
    connection.execute(
        'INSERT INTO migrations ("timestamp", name) VALUES (1, %s), (1710460800009, %s)',
        [EMAIL, "Gone1710460800009"],
    )
    with pytest.raises(RefusedError) as refused:
        qb("typeorm", "adopt", "--yes")
    assert "Gone1710460800009: row 5" in refused.value.why
    shown = qb("typeorm", "adopt", "--accept-differences")
    kinds = {(each.migration, each.kind) for each in shown.history}
    assert kinds == {
        ("Gone1710460800009", "no file"),
        (EMAIL, "twice"),
        (EMAIL, "stamp"),
        (AGE, "out of order"),
    }
    assert json.loads(shown.to_json())["history"][0]["what"] == "no file"
    with pytest.raises(RefusedError, match="more than once") as refused:
        qb("typeorm", "adopt", "--accept-differences", "--guard", "--yes")
    assert "rows 2, 4" in refused.value.why
    assert not connection.execute("SELECT to_regclass('qb.history')").fetchone()[0]  # type: ignore[index]


def test_a_name_that_ends_in_odd_digits_is_no_obstacle(
    typeorm: Project, qb: Any, connection: Connection
) -> None:
    connection.execute('INSERT INTO migrations ("timestamp", name) VALUES (1, %s)', ["\u00b2" * 13])
    assert qb("typeorm", "adopt", "--accept-differences").history[0].kind == "no file"


def test_a_folder_that_typeorm_has_applied_waits_for_its_backfill(
    typeorm: Project, qb: Any, connection: Connection
) -> None:
    """TypeORM knows only the classes that its glob matches; of a backfill it knows nothing."""
    folder = typeorm.migrations / "20240316090000_fill_email"
    folder.mkdir()
    name, after = "FillEmail1710579600000", "FillEmailPost1710579600001"
    (folder / "migration.ts").write_text(class_of(name, query("ALTER TABLE users ADD e text"), ""))
    (folder / "post.ts").write_text(class_of(after, query("ALTER TABLE users DROP email"), ""))
    (folder / "backfill.py").write_text(
        "from qb_engine.migrations import Backfill\n\n"
        "class Fill(Backfill):\n    table = 'users'\n    set = {'e': 'email'}\n"
    )
    connection.execute("ALTER TABLE users ADD e text")
    applied(connection, name)
    report = qb("typeorm", "adopt", "--yes")
    assert [row.migration for row in report.rows][-1] == folder.name
    assert report.rows[-1].status == "expanded"
    assert states(qb)[folder.name] == "expanded"


def test_the_guard_comes_and_goes(typeorm: Project, qb: Any, connection: Connection) -> None:
    """With it nothing is applied twice; release takes it off again."""
    qb("typeorm", "adopt", "--yes")
    assert qb("typeorm", "adopt", "--guard").guard == "would be added"
    assert qb("typeorm", "adopt", "--guard", "--yes").guard == "was added"
    assert qb("typeorm", "adopt", "--guard", "--yes").guard == "is there"
    with pytest.raises(psycopg.errors.UniqueViolation):
        applied(connection, OPAQUE, OPAQUE)
    assert qb("typeorm", "release", "--yes").guarded
    connection.execute('INSERT INTO migrations ("timestamp", name) VALUES (1, %s)', [EMAIL])


def test_the_history_may_stand_elsewhere(typeorm: Project, qb: Any, connection: Connection) -> None:
    """In another table and schema, as the data source says and qb.toml repeats."""
    connection.execute("CREATE SCHEMA app; ALTER TABLE migrations SET SCHEMA app")
    connection.execute("ALTER TABLE app.migrations RENAME TO history")
    text = typeorm.file.read_text()
    typeorm.file.write_text(f'{text}\n[typeorm]\ntable = "history"\nschema = "app"\n')
    next(typeorm.migrations.glob("*-Ages.ts")).unlink()
    assert len(qb("typeorm", "adopt", "--guard", "--yes").rows) == 2
    qb("run", "--no-verify")
    names = connection.execute("SELECT name FROM app.history ORDER BY id").fetchall()
    assert names == [(USERS,), (EMAIL,), (AGE,)]
    assert qb("typeorm", "release", "--yes").table == "app.history"


def test_nothing_applied_is_nothing_to_take(
    typeorm: Project, qb: Any, connection: Connection
) -> None:
    """No table, another tool's table, no migration at all: each is said."""
    connection.execute("DROP TABLE migrations")
    report = qb("typeorm", "adopt", "--yes")
    assert not report.recorded
    assert "TypeORM has applied nothing here" in " ".join(report.notes())
    connection.execute("CREATE TABLE migrations (version text)")
    with pytest.raises(RefusedError, match="is not TypeORM's history"):
        qb("typeorm", "adopt")
    for path in typeorm.migrations.glob("*.ts"):
        path.unlink()
    with pytest.raises(InputError, match="no migration of TypeORM"):
        qb("typeorm", "adopt")


def test_production_is_guarded(typeorm: Project, connection: Connection) -> None:
    """Both ways ask for the alias; who may not even read the history learns that."""
    text = typeorm.file.read_text()
    found = next(line for line in text.splitlines() if line.startswith("test = "))
    url = found.partition("= ")[2]
    typeorm.file.write_text(text.replace(found, f"test = {{ url = {url}, production = true }}"))
    session = Session(root=typeorm.root)
    with pytest.raises(RefusedError, match="production"):
        invoke(session, ["typeorm", "adopt", "--yes"])
    done = invoke(session, ["typeorm", "adopt", "--yes", "--confirm", "test"])
    assert isinstance(done, AdoptionReport)
    assert done.recorded
    with pytest.raises(RefusedError, match="production"):
        invoke(session, ["typeorm", "release", "--yes"])


def test_a_role_that_may_only_read_sees_and_changes_nothing(
    typeorm: Project, connection: Connection
) -> None:
    """The report needs no more than SELECT; what is missing for the rest is said."""
    role = f"reads_{connection.info.dbname}"
    connection.execute(f"CREATE ROLE {role} LOGIN".encode())
    try:
        connection.execute(f"GRANT SELECT ON migrations TO {role}".encode())
        text = typeorm.file.read_text()
        line = next(each for each in text.splitlines() if each.startswith("test = "))
        other = re.sub(r"user=[^&\"]*", f"user={role}", line)
        typeorm.file.write_text(text.replace(line, other))
        session = Session(root=typeorm.root)
        shown = invoke(session, ["typeorm", "adopt"])
        assert isinstance(shown, AdoptionReport)
        assert len(shown.rows) == 2
        with pytest.raises(QbError) as refused:
            invoke(session, ["typeorm", "adopt", "--yes"])
        assert refused.value.code == "missing-privilege"
        connection.execute(f"REVOKE SELECT ON migrations FROM {role}".encode())
        with pytest.raises(QbError) as refused:
            invoke(session, ["typeorm", "adopt"])
        assert refused.value.code == "missing-privilege"
    finally:
        connection.execute(f"DROP OWNED BY {role}".encode())
        connection.execute(f"DROP ROLE {role}".encode())
