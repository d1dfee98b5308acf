"""an operation survives being written as SQL and read back"""

from __future__ import annotations

import doctest
import sys
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qb_engine import operations
from qb_engine.errors import InputError
from qb_engine.operations import Column, Generic, Operation, Sql
from qb_engine.sql import ident, read, read_one

UGLY = ["Order Items", 'naïve"quote', "users", "select", "a.b", "x;--", "Ünïcode", "%s", ":x", "'"]
names = st.one_of(
    st.sampled_from(UGLY),
    st.text(
        st.characters(exclude_characters="\x00", exclude_categories=("Cs",)),
        min_size=1,
        max_size=20,
    ).filter(lambda name: len(name.encode()) <= 63),  # a longer one is cut off by the server
)
spaces = st.one_of(st.none(), names)
types = st.sampled_from(
    ["text", "varchar(20)", "numeric(10,2)[]", "timestamptz", '"My Type"', "app.mood", "int4"]
)
expressions = st.sampled_from(
    ["1", "'it''s'", "now()", "a + 1 > 2", "'x'::text", "NULL", "ARRAY[1, 2]", r"E'\\'", "'%s :x'"]
)
booleans = st.booleans()
quoted = names.map(ident)

o: Any = operations
ALL = st.one_of(
    st.builds(
        o.AddColumn, names, names, types, booleans, st.one_of(st.none(), expressions),
        schema=spaces, if_not_exists=booleans, only=booleans, if_exists=booleans,
        collation=st.sampled_from([None, "C", "de-x-icu", 'pg_catalog."C"']),
        constraints=quoted.flatmap(lambda n: st.sampled_from([
            (), ("PRIMARY KEY",), (f"REFERENCES {n} ON DELETE CASCADE", "UNIQUE"),
            (f"CONSTRAINT {n} CHECK ({n} > 1)", "GENERATED ALWAYS AS IDENTITY"),
        ])),
    ),
    st.builds(o.DropColumn, names, names, schema=spaces, cascade=booleans,
              if_column_exists=booleans),
    st.builds(o.RenameColumn, names, names, names, schema=spaces),
    st.builds(o.RenameTable, names, names, schema=spaces, if_exists=booleans),
    st.builds(o.RenameConstraint, names, names, names, schema=spaces),
    st.builds(o.RenameObject, st.sampled_from(["index", "view", "sequence", "type"]), names, names,
              schema=spaces),
    st.builds(o.RenameObject, st.just("schema"), names, names),
    st.builds(o.SetNotNull, names, names, schema=spaces),
    st.builds(o.DropNotNull, names, names, schema=spaces, only=booleans),
    st.builds(o.SetDefault, names, names, expressions, schema=spaces),
    st.builds(o.DropDefault, names, names, schema=spaces),
    st.builds(o.AlterColumnType, names, names, types, schema=spaces,
              using=st.one_of(st.none(), expressions)),
    st.builds(o.AddConstraint.check, names, expressions, name=st.one_of(st.none(), names),
              not_valid=booleans, schema=spaces),
    st.builds(o.AddConstraint.unique, names, st.lists(names, min_size=1, max_size=3),
              name=st.one_of(st.none(), names)),
    st.builds(o.AddConstraint.primary_key, names, using_index=names, name=names),
    st.builds(o.AddConstraint.foreign_key, names, names, names, st.lists(names, max_size=1),
              on_delete=st.sampled_from(["", "CASCADE", "SET NULL"]), to_schema=spaces),
    st.builds(o.DropConstraint, names, names, cascade=booleans, if_constraint_exists=booleans),
    st.builds(o.ValidateConstraint, names, names, schema=spaces),
    st.builds(
        o.CreateIndex, names,
        st.lists(st.one_of(names, quoted.map(lambda n: Sql(f"lower({n}) DESC"))), min_size=1,
                 max_size=3),
        st.one_of(st.none(), names), schema=spaces, unique=booleans, concurrently=booleans,
        method=st.sampled_from(["btree", "gin"]), where=st.one_of(st.none(), expressions),
        include=st.lists(names, max_size=2), nulls_not_distinct=booleans, only=booleans,
        options=st.sampled_from(["", "fillfactor=70"]),
    ),
    st.builds(o.DropIndex, names, schema=spaces, concurrently=booleans, if_exists=booleans),
    st.builds(
        o.CreateTable, names,
        st.lists(st.one_of(
            st.builds(Column, names, types, booleans, st.one_of(st.none(), expressions)),
            quoted.map(lambda n: f"CHECK ({n} > 1)"), quoted.map(lambda n: f"LIKE {n}"),
        ), max_size=4),
        schema=spaces, unlogged=booleans, if_not_exists=booleans,
        tail=st.sampled_from(["", "PARTITION BY RANGE (a)", "WITH (fillfactor=70)"]),
    ),
    st.builds(o.CreateTable, names, tail=quoted.map(
        lambda n: f"PARTITION OF {n} FOR VALUES FROM (1) TO (2)")),
    st.builds(o.CreateTableAs, names, st.just("SELECT 1 AS a"), schema=spaces),
    st.builds(o.CreateMaterializedView, names, st.just("SELECT 1 AS a"), schema=spaces),
    st.builds(o.CreateView, names, st.just("SELECT 1 AS a"), st.lists(names, max_size=1),
              schema=spaces, replace=booleans,
              options=st.sampled_from(["", "security_barrier=true"]),
              tail=st.sampled_from(["", "WITH LOCAL CHECK OPTION"])),
    *(st.builds(kind, names, schema=spaces, cascade=booleans, if_exists=booleans)
      for kind in (o.DropTable, o.DropView, o.DropMaterializedView, o.DropSequence, o.DropType)),
    st.builds(o.CreateSchema, names, if_not_exists=booleans),
    st.builds(o.DropSchema, names, cascade=booleans),
    st.builds(o.CreateSequence, names, st.sampled_from(["", "START 7 CACHE 3"]), schema=spaces),
    st.builds(o.CreateEnum, names, st.lists(names, max_size=3), schema=spaces),
    st.builds(o.AddEnumValue, names, names, schema=spaces, after=st.one_of(st.none(), names)),
    st.builds(o.RenameEnumValue, names, names, names, schema=spaces),
    st.builds(o.Comment, st.sampled_from(["table", "index", "view", "type", "sequence"]), names,
              st.one_of(st.none(), names), schema=spaces),
    st.builds(o.Comment, st.sampled_from(["column", "constraint"]), names, names, names,
              schema=spaces),
    st.builds(o.Comment, st.just("schema"), names, names),
    st.builds(o.CreateFunction, quoted.map(
        lambda n: f"CREATE OR REPLACE FUNCTION {n}.{n}(a int, b text DEFAULT '%s :x') "
                  "RETURNS int LANGUAGE sql AS 'select ''$$ '")),
    st.builds(o.CreateTrigger, quoted.map(
        lambda n: f"CREATE TRIGGER {n} BEFORE UPDATE OF {n} ON {n} FOR EACH ROW "
                  f"WHEN (old.{n} > 1) EXECUTE FUNCTION {n}.{n}('x')")),
    st.builds(o.DropTrigger, names, names, schema=spaces, if_exists=booleans),
    st.builds(o.CreateExtension, names, schema=spaces, version=st.one_of(st.none(), names),
              cascade=booleans, if_not_exists=booleans),
    st.builds(o.UpdateRows, quoted.map(lambda n: f"UPDATE {n} SET {n} = 1 WHERE {n}.{n} > 2")),
    st.builds(o.DeleteRows, quoted.map(lambda n: f"DELETE FROM {n}.{n} WHERE {n} IS NULL")),
    st.builds(o.Reindex, quoted.map(lambda n: f"REINDEX TABLE {n}.{n}")),
    st.builds(o.RefreshMaterializedView, quoted.map(
        lambda n: f"REFRESH MATERIALIZED VIEW CONCURRENTLY {n}.{n}")),
    st.builds(o.AttachPartition, quoted.map(
        lambda n: f"ALTER TABLE {n} ATTACH PARTITION {n}.{n} FOR VALUES FROM (1) TO (2)")),
    st.builds(o.DetachPartition, quoted.map(
        lambda n: f"ALTER TABLE {n} DETACH PARTITION {n}.{n} CONCURRENTLY")),
    st.builds(o.ConstrainDomain, quoted.map(
        lambda n: f"ALTER DOMAIN {n}.{n} ADD CONSTRAINT {n} CHECK (VALUE > 1) NOT VALID")),
    st.just(Generic("GRANT SELECT ON users TO reader")),
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(ALL)
def test_what_is_written_is_read_back_equal(operation: Operation) -> None:
    """read(write(x)) == x, for every operation and any name."""
    assert operations.read(read_one(operation.write())) == (operation,)


@settings(max_examples=300, deadline=None)
@given(ALL)
def test_its_repr_is_the_python_that_makes_it(operation: Operation) -> None:
    """eval(repr(x)) == x, so a generated file may hold it."""
    space = {k.__name__: k for k in operations.all_operations()} | {"Column": Column, "Sql": Sql}
    assert eval(repr(operation), space) == operation


def test_every_operation_is_covered_by_these_tests() -> None:
    """A new operation without a strategy above is noticed."""
    seen: set[type] = set()

    @settings(max_examples=3000, deadline=None, database=None, derandomize=True)
    @given(ALL)
    def collect(operation: Operation) -> None:
        seen.add(type(operation))

    collect()
    assert seen == set(operations.all_operations())


@pytest.mark.parametrize("kind", operations.all_operations(), ids=lambda k: k.__name__)
def test_each_has_documentation_and_an_example_that_is_true(kind: type[Operation]) -> None:
    """The docstring's example runs, in a file that holds this operation and says so."""
    module = sys.modules[kind.__module__]
    assert kind.__doc__
    assert module.__doc__
    assert ">>> " in kind.__doc__
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for example in finder.find(kind, globs=vars(module) | {"Column": Column, "Sql": Sql}):
        runner.run(example)
    assert runner.summarize(verbose=False).failed == 0
    public = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    assert public
    assert not [name for name in public if name.startswith("_")]


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("ALTER TABLE t ADD a int, DROP b, ALTER c SET NOT NULL",
         ["AddColumn", "DropColumn", "SetNotNull"]),
        ("DROP TABLE a, s.b", ["DropTable", "DropTable"]),
        ("ALTER TABLE t ADD a int STORAGE EXTERNAL", ["Generic"]),
        ("CREATE TEMP TABLE t (a int)", ["Generic"]),
        ("ALTER INDEX i SET (fillfactor = 70)", ["Generic"]),
        ("ALTER VIEW v ALTER a SET DEFAULT 1", ["Generic"]),
        ("ALTER VIEW v RENAME COLUMN a TO b", ["Generic"]),
        ("UPDATE t SET a = 1", ["UpdateRows"]),
        ("CREATE TABLE t (a int NULL DEFAULT 1 NOT NULL)", ["CreateTable"]),
        ("ALTER TABLE ONLY t ADD CONSTRAINT p PRIMARY KEY (a)", ["AddConstraint"]),
        ("COMMENT ON FUNCTION f(int) IS 'x'", ["Generic"]),
    ],
)  # fmt: skip
def test_a_statement_is_read_command_by_command(sql: str, kinds: list[str]) -> None:
    """What no operation can say exactly is generic, so nothing is dropped in silence."""
    assert [type(x).__name__ for x in operations.read(read_one(sql))] == kinds


def test_what_cannot_be_printed_stays_as_it_was_written() -> None:
    """The printer forgets the quotes of a parameter's name; the statement's own text is kept."""
    sql = "CREATE FUNCTION f(\"Order Items\" int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    assert operations.read(read_one(sql)) == (Generic(sql),)
    assert o.CreateFunction(sql).write() == sql


def test_a_generic_operation_writes_a_single_command_of_several() -> None:
    """The commands of an ALTER TABLE come apart also when qb knows only some."""
    found = operations.read(read_one("ALTER TABLE t ADD a int, SET (fillfactor = 70)"))
    assert [x.write() for x in found] == [
        "ALTER TABLE t ADD COLUMN a int",
        "ALTER TABLE t SET (fillfactor=70)",
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: o.AddColumn("t", "a", "int; DROP TABLE t"),
        lambda: o.AddColumn("t", "a", "int", default="1, ADD COLUMN b int"),
        lambda: o.SetDefault("t", "a", "1; DROP TABLE t"),
        lambda: o.AddConstraint("t", "COLUMN b int"),
        lambda: o.AddConstraint.check("t", "true), ADD COLUMN b int CHECK (true"),
        lambda: o.CreateIndex("t", Sql("a) WHERE (true")),
        lambda: o.AlterColumnType("t", "a", "int USING 1"),
    ],
)
def test_more_sql_than_the_place_takes_is_refused(make: Any) -> None:
    """An expression is one expression and a type is one type."""
    with pytest.raises(InputError):
        make()


def test_texts_that_mean_the_same_make_equal_values() -> None:
    """Types and expressions are kept as the grammar prints them."""
    assert o.AddColumn("t", "a", "CHARACTER VARYING (20)") == o.AddColumn("t", "a", "varchar(20)")
    assert o.SetDefault("t", "a", "NOW( )") == o.SetDefault("t", "a", "now()")


def test_operations_are_public_names_of_the_engine() -> None:
    """Migration files import them from qb_engine."""
    from qb_engine import AddColumn, CreateIndex

    assert AddColumn("users", "email", "text").write() == "ALTER TABLE users ADD COLUMN email text"
    assert len(read(CreateIndex("users", "email").write())) == 1
