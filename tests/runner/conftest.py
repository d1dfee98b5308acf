"""migrations written and run in a test's own project and database"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.project import Project

Write = Callable[..., None]
Qb = Callable[..., Any]


@pytest.fixture
def write(project: Project) -> Write:
    """Write files of migrations: `write("20240101_a.sql", "CREATE TABLE a ()")`."""

    def one(name: str, text: str) -> None:
        path = project.migrations / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return one


@pytest.fixture
def session(project: Project) -> Session:
    return Session(root=project.root)


@pytest.fixture
def qb(session: Session) -> Qb:
    """Run a command as both faces do and return its report: `qb("run", "--no-verify")`."""
    return lambda *args: invoke(session, args)


@pytest.fixture
def tables(connection: psycopg.Connection[tuple[Any, ...]]) -> Callable[[], list[str]]:
    """The names of the tables in schema public."""

    def names() -> list[str]:
        rows = connection.execute(
            "SELECT relname::text FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
        return [name for (name,) in rows]

    return names
