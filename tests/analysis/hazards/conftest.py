"""a schema to judge statements on, as the examples of hazards expect it"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import psycopg
import pytest

from qb_engine.analysis.arrange import Tx
from qb_engine.analysis.facts import Figures
from qb_engine.analysis.hazards import Circumstances, Finding
from qb_engine.analysis.lint import Ground
from qb_engine.analysis.lint import lint as look
from qb_engine.analysis.sheet import sheet_of_text
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.database.target import Target
from qb_engine.shadow import Scratch, Shadow, from_sql

# what servers before 18 cannot read
NEW = re.compile(r"VIRTUAL|NOT ENFORCED|ADD CONSTRAINT c NOT NULL")
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


class Shadows:
    """One shadow for each schema; what is taken back shares it, what must stay gets a copy."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._shared: dict[str, Shadow] = {}
        self._stack = ExitStack()

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def open(self, ddl: str, *, keeps: bool) -> Iterator[Shadow]:
        if keeps:
            with from_sql(self._scratch, ddl) as copy:
                yield copy
            return
        if ddl not in self._shared:
            self._shared[ddl] = self._stack.enter_context(from_sql(self._scratch, ddl))
        yield self._shared[ddl]


@pytest.fixture(scope="session")
def shadows(server: EmbeddedPostgres) -> Iterator[Shadows]:
    found = Shadows(Scratch(Target("scratch", server.ensure())))
    yield found
    found.close()


@pytest.fixture(scope="session")
def major(server: EmbeddedPostgres) -> int:
    """The major version of the server that statements are judged on."""
    with psycopg.connect(server.ensure()) as conn:
        return conn.info.server_version // 10_000


@pytest.fixture
def knows(major: int) -> Callable[[str], None]:
    """Leaves a statement out that the server of this run does not know."""

    def check(sql: str) -> None:
        if major < 18 and NEW.search(sql):
            pytest.skip("PostgreSQL 18 brought this syntax")

    return check


@pytest.fixture
def lint(shadows: Shadows) -> Lint:
    """Judge SQL on a schema of big tables: `lint(sql, given=..., tx=..., **circumstances)`.

    `sizes` are rows by the name of a table, where a target has been asked.
    """

    def found(
        sql: str,
        given: str = "",
        tx: str | None = None,
        sizes: Mapping[str, int] | None = None,
        **known: object,
    ) -> tuple[Finding, ...]:
        sheet = sheet_of_text(sql, tx=Tx(tx) if tx else None)
        ground = Ground("", lambda: shadows.open(given or GIVEN, keeps=sheet.arranged.keeps))
        circumstances = Circumstances(**known)  # type: ignore[arg-type]
        if sizes is not None:
            figures = {name: Figures(rows=rows, bytes=rows * 100) for name, rows in sizes.items()}
            circumstances = replace(circumstances, figures=figures)
        (linted,) = look([sheet], ground, circumstances=circumstances)
        return linted.findings

    return found
