"""migrations written and run in a test's own project and database"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest


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
