"""a type changed by a new column: kept equal by a trigger, filled in batches, then swapped"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qb_engine.operations import chosen, constraining, obstacles, partitions, rebuild
from qb_engine.operations.operation import Irreversible, Operation
from qb_engine.operations.safely import Fill, Safely, Seen, Step, Uncovered, named
from qb_engine.operations.set_not_null import NOT_VALID_SINCE, not_null
from qb_engine.schema import ConstraintInfo, IndexInfo, Table
from qb_engine.sql import ident, literal, qualified, tree
from qb_engine.sql.tree import only, parse, pb, walk

if TYPE_CHECKING:
    from qb_engine.operations.alter_column_type import AlterColumnType
    from qb_engine.operations.operation import Schema

UNEQUAL = ("json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle")
KEYS = ("primary key", "unique")
SHORT = "the old column is a copy by then; the swap changes the catalog only"


def safely(change: AlterColumnType, schema: Schema, seen: Seen) -> Safely | Uncovered:
    """The new column, its backfill, and the swap; what stood on the old one stands on the new."""
    table = change.before(schema)
    after = seen.after.table(change.table, change.schema or "public") if seen.after else None
    if table is None or after is None or change.column not in table.columns:
        return Uncovered(f"what {change.table}.{change.column} is like is not known")
    if reason := _obstacle(schema, table, change.column):
        return Uncovered(
            f"{change.column} cannot be swapped for a new column: {reason}",
            "do by hand what a swap does: a new column, a trigger, a backfill, and the swap",
        )
    swap = _Swap(change, schema, seen, table, after)
    return Safely(
        expand=tuple(swap.expand()),
        fill=swap.fill(),
        contract=(*swap.copies(), *swap.swap()),
        adds=swap.adds,
        notes=swap.notes(),
        moves=f"{change.column} of {change.table} is a new column, so it is the last one",
    )


def _obstacle(schema: Schema, table: Table, column: str) -> str:
    if table.kind != "table" or table.partition_of:
        return "the table is partitioned, or a partition"
    head = schema.find("table", table.schema, table.name) or {}
    if head.get("inherits") or any(True for _ in partitions.parts(schema, table)):
        return "the table inherits, or is inherited from"
    if head.get("replica_identity"):
        return "the replica identity of the table would have to move along"
    for each in table.constraints.values():
        if each.kind == "exclusion" and column in each.columns:
            return f"the exclusion constraint {each.name} cannot be made without a lock"
    return obstacles.of_column(schema, table, column)


@dataclass(frozen=True)
class _Swap:
    """The steps of one swap. `table` is as it was, `after` as it is to be."""

    change: AlterColumnType
    schema: Schema
    seen: Seen
    table: Table
    after: Table

    @property
    def old(self) -> str:
        return self.change.column

    @cached_property
    def new(self) -> str:
        """The name of the new column until the swap."""
        return named("new", self.old)

    @cached_property
    def on(self) -> str:
        return qualified(self.change.schema, self.change.table)

    @property
    def alter(self) -> str:
        return f"ALTER TABLE {self.on}"

    @cached_property
    def function(self) -> str:
        return qualified(self.change.schema, named("sync", self.table.name, self.old))

    @cached_property
    def trigger(self) -> str:
        # triggers fire by name: what others write into the old column must be there already
        name = f"zz_{named('sync', self.table.name, self.old)}".encode()
        return name[: chosen.LONGEST].decode(errors="ignore")

    @property
    def value(self) -> str:
        return self.change.using or ident(self.old)

    # -- before the rows -----------------------------------------------------------------------

    def expand(self) -> Iterator[Step]:
        collate = f" COLLATE {self.change.collation}" if self.change.collation else ""
        table, new = ident(self.table.name), ident(self.new)
        yield Step(
            f"{self.alter} ADD COLUMN {new} {self.change.type}{collate}",
            f"a new column of the new type, empty: it takes the place of {self.old} in the end",
            down=(f"{self.alter} DROP COLUMN IF EXISTS {new}",),
        )
        body = (
            f"BEGIN NEW.{new} := (SELECT {self.value} FROM (SELECT (NEW).*) AS {table});"
            " RETURN NEW; END"
        )
        head = f"CREATE FUNCTION {self.function}() RETURNS trigger LANGUAGE plpgsql"
        yield Step(
            f"{head} AS {literal(body)}",
            f"computes it from {self.old}",
            down=(f"DROP FUNCTION IF EXISTS {self.function}()",),
        )
        yield Step(
            f"CREATE TRIGGER {ident(self.trigger)} BEFORE INSERT OR UPDATE ON {self.on}"
            f" FOR EACH ROW EXECUTE FUNCTION {self.function}()",
            "rows written from now on have it at once",
            down=(f"DROP TRIGGER IF EXISTS {ident(self.trigger)} ON {self.on}",),
        )

    def fill(self) -> Fill:
        new, bare = ident(self.new), self.change.type.partition("(")[0].strip()
        if bare in UNEQUAL:
            where = f"{new} IS NULL AND ({self.value}) IS NOT NULL"
        else:
            where = f"{new} IS DISTINCT FROM CAST({self.value} AS {self.change.type})"
        return Fill(
            self.table.name,
            {self.new: self.value},
            where,
            f"copy {self.old} into the new column, a batch at a time",
            self.change.schema,
            f"SELECT 1 FROM {self.on} WHERE {where} LIMIT 1",
        )

    # -- after the rows ------------------------------------------------------------------------

    def copies(self) -> Iterator[Step]:
        """What stands on the old column, made and proved on the new one."""
        if not self.after.columns[self.old].nullable:
            yield from not_null(self.change, self.new, self.schema, self.seen.version, new=True)
        for index in self._indexes():
            yield Step(
                self._index(index),
                f"what {index.name} is to the old column, while others read and write",
                down=(),
            )
        for each in self._own("check", "foreign key"):
            node = _renamed(tree.element_nodes(each.definition)[0], self.old, self.new)
            if each.references == self.table.qualified:
                _references_to(node, self.old, self.new)
            yield from self._proved(self.on, node, each, self.table.name)
        for table, each in self._others():
            node = tree.element_nodes(each.definition)[0]
            _references_to(node, self.old, self.new)
            yield from self._proved(_sql(table), node, each, table.name)

    def _proved(self, on: str, node: Any, found: ConstraintInfo, table: str) -> Iterator[Step]:
        """A constraint beside the one that is there, added NOT VALID and then validated."""
        name = ident(self._aside(found.name, table))
        node.skip_validation, node.initially_valid = True, False
        why = f"what {found.name} is to the old column; rows that are there are not read yet"
        drop = f"ALTER TABLE {on} DROP CONSTRAINT IF EXISTS {name}"
        text = tree.clause_of(node)
        same = f"it is as {found.name} was, whose place it takes"
        yield Step(
            f"ALTER TABLE {on} ADD CONSTRAINT {name} {text}", why, apart=True, down=(drop,),
            accepts={"fk-type-mismatch": same, "fk-missing-index": same},
        )  # fmt: skip
        if found.valid:
            yield Step(
                f"ALTER TABLE {on} VALIDATE CONSTRAINT {name}",
                "read the rows, while others read and write",
                apart=True,
                down=(),
            )

    def swap(self) -> tuple[Step, ...]:
        """One short transaction, the catalog only; the first step begins it."""
        steps = list(self._swap())
        way = self.change.inverse(self.schema)
        back: tuple[str, ...] = ()
        if not isinstance(way, Irreversible):
            back = tuple(s.write() if isinstance(s, Operation) else s for s in way.steps)
        found = []
        for sql, why in steps:
            last = sql == self._drop_column
            # the whole is taken back by changing the type back
            down = (*back, *self._narrowed()) if last else ()
            found.append(
                Step(
                    sql,
                    why,
                    together=f"{self.on} {self.new}",
                    down=down,
                    irreversible=way.reason if last and isinstance(way, Irreversible) else "",
                    accepts={
                        "drop-column": SHORT,
                        "rename-column": "old and new column change places in one transaction",
                        "multi-table-access-exclusive": SHORT,
                        "work-after-access-exclusive": SHORT,
                    },
                )
            )
        return tuple(found)

    @property
    def _drop_column(self) -> str:
        return f"{self.alter} DROP COLUMN {ident(self.old)}"

    def _swap(self) -> Iterator[tuple[str, str]]:
        new, old = ident(self.new), ident(self.old)
        info = self.after.columns[self.old]
        yield f"DROP TRIGGER {ident(self.trigger)} ON {self.on}", "from here on nobody else writes"
        yield f"DROP FUNCTION {self.function}()", ""
        for table, each in self._others():
            alter, aside = f"ALTER TABLE {_sql(table)}", ident(self._aside(each.name, table.name))
            yield (
                f"{alter} DROP CONSTRAINT {ident(each.name)}",
                f"{table.name} refers to the new one",
            )
            yield f"{alter} RENAME CONSTRAINT {aside} TO {ident(each.name)}", ""
        for each in self._own("foreign key"):
            if self.old in _pointed(each) and each.references == self.table.qualified:
                yield f"{self.alter} DROP CONSTRAINT {ident(each.name)}", "it is there anew"
        yield from self._sequences()
        yield self._drop_column, f"with what stood on it; {self.new} has it all"
        yield f"{self.alter} RENAME COLUMN {new} TO {old}", "the new column takes its place"
        if info.default is not None and not info.identity:
            yield f"{self.alter} ALTER COLUMN {old} SET DEFAULT {info.default}", ""
        if info.identity:
            yield self._identity_back, "the sequence under its name"
        for index in self._indexes():
            yield self._take_over(index), ""
        for each in self._own("check", "foreign key"):
            aside = ident(self._aside(each.name, self.table.name))
            yield f"{self.alter} RENAME CONSTRAINT {aside} TO {ident(each.name)}", ""
        if not info.nullable and self.seen.version >= NOT_VALID_SINCE:
            yield from self._not_null_name()
        yield from self._remarks()

    def _not_null_name(self) -> Iterator[tuple[str, str]]:
        node = tree.element_nodes(f"CONSTRAINT c NOT NULL {ident(self.new)}")[0]
        aside = chosen.constraint(self.schema, self.table.name, self.change.schema, node)
        own = chosen.made(self.table.name, self.old, "not_null")
        yield f"{self.alter} RENAME CONSTRAINT {ident(aside)} TO {ident(own)}", ""

    def _take_over(self, index: IndexInfo) -> str:
        """An index under the name of the one that is gone, as the constraint that it is for."""
        aside = ident(self._aside(index.name, self.table.name))
        found = self.after.constraints.get(index.constraint or "")
        if found is None:
            at = qualified(self.change.schema, self._aside(index.name, self.table.name))
            return f"ALTER INDEX {at} RENAME TO {ident(index.name)}"
        kind = "PRIMARY KEY" if found.kind == "primary key" else "UNIQUE"
        tail = constraining.deferred(tree.element_nodes(found.definition)[0])
        return f"{self.alter} ADD CONSTRAINT {ident(found.name)} {kind} USING INDEX {aside}{tail}"

    # -- sequences -----------------------------------------------------------------------------

    @cached_property
    def _owned(self) -> list[tuple[str, Any]]:
        """The sequences that the old column owns, as SQL names, with what is known of them."""
        return [
            (qualified(rebuild.space(id.schema), id.name), payload)
            for id, payload in self.schema.facts.items()
            if id.kind == "sequence"
            and payload.get("owned_by") == [self.table.schema, self.table.name, self.old]
        ]

    def _sequences(self) -> Iterator[tuple[str, str]]:
        for sequence, payload in self._owned:
            yield (
                f"ALTER SEQUENCE {sequence} OWNED BY {self.on}.{ident(self.new)}",
                "its sequence stays",
            )
            if self._widens(payload):
                yield f"ALTER SEQUENCE {sequence} AS bigint", "and must not end before the column"
        info = self.after.columns[self.old]
        if info.identity:
            kind = "ALWAYS" if info.identity == "a" else "BY DEFAULT"
            fact = (self.seen.after or self.schema).find(
                "column", self.table.schema, self.table.name, self.old
            )
            options = rebuild.sequence_options((fact or {}).get("sequence", {}))
            aside = qualified(self.change.schema, self._identity_aside)
            yield (
                f"{self.alter} ALTER COLUMN {ident(self.new)} ADD GENERATED {kind} AS IDENTITY"
                f" (SEQUENCE NAME {aside}{' ' + options if options else ''})",
                "the new column numbers rows",
            )
            yield (
                f"SELECT setval({literal(aside)}::regclass, last_value, is_called)"
                f" FROM {self._identity_name}",
                "and goes on where the old one stopped",
            )

    @property
    def _identity_aside(self) -> str:
        return named("seq", self.table.name, self.old)

    @property
    def _identity_name(self) -> str:
        return qualified(self.change.schema, chosen.made(self.table.name, self.old, "seq"))

    @property
    def _identity_back(self) -> str:
        name = ident(chosen.made(self.table.name, self.old, "seq"))
        aside = qualified(self.change.schema, self._identity_aside)
        return f"ALTER SEQUENCE {aside} RENAME TO {name}"

    def _widens(self, payload: Any) -> bool:
        return self.change.type == "bigint" and payload.get("type") in ("integer", "smallint")

    def _narrowed(self) -> Iterator[str]:
        for sequence, payload in self._owned:
            if self._widens(payload):
                yield f"ALTER SEQUENCE {sequence} AS {payload['type']}"

    @cached_property
    def adds(self) -> dict[str, str]:
        """What is otherwise than ALTER COLUMN TYPE leaves it, on purpose."""
        return {
            tree.relation(tree.parse(f"DROP SEQUENCE {sequence}").objects[0].list)[1]: (
                "ALTER COLUMN TYPE leaves it as narrow as it was, and it would end at its old limit"
            )
            for sequence, payload in self._owned
            if self._widens(payload)
        }

    # -- what stands on the column -------------------------------------------------------------

    def _aside(self, name: str, table: str) -> str:
        """The name of a copy until the swap."""
        return named("new", name)

    def _indexes(self) -> list[IndexInfo]:
        found = []
        for index in self.after.indexes.values():
            uses = (
                (*index.columns, *self._included(index))
                if index.constraint
                else rebuild.columns_of(index)
            )
            if self.old in uses:
                found.append(index)
        return found

    def _included(self, index: IndexInfo) -> tuple[str, ...]:
        return tree.strings(tree.element_nodes(index.definition)[0].including)

    def _index(self, index: IndexInfo) -> str:
        from qb_engine.operations.create_index import CreateIndex

        aside = self._aside(index.name, self.table.name)
        if index.constraint is not None:
            node = _renamed(tree.element_nodes(index.definition)[0], self.old, self.new)
            return constraining.index_of(self.table.name, self.change.schema, aside, node).write()
        node = _renamed(parse(index.definition), self.old, self.new)
        node.idxname, node.concurrent = aside, True
        (create,) = CreateIndex.read(node)
        return create.write() if self.change.schema else _bare(create)

    def _own(self, *kinds: str) -> list[ConstraintInfo]:
        found = []
        for each in self.after.constraints.values():
            names = (*each.columns, *rebuild.named_in(each))
            to_itself = each.references == self.table.qualified and self.old in _pointed(each)
            if each.kind in kinds and (self.old in names or to_itself):
                found.append(each)
        return found

    def _others(self) -> Iterator[tuple[Table, ConstraintInfo]]:
        """The foreign keys of other tables that point at the column."""
        for id, payload in self.schema.facts.items():
            if id.kind != "constraint" or payload.get("references") != [
                self.table.schema, self.table.name,
            ]:  # fmt: skip
                continue
            table = self.schema.table(id.name, id.schema)
            if table is None or table.qualified == self.table.qualified:
                continue
            found = table.constraints[id.sub]
            if self.old in _pointed(found):
                yield table, found

    def _remarks(self) -> Iterator[tuple[str, str]]:
        """Comments, and extended statistics, which go with the old column."""
        said = self.after.columns[self.old].comment
        if said is not None:
            yield f"COMMENT ON COLUMN {self.on}.{ident(self.old)} IS {literal(said)}", ""
        for index in self._indexes():
            if index.comment is not None and index.constraint is None:
                name = qualified(self.change.schema, index.name)
                yield f"COMMENT ON INDEX {name} IS {literal(index.comment)}", ""
        of_keys = [
            self.after.constraints[i.constraint]
            for i in self._indexes()
            if i.constraint is not None
        ]
        for each in (*of_keys, *self._own("check", "foreign key")):
            if each.comment is not None:
                name = ident(each.name)
                yield f"COMMENT ON CONSTRAINT {name} ON {self.on} IS {literal(each.comment)}", ""
        for step in rebuild.statistics(self.schema, self.table, self.old):
            yield step if isinstance(step, str) else step.write(), ""

    def notes(self) -> tuple[str, ...]:
        tables = sorted({table.name for table, _ in self._others()})
        narrow = [
            f"{table.name}.{column} refers to {self.table.name}.{self.old} and stays as narrow as "
            "it is: change its type, too, in a migration of its own"
            for table, each in self._others()
            for column in each.columns
            if self.change.type == "bigint"
            and table.columns[column].type in ("integer", "smallint")
        ]
        swap = (
            f"the swap locks {', '.join([self.table.name, *tables])} for a moment; it changes the "
            "catalog only"
        )
        return (swap, *narrow)


def _bare(create: Any) -> str:
    """An index as SQL, without the schema that PostgreSQL writes into its definition."""
    from dataclasses import replace

    return str(replace(create, schema=None).write())


def _sql(table: Table) -> str:
    return qualified(rebuild.space(table.schema), table.name)


def _pointed(found: ConstraintInfo) -> tuple[str, ...]:
    """The columns that a foreign key points at."""
    return tree.strings(tree.element_nodes(found.definition)[0].pk_attrs)


def _renamed(node: Any, old: str, new: str) -> Any:
    """A copy of an index or constraint with a column of its own table under another name."""
    copy = type(node)()
    copy.CopyFrom(node)
    for each in walk(copy):
        if isinstance(each, pb.IndexElem) and each.name == old:
            each.name = new
        elif isinstance(each, pb.ColumnRef):
            _replace(each.fields[-1:], old, new)
        elif isinstance(each, pb.Constraint):
            for field in (each.keys, each.fk_attrs, each.including):
                _replace(field, old, new)
    return copy


def _references_to(node: Any, old: str, new: str) -> None:
    """Have a foreign key point at the column under its other name."""
    _replace(node.pk_attrs, old, new)


def _replace(nodes: Iterable[Any], old: str, new: str) -> None:
    for each in nodes:
        inner = only(each)
        if isinstance(inner, pb.String) and inner.sval == old:
            inner.sval = new
