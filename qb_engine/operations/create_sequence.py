"""CREATE SEQUENCE"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations import chosen
from qb_engine.operations.drop_sequence import DropSequence
from qb_engine.operations.mentions import as_is
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    operation,
)
from qb_engine.sql import deparse, qualified
from qb_engine.sql.tree import only, parse, pb, relation, strings


@operation
class CreateSequence(Operation):
    """Make a sequence; `options` are SQL.

    >>> CreateSequence("invoice_numbers", "START 1000 CACHE 10").write()
    'CREATE SEQUENCE invoice_numbers START 1000 CACHE 10'
    """

    name: str
    options: str = ""
    schema: str | None = field(default=None, kw_only=True)
    if_not_exists: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.options:
            object.__setattr__(
                self, "options", _options(parse(f"CREATE SEQUENCE s {self.options}"))
            )

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if isinstance(node, pb.CreateSeqStmt):
            schema, name = relation(node.sequence)
            yield cls(name, _options(node), schema=schema, if_not_exists=node.if_not_exists)

    def write(self) -> str:
        clause = "IF NOT EXISTS " if self.if_not_exists else ""
        name = qualified(self.schema, self.name)
        return f"CREATE SEQUENCE {clause}{name} {self.options}".rstrip()

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        if self.if_not_exists and chosen.taken(schema, self.name, self.schema):
            return Inverse(())
        return Inverse((DropSequence(self.name, schema=self.schema),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        for each in parse(self.write()).options:
            option = only(each)
            if option.defname == "owned_by":
                owner = strings(option.arg.list.items)
                if len(owner) > 1:
                    space = owner[-3] if len(owner) > 2 else None
                    yield Requirement(owner[-2], space)
                    yield as_is(schema, owner[-2], space, owner[-1])


def _options(node: Any) -> str:
    bare = pb.CreateSeqStmt(sequence=node.sequence, if_not_exists=node.if_not_exists)
    return deparse(node).removeprefix(deparse(bare)).strip()
