"""strategies: small schemas with something of everything, and operations over what is there"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from qb_engine.operations import (
    AddColumn,
    AddConstraint,
    AddEnumValue,
    AlterColumnType,
    Column,
    Comment,
    CreateEnum,
    CreateIndex,
    CreateMaterializedView,
    CreateSchema,
    CreateSequence,
    CreateTable,
    CreateTableAs,
    CreateView,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropIndex,
    DropMaterializedView,
    DropNotNull,
    DropSchema,
    DropSequence,
    DropTable,
    DropTrigger,
    DropType,
    DropView,
    RenameColumn,
    RenameConstraint,
    RenameEnumValue,
    RenameObject,
    RenameTable,
    SetDefault,
    SetNotNull,
    Sql,
    ValidateConstraint,
)
from qb_engine.schema import ColumnInfo, Snapshot, Table
from qb_engine.sql import ident, literal, qualified

Draw = Callable[[st.SearchStrategy[Any]], Any]

# Names that some piece of code once forgot to quote, and one that leaves no room for a suffix.
NAMES = st.sampled_from(
    [
        "a", "b", "c", "users", "Order Items", 'naïve"quote', "select", "user", "x.y", "it's",
        "%s", "日本", "1st", "Über", "\\", "a_b", "$1", ":x", "--", "long" * 13 + "longest name",
    ]
)  # fmt: skip
TEXTS = st.sampled_from(
    ["", "x", "it's", 'a "b"', "\\", "%s %% :x", "ä\nb", "$$", "-- qb:down", ";"]
)

# A type, and defaults of it.
TYPES: dict[str, tuple[str, ...]] = {
    "integer": ("0", "-5", "1 + 2", "length('abc')"),
    "bigint": ("9223372036854775807", "-1"),
    "smallint": ("1",),
    "numeric(10,2)": ("1.5", "-0.01", "round(3.14159, 2)"),
    "double precision": ("'NaN'", "random()"),
    "text": ("''", "'it''s'", "E'\\\\'", "'%s %% :x'", "lower('X')", "CURRENT_USER", "NULL"),
    "character varying(20)": ("'x'", "'ä'"),
    "character(3)": ("'abc'",),
    "boolean": ("true", "NOT true", "(1 > 2)"),
    "date": ("CURRENT_DATE", "'2024-02-29'", "'-infinity'"),
    "timestamp with time zone": ("now()", "CURRENT_TIMESTAMP", "now() - interval '1 day'"),
    "timestamp(3) without time zone": ("LOCALTIMESTAMP",),
    "interval": ("'1 day 02:03'", "interval '1' year"),
    "uuid": ("gen_random_uuid()",),
    "jsonb": ("'{}'", "'{\"a\": [1]}'", "jsonb_build_object('a', 1)"),
    "bytea": ("'\\x00ff'",),
    "text[]": ("'{}'", "ARRAY['a', 'b']", "ARRAY[]::text[]"),
    "integer[]": ("ARRAY[1, NULL]",),
    "int4range": ("'[1,5)'", "int4range(1, 5)"),
    "inet": ("'10.0.0.1'",),
    "bit(4)": ("B'1010'",),
    "tsvector": ("to_tsvector('simple', 'a')",),
}
NUMBERS = ("integer", "bigint", "smallint", "numeric(10,2)")
TEXTUAL = ("text", "character varying(20)")


# -- a schema to begin with ------------------------------------------------------------------------


@st.composite
def schemas(draw: Draw) -> list[str]:
    """The statements that make a small schema; some may fail, and are left out then."""
    found: list[str] = []
    own = dict(TYPES)
    for name in draw(st.lists(NAMES, max_size=2, unique=True)):
        labels = draw(st.lists(TEXTS, min_size=1, max_size=3, unique=True))
        found.append(CreateEnum(name, tuple(labels)).write())
        own[ident(name)] = (f"{literal(labels[0])}",)
    if draw(st.booleans()):
        found.append('CREATE DOMAIN "Positive" AS integer DEFAULT 1 CHECK (VALUE > 0)')
        own['"Positive"'] = ("7",)
    if draw(st.booleans()):
        found.append('CREATE SCHEMA "my app"; CREATE SEQUENCE "my app".numbers START 5')
    spaces = [None, *(["my app"] if '"my app"' in "".join(found) else [])]
    made: list[tuple[str | None, str, list[Column]]] = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        space = draw(st.sampled_from(spaces))
        columns = [
            _column(draw, each, own)
            for each in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
        ]
        made.append((space, name, columns))
        found.append(CreateTable(name, tuple(columns), schema=space).write())
        found += _extras(draw, space, name, columns, made)
    if draw(st.booleans()):
        found += [
            'CREATE TABLE "Parts" (id integer NOT NULL, at date, PRIMARY KEY (id))'
            " PARTITION BY RANGE (id)",
            'CREATE TABLE "Parts 1" PARTITION OF "Parts" FOR VALUES FROM (1) TO (10)',
            'CREATE TABLE rest PARTITION OF "Parts" DEFAULT',
            'CREATE INDEX ON "Parts" (at)',
        ]
    if draw(st.booleans()):
        table = draw(st.sampled_from(made))
        found += [
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
            f'CREATE TRIGGER "Touched!" BEFORE UPDATE ON {qualified(table[0], table[1])}'
            " FOR EACH ROW EXECUTE FUNCTION touch()",
        ]
    for space, name, columns in draw(st.lists(st.sampled_from(made), max_size=2)):
        found.append(
            f'CREATE VIEW "v {len(found)}" AS SELECT {ident(columns[0].name)}'
            f" FROM {qualified(space, name)}"
        )
    return found


def _column(draw: Draw, name: str, types: dict[str, tuple[str, ...]]) -> Column:
    type = draw(st.sampled_from(sorted(types)))
    default = draw(st.none() | st.sampled_from(types[type]))
    clauses: list[str] = []
    if type in ("integer", "bigint") and draw(st.integers(0, 5)) == 0:
        kind, options = draw(st.sampled_from([("ALWAYS", ""), ("BY DEFAULT", " (START 5)")]))
        return Column(name, type, False, None, None, (f"GENERATED {kind} AS IDENTITY{options}",))
    if type in NUMBERS and draw(st.integers(0, 3)) == 0:
        clauses.append(f"CHECK ({ident(name)} > -100)")
    collation = "C" if type in TEXTUAL and draw(st.integers(0, 4)) == 0 else None
    return Column(name, type, draw(st.booleans()), default, collation, tuple(clauses))


def _extras(
    draw: Draw,
    space: str | None,
    name: str,
    columns: list[Column],
    made: list[tuple[str | None, str, list[Column]]],
) -> list[str]:
    """Constraints, indexes and comments of a new table."""
    found: list[str] = []
    first, last = columns[0], columns[-1]
    at: dict[str, Any] = {"schema": space}
    if draw(st.booleans()):
        found.append(AddConstraint.primary_key(name, first.name, **at).write())
    if draw(st.booleans()):
        found.append(AddConstraint.unique(name, [last.name], **at).write())
    if draw(st.booleans()):
        found.append(
            f"ALTER TABLE {qualified(space, name)} ADD COLUMN twice text"
            f" GENERATED ALWAYS AS (({ident(first.name)} IS NULL)::int::text) STORED"
        )
    if draw(st.booleans()):
        found.append(
            f"CREATE INDEX ON {qualified(space, name)} ({ident(last.name)} DESC NULLS LAST)"
            f" INCLUDE ({ident(first.name)}) WHERE {ident(first.name)} IS NOT NULL"
        )
    to = draw(st.sampled_from(made))
    if draw(st.booleans()):
        found.append(
            AddConstraint.foreign_key(
                name, first.name, to[1], to[2][0].name, to_schema=to[0], not_valid=True, **at
            ).write()
        )
    if draw(st.booleans()):
        found.append(Comment("column", last.name, draw(TEXTS), name, schema=space).write())
    return found + _oddities(draw, qualified(space, name), ident(first.name), ident(last.name))


def _oddities(draw: Draw, table: str, first: str, last: str) -> list[str]:
    """What tables have now and then, and what a way back must not forget."""
    alter = f"ALTER TABLE {table}"
    return draw(
        st.lists(
            st.sampled_from(
                [
                    f"{alter} ADD COLUMN counted serial",
                    f"{alter} ADD CONSTRAINT later UNIQUE ({first}) DEFERRABLE INITIALLY DEFERRED",
                    f"{alter} ADD CONSTRAINT apart EXCLUDE (({first} IS NULL) WITH =)",
                    f"{alter} ADD CHECK ({first} IS DISTINCT FROM {last}) NO INHERIT",
                    f"{alter} ALTER {first} SET STATISTICS 500",
                    f"{alter} SET (fillfactor = 60, autovacuum_enabled = off)",
                    f"{alter} REPLICA IDENTITY FULL",
                    f"{alter} ENABLE ROW LEVEL SECURITY",
                    f"CREATE POLICY own ON {table} USING ({first} IS NOT NULL)",
                    f"CREATE RULE quiet AS ON DELETE TO {table} DO INSTEAD NOTHING",
                    f"CREATE STATISTICS ON {first}, {last} FROM {table}",
                    f"GRANT SELECT ({first}) ON {table} TO PUBLIC",
                    f"GRANT SELECT ON {table} TO PUBLIC",
                    f"CREATE TABLE heir (own int) INHERITS ({table})",
                    f"CREATE UNIQUE INDEX one ON {table} ({first}) WHERE {last} IS NOT NULL",
                    f"CREATE MATERIALIZED VIEW kept AS SELECT {last} FROM {table}",
                ]
            ),
            max_size=3,
            unique=True,
        )
    )


# -- one operation over what is there --------------------------------------------------------------


def operation(draw: Draw, schema: Snapshot) -> str:
    """One statement over a schema, by one of qb's operations; it may well fail on the server."""
    tables = [t for t in schema.tables.values() if t.kind in ("table", "partitioned")]
    views = [t for t in schema.tables.values() if t.kind in ("view", "matview")]
    small: list[Callable[[], Any]] = [
        lambda: _new_type(draw),
        lambda: _on_type(draw, schema),
        lambda: _on_object(draw, schema),
        lambda: CreateSchema(draw(NAMES)),
        lambda: CreateSequence(draw(NAMES), draw(st.sampled_from(["", "AS int CYCLE MAXVALUE 9"]))),
    ]
    makers: list[Callable[[], Any]] = [
        lambda: _new_table(draw, schema),
        lambda: draw(st.sampled_from(small))(),
    ]
    if tables:
        # tables first, and more than once: most migrations are about them
        about = [_on_column, _on_column, _on_column, _on_constraint, _on_constraint, _on_index]
        makers += [
            (lambda each=each: each(draw, schema, draw(st.sampled_from(tables))))
            for each in (*about, _on_index, _on_table)
        ]
    if views:
        makers.append(lambda: _on_view(draw, schema, draw(st.sampled_from(views))))
    made = draw(st.sampled_from(makers))()
    return made if isinstance(made, str) else str(made.write())


def _at(table: Table) -> dict[str, Any]:
    return {"schema": None if table.schema == "public" else table.schema}


def _types(schema: Snapshot) -> dict[str, tuple[str, ...]]:
    found = dict(TYPES)
    for id, payload in schema.facts.items():
        if id.kind == "enum" and payload["labels"]:
            found[qualified(id.schema, id.name)] = (literal(payload["labels"][-1]),)
    return found


def _new_table(draw: Draw, schema: Snapshot) -> Any:
    name, types = draw(NAMES), _types(schema)
    tables = [t for t in schema.tables.values() if t.columns]
    parents = [t for t in tables if t.kind == "partitioned"]
    kind = draw(st.sampled_from(["plain", "plain", "as", "partition", "tail"]))
    if kind == "as" and tables:
        table = draw(st.sampled_from(tables))
        return CreateTableAs(name, f"SELECT * FROM {qualified(table.schema, table.name)}")
    if kind == "partition" and parents:
        parent = draw(st.sampled_from(parents))
        low = draw(st.integers(10, 20))
        tail = f"PARTITION OF {qualified(parent.schema, parent.name)} FOR VALUES FROM ({low})"
        return CreateTable(name, tail=f"{tail} TO ({low + 5})")
    columns = [
        _column(draw, each, types)
        for each in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    ]
    first = ident(columns[0].name)
    elements: list[Column | str] = list(columns)
    elements += draw(
        st.lists(
            st.sampled_from(
                [f"PRIMARY KEY ({first})", f"CHECK ({first} IS NOT NULL)", f"UNIQUE ({first})"]
            ),
            max_size=2,
            unique=True,
        )
    )
    tail = f"PARTITION BY LIST ({first})" if kind == "tail" else ""
    return CreateTable(
        name, tuple(elements), tail=tail, unlogged=not tail and draw(st.booleans()),
        if_not_exists=draw(st.booleans()),
    )  # fmt: skip


def _on_table(draw: Draw, schema: Snapshot, table: Table) -> Any:
    name, at = table.name, _at(table)
    triggers = [DropTrigger(name, each, **at) for each in table.triggers]
    return draw(
        st.sampled_from(
            [
                RenameTable(name, draw(NAMES), **at),
                DropTable(name, **at),
                Comment("table", name, draw(TEXTS), **at),
                DropTable(draw(NAMES), if_exists=True),
                f"CREATE TRIGGER {ident(draw(NAMES))} AFTER INSERT ON"
                f" {qualified(table.schema, name)} EXECUTE FUNCTION touch()",
                f"CREATE OR REPLACE FUNCTION {ident(draw(NAMES))}(a integer) RETURNS integer"
                f" LANGUAGE sql AS {literal(draw(st.sampled_from(['SELECT 1', 'SELECT a'])))}",
                f"CREATE VIEW {ident(draw(NAMES))} AS SELECT * FROM"
                f" {qualified(table.schema, name)}",
                CreateMaterializedView(draw(NAMES), f"TABLE {qualified(table.schema, name)}"),
                *triggers,
            ]
        )
    )


def _on_column(draw: Draw, schema: Snapshot, table: Table) -> Any:
    at, types = _at(table), _types(schema)
    new = _column(draw, draw(NAMES), types)
    if draw(st.integers(0, 4)) == 0 or not table.columns:
        tables = [t for t in schema.tables.values() if t.primary_key]
        clauses = list(new.constraints)
        if tables and not clauses and draw(st.booleans()):
            to = draw(st.sampled_from(tables))
            new = Column(new.name, to.columns[to.primary_key[0]].type)
            clauses = [f"REFERENCES {qualified(to.schema, to.name)} ON DELETE SET NULL"]
        elif draw(st.integers(0, 3)) == 0:
            clauses.append("UNIQUE")
        return AddColumn(
            table.name, new.name, new.type, new.nullable, new.default, collation=new.collation,
            constraints=tuple(clauses), if_not_exists=draw(st.booleans()), **at,
        )  # fmt: skip
    column: ColumnInfo = draw(st.sampled_from(list(table.columns.values())))
    name = column.name
    default = draw(st.sampled_from(types.get(column.type, ("NULL",))))
    type = draw(st.sampled_from(sorted(types)))
    return draw(
        st.sampled_from(
            [
                DropColumn(table.name, name, **at),
                DropColumn(table.name, name, **at),
                RenameColumn(table.name, name, new.name, **at),
                SetNotNull(table.name, name, **at),
                DropNotNull(table.name, name, **at),
                SetDefault(table.name, name, default, **at),
                DropDefault(table.name, name, **at),
                AlterColumnType(table.name, name, type, **at),
                AlterColumnType(table.name, name, "text", **at),
                AlterColumnType(table.name, name, type, using=f"{ident(name)}::text::{type}", **at),
                Comment("column", name, draw(TEXTS), table.name, **at),
                f"ALTER TABLE {qualified(table.schema, table.name)} DROP COLUMN {ident(name)},"
                f" ADD COLUMN {ident(new.name)} {type}",
            ]
        )
    )


def _on_constraint(draw: Draw, schema: Snapshot, table: Table) -> Any:
    at = _at(table)
    columns = list(table.columns.values())
    if not columns:
        return DropConstraint(table.name, draw(NAMES), if_exists=True, **at)
    if table.constraints and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(table.constraints)))
        return draw(
            st.sampled_from(
                [
                    DropConstraint(table.name, name, **at),
                    RenameConstraint(table.name, name, draw(NAMES), **at),
                    ValidateConstraint(table.name, name, **at),
                    Comment("constraint", name, draw(TEXTS), table.name, **at),
                ]
            )
        )
    column = draw(st.sampled_from(columns))
    name = draw(st.none() | NAMES)
    others = [
        (t, t.columns[t.primary_key[0]]) for t in schema.tables.values() if len(t.primary_key) == 1
    ]
    found: list[AddConstraint] = [
        AddConstraint.check(
            table.name, condition(column), name=name, not_valid=draw(st.booleans()), **at
        ),
        AddConstraint.unique(table.name, column.name, name=name, **at),
        AddConstraint.primary_key(table.name, column.name, name=name, **at),
        AddConstraint(table.name, f"EXCLUDE (({ident(column.name)} IS NULL) WITH =)", name, **at),
    ]
    unique = [i.name for i in table.indexes.values() if i.unique and i.constraint is None]
    found += [AddConstraint.unique(table.name, using_index=i, name=name, **at) for i in unique]
    for other, key in others[:2]:
        found.append(
            AddConstraint.foreign_key(
                table.name, column.name, other.name, key.name, name=name,
                on_delete=draw(st.sampled_from(["", "CASCADE"])), not_valid=draw(st.booleans()),
                to_schema=_at(other)["schema"], **at,
            )
        )  # fmt: skip
    return draw(st.sampled_from(found))


def condition(column: ColumnInfo) -> str:
    """A condition over a column."""
    name = ident(column.name)
    if column.type in NUMBERS:
        return f"{name} > 0 AND {name} + 1 <> 7"
    if column.type in TEXTUAL:
        return f"lower({name}) <> 'it''s' OR {name} LIKE '%\\%'"
    return f"{name} IS NOT NULL"


def _on_index(draw: Draw, schema: Snapshot, table: Table) -> Any:
    at = _at(table)
    free = [i for i in table.indexes.values() if i.constraint is None]
    if free and draw(st.integers(0, 2)) == 0:
        name = draw(st.sampled_from(free)).name
        return draw(
            st.sampled_from(
                [
                    DropIndex(name, **at),
                    DropIndex(name, concurrently=True, **at),
                    RenameObject("index", name, draw(NAMES), **at),
                    Comment("index", name, draw(TEXTS), **at),
                ]
            )
        )
    if not table.columns:
        return DropIndex(draw(NAMES), if_exists=True, **at)
    one = draw(st.sampled_from(list(table.columns.values())))
    other = draw(st.sampled_from(list(table.columns.values())))
    element: str = one.name
    if draw(st.booleans()):
        name = ident(one.name)
        texts = [f"{name} DESC NULLS LAST", f"({name} IS NULL)", f"coalesce({name}, {name})"]
        if one.type in TEXTUAL:
            texts += [f"lower({name})", f"{name} text_pattern_ops", f'{name} COLLATE "C"']
        element = Sql(draw(st.sampled_from(texts)))
    several = [element] if element == other.name else [element, other.name]
    return CreateIndex(
        table.name, tuple(draw(st.sampled_from([[element], several]))), draw(st.none() | NAMES),
        unique=draw(st.booleans()), concurrently=draw(st.integers(0, 4)) == 0,
        where=draw(st.none() | st.just(condition(other))),
        include=draw(st.sampled_from([(), (other.name,)])),
        nulls_not_distinct=draw(st.integers(0, 4)) == 0,
        options=draw(st.sampled_from(["", "fillfactor = 70"])), **at,
    )  # fmt: skip


def _new_type(draw: Draw) -> Any:
    return CreateEnum(draw(NAMES), tuple(draw(st.lists(TEXTS, max_size=3, unique=True))))


def _on_type(draw: Draw, schema: Snapshot) -> Any:
    enums = sorted((id.schema, id.name) for id in schema.facts if id.kind == "enum")
    if not enums:
        return _new_type(draw)
    space, name = draw(st.sampled_from(enums))
    labels = (schema.find("enum", space, name) or {})["labels"] or [""]
    at = {"schema": None if space == "public" else space}
    return draw(
        st.sampled_from(
            [
                DropType(name, **at),
                RenameEnumValue(name, draw(st.sampled_from(labels)), draw(TEXTS), **at),
                AddEnumValue(name, draw(TEXTS), **at),
                RenameObject("type", name, draw(NAMES), **at),
                Comment("type", name, draw(TEXTS), **at),
            ]
        )
    )


def _on_object(draw: Draw, schema: Snapshot) -> Any:
    spaces = sorted(id.name for id in schema.facts if id.kind == "schema" and id.name != "public")
    sequences = sorted((id.schema, id.name) for id in schema.facts if id.kind == "sequence")
    found: list[Any] = [Comment("schema", "public", draw(TEXTS))]
    for name in spaces[:1]:
        found += [
            DropSchema(name), RenameObject("schema", name, draw(NAMES)),
            Comment("schema", name, draw(TEXTS)),
        ]  # fmt: skip
    for space, name in sequences[:1]:
        at = {"schema": None if space == "public" else space}
        found += [
            DropSequence(name, **at), RenameObject("sequence", name, draw(NAMES), **at),
            Comment("sequence", name, draw(TEXTS), **at),
        ]  # fmt: skip
    return draw(st.sampled_from(found))


def _on_view(draw: Draw, schema: Snapshot, view: Table) -> Any:
    at = _at(view)
    if view.kind == "matview":
        return draw(
            st.sampled_from(
                [
                    DropMaterializedView(view.name, **at),
                    RenameObject("materialized view", view.name, draw(NAMES), **at),
                    CreateIndex(view.name, next(iter(view.columns), "a"), **at),
                ]
            )
        )
    query = (view.definition or "").rstrip().rstrip(";")
    return draw(
        st.sampled_from(
            [
                DropView(view.name, **at),
                RenameObject("view", view.name, draw(NAMES), **at),
                Comment("view", view.name, draw(TEXTS), **at),
                CreateView(view.name, f"SELECT * FROM ({query}) q", replace=True, **at),
                CreateView(view.name, query, replace=True, options="security_barrier=true", **at),
            ]
        )
    )
