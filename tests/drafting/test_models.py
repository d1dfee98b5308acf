"""from SQLAlchemy models to a migration"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine import drafting
from qb_engine.database import Target
from qb_engine.errors import InputError
from qb_engine.migrations import load_one
from qb_engine.project import Project
from qb_engine.schema import snapshot

Connection = psycopg.Connection[Any]

MODELS = """
import enum
from sqlalchemy import Column, Enum, ForeignKey, Index, Integer, Numeric, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Mood(enum.Enum):
    sad = 1
    glad = 2


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(80))
    email: Mapped[str] = mapped_column(Text, server_default="100% :x", index=True)


class Item(Base):
    __tablename__ = "Order Items"
    id: Mapped[int] = mapped_column(primary_key=True)
    quote: Mapped[str | None] = mapped_column('naïve"quote', Numeric(10, 2))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    mood: Mapped[Mood] = mapped_column(Enum(Mood, name="mood"))


class Broken:
    pass
"""
SCHEMA = """
CREATE SCHEMA qb;
CREATE TABLE qb.history (id int);
CREATE TABLE users (id serial PRIMARY KEY, name text, old int);
CREATE TABLE events (id int) PARTITION BY RANGE (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);
"""


@pytest.fixture
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Project, str]]:
    """A project with models, in a module of a name of its own."""
    found = Project.create(tmp_path / "shop")
    module = f"shop_{abs(hash(request.node.name))}"
    (found.root / f"{module}.py").write_text(MODELS, encoding="utf-8")
    yield found, module
    sys.modules.pop(module, None)


def test_models_become_a_migration_that_makes_the_schema(
    home: tuple[Project, str], database: Target, connection: Connection
) -> None:
    """Tables, columns, types, defaults, an enum; qb's tables and partitions are left alone."""
    project, module = home
    connection.execute(SCHEMA)
    found = drafting.from_models(
        project, database, "from_models", f"{module}:Base", conn=connection
    )
    loaded = load_one(found.paths[0])
    text = found.paths[0].read_text()
    assert "DROP TABLE events_1" not in text
    assert "history" not in text
    for statement in loaded.up:
        connection.execute(statement.sql.encode())
    after = snapshot(connection)
    users, items = after.table("users"), after.table("Order Items")
    assert users is not None
    assert items is not None
    assert users.columns["name"].type == "character varying(80)"
    assert users.columns["email"].default == "'100% :x'::text"
    assert "old" not in users.columns
    assert items.columns['naïve"quote'].type == "numeric(10,2)"
    assert items.columns["mood"].type == "public.mood"
    assert connection.execute("SELECT count(*) FROM qb.history").fetchone() == (0,)
    with pytest.raises(InputError, match="already"):
        drafting.from_models(project, database, "again", f"{module}:Base", conn=connection)


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("nosuch", "package.module:Base"),
        ("no_such_module:Base", "ModuleNotFoundError"),
        ("{}:Nothing", "AttributeError"),
        ("{}:Broken", "neither a declarative base"),
        ("{}:Base.metadata", None),
    ],
)
def test_models_that_cannot_be_loaded_are_named(
    home: tuple[Project, str], models: str, words: str | None
) -> None:
    """The error says what was looked for; metadata itself is taken, too."""
    from qb_engine.drafting.models import load_metadata

    project, module = home
    if words is None:
        assert load_metadata(project, models.format(module)).tables
        return
    with pytest.raises(InputError, match=words):
        load_metadata(project, models.format(module))


def test_models_that_exit_are_an_error(home: tuple[Project, str]) -> None:
    from qb_engine.drafting.models import load_metadata

    project, _ = home
    (project.root / "models_that_exit.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        load_metadata(project, "models_that_exit:Base")
    assert "SystemExit" in caught.value.why


def test_the_difference_is_made_by_reading_only(
    home: tuple[Project, str], database: Target, connection: Connection
) -> None:
    """Alembic sees the target through a read-only transaction."""
    from sqlalchemy import text
    from sqlalchemy.exc import InternalError

    from qb_engine.database.engine import engine_of

    engine = engine_of(database)
    with engine.connect() as live, pytest.raises(InternalError, match="read-only"):
        live.execute(text("CREATE TABLE t ()"))
    engine.dispose()
