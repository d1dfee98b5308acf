"""every kind of object is a fact, said the way PostgreSQL says it"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.schema import KINDS, ObjectId, Snapshot, snapshot

Connection = psycopg.Connection[tuple[Any, ...]]

# what is there, and something that its payload says
FACTS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("schema", "", "app"), {}),
    (("schema", "", "public"), {"owner": "pg_database_owner"}),
    (("extension", "", "hstore"), {"schema": "app"}),
    (("enum", "app", "mood"), {"labels": ["sad", "fine", "ok", "happy"]}),
    (("domain", "app", "email"), {"type": "text", "nullable": False, "default": "'x@y'::text"}),
    (("domain", "app", "email"), {"constraints": {"has_at": "CHECK ((VALUE ~~ '%@%'::text))"}}),
    (("range", "app", "float_range"), {"subtype": "double precision"}),
    (("collation", "app", "plain"), {"provider": "c", "collate": "C"}),
    (("sequence", "app", "tickets"), {"increment": 5, "start": 10, "cycle": True, "max": 1000}),
    (("sequence", "app", "child_id_seq"), {"owned_by": ["app", "child", "id"]}),
    (("table", "app", "parent"), {"kind": "table"}),
    (("table", "app", "child"), {"row_security": True}),
    (("table", "app", "event"), {"kind": "partitioned", "partition_key": "RANGE (at)"}),
    (("table", "app", "event_rest"), {"partition_of": ["app", "event"], "bound": "DEFAULT"}),
    (("table", "app", "heir"), {"inherits": [["app", "reference"]]}),
    (("table", "app", "far"), {"kind": "foreign", "server": "elsewhere"}),
    (("table", "My Schema", "Order Items"), {"persistence": "unlogged"}),
    (("column", "app", "parent", "id"), {"type": "bigint", "nullable": False, "identity": "a"}),
    (("column", "app", "parent", 'Weird "Name'), {"collation": "pg_catalog.C"}),
    (("column", "app", "parent", "mood"), {"type": "app.mood", "default": "'ok'::app.mood"}),
    (("column", "app", "child", "twice"), {"generated": "s", "default": "(n * 2)"}),
    (("column", "app", "child", "x"), {"storage": "e", "statistics": 500}),
    (("column", "app", "child", "label"), {"type": "character varying(20)", "nullable": False}),
    (("column", "app", "view", "x"), {"type": "text"}),
    (("column", "My Schema", "Order Items", 'naïve"quote'), {"type": "text"}),
    (("constraint", "app", "parent", "parent_pkey"), {"definition": "PRIMARY KEY (id)"}),
    (("constraint", "app", "child", "n_positive"), {"kind": "check", "valid": False}),
    (("constraint", "app", "child", "child_span_excl"), {"kind": "exclusion"}),
    (("constraint", "app", "child", "x_with_n"), {"definition": "UNIQUE (x) INCLUDE (n)"}),
    (
        ("constraint", "app", "child", "child_parent_id_fkey"),
        {"references": ["app", "parent"], "deferrable": True, "deferred": True},
    ),
    (("constraint", "app", "event_rest", "event_rest_pkey"), {"inherited": True}),
    (("index", "app", "event", "event_only"), {"valid": False}),
    (("index", "app", "event_2024", "event_2024_what_idx"), {"attached_to": "event_what"}),
    (("index", "app", "counted", "counted_rows"), {}),
    (("view", "app", "view"), {"options": ["check_option=local"]}),
    (("matview", "app", "counted"), {"populated": False}),
    (("function", "app", "f", "integer, text"), {"kind": "function"}),
    (("function", "app", "f", "bigint"), {}),
    (("function", "app", "p", "integer"), {"kind": "procedure"}),
    (("function", "app", "atomic", ""), {}),
    (("aggregate", "app", "total", "integer"), {"state_function": "int4pl", "initial": "0"}),
    (("trigger", "app", "child", "before_insert"), {"enabled": "disabled"}),
    (("rule", "app", "parent", "keep"), {}),
    (("policy", "app", "child", "many"), {"roles": ["zoo_reader"], "using": "(n > 3)"}),
    (("statistics", "app", "together"), {}),
    (("operator", "app", "===", "integer, integer"), {"function": "int4eq"}),
    (("operator class", "app", "class", "btree"), {"family": "app.family"}),
    (("cast", "", "app.mood AS integer"), {"context": "a", "method": "i"}),
    (("conversion", "app", "conversion"), {"from": "LATIN1", "to": "UTF8"}),
    (("text search dictionary", "app", "words"), {"template": "pg_catalog.simple"}),
    (("text search configuration", "app", "english"), {"parser": "pg_catalog.default"}),
    (("publication", "", "changes"), {"tables": ["app.child (id, x) WHERE (id > 3)"]}),
    (("foreign data wrapper", "", "wrapper"), {"options": ["secret=***"]}),
    (("foreign server", "", "elsewhere"), {"options": ["host=h", "password=***"]}),
    (("user mapping", "", "elsewhere", "public"), {}),
    (("event trigger", "", "watch"), {"event": "ddl_command_end", "tags": ["CREATE TABLE"]}),
    (("access method", "", "slow"), {"type": "t"}),
    (
        ("default privilege", "app", "postgres", "tables"),
        {"privileges": {"zoo_reader": ["SELECT"]}},
    ),
    (("grant", "app", "f", "function integer, text"), {"privileges": {"(owner)": ["EXECUTE"]}}),
    (("comment", "app", "parent", "column id"), {"text": "about it"}),
    (("comment", "app", "email", "constraint has_at"), {"text": "about it"}),
    (("comment", "", "hstore", "extension"), {"text": "about it"}),
    (("comment", "app", "f", "function bigint"), {"text": "about it"}),
]


@pytest.fixture(scope="module")
def found(zoo: Connection) -> Snapshot:
    return snapshot(zoo)


@pytest.mark.parametrize(("path", "said"), FACTS, ids=lambda value: str(value)[:50])
def test_an_object_is_a_fact(found: Snapshot, path: tuple[str, ...], said: dict[str, Any]) -> None:
    payload = found.find(*path)
    if "hstore" in path and not found.find("extension", "", "hstore"):
        pytest.skip("this PostgreSQL does not bring the extension hstore")
    assert payload is not None
    assert {key: payload.get(key) for key in said} == said


def test_all_kinds_are_in_the_zoo_but_the_rarest(found: Snapshot) -> None:
    """A language, a base type, a parser and a template need functions written in C."""
    there = {id.kind for id in found.facts}
    assert set(KINDS) - there == {
        "language",
        "type",
        "text search parser",
        "text search template",
    }
    assert there <= set(KINDS)


def test_nothing_of_the_zoo_is_left_out(found: Snapshot) -> None:
    assert found.unmodelled == ()


def test_every_comment_is_a_fact(zoo: Connection, found: Snapshot) -> None:
    """Each is about an object that is a fact; a domain's constraint is part of its fact."""
    comments = [id for id in found.facts if id.kind == "comment"]
    row = zoo.execute("SELECT count(*) FROM pg_description WHERE description = 'about it'")
    assert len(comments) == (row.fetchone() or (0,))[0]
    parts = {("constraint", "email"), ("column", "address")}
    for id in comments:
        assert id.subject in found.facts or (id.subject.kind, id.name) in parts


def test_grants_are_roles_and_privileges(found: Snapshot) -> None:
    parent = found.find("grant", "app", "parent", "table")
    assert parent is not None
    assert parent["privileges"]["zoo_reader"] == ["INSERT", "SELECT"]
    assert "DELETE" in parent["privileges"]["(owner)"]
    column = found.find("grant", "app", "parent", 'column Weird "Name')
    assert column == {"privileges": {"zoo_reader": ["UPDATE*"]}}
    reference = found.find("grant", "app", "reference", "table")
    assert reference is not None
    assert reference["privileges"]["PUBLIC"] == ["SELECT"]
    assert set(reference["privileges"]) == {"(owner)", "PUBLIC"}
    owner = found.find("table", "app", "reference")
    assert owner is not None
    assert owner["owner"] == "zoo Owner"


def test_default_privileges_are_no_grants(found: Snapshot) -> None:
    assert found.find("grant", "app", "child", "table") is None
    assert found.find("grant", "", "public", "schema") is None


def test_secrets_are_hidden(found: Snapshot) -> None:
    assert "hush" not in found.to_json()
    assert found.find("table", "app", "far") is not None
    assert "table_name=t" in found.to_json()


def test_members_of_extensions_are_left_out(found: Snapshot) -> None:
    assert found.find("type", "app", "hstore") is None
    assert not [id for id in found.facts if id.name.startswith("hstore") and id.kind == "function"]


def test_the_inside_of_objects_is_no_fact(found: Snapshot) -> None:
    """Of an identity, its sequence; of a constraint, its index; of a foreign key, its triggers."""
    assert found.find("sequence", "app", "parent_id_seq") is None
    assert found.find("index", "app", "parent", "parent_pkey") is None
    assert {id.sub for id in found.facts if id.kind == "trigger"} == {
        "before_insert",
        "after_insert",
    }
    reference = found.table("app.reference")
    assert reference is not None
    assert list(reference.constraints) == ["to_event"]
    functions = {id.name for id in found.facts if id.kind == "function"}
    assert functions == {"f", "p", "atomic", "on_change", "on_ddl"}
    assert not [id for id in found.facts if "multirange" in id.name]


def test_index_definitions_are_what_postgresql_prints(zoo: Connection, found: Snapshot) -> None:
    with zoo.transaction():
        zoo.execute("SET LOCAL search_path = ''")
        printed = zoo.execute(
            "SELECT n.nspname::text, t.relname::text, c.relname::text,"
            " pg_get_indexdef(i.indexrelid)"
            " FROM pg_catalog.pg_index i"
            " JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
            " JOIN pg_catalog.pg_class t ON t.oid = i.indrelid"
            " JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace"
            " WHERE n.nspname IN ('app', 'My Schema') AND NOT EXISTS"
            " (SELECT FROM pg_catalog.pg_constraint k"
            "  WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))"
        ).fetchall()
    indexes = {id: p["definition"] for id, p in found.facts.items() if id.kind == "index"}
    assert len(printed) > 15
    assert indexes == {ObjectId("index", *names): text for *names, text in printed}


def test_a_not_null_that_is_not_valid_is_told(conn: Connection) -> None:
    conn.execute("CREATE TABLE t (a integer NOT NULL, b integer)")
    if conn.info.server_version < 180000:
        assert not [id for id in snapshot(conn).facts if id.kind == "constraint"]
        return
    conn.execute("ALTER TABLE t ADD CONSTRAINT b_there NOT NULL b NOT VALID")
    found = snapshot(conn)
    assert found.find("constraint", "public", "t", "t_a_not_null") is None
    told = found.find("constraint", "public", "t", "b_there")
    assert told is not None
    assert told["kind"] == "not null"
    assert told["valid"] is False
    column = found.find("column", "public", "t", "b")
    assert column is not None
    assert column["nullable"] is True


def test_virtual_columns_are_told_from_stored_ones(conn: Connection) -> None:
    word = "VIRTUAL" if conn.info.server_version >= 180000 else "STORED"
    conn.execute(f"CREATE TABLE t (a integer, b integer GENERATED ALWAYS AS (a * 2) {word})")
    table = snapshot(conn).table("t")
    assert table is not None
    assert table.columns["b"].generated == word[0].lower()


def test_an_invalid_index_is_told(conn: Connection) -> None:
    conn.execute("CREATE TABLE t (a integer); INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("CREATE UNIQUE INDEX CONCURRENTLY twice ON t (a)")
    table = snapshot(conn).table("t")
    assert table is not None
    assert not table.indexes["twice"].valid
