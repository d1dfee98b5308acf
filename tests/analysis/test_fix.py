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
    "foreign key without an index": "ALTER TABLE users ADD FOREIGN KEY (age) REFERENCES orders",
    "index": "CREATE INDEX ON orders (status, lower(note) DESC) WHERE total > 0",
    "unique index": 'CREATE UNIQUE INDEX "Odd Name" ON users (email)',
    "unique": "ALTER TABLE users ADD UNIQUE (email) INCLUDE (age)",
    "drop index": "DROP INDEX users_age, orders_user_id",
    "same name": "DROP INDEX users_age; CREATE INDEX users_age ON users (age, id)",
    "index of partitions": "CREATE INDEX ON events (kind)",
    "key of partitions": "ALTER TABLE events ADD PRIMARY KEY (id, at)",
    "unique, volatile": "ALTER TABLE users ADD t uuid NOT NULL UNIQUE DEFAULT gen_random_uuid()",
    "check of a column": "ALTER TABLE users ADD COLUMN height int CHECK (height > 0)",
    "serial": "ALTER TABLE users ADD COLUMN number serial",
    "several": "ALTER TABLE users ALTER name SET NOT NULL, ADD CHECK (age > 1), ADD note text",
}


@pytest.mark.parametrize("sql", COVERED.values(), ids=COVERED)
def test_the_safe_way_ends_where_the_unsafe_one_does(fixed: Fix, sql: str) -> None:
    found = fixed(sql)
    assert found.files
    assert (found.proof.why, found.proof.back, found.left) == ("", "", ())


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE users ALTER COLUMN email SET NOT NULL",
        "ALTER TABLE users ADD token uuid NOT NULL DEFAULT gen_random_uuid()",
        "ALTER TABLE users ALTER age TYPE bigint, ALTER age SET NOT NULL",
    ],
)
def test_from_version_18_not_null_needs_no_check(fixed: Fix, sql: str) -> None:
    found = fixed(sql, version=180000)
    assert (found.proof.why, found.proof.back) == ("", "")
    text = "".join(found.files.values())
    assert "NOT NULL" in text
    assert "CHECK" not in text


def test_what_needs_no_change_stays_in_its_order(fixed: Fix) -> None:
    found = fixed(
        "ALTER TABLE users ADD COLUMN plan text; UPDATE users SET plan = lower(name);"
        "ALTER TABLE users ALTER plan SET NOT NULL; CREATE INDEX ON users (plan);"
        "CREATE VIEW plans AS SELECT plan FROM users; CREATE TABLE other (a int)"
    )
    assert found.proof.why == ""
    names = list(found.files)
    assert names[:2] == ["migration.sql", "backfill.py"]
    assert "CREATE TABLE other" in found.files["migration.sql"]
    assert "lower(name)" in found.files["backfill.py"]
    behind = "".join(found.files[name] for name in names[2:])
    order = [behind.index(word) for word in ("VALIDATE", "CONCURRENTLY", "CREATE VIEW")]
    assert order == sorted(order)


def test_a_second_table_that_needs_a_backfill_is_left_and_said(fixed: Fix) -> None:
    found = fixed("UPDATE users SET city = lower(city); UPDATE orders SET status = 'x'")
    assert [each.statement for each in found.left] == ["UPDATE orders SET status = 'x'"]
    assert "orders" in found.left[0].reason


def test_one_row_is_no_bulk(fixed: Fix) -> None:
    assert not fixed("UPDATE users SET city = 'x' WHERE id = 5").files


def test_what_a_second_update_reads_of_the_first_is_not_put_into_one_pass(fixed: Fix) -> None:
    found = fixed("UPDATE users SET age = age + 1; UPDATE users SET city = age::text")
    assert [each.statement for each in found.left] == ["UPDATE users SET city = age::text"]


def test_the_users_own_way_back_is_kept_where_there_is_no_other(fixed: Fix) -> None:
    found = fixed(
        "-- qb:up\nUPDATE users SET age = age + 1;\nALTER TABLE users ADD CHECK (age > 0);\n"
        "-- qb:down\nALTER TABLE users DROP CONSTRAINT users_age_check;\n"
        "UPDATE users SET age = age - 1;\n"
    )
    assert found.proof.why == ""
    assert found.irreversible == ""
    assert "age - 1" in "".join(found.files.values())


def test_names_are_never_longer_than_postgresql_keeps(fixed: Fix) -> None:
    table = "t" * 60
    found = fixed(
        f"ALTER TABLE {table} ALTER {table} SET NOT NULL",
        given=f"CREATE TABLE {table} (id bigint PRIMARY KEY, {table} text)",
    )
    assert (found.proof.why, found.proof.back) == ("", "")


def test_a_backfill_alone_keeps_its_way_back_or_says_that_there_is_none(fixed: Fix) -> None:
    up = "UPDATE users SET age = age + 1;\n"
    told = fixed(f"-- qb:up\n{up}-- qb:down\nUPDATE users SET age = age - 1;\n")
    assert "age - 1" in told.files["migration.sql"]
    assert "overwrites age" in fixed(up).irreversible


@pytest.mark.parametrize(
    "sql",
    ["ALTER TABLE loose ALTER a TYPE bigint", "ALTER TABLE loose ADD id bigserial PRIMARY KEY"],
)
def test_a_backfill_of_a_table_without_a_key_is_not_written(fixed: Fix, sql: str) -> None:
    found = fixed(sql, "CREATE TABLE loose (a int, b text)")
    assert found.files == {}
    assert ["no primary key" in left.reason for left in found.left] == [True]


def test_a_unique_index_that_is_never_null_is_a_key(fixed: Fix) -> None:
    given = "CREATE TABLE loose (a int, b int NOT NULL UNIQUE)"
    assert fixed("ALTER TABLE loose ALTER a TYPE bigint", given).files


def test_a_view_that_is_made_again_is_there_while_rows_are_written(fixed: Fix) -> None:
    given = (
        "CREATE TABLE users (id int PRIMARY KEY, age int);"
        "CREATE VIEW ages AS SELECT id, age FROM users"
    )
    found = fixed(
        "DROP VIEW ages; ALTER TABLE users ALTER age TYPE bigint;"
        "CREATE VIEW ages AS SELECT id, age FROM users",
        given,
    )
    assert (found.proof.why, found.left) == ("", ())
    (swap,) = [text for name, text in found.files.items() if "DROP COLUMN age" in text]
    assert swap.index("DROP VIEW ages") < swap.index("DROP COLUMN age")
    assert swap.index("RENAME COLUMN") < swap.index("CREATE VIEW ages")
    assert sum("DROP VIEW ages;" in text for text in found.files.values()) == 1
