"""an unsafe migration becomes a safe one that ends where it ended"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qb_engine.analysis.fixing import Fixed, Ground, fix
from qb_engine.analysis.hazards import Circumstances
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.database.target import Target
from qb_engine.migrations import load_one
from qb_engine.shadow import Scratch
from qb_engine.shadow.shadow import loaded
from tests.analysis.hazards.conftest import GIVEN

Fix = Callable[..., Fixed]


@pytest.fixture
def fixed(server: EmbeddedPostgres, tmp_path: Path) -> Fix:
    """Fix SQL on a schema of big tables: `fixed(sql, given=..., version=..., values=...)`."""

    def made(
        sql: str, given: str = "", version: int = 150000, values: dict[str, str] | None = None
    ) -> Fixed:
        path = tmp_path / "20240101000000_it.sql"
        path.write_text(sql, encoding="utf-8")
        scratch = Scratch(Target("scratch", server.ensure()))
        with loaded(scratch, given or GIVEN) as shadow:
            ground = Ground(shadow, Circumstances(version=version))
            return fix(load_one(path), ground, values=values)

    return made


COVERED = {
    "set not null": "ALTER TABLE users ALTER COLUMN email SET NOT NULL",
    "check": "ALTER TABLE users ADD CHECK (age > 0)",
    "foreign key": "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id)",
    "foreign key without an index": "ALTER TABLE users ADD FOREIGN KEY (age) REFERENCES orders",
    "index": "CREATE INDEX ON orders (status, lower(note) DESC) WHERE total > 0",
    "unique index": 'CREATE UNIQUE INDEX "Odd Name" ON users (email)',
    "unique": "ALTER TABLE users ADD UNIQUE (email) INCLUDE (age)",
    "drop index": "DROP INDEX users_age, orders_user_id",
    "volatile default": "ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid()",
    "volatile, not null": "ALTER TABLE users ADD token uuid NOT NULL DEFAULT gen_random_uuid()",
    "index of partitions": "CREATE INDEX ON events (kind)",
    "unique, volatile": "ALTER TABLE users ADD t uuid NOT NULL UNIQUE DEFAULT gen_random_uuid()",
    "check of a column": "ALTER TABLE users ADD COLUMN height int CHECK (height > 0)",
    "serial": "ALTER TABLE users ADD COLUMN number serial",
    "several": "ALTER TABLE users ALTER name SET NOT NULL, ADD CHECK (age > 1), ADD note text",
}


@pytest.mark.parametrize("version", [150000, 180000])
@pytest.mark.parametrize("sql", COVERED.values(), ids=COVERED)
def test_the_safe_way_ends_where_the_unsafe_one_does(fixed: Fix, sql: str, version: int) -> None:
    found = fixed(sql, version=version)
    assert found.files
    assert (found.proof.why, found.proof.back, found.left) == ("", "", ())
