"""a schema to judge statements on, as the examples of hazards expect it"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qb_engine.analysis.arrange import Tx
from qb_engine.analysis.hazards import Circumstances, Finding
from qb_engine.analysis.lint import lint_text
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.database.target import Target
from qb_engine.shadow import Scratch
from qb_engine.shadow.shadow import from_sql

GIVEN = """
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, name varchar(50), age int,
    city text, created_at timestamp DEFAULT now());
CREATE INDEX users_age ON users (age);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL, status text,
    total numeric(10, 2), note varchar(20), placed_at timestamptz);
CREATE INDEX orders_user_id ON orders (user_id);
CREATE TABLE events (id bigint NOT NULL, at date NOT NULL, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
"""

Lint = Callable[..., tuple[Finding, ...]]


@pytest.fixture
def lint(server: EmbeddedPostgres) -> Lint:
    """Judge SQL on a schema of big tables: `lint(sql, given=..., tx=..., **circumstances)`."""

    def found(
        sql: str, given: str = "", tx: str | None = None, **known: object
    ) -> tuple[Finding, ...]:
        scratch = Scratch(Target("scratch", server.ensure()))
        with from_sql(scratch, given or GIVEN) as shadow:
            circumstances = Circumstances(**known)  # type: ignore[arg-type]
            return lint_text(
                shadow, sql, tx=Tx(tx) if tx else None, circumstances=circumstances
            ).findings

    return found
