"""ATTACH PARTITION"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from qb_engine.operations import chosen, constraining, rebuild
from qb_engine.operations.create_index import CreateIndex
from qb_engine.operations.generic import Generic
from qb_engine.operations.on_table import commands
from qb_engine.operations.operation import Inverse, Irreversible, Schema, normalise, operation
from qb_engine.operations.safely import Safely, Seen, Step, Uncovered, named, place
from qb_engine.schema import Table
from qb_engine.sql import deparse, ident, qualified, read_one, tree
from qb_engine.sql.tree import parse, pb, printed, relation


@operation
class AttachPartition(Generic):
    """Make a table a partition of another.

    >>> AttachPartition("ALTER TABLE a ATTACH PARTITION b DEFAULT").write()
    'ALTER TABLE a ATTACH PARTITION b DEFAULT'
    """

    def __post_init__(self) -> None:
        normalise(self, "sql", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        for _ in commands(node, "AttachPartition"):
            yield cls(deparse(node))

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        (at, part) = self._places()
        return Inverse((f"ALTER TABLE {qualified(*at)} DETACH PARTITION {qualified(*part)}",))

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        whole, part = self._places()
        table = schema.table(part[1], part[0] or "public")
        above = schema.table(whole[1], whole[0] or "public")
        own = place(*part)
        if table is None or above is None:
            return None
        before, proving, after = proofs(seen, {own, default_of(schema, above)})
        indexes = list(self._indexes(schema, above, table)) if own in seen.builds else []
        if not before and not indexes:
            return None
        why = "what is proved is not read again; what is there is not built again"
        attach = Step(self, why, apart=True)
        return Safely(expand=(*indexes, *before), contract=(*proving, attach, *after))

    def _indexes(self, schema: Schema, above: Table, part: Table) -> Iterator[Step]:
        """The indexes that the partition needs, made while others write."""
        space = rebuild.space(part.schema)
        for index in above.indexes.values():
            key = above.constraints.get(index.constraint or "")
            if key is not None:
                node = tree.element_nodes(key.definition)[0]
                have = [c for c in part.constraints.values() if c.definition == key.definition]
                if have:
                    continue
                name = chosen.constraint(schema, part.name, space, node)
                create = constraining.index_of(part.name, space, name, node)
                yield Step(create, f"its own of {index.name}", down=())
                alter = f"ALTER TABLE {qualified(space, part.name)}"
                drop = f"{alter} DROP CONSTRAINT IF EXISTS {ident(name)}"
                kind = "PRIMARY KEY" if key.kind == "primary key" else "UNIQUE"
                yield Step(
                    f"{alter} ADD CONSTRAINT {ident(name)} {kind} USING INDEX {ident(name)}",
                    "which is a constraint there, too",
                    apart=True,
                    down=(drop,),
                )
                continue
            (like,) = CreateIndex.read(read_one(index.definition).node)
            from dataclasses import replace

            own = replace(like, table=part.name, schema=space, name=None, only=False)
            if any(_same(own, each.definition) for each in part.indexes.values()):
                continue
            name = chosen.index(schema, part.name, space, parse(own.write()))
            yield Step(replace(own, name=name, concurrently=True), f"its own of {index.name}")

    def _places(self) -> tuple[tuple[str | None, str], tuple[str | None, str]]:
        node = parse(self.sql)
        command = node.cmds[0].alter_table_cmd
        return relation(node.relation), relation(getattr(command, "def").partition_cmd.name)


def proofs(
    seen: Seen, tables: Iterable[str]
) -> tuple[tuple[Step, ...], tuple[Step, ...], tuple[Step, ...]]:
    """A CHECK on each of these partitions that says what ATTACH would look for in its rows.

    What is to run before, what proves it, and what takes it away afterwards.
    """
    before: list[Step] = []
    proving: list[Step] = []
    after: list[Step] = []
    for name in sorted(set(tables) & set(seen.bounds) & seen.scans):
        space, _, bare = name.partition(".")
        alter = f"ALTER TABLE {qualified(rebuild.space(space), bare)}"
        check = ident(named("bound", bare))
        why = "says what ATTACH would look for; rows that are there are not read yet"
        add = f"{alter} ADD CONSTRAINT {check} CHECK ({seen.bounds[name]}) NOT VALID"
        drop = f"{alter} DROP CONSTRAINT IF EXISTS {check}"
        before.append(Step(add, why, apart=True, down=(drop,)))
        why = "read the rows, while others read and write"
        proving.append(Step(f"{alter} VALIDATE CONSTRAINT {check}", why, apart=True, down=()))
        why = "it is not needed any more"
        after.append(Step(f"{alter} DROP CONSTRAINT {check}", why, apart=True, down=()))
    return tuple(before), tuple(proving), tuple(after)


def _same(create: CreateIndex, definition: str) -> bool:
    from dataclasses import replace

    node = read_one(definition).node
    if not isinstance(node, pb.IndexStmt):
        return False
    (found,) = CreateIndex.read(node)
    return replace(found, name=None, schema=create.schema, only=False) == create


def default_of(schema: Schema, above: Table) -> str:
    """The default partition of a table; empty when there is none."""
    for id, payload in schema.facts.items():
        mine = payload.get("partition_of") == [above.schema, above.name]
        if id.kind == "table" and mine and payload.get("bound") == "DEFAULT":
            return f"{id.schema}.{id.name}"
    return ""
