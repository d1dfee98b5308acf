"""from what a snapshot remembers of an object to the operations that make it again"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from qb_engine.operations import obstacles, partitions
from qb_engine.operations.operation import Irreversible, Operation, Schema
from qb_engine.schema import ColumnInfo, ConstraintInfo, IndexInfo, Table
from qb_engine.sql import ident, literal, qualified, read_one
from qb_engine.sql.tree import only, relation

Step = Operation | str


def space(schema: str) -> str | None:
    """A schema as statements write it: not at all for public."""
    return None if schema == "public" else schema


def column(schema: Schema, table: Table, name: str) -> tuple[Step, ...] | Irreversible:
    """Make a column again, with the indexes and constraints that went with it."""
    from qb_engine.operations.add_column import AddColumn

    trouble = obstacles.of_column(schema, table, name)
    if trouble:
        return Irreversible(trouble)
    new = _column(schema, table, table.columns[name])
    steps: list[Step] = list(_sequences(schema, table, name))
    steps.append(
        AddColumn(
            table.name,
            name,
            new.type,
            new.nullable,
            new.default,
            schema=space(table.schema),
            collation=new.collation,
            constraints=new.constraints,
        )
    )
    steps += _owned(schema, table, name)
    back: list[Step] = []  # foreign keys come last: they may point at this very table
    for each in table.constraints.values():
        if name in each.columns or name in named_in(each):
            if odd := obstacles.of_part(schema, "constraint", table, each.name):
                return Irreversible(odd)
            (back if each.kind == "foreign key" else steps).extend(constraint(table, each))
    for found in table.indexes.values():
        if found.constraint is None and name in columns_of(found):
            if odd := obstacles.of_part(schema, "index", table, found.name):
                return Irreversible(odd)
            steps += index_steps(schema, table, found)
    steps += back
    steps += statistics(schema, table, name)
    steps += _comment("column", name, table.columns[name].comment, table)
    for part in partitions.below(schema, table):
        own = _of_part(schema, table, part, name)
        if isinstance(own, Irreversible):
            return own
        steps += own
    return tuple(steps)


def _of_part(
    schema: Schema, table: Table, part: Table, name: str
) -> tuple[Step, ...] | Irreversible:
    """What a table below has of its own on a column of this one, and loses with it."""
    from qb_engine.operations.drop_default import DropDefault
    from qb_engine.operations.set_default import SetDefault

    whole, mine, at = table.columns[name], part.columns.get(name), space(part.schema)
    fact = schema.find("column", part.schema, part.name, name) or {}
    if mine is None or not fact.get("inherited"):
        return ()  # it has the column of itself, and keeps it
    if (mine.nullable, mine.type, mine.generated) != (whole.nullable, whole.type, whole.generated):
        return Irreversible(f"the column {name} of the partition {part.name} is another one")
    steps: list[Step] = []
    if mine.default != whole.default:
        if mine.default is None:
            steps.append(DropDefault(part.name, name, schema=at))
        else:
            steps.append(SetDefault(part.name, name, mine.default, schema=at))
    for each in part.constraints.values():
        if not each.inherited and (name in each.columns or name in named_in(each)):
            if odd := obstacles.of_part(schema, "constraint", part, each.name):
                return Irreversible(odd)
            steps += constraint(part, each)
    for index in partitions.own_indexes(schema, part):
        if name in columns_of(index):
            if odd := obstacles.of_part(schema, "index", part, index.name):
                return Irreversible(odd)
            steps += index_steps(schema, part, index)
    steps += _comment("column", name, mine.comment, part)
    return tuple(steps)


def table(schema: Schema, found: Table) -> tuple[Step, ...] | Irreversible:
    """Make a table again with all that belonged to it, or say what stands in the way."""
    from qb_engine.operations.create_table import CreateTable

    if found.kind not in ("table", "partitioned"):
        return Irreversible(f"{found.name} is a {found.kind}, not a table")
    trouble = obstacles.of_table(schema, found)
    if trouble:
        return Irreversible(trouble)
    head = schema.find("table", found.schema, found.name) or {}
    columns = [_column(schema, found, each) for each in found.columns.values()]
    inside = _inside(found)
    constraints = [f"CONSTRAINT {ident(c.name)} {c.definition}" for c in inside]
    tail = f"PARTITION BY {found.partition_key}" if found.partition_key else ""
    if head.get("options"):
        tail = f"{tail} WITH ({', '.join(head['options'])})".strip()
    steps: list[Step] = list(_sequences(schema, found))
    steps.append(
        CreateTable(
            found.name,
            (*columns, *constraints),
            schema=space(found.schema),
            tail=tail,
            unlogged=head.get("persistence") == "unlogged",
        )
    )
    steps += _owned(schema, found)
    back: list[Step] = []
    for each in found.constraints.values():
        if each in inside:
            steps += constraint(found, each)[1:]
        else:
            (back if each.kind == "foreign key" else steps).extend(constraint(found, each))
    for index in found.indexes.values():
        if index.constraint is None:
            steps += index_steps(schema, found, index)
    steps += back
    steps += statistics(schema, found)
    steps += [trigger.definition for trigger in found.triggers.values()]
    steps += _comment("table", found.name, found.comment, found)
    for each_column in found.columns.values():
        steps += _comment("column", each_column.name, each_column.comment, found)
    return tuple(steps)


def _inside(table: Table) -> list[ConstraintInfo]:
    """The constraints that can stand in CREATE TABLE; the others are added one by one.

    Of two keys over the same columns, CREATE TABLE makes but one; a foreign key to the table itself
    may need an index that is not there yet.
    """
    found: list[ConstraintInfo] = []
    keys: set[tuple[str, ...]] = set()
    for each in table.constraints.values():
        key = each.kind in ("primary key", "unique")
        if each.valid and each.references != table.qualified and not (key and each.columns in keys):
            found.append(each)
            keys |= {each.columns} if key else set()
    return found


def expressions(schema: Schema, table: Table, column: str) -> tuple[list[Operation], list[Step]]:
    """Drop what computes with a column, and make it again: checks, and indexes over expressions.

    What a table above has given is left alone: it is not to be dropped here.
    """
    from qb_engine.operations.drop_constraint import DropConstraint
    from qb_engine.operations.drop_index import DropIndex
    from qb_engine.operations.mentions import columns_below

    before: list[Operation] = []
    after: list[Step] = []
    for each in (table, *partitions.below(schema, table)):
        at = space(each.schema)
        for check in each.constraints.values():
            odd = check.inherited or obstacles.of_part(schema, "constraint", each, check.name)
            if column in named_in(check) and not odd:
                before.append(DropConstraint(each.name, check.name, schema=at))
                after += constraint(each, check)
        for index in partitions.own_indexes(schema, each):
            node = read_one(index.definition).node
            inside = (*(e.index_elem.expr for e in node.index_params), node.where_clause)
            used = any(column in columns_below(part) for part in inside)
            if used and not obstacles.of_part(schema, "index", each, index.name):
                before.append(DropIndex(index.name, schema=at))
                after += index_steps(schema, each, index)
    return before, after


def view(schema: Schema, found: Table) -> tuple[Step, ...] | Irreversible:
    """Make a view again from its definition."""
    from qb_engine.operations.create_materialized_view import CreateMaterializedView
    from qb_engine.operations.create_view import CreateView

    if found.definition is None:
        return Irreversible(f"{found.name} is a {found.kind}, not a view")
    if odd := obstacles.of_whole(schema, found.kind, found) or obstacles.of_kinds(
        schema, found, ("rule", "trigger")
    ):
        return Irreversible(odd)
    head = schema.find(found.kind, found.schema, found.name) or {}
    steps: list[Step] = []
    if found.kind == "matview":
        if head.get("options"):
            return Irreversible(f"{found.name} has storage options, which would be lost")
        steps.append(
            CreateMaterializedView(found.name, found.definition, schema=space(found.schema))
        )
    else:
        options = ", ".join(head.get("options", ()))
        steps.append(
            CreateView(found.name, found.definition, schema=space(found.schema), options=options)
        )
    for each in found.indexes.values():
        steps += index_steps(schema, found, each)
    if found.kind == "view":
        steps += _comment("view", found.name, found.comment, found)
    elif found.comment:
        return Irreversible(f"{found.name} has a comment, which would be lost")
    for each_column in found.columns.values():
        steps += _comment("column", each_column.name, each_column.comment, found)
    return tuple(steps)


def constraint(table: Table, found: ConstraintInfo) -> tuple[Operation, ...]:
    """Add a constraint again, with its comment."""
    from qb_engine.operations.add_constraint import AddConstraint
    from qb_engine.operations.comment import Comment

    at = space(table.schema)
    add = AddConstraint(table.name, found.definition, found.name, schema=at)
    if found.comment is None:
        return (add,)
    return add, Comment("constraint", found.name, found.comment, table.name, schema=at)


def index_steps(
    schema: Schema, table: Table, found: IndexInfo, *, concurrently: bool = False
) -> tuple[Step, ...]:
    """Create an index again, with its comment; of a partitioned table, with those of its parts."""
    from qb_engine.operations.comment import Comment
    from qb_engine.operations.create_index import CreateIndex

    at = space(table.schema)
    (create,) = CreateIndex.read(read_one(found.definition).node)
    create = dataclasses.replace(create, schema=at, concurrently=concurrently)
    steps: list[Step] = [create]
    if found.comment is not None:
        steps.append(Comment("index", found.name, found.comment, schema=at))
    if table.kind == "partitioned":
        # PostgreSQL prints ONLY, which makes an empty frame: each part's is hung up in it, by name
        for part, own in partitions.attached(schema, table, found):
            steps += index_steps(schema, part, own)
            steps.append(
                f"ALTER INDEX {qualified(at, found.name)}"
                f" ATTACH PARTITION {qualified(space(part.schema), own.name)}"
            )
    return tuple(steps)


def index(schema: Schema, name: str, space: str | None) -> tuple[Table, IndexInfo] | None:
    """The index of a name and the table it is on; None when the snapshot has none."""
    for id in schema.facts:
        if id.sub == name and id.schema == (space or "public"):
            found = schema.table(id.name, id.schema) if id.kind in ("index", "constraint") else None
            if found is not None and name in found.indexes:
                return found, found.indexes[name]
    return None


def enum(schema: Schema, name: str, at: str | None) -> tuple[Step, ...] | None:
    """Make an enum type again; None when there is none of that name."""
    from qb_engine.operations.comment import Comment
    from qb_engine.operations.create_enum import CreateEnum

    found = schema.find("enum", at or "public", name)
    if found is None:
        return None
    steps: list[Step] = [CreateEnum(name, tuple(found["labels"]), schema=at)]
    said = schema.find("comment", at or "public", name, "enum")
    return (*steps, Comment("type", name, said["text"], schema=at)) if said else tuple(steps)


def comment(
    schema: Schema, kind: str, at: str | None, name: str, of: str | None
) -> str | Irreversible | None:
    """The comment that an object has now."""
    kinds: tuple[str, ...] = (kind,)
    place, head, sub = at or "public", name, ""
    if kind == "schema":
        place = ""
    elif kind == "type":
        kinds = ("enum", "domain", "composite", "range", "type")
    elif kind in ("column", "constraint"):
        head, sub = str(of), name
    elif kind == "index":
        found = index(schema, name, at)
        if found is None:
            return Irreversible(f"the comment on the index {name} before is not known")
        head, sub = found[0].name, name
        if found[1].constraint is not None:
            return Irreversible(f"the comment on the index {name} before is not known")
    for each in kinds:
        said = schema.find("comment", place, head, f"{each} {sub}".rstrip())
        if said is not None:
            return str(said["text"])
    return None


def collation(info: ColumnInfo) -> str | None:
    """A column's collation as SQL, when it is not that of its type."""
    if info.collation is None:
        return None
    at, _, name = info.collation.partition(".")
    return qualified(at, name)


def has_schema(schema: Schema, name: str) -> bool:
    """True when there is a schema of that name."""
    return schema.find("schema", "", name) is not None


# -- parts ---------------------------------------------------------------------------------------


def _column(schema: Schema, table: Table, info: ColumnInfo) -> Any:
    from qb_engine.operations.column import Column

    clauses: list[str] = []
    default = info.default
    if info.generated:
        kind = "STORED" if info.generated == "s" else "VIRTUAL"
        clauses.append(f"GENERATED ALWAYS AS ({info.default}) {kind}")
        default = None
    if info.identity:
        fact = schema.find("column", table.schema, table.name, info.name) or {}
        options = sequence_options(fact.get("sequence", {}))
        kind = "ALWAYS" if info.identity == "a" else "BY DEFAULT"
        clauses.append(f"GENERATED {kind} AS IDENTITY" + (f" ({options})" if options else ""))
    return Column(info.name, info.type, info.nullable, default, collation(info), tuple(clauses))


def sequence_options(payload: Mapping[str, Any]) -> str:
    """What a snapshot says of a sequence, as SQL writes it."""
    words = {"start": "START", "increment": "INCREMENT", "min": "MINVALUE", "max": "MAXVALUE"}
    parts = [f"{word} {payload[key]}" for key, word in words.items() if key in payload]
    parts += [f"CACHE {payload['cache']}"] if "cache" in payload else []
    parts += ["CYCLE"] if payload.get("cycle") else []
    return " ".join(parts)


def _owned_sequences(schema: Schema, table: Table, column: str | None) -> Iterator[tuple[Any, Any]]:
    for id, payload in schema.facts.items():
        owner = payload.get("owned_by") if id.kind == "sequence" else None
        if owner and tuple(owner[:2]) == (table.schema, table.name) and column in (None, owner[2]):
            yield id, payload


def _sequences(schema: Schema, table: Table, column: str | None = None) -> Iterator[Step]:
    from qb_engine.operations.create_sequence import CreateSequence

    for id, payload in _owned_sequences(schema, table, column):
        options = f"AS {payload['type']} {sequence_options(payload)}"
        yield CreateSequence(id.name, options, schema=space(id.schema))


def _owned(schema: Schema, table: Table, column: str | None = None) -> Iterator[Step]:
    for id, payload in _owned_sequences(schema, table, column):
        owner = f"{qualified(space(table.schema), table.name)}.{ident(payload['owned_by'][2])}"
        yield f"ALTER SEQUENCE {qualified(space(id.schema), id.name)} OWNED BY {owner}"


def statistics(schema: Schema, table: Table, column: str | None = None) -> Iterator[Step]:
    """Extended statistics on a table; those that go with one of its columns."""
    from qb_engine.operations.mentions import columns_below

    for id, payload in schema.facts.items():
        if id.kind != "statistics":
            continue
        node = read_one(payload["definition"]).node
        if relation(only(node.relations[0])) != (table.schema, table.name):
            continue
        over = [only(each) for each in node.exprs]
        names = {n for e in over for n in (e.name, *columns_below(e.expr))}
        if column is not None and column not in names:
            continue
        name = qualified(space(id.schema), id.name)
        yield str(payload["definition"])
        if "target" in payload:
            yield f"ALTER STATISTICS {name} SET STATISTICS {payload['target']}"
        if said := schema.find("comment", id.schema, id.name, "statistics"):
            yield f"COMMENT ON STATISTICS {name} IS {literal(said['text'])}"


def _comment(kind: str, name: str, text: str | None, table: Table) -> Iterator[Step]:
    from qb_engine.operations.comment import Comment

    if text is not None:
        of = table.name if kind == "column" else None
        yield Comment(kind, name, text, of, schema=space(table.schema))


def named_in(found: ConstraintInfo) -> tuple[str, ...]:
    """The columns that a CHECK or EXCLUDE names."""
    from qb_engine.operations.mentions import own_columns

    return own_columns(found.definition) if found.kind in ("check", "exclusion") else ()


def columns_of(found: IndexInfo) -> tuple[str, ...]:
    """The columns that an index needs."""
    from qb_engine.operations.create_index import columns_below_index

    return columns_below_index(read_one(found.definition).node)
