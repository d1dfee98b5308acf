"""CREATE INDEX"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import Any, Self

from qb_engine.operations import chosen, partitions
from qb_engine.operations.drop_index import DropIndex
from qb_engine.operations.mentions import as_is, columns_below
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    Sql,
    names,
    normalise,
    operation,
)
from qb_engine.operations.safely import Safely, Seen, Step, place
from qb_engine.schema import Table
from qb_engine.sql import deparse, ident, qualified
from qb_engine.sql.tree import (
    equal,
    expression,
    expression_of,
    index_element,
    index_element_of,
    only,
    parse,
    pb,
    relation,
)


@operation
class CreateIndex(Operation):
    """Make an index; `concurrently` lets the table be written meanwhile.

    `columns` are names; what is more than a name is `Sql("lower(email) DESC")`.
    `where` and `options` (`fillfactor = 70`) are SQL.

    >>> CreateIndex("users", ["email"], name="users_email_idx", unique=True).write()
    'CREATE UNIQUE INDEX users_email_idx ON users (email)'
    >>> CreateIndex("users", Sql("lower(email)"), concurrently=True, where="active").write()
    'CREATE INDEX CONCURRENTLY ON users (lower(email)) WHERE active'
    """

    table: str
    columns: tuple[str, ...]
    name: str | None = None
    schema: str | None = field(default=None, kw_only=True)
    unique: bool = field(default=False, kw_only=True)
    concurrently: bool = field(default=False, kw_only=True)
    if_not_exists: bool = field(default=False, kw_only=True)
    only: bool = field(default=False, kw_only=True)
    method: str = field(default="btree", kw_only=True)
    where: str | None = field(default=None, kw_only=True)
    include: tuple[str, ...] = field(default=(), kw_only=True)
    nulls_not_distinct: bool = field(default=False, kw_only=True)
    options: str = field(default="", kw_only=True)
    tablespace: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        normalise(self, "columns", lambda given: tuple(map(_element, names(given))))
        normalise(self, "include", names)
        normalise(self, "where", expression)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if not isinstance(node, pb.IndexStmt):
            return
        schema, table = relation(node.relation)
        yield cls(
            table,
            tuple(_read_element(only(e)) for e in node.index_params),
            node.idxname or None,
            schema=schema,
            unique=node.unique,
            concurrently=node.concurrent,
            if_not_exists=node.if_not_exists,
            only=not node.relation.inh,
            method=node.access_method or "btree",
            where=expression_of(node.where_clause) if node.HasField("where_clause") else None,
            include=tuple(only(e).name for e in node.index_including_params),
            nulls_not_distinct=node.nulls_not_distinct,
            options=_options(node),
            tablespace=node.table_space,
        )

    def write(self) -> str:
        parts = ["CREATE UNIQUE INDEX" if self.unique else "CREATE INDEX"]
        parts += ["CONCURRENTLY"] if self.concurrently else []
        parts += ["IF NOT EXISTS"] if self.if_not_exists else []
        parts += [ident(self.name)] if self.name else []
        parts += ["ON ONLY" if self.only else "ON", qualified(self.schema, self.table)]
        parts += [f"USING {ident(self.method)}"] if self.method != "btree" else []
        parts.append(f"({', '.join(c if isinstance(c, Sql) else ident(c) for c in self.columns)})")
        parts += [f"INCLUDE ({', '.join(map(ident, self.include))})"] if self.include else []
        parts += ["NULLS NOT DISTINCT"] if self.nulls_not_distinct else []
        parts += [f"WITH ({self.options})"] if self.options else []
        parts += [f"TABLESPACE {ident(self.tablespace)}"] if self.tablespace else []
        parts += [f"WHERE {self.where}"] if self.where is not None else []
        return " ".join(parts)

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        if self.if_not_exists and self.name and chosen.taken(schema, self.name, self.schema):
            return Inverse(())
        name = self.name or chosen.index(schema, self.table, self.schema, parse(self.write()))
        drop = DropIndex(name, schema=self.schema, concurrently=self.concurrently)
        return Inverse((drop,))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        yield Requirement(self.table, self.schema)
        for name in columns_below_index(parse(self.write())):
            yield as_is(schema, self.table, self.schema, name)
        if self.name and not self.if_not_exists:
            yield Requirement(self.table, self.schema, index=self.name, must_exist=False)

    def safely(self, schema: Schema, seen: Seen) -> Safely | None:
        table = schema.table(self.table, self.schema or "public")
        partitioned = table is not None and table.kind == "partitioned"
        if self.only or (self.concurrently and not partitioned):
            return None
        if not self.concurrently and place(self.schema, self.table) not in seen.builds:
            return None
        return Safely(expand=concurrent(self, schema))


def concurrent(create: CreateIndex, schema: Schema) -> tuple[Step, ...]:
    """Make an index while others write; of a partitioned table, partition by partition."""
    table = schema.table(create.table, create.schema or "public")
    name = create.name or chosen.index(schema, create.table, create.schema, parse(create.write()))
    create = replace(create, name=name, concurrently=False)
    if table is None or table.kind != "partitioned":
        create = replace(create, concurrently=True)
        return (Step(create, f"make the index {name}, while others read and write"),)
    return (
        Step(
            replace(create, only=True),
            f"an index {name} of the whole, invalid until each partition has its own",
            apart=True,
        ),
        *_leaves(create, schema, table),
    )


def _leaves(create: CreateIndex, schema: Schema, table: Table) -> Iterator[Step]:
    """Make the index on each partition, and hang it up in that of the whole."""
    for part in partitions.parts(schema, table):
        at = None if part.schema == "public" else part.schema
        own = replace(create, table=part.name, schema=at, name=None, if_not_exists=False)
        own = replace(own, name=chosen.index(schema, part.name, at, parse(own.write())))
        if part.kind == "partitioned":
            yield Step(replace(own, only=True), f"the same of {part.name}", apart=True, down=())
            yield from _leaves(own, schema, part)
        else:
            own = replace(own, concurrently=True)
            yield Step(own, f"make it on {part.name}, while others read and write", down=())
        yield Step(
            f"ALTER INDEX {qualified(create.schema, str(create.name))}"
            f" ATTACH PARTITION {qualified(at, str(own.name))}",
            f"that of {part.name} becomes a part of it",
            apart=True,
            down=(),
        )


def columns_below_index(node: Any) -> tuple[str, ...]:
    """The columns that an IndexStmt needs: keys, included, in expressions and in WHERE."""
    found: dict[str, None] = {}
    for each in (*node.index_params, *node.index_including_params):
        element = only(each)
        found |= dict.fromkeys([element.name] if element.name else columns_below(element))
    found |= dict.fromkeys(columns_below(node.where_clause))
    return tuple(found)


def _element(given: str) -> str:
    if not isinstance(given, Sql):
        return given
    return _read_element(only(parse(f"CREATE INDEX ON t ({index_element(given)})").index_params[0]))


def _read_element(element: Any) -> str:
    bare = pb.IndexElem(
        name=element.name, ordering="SORTBY_DEFAULT", nulls_ordering="SORTBY_NULLS_DEFAULT"
    )
    if element.name and equal(element, bare):
        return str(element.name)
    return Sql(index_element_of(element))


def _options(node: Any) -> str:
    if not node.options:
        return ""
    bare = pb.IndexStmt(relation=node.relation, access_method="btree", options=node.options)
    bare.index_params.extend(parse("CREATE INDEX ON t (c)").index_params)
    return deparse(bare).partition(" WITH (")[2].removesuffix(")")
