"""a table with its parts, gathered from the facts"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.schema import Snapshot, Table, snapshot
from qb_engine.schema.definitions import split_index

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def found(zoo: Connection) -> Snapshot:
    return snapshot(zoo)


def of(found: Snapshot, name: str) -> Table:
    table = found.table(name)
    assert table is not None
    return table


def test_tables_are_found_by_name(found: Snapshot) -> None:
    child = found.tables["app.child"]
    assert child is found.table("child", "app")
    assert child is found.table("app.child")
    assert child.qualified == "app.child"
    assert found.table("child") is None
    assert "app.child" in found.tables
    assert "child" not in found.tables
    assert found.table("My Schema.Order Items") is found.table("Order Items", "My Schema")
    assert list(found.tables) == sorted(found.tables)
    assert {table.kind for table in found.tables.values()} == {
        "table",
        "partitioned",
        "foreign",
        "view",
        "matview",
    }


def test_columns_are_in_order(found: Snapshot) -> None:
    child = of(found, "app.child")
    assert list(child.columns) == ["id", "parent_id", "n", "twice", "x", "span", "label"]
    assert [column.position for column in child.columns.values()] == list(range(1, 8))
    label = child.columns["label"]
    assert (label.type, label.nullable) == ("character varying(20)", False)
    assert label.default == "'none'::character varying"
    assert child.columns["twice"].generated == "s"
    parent = of(found, "app.parent")
    assert parent.columns["id"].identity == "a"
    assert parent.columns["id"].comment == "about it"
    assert parent.columns['Weird "Name'].collation == "pg_catalog.C"
    assert parent.comment == "about it"


def test_constraints_know_their_columns(found: Snapshot) -> None:
    child = of(found, "app.child")
    assert child.primary_key == ("id",)
    key = child.constraints["child_parent_id_fkey"]
    assert (key.kind, key.columns, key.references) == ("foreign key", ("parent_id",), "app.parent")
    assert key.deferrable
    assert key.deferred
    assert key.valid
    assert not child.constraints["n_positive"].valid
    assert child.constraints["x_with_n"].columns == ("x",)
    assert of(found, "app.event").primary_key == ("id", "at")
    assert of(found, "app.reference").primary_key == ()


def test_indexes_know_their_columns(found: Snapshot) -> None:
    child = of(found, "app.child")
    partial = child.indexes["child_partial"]
    assert partial.columns == ("x", "n")
    assert partial.predicate == "(n > 5) AND (x <> ' WHERE ('::text)"
    assert not partial.unique
    assert child.indexes["child_expressions"].columns == ("lower(x)", "n + 1")
    assert child.indexes["child_gin"].columns == ("to_tsvector('simple'::regconfig, x)",)
    primary = child.indexes["child_pkey"]
    assert (primary.primary, primary.unique, primary.constraint) == (True, True, "child_pkey")
    assert primary.columns == ("id",)
    assert child.indexes["child_span_excl"].unique is False
    parent = of(found, "app.parent")
    assert parent.indexes["Quoted Index"].columns == ('Weird "Name',)
    assert parent.indexes["parent_mood"].unique
    assert not of(found, "app.event").indexes["event_only"].valid


def test_the_rest_of_a_table(found: Snapshot) -> None:
    assert of(found, "app.event_2024").partition_of == "app.event"
    assert of(found, "app.event").partition_key == "RANGE (at)"
    assert of(found, "app.child").triggers["before_insert"].enabled == "disabled"
    assert "SELECT" in (of(found, "app.view").definition or "")
    assert list(of(found, "app.view").columns) == ["id", "x"]
    assert of(found, "app.reference").owner == "zoo Owner"


def test_parts_cannot_be_changed(found: Snapshot) -> None:
    child = of(found, "app.child")
    with pytest.raises(TypeError):
        child.columns["more"] = child.columns["id"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        child.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("definition", "columns", "predicate"),
    [
        ("CREATE INDEX i ON s.t USING btree (a)", ("a",), None),
        ("CREATE INDEX i ON s.t USING btree (a DESC, b NULLS FIRST)", ("a", "b"), None),
        ('CREATE INDEX i ON s.t USING btree ("a, b", """x")', ("a, b", '"x'), None),
        ("CREATE INDEX i ON s.t USING gin (a public.gin_trgm_ops (siglen='32'))", ("a",), None),
        ("CREATE INDEX i ON s.t USING btree (lower((b)::text), ((a + 1)))",
         ("lower((b)::text)", "a + 1"), None),
        ("CREATE INDEX i ON s.t USING btree (((a + 1) * (b + 2)))", ("(a + 1) * (b + 2)",), None),
        ("CREATE INDEX i ON s.t USING btree (a) INCLUDE (c, d) WITH (fillfactor='70')",
         ("a",), None),
        ("CREATE INDEX i ON s.t USING btree (a) WHERE g", ("a",), "g"),
        ("CREATE INDEX i ON s.t USING btree (a) WHERE (x = ') WHERE ('::text)",
         ("a",), "x = ') WHERE ('::text"),
        ("CREATE INDEX i ON s.t USING btree (a) WHERE ((x > 1) OR (y > 1))",
         ("a",), "(x > 1) OR (y > 1)"),
        ("CREATE INDEX i ON s.t USING btree (a) WHERE (x)::boolean", ("a",), "(x)::boolean"),
        ("CREATE INDEX \"WHERE (\" ON s.\"USING (\" USING btree (\"WHERE\" COLLATE \"C\")",
         ("WHERE",), None),
    ],
)  # fmt: skip
def test_a_definition_is_read(
    definition: str, columns: tuple[str, ...], predicate: str | None
) -> None:
    assert split_index(definition) == (columns, predicate)
