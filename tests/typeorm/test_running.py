"""qb's runner and the real TypeORM on one database: what either did, the other one knows"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.errors import QbError, RefusedError
from qb_engine.ledger.typeorm import History, guard
from qb_engine.project import FILE
from qb_engine.report import Report
from qb_engine.schema import diff, snapshot
from tests.typeorm.real import VERSIONS, TypeOrm, needs_node

HEAD = 'import { MigrationInterface, QueryRunner } from "typeorm";\n'
NAMES = ["AddUsers1710460800000", "AddEmail1710460900000", "AddIndex1710461000000"]
STEPS = (
    (
        ["CREATE TABLE users (id SERIAL NOT NULL, name text); COMMENT ON TABLE users IS '\\`$'",
         "INSERT INTO users (name) VALUES ('a'), ('b')"],
        ["DROP TABLE users"],
        "",
    ),
    (
        ["ALTER TABLE users ADD email character varying", "UPDATE users SET email = name"],
        ["ALTER TABLE users DROP email"],
        "",
    ),
    (
        ["CREATE INDEX CONCURRENTLY users_email ON users (email)"],
        ["DROP INDEX CONCURRENTLY users_email"],
        "transaction = false;",
    ),
)  # fmt: skip


def text(name: str, up: list[str], down: list[str], more: str = "") -> str:
    ups, downs = (
        "\n".join(f"    await q.query(`{each}`);" for each in calls) for calls in (up, down)
    )
    return (
        f'{HEAD}export class {name} implements MigrationInterface {{\n  name = "{name}";\n  {more}'
        f"\n  async up(q: QueryRunner): Promise<void> {{\n{ups}\n  }}\n"
        f"  async down(q: QueryRunner): Promise<void> {{\n{downs}\n  }}\n}}\n"
    )


def project(
    root: Path, version: str, database: Target, server: EmbeddedPostgres, **settings: Any
) -> TypeOrm:
    """A project that both run: qb.toml stands beside package.json."""
    made = TypeOrm.make(root, version, database, **settings)
    name = psycopg.conninfo.conninfo_to_dict(database.conninfo)["dbname"]
    url = server.url.replace("postgresql:///qb?", f"postgresql:///{name}?")
    said = [
        'migrations = "src/migrations"', 'default = "test"', f'shadow = "{server.url}"',
        "[aliases]", f'test = "{url}"', "[typeorm]",
        *(f'{key} = "{settings[name]}"' for key, name in
          (("table", "migrationsTableName"), ("schema", "schema")) if name in settings),
    ]  # fmt: skip
    (root / FILE).write_text("\n".join(said) + "\n")
    return made


@pytest.fixture
def other(server: EmbeddedPostgres) -> Iterator[Target]:
    """A second database, for what the other runner does there."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(make_conninfo(server.ensure(), dbname="postgres"), autocommit=True) as c:
        c.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    yield Target("other", make_conninfo(server.conninfo, dbname=name))
    with psycopg.connect(make_conninfo(server.conninfo, dbname="postgres"), autocommit=True) as c:
        c.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


# run everything in another database; revert once, and run again, in the first one
SCRIPT = """
import "reflect-metadata";
import { DataSource } from "typeorm";
import source from "./data-source";

async function main(): Promise<void> {
  const other = new DataSource({ ...source.options, database: process.env.OTHER } as any);
  await other.initialize();
  await other.runMigrations({ transaction: "each" });
  await other.destroy();
  await source.initialize();
  const pending = (await source.runMigrations({ transaction: "each" })).length;
  await source.undoLastMigration({ transaction: "none" });
  await source.undoLastMigration({ transaction: "each" });
  await source.destroy();
  console.log(JSON.stringify({ pending }));
}
main();
"""


@needs_node
@pytest.mark.node
@pytest.mark.parametrize(
    ("version", "settings"),
    [("v1", {}), ("v03", {"migrationsTableName": "Log", "schema": "app"})],
    ids=VERSIONS,
)
def test_either_knows_what_the_other_one_did(
    version: str,
    settings: dict[str, Any],
    tmp_path: Path,
    database: Target,
    other: Target,
    server: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What qb ran TypeORM shows, does not run and reverts; and the other way round."""
    where = History(settings.get("schema", "public"), settings.get("migrationsTableName",
                                                                   "migrations"))  # fmt: skip
    for each in (database, other):
        with psycopg.connect(each.conninfo) as conn:
            conn.execute("CREATE SCHEMA app")
    real = project(tmp_path, version, database, server, **settings)
    for name, (up, down, more) in zip(NAMES, STEPS):
        (real.migrations / f"{name[-13:]}-{name[:-13]}.ts").write_text(text(name, up, down, more))
    qb = Session(root=tmp_path)

    assert invoke(qb, ["run"]).ok
    assert real.show() == [f"[X] {n} {name}" for n, name in enumerate(NAMES, 1)]
    with psycopg.connect(database.conninfo, autocommit=True) as conn:
        by_qb, schema = history(conn, where), snapshot(conn)
    monkeypatch.setenv("OTHER", psycopg.conninfo.conninfo_to_dict(other.conninfo)["dbname"])
    assert json.loads(real.script(SCRIPT)) == {"pending": 0}
    with psycopg.connect(other.conninfo, autocommit=True) as conn:
        by_typeorm = history(conn, where)
        kept = ("qb",)
        assert [d.sentence() for d in diff(snapshot(conn), schema) if d.id.schema not in kept] == []
    assert by_qb == by_typeorm

    report = invoke(qb, ["status", "--check"])
    assert [(f.id, f.migration) for f in report.findings] == [
        ("typeorm-reverted", NAMES[1]), ("typeorm-reverted", NAMES[2]),
    ]  # fmt: skip
    with pytest.raises(RefusedError, match="no more"):
        invoke(qb, ["run"])
    assert invoke(qb, ["typeorm", "adopt", "--yes"]).ok
    assert [s.state for s in invoke(qb, ["status"]).migrations] == ["applied", "pending", "pending"]

    said = real.run("--transaction", "each")
    assert said.count("has been executed successfully") == 2
    assert [s.who for s in invoke(qb, ["status"]).migrations][1:] == ["TypeORM", "TypeORM"]
    assert invoke(qb, ["run"]).ok
    assert invoke(qb, ["validate"]).ok
    assert invoke(qb, ["rollback", "--steps", "3"]).ok
    assert real.show() == [f"[ ] {name}" for name in NAMES]


def history(conn: psycopg.Connection[Any], where: History) -> dict[str, Any]:
    """TypeORM's table: its rows, and everything that the catalog says of it."""
    columns = conn.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity,"
        " pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid"
        " AND adnum = attnum WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        [where.sql],
    ).fetchall()
    constraints = conn.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass"
        " ORDER BY 1",
        [where.sql],
    ).fetchall()
    rows = conn.execute(f"SELECT * FROM {where.sql} ORDER BY id".encode()).fetchall()
    return {"columns": columns, "constraints": constraints, "rows": rows}


# each round with migrations of its own, begun when the lock that Python holds is let go
RACE = """
import "reflect-metadata";
import { DataSource } from "typeorm";
import source from "./data-source";

async function main(): Promise<void> {
  const gate = new DataSource({ ...source.options, migrations: [] } as any);
  await gate.initialize();
  for (let round = 1; round <= ROUNDS; round++) {
    const own = new DataSource({
      ...source.options, migrations: [`src/migrations/round${round}/*.ts`],
    } as any);
    await own.initialize();
    await gate.query("SELECT pg_advisory_lock($1)", [round]);
    let said = "";
    try {
      said = String((await own.runMigrations({ transaction: "each" })).length);
    } catch (error: any) {
      said = error.code ?? error.message;
    }
    await own.destroy();
    await gate.query("INSERT INTO told VALUES ($1, $2)", [round, said]);
  }
  await gate.destroy();
}
main();
""".replace("ROUNDS", "4")


@needs_node
@pytest.mark.node
@pytest.mark.parametrize("version", VERSIONS)
def test_started_at_the_same_moment_each_is_applied_once(
    version: str,
    tmp_path: Path,
    database: Target,
    server: EmbeddedPostgres,
    connection: psycopg.Connection[Any],
) -> None:
    """CREATE TABLE, and an UPDATE that must not happen twice: whoever is first, it is once."""
    real = project(tmp_path, version, database, server)
    rounds = [1, 2, 3, 4]
    for round in rounds:
        folder = real.migrations / f"round{round}"
        folder.mkdir()
        ups = f"CREATE TABLE t{round} (v int)", f"UPDATE doubled SET v = v * 2 WHERE id = {round}"
        for step, up in enumerate(ups):
            name = f"Step{step}Round{round}17104608{round}000{step}"
            (folder / f"{step}.ts").write_text(text(name, [up], ["SELECT 1"]))
    connection.execute("CREATE TABLE doubled (id int PRIMARY KEY, v int)")
    connection.execute("INSERT INTO doubled SELECT n, 1 FROM generate_series(1, 4) n")
    connection.execute("CREATE TABLE told (round int, said text)")
    (real.root / "src" / "race.ts").write_text(RACE)
    before = Session(root=tmp_path)
    (real.migrations / "first.ts").write_text(text("First1710460800000", ["SELECT 1"], []))
    assert invoke(before, ["run", "First"]).ok
    guard(connection, History("public", "migrations"))
    for round in rounds:
        connection.execute("SELECT pg_advisory_lock(%s)", [round])
    racing = subprocess.Popen(
        ["node", "--import", "tsx", "src/race.ts"], cwd=real.root, env=dict(os.environ),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        for round in rounds:
            waited_for(connection, round, racing)
            qb = Session(root=tmp_path)
            last = [e.id for e in qb.migrations().entries if f"Round{round}" in e.id][-1]
            done: list[Any] = []
            mine = threading.Thread(target=run_to, args=(tmp_path, last, done))
            mine.start()
            at_work(connection, "qb run" if round % 2 else "qb runner")
            connection.execute("SELECT pg_advisory_unlock(%s)", [round])
            mine.join()
            while not connection.execute("SELECT FROM told WHERE round = %s", [round]).fetchall():
                assert racing.poll() is None or racing.returncode == 0, racing.communicate()[0]
                connection.execute("SELECT pg_sleep(0.02)")
            assert isinstance(done[0], Report), done[0].lines()
            assert done[0].ok
            assert connection.execute(
                "SELECT v FROM doubled WHERE id = %s", [round]
            ).fetchone() == (2,)
    except BaseException:
        racing.kill()
        raise
    finally:
        said, _ = racing.communicate(timeout=60)
    assert racing.returncode == 0, said
    found = connection.execute("SELECT name, count(*) FROM migrations GROUP BY 1").fetchall()
    assert len(found) == 9
    assert {count for _, count in found} == {1}
    invoke(before, ["run"])  # takes over what is left to be
    assert {s.state for s in invoke(before, ["status"]).migrations} == {"applied"}


def at_work(conn: psycopg.Connection[Any], name: str) -> None:
    """Wait until qb has opened its session of that name: `qb run` has statements to run."""
    while not conn.execute(
        "SELECT FROM pg_stat_activity WHERE application_name = %s", [name]
    ).fetchall():
        pass


def run_to(root: Path, last: str, done: list[Any]) -> None:
    try:
        done.append(invoke(Session(root=root), ["run", "--to", last]))
    except QbError as error:
        done.append(error)


def waited_for(conn: psycopg.Connection[Any], round: int, racing: subprocess.Popen[str]) -> None:
    """Wait until TypeORM stands at the gate of a round."""
    while not conn.execute(
        "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", [round]
    ).fetchall():
        assert racing.poll() is None, racing.communicate()[0]
        conn.execute("SELECT pg_sleep(0.01)")
