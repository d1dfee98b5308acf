"""CREATE TABLE"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations import chosen, partitions
from qb_engine.operations.column import Column, element
from qb_engine.operations.drop_table import DropTable
from qb_engine.operations.mentions import references
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    operation,
)
from qb_engine.operations.safely import Safely, Seen, Step, place
from qb_engine.sql import deparse, qualified
from qb_engine.sql.tree import element_of, only, parse, pb, relation, walk

# what a partition has of its whole before it is one
LIKE = ("COMMENTS", "COMPRESSION", "CONSTRAINTS", "DEFAULTS", "GENERATED", "INDEXES", "STORAGE")


@operation
class CreateTable(Operation):
    """Make a table.

    `columns` are `Column` values, and SQL for constraints and LIKE; `tail` is SQL for what follows
    the parentheses: `PARTITION BY RANGE (day)`, `WITH (fillfactor = 70)`, or, without columns,
    `PARTITION OF events FOR VALUES FROM (1) TO (2)`.

    >>> CreateTable("notes", [Column("id", "bigint"), "PRIMARY KEY (id)"]).write()
    'CREATE TABLE notes (id bigint, PRIMARY KEY (id))'
    """

    table: str
    columns: tuple[Column | str, ...] = ()
    schema: str | None = field(default=None, kw_only=True)
    tail: str = field(default="", kw_only=True)
    unlogged: bool = field(default=False, kw_only=True)
    if_not_exists: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        given = [self.columns] if isinstance(self.columns, str) else self.columns
        columns = tuple(element(e) if isinstance(e, str) else e for e in given)
        object.__setattr__(self, "columns", columns)
        if self.tail:
            object.__setattr__(self, "tail", _tail(parse(self._composed()))[1])

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if not isinstance(node, pb.CreateStmt):
            return
        schema, table = relation(node.relation)
        elements, tail = _tail(node)
        yield cls(
            table,
            tuple(
                Column.read(e) if isinstance(e, pb.ColumnDef) else element_of(e) for e in elements
            ),
            schema=schema,
            tail=tail,
            unlogged=node.relation.relpersistence == "u",
            if_not_exists=node.if_not_exists,
        )

    def write(self) -> str:
        return self._composed()

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        if self.if_not_exists and chosen.taken(schema, self.table, self.schema):
            return Inverse(())
        drop = DropTable(self.table, schema=self.schema)
        steps: tuple[Operation | str, ...] = (drop,)
        node = parse(self.write())
        if node.HasField("partbound"):
            space, whole = relation(only(node.inh_relations[0]))
            if partitions.reached(schema, (space or "public", whole)):
                # a partition that foreign keys reach cannot be dropped while it is one
                part = qualified(self.schema, self.table)
                detach = f"ALTER TABLE {qualified(space, whole)} DETACH PARTITION {part}"
                steps = (detach, drop)
        return Inverse(steps, loses=f"the rows of {self.table}")

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        if not self.if_not_exists:
            yield Requirement(self.table, self.schema, must_exist=False)
        own = (self.schema or "public", self.table)
        for each in self.columns:
            text = each.write() if isinstance(each, Column) else each
            for found in references(schema, text):
                if (found.schema or "public", found.table) != own:
                    yield found
        for each in walk(parse(self.write())):
            if isinstance(each, pb.RangeVar):
                space, name = relation(each)
                if (space or "public", name) != own:
                    yield Requirement(name, space)

    def safely(self, schema: Schema, seen: Seen) -> Safely | None:
        """A partition is made as a table of its own and attached: its whole is not locked."""
        from qb_engine.operations.attach_partition import default_of, proofs

        node = parse(self.write())
        if not node.HasField("partbound") or node.HasField("partspec") or node.table_elts:
            return None
        whole = relation(only(node.inh_relations[0]))
        if self.if_not_exists or node.options or not seen.big(place(*whole)):
            return None
        name, above = qualified(self.schema, self.table), qualified(*whole)
        bound = self.tail[self.tail.upper().index(" FOR VALUES ") :] if "FOR" in self.tail else ""
        if not bound:
            return None  # a default partition: there is nothing to gain
        like = " ".join(f"INCLUDING {kind}" for kind in LIKE)
        attach = f"ALTER TABLE {above} ATTACH PARTITION {name}{bound}"
        whys = ("a table like it, which nobody uses yet", "ATTACH lets others read and write")
        made = CreateTable(self.table, (f"LIKE {above} {like}",), schema=self.schema)
        parent = schema.table(whole[1], whole[0] or "public")
        default = default_of(schema, parent) if parent else ""
        before, proving, after = proofs(seen, {default})
        first = (Step(made, whys[0], apart=True), *before)
        return Safely(expand=(*first, *proving, Step(attach, whys[1], apart=True, down=()), *after))

    def _composed(self) -> str:
        parts = ["CREATE UNLOGGED TABLE" if self.unlogged else "CREATE TABLE"]
        parts += ["IF NOT EXISTS"] if self.if_not_exists else []
        parts.append(qualified(self.schema, self.table))
        if self.columns or not self.tail.upper().startswith(("PARTITION OF ", "OF ")):
            shown = (e.write() if isinstance(e, Column) else e for e in self.columns)
            parts.append(f"({', '.join(shown)})")
        return " ".join([*parts, self.tail] if self.tail else parts)


def _tail(node: Any) -> tuple[list[Any], str]:
    """The elements of a CREATE TABLE, and what follows them as SQL.

    A partition and a typed table have everything in what follows.
    """
    rest = pb.CreateStmt()
    rest.CopyFrom(node)
    bare = pb.CreateStmt(relation=node.relation, oncommit=node.oncommit)
    rest.if_not_exists = False
    rest.relation.relpersistence = bare.relation.relpersistence = "p"
    whole = node.HasField("partbound") or node.HasField("of_typename")
    elements = [] if whole else [only(e) for e in node.table_elts]
    if not whole:
        del rest.table_elts[:]
    head = deparse(bare)
    text = deparse(rest).removeprefix(head.removesuffix(" ()") if whole else head)
    return elements, text.strip()
