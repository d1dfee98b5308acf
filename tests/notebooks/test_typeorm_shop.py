"""the project of 05_from_typeorm.ipynb, with the real TypeORM: what the notebook says is so"""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.project import FILE, Project
from qb_engine.schema import snapshot
from tests.conftest import fresh
from tests.notebooks.compared import FOLDER
from tests.typeorm.real import INSTALLED, TypeOrm, needs_node

SHOP = FOLDER / "data" / "typeorm_shop"
PENDING = ("1751328000000-OrdersByDay.ts", "20250715090000_customer_segment")
ROWS = "SELECT name FROM migrations ORDER BY id"


def shop(root: Path, database: Target) -> TypeOrm:
    """A copy of the project, its packages there, and its data source one of the test's database."""
    assert INSTALLED is not None
    shutil.copytree(SHOP, root, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    (root / "node_modules").symlink_to(INSTALLED / "v1" / "node_modules")
    made = TypeOrm(root, "v1", database, {})
    part = psycopg.conninfo.conninfo_to_dict(database.conninfo)
    url = ", ".join(
        f"{option}: {part[name]!r}"
        for option, name in (("host", "host"), ("username", "user"), ("database", "dbname"))
    )
    source = root / "src" / "data-source.ts"
    text = source.read_text(encoding="utf-8")
    port = f"port: {part.get('port', 5432)}"
    source.write_text(text.replace("url: process.env.DATABASE_URL", f"{url}, {port}"))
    by_day = root / "src" / "migrations" / PENDING[0]
    by_day.write_text(by_day.read_text().replace("static transaction", "transaction"))
    return made


@needs_node
@pytest.mark.node
def test_the_database_is_the_one_that_typeorm_makes(
    tmp_path: Path, server: EmbeddedPostgres, database: Target
) -> None:
    """database.sql, which stands in for a TypeORM that has run, makes the same schema."""
    project = shop(tmp_path, database)
    for name in PENDING:
        (project.migrations / name).rename(tmp_path / name)
    project.run()
    with (
        fresh(server) as other,
        psycopg.connect(database.conninfo, autocommit=True) as real,
        psycopg.connect(other.conninfo, autocommit=True) as told,
    ):
        told.execute((SHOP / "database.sql").read_text(encoding="utf-8").encode())
        assert snapshot(told).fingerprint == snapshot(real).fingerprint
        rows = told.execute(ROWS).fetchall()
        assert rows[:-1] == real.execute(ROWS).fetchall()
    assert rows[-1] == rows[-2]  # the two replicas


@needs_node
@pytest.mark.node
def test_typeorm_finds_nothing_to_do_after_qb(
    project: Project, database: Target, connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    told = (project.root / FILE).read_text(encoding="utf-8")
    real = shop(project.root, database)
    connection.execute((SHOP / "database.sql").read_text(encoding="utf-8").encode())
    connection.execute("DELETE FROM migrations WHERE id = 7")
    (project.root / FILE).write_text(told, encoding="utf-8")
    for words in ("import --yes", "adopt --yes --guard"):
        invoke(Session(root=project.root), ["typeorm", *words.split()])
    invoke(Session(root=project.root), ["run"])
    assert connection.execute(ROWS).fetchall()[-2:] == [
        ("OrdersByDay1751328000000",),
        ("CustomerSegment1752570000000",),
    ]
    assert "No migrations are pending" in real.run()
