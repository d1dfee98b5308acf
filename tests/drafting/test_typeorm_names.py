"""TypeORM's names: recomputed exactly, and given to what SQL leaves unnamed"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.drafting.naming import Named, named
from qb_engine.drafting.typeorm_names import Names, follows, names_in
from qb_engine.schema import Snapshot, snapshot
from qb_engine.sql import read
from qb_engine.sql.tree import pb, walk

EMPTY = Snapshot({})


def given(sql: str, schema: Snapshot = EMPTY, *more: str) -> Named:
    return named(read(sql), schema, more)


def text(sql: str, schema: Snapshot = EMPTY, *more: str) -> str:
    """The statements with their names, a line each."""
    return "\n".join(each.sql for each in given(sql, schema, *more).statements)


@pytest.mark.parametrize(
    ("found", "new", "old"),
    [
        (lambda n: n.primary_key("users", ["id"]), "PK_a3ffb1c0c8416b9fc6f907b7433", ""),
        (lambda n: n.primary_key("app.order items", ["b", "a"]),
         "PK_114b9473fc0ba7b6faa5783fefb", "PK_0d47deda42a6eb15b68c4d62335"),
        (lambda n: n.unique("users", ["email"]), "UQ_97672ac88f789774dd47f7c8be3", ""),
        (lambda n: n.unique("users", ["z", "É", "a", "😀", "\uff5e"]),
         "UQ_e2e35844976f3715f69a205da66", "UQ_132d20a65306ff002245a5984f1"),
        (lambda n: n.relation("users", ["profileId"]), "REL_b1bda35cdb9a2c1b777f5541d8", ""),
        (lambda n: n.foreign_key("users", ["orgId"]), "FK_1890588e47e133fd85670f187d6", ""),
        (lambda n: n.foreign_key("post", ["authorId", "a"]),
         "FK_a353dd0222355678f9be979d007", ""),
        (lambda n: n.index("users", ["b", "a"]), "IDX_687e2eecdec096383da1c935e5", ""),
        (lambda n: n.index("users", ["email"], '"deletedAt" IS NULL'),
         "IDX_78ca3a129ee713cf4082cb89fd", "IDX_262d8d714a42e664d987714a75"),
        (lambda n: n.check("users", '"age" > 0'),
         "CHK_d93ac915899f25b76599411830", "CHK_2b02bcb6bfc106488df2459587"),
        (lambda n: n.exclusion("rooms", 'USING gist ("during" WITH &&)'),
         "XCL_95a7a53e1a49191e8e0b5c5bcc", "XCL_3f571500f9f5811f004eda17eb"),
        (lambda n: n.default("users", "age"), "DF_e78774d95a5d698bb248e1c7d28", ""),
    ],
)  # fmt: skip
def test_names_are_those_that_the_real_typeorm_makes(found: Any, new: str, old: str) -> None:
    """As 1.1.1 printed them; 0.3.31 hashes what is not plain as it stands in a URL."""
    assert found(Names()) == new
    assert found(Names(encoded=True)) == (old or new)


def test_the_installed_typeorm_decides_how_names_are_hashed(tmp_path: Path) -> None:
    """What is installed, above what package.json asks for; without either the newest."""
    home = tmp_path / "app" / "src"
    home.mkdir(parents=True)
    package = tmp_path / "app" / "package.json"
    package.write_text(json.dumps({"dependencies": {"typeorm": "^0.3.20"}}))
    assert names_in(home).encoded
    package.write_text(json.dumps({"devDependencies": {"typeorm": "~1.1"}}))
    assert not names_in(home).encoded
    installed = tmp_path / "node_modules" / "typeorm"
    installed.mkdir(parents=True)
    (installed / "package.json").write_text('{"version": "0.3.31"}')
    assert not names_in(home).encoded  # the nearest says it
    package.write_text("not JSON")
    assert names_in(home).encoded


def test_everything_unnamed_gets_its_name_and_the_text_stays_as_it_was() -> None:
    """Inline and in clauses of their own, in CREATE TABLE, ADD COLUMN and ADD CONSTRAINT."""
    named_by = Names()
    names = {
        "PK": named_by.primary_key("users", ["id"]),
        "FK": named_by.foreign_key("users", ["orgId"]),
        "UQ": named_by.unique("users", ["email"]),
        "CHK": named_by.check("users", '"age" > 0'),
        "UQ2": named_by.unique("users", ["b", "a"]),
        "FK2": named_by.foreign_key("users", ["orgId", "a"]),
        "FK3": named_by.foreign_key("users", ["c"]),
        "CHK2": named_by.check("users", "(c > ')') OR d"),
        "IDX": named_by.index("users", ["email"], '"deletedAt" IS NULL'),
        "IDX2": named_by.index("users", ["b", "a"]),
        "XCL": named_by.exclusion("rooms", 'USING gist ("during" WITH &&)'),
    }
    sql = """CREATE TABLE users (
    id int [PK]PRIMARY KEY, -- stays
    "orgId" int [FK]REFERENCES orgs (id) ON DELETE CASCADE,
    email text [UQ]UNIQUE,
    age int [CHK]CHECK ("age" > 0),
    CONSTRAINT mine CHECK (age < 200),
    [UQ2]UNIQUE (b, a), [FK2]FOREIGN KEY ("orgId", a) REFERENCES o
)
ALTER TABLE ONLY app.users ADD COLUMN c int [FK3]REFERENCES u, ADD [CHK2]CHECK ((c > ')') OR d)
CREATE UNIQUE INDEX CONCURRENTLY [IDX]ON users (email) WHERE "deletedAt" IS NULL
CREATE INDEX [IDX2]ON users (b DESC NULLS LAST, a text_pattern_ops)
ALTER TABLE rooms ADD [XCL]EXCLUDE USING gist ("during" WITH &&)"""
    plain = (
        re.sub(r"\[\w+\]", "", sql).replace("\nALTER", ";\nALTER").replace("\nCREATE", ";\nCREATE")
    )
    wanted = re.sub(
        r"\[(\w+)\]",
        lambda found: ("" if "IDX" in found[1] else "CONSTRAINT ") + f'"{names[found[1]]}" ',
        sql,
    )
    assert text(plain) == wanted


def test_a_unique_foreign_key_is_a_one_to_one_relation() -> None:
    sql = 'ALTER TABLE users ADD "profileId" int UNIQUE REFERENCES profiles'
    assert '"REL_b1bda35cdb9a2c1b777f5541d8" UNIQUE' in text(sql)
    apart = "ALTER TABLE t ADD FOREIGN KEY (a, b) REFERENCES u; ALTER TABLE t ADD UNIQUE (b, a)"
    assert Names().relation("t", ["a", "b"]) in text(apart)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX ON t (lower(a))",
        "CREATE INDEX mine ON t (a)",
        "ALTER TABLE t ADD CONSTRAINT mine UNIQUE (a)",
        "ALTER TABLE t ADD PRIMARY KEY USING INDEX mine",
        "CREATE DOMAIN d AS int CHECK (value > 0)",
        "UPDATE t SET a = 1",
        "ALTER INDEX t_a_idx SET (fillfactor = 50)",
        "CREATE TABLE t (a int NOT NULL DEFAULT 1 GENERATED ALWAYS AS IDENTITY, LIKE u)",
    ],
)
def test_what_has_a_name_or_none_in_typeorm_stays_as_it_is(sql: str) -> None:
    assert text(sql) == sql


def test_a_name_that_the_sql_speaks_of_is_left_to_postgresql() -> None:
    """A later statement, or the user's own way back, would miss it."""
    add = "ALTER TABLE t ADD UNIQUE (a)"
    found = given(f"{add}; COMMENT ON CONSTRAINT t_a_key ON t IS 'x'")
    assert found.statements[0].sql == add
    assert "t_a_key" in found.notes[0]
    assert text("CREATE INDEX ON t (a)", EMPTY, "DROP INDEX t_a_idx") == "CREATE INDEX ON t (a)"
    long = "a" * 60
    assert (
        text(f"CREATE INDEX ON {long} (b)", EMPTY, f"DROP INDEX {long[:57]}_b_idx").count("IDX")
        == 0
    )
    assert "IDX_" in text("CREATE INDEX ON t (a)", EMPTY, "DROP INDEX other_t_a_idx")


def test_a_name_that_is_taken_is_left_to_postgresql(
    connection: psycopg.Connection[Any],
) -> None:
    """Two indexes over the same columns; one that stands already; one that is made again."""
    both = text("CREATE INDEX ON t (a); CREATE INDEX ON t USING hash (a)")
    assert both.count("IDX_") == 1
    one = Names().index("t", ["a"])
    connection.execute(f'CREATE TABLE t (a int); CREATE INDEX "{one}" ON t (a)'.encode())
    schema = snapshot(connection)
    assert "IDX_" not in text("CREATE INDEX ON t (a)", schema)
    assert text(f'DROP INDEX "{one}"; CREATE INDEX ON t (a)', schema).count(one) == 2


def test_names_follow_the_database_and_the_project(connection: psycopg.Connection[Any]) -> None:
    """TypeORM's where there are none, or where most are so; PostgreSQL's where they show that."""
    assert follows(snapshot(connection))
    connection.execute(
        "CREATE TABLE users "
        "(id int PRIMARY KEY, org int, email text UNIQUE, age int CHECK (age > 0))"
    )
    plain = snapshot(connection)
    assert not follows(plain)
    assert follows(plain, "typeorm")
    names = Names()
    for name, column in (
        (names.index("users", ["org"]), "org"),
        (names.index("users", ["age"]), "age"),
        (names.index("users", ["org", "age"]), "org, age"),
    ):
        connection.execute(f'CREATE INDEX "{name}" ON users ({column})'.encode())
    assert follows(snapshot(connection))
    assert not follows(snapshot(connection), "postgres")


def test_names_go_where_places_are_counted_in_bytes() -> None:
    """The grammar counts bytes; a name of several letters of two stands before."""
    sql = 'CREATE TABLE "größe" ("länge" int UNIQUE CHECK ("länge" > 0) REFERENCES "ü")'
    (statement,) = given(sql).statements
    kinds = [e.conname[:3] for e in walk(statement.node) if isinstance(e, pb.Constraint)]
    assert kinds == ["REL", "CHK", "FK_"]
