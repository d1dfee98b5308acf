"""COMMENT ON"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.errors import InputError
from qb_engine.operations import rebuild
from qb_engine.operations.mentions import as_is
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    operation,
)
from qb_engine.sql import ident, literal, qualified
from qb_engine.sql.tree import only, pb, strings

KINDS = {
    "table": "OBJECT_TABLE",
    "column": "OBJECT_COLUMN",
    "index": "OBJECT_INDEX",
    "view": "OBJECT_VIEW",
    "sequence": "OBJECT_SEQUENCE",
    "schema": "OBJECT_SCHEMA",
    "type": "OBJECT_TYPE",
    "constraint": "OBJECT_TABCONSTRAINT",
}


@operation
class Comment(Operation):
    """Say in words what an object is for; None takes the words away.

    `of` is the table of a column or constraint.

    >>> Comment("column", "email", "where we write to", of="users").write()
    "COMMENT ON COLUMN users.email IS 'where we write to'"
    """

    kind: str
    name: str
    text: str | None
    of: str | None = None
    schema: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.kind not in KINDS or (self.of is None) == (self.kind in ("column", "constraint")):
            raise InputError(
                f"a comment on {self.kind!r} cannot be written",
                why=f"it knows {', '.join(KINDS)}; a column and a constraint are `of` a table",
                code="broken-file",
            )
        object.__setattr__(self, "text", self.text or None)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if not isinstance(node, pb.CommentStmt):
            return
        for kind, value in KINDS.items():
            if node.objtype != getattr(pb, value):
                continue
            inner, of, schema = only(node.object), None, None
            if isinstance(inner, pb.String):
                name = inner.sval
            else:
                path = list(strings(inner.names if kind == "type" else inner.items))
                name = path.pop()
                if kind in ("column", "constraint"):
                    of = path.pop()
                schema = path.pop() if path else None
            yield cls(kind, name, node.comment or None, of, schema=schema)

    def write(self) -> str:
        if self.kind == "column":
            name = f"{qualified(self.schema, str(self.of))}.{ident(self.name)}"
        elif self.kind == "constraint":
            name = f"{ident(self.name)} ON {qualified(self.schema, str(self.of))}"
        else:
            name = qualified(self.schema, self.name)
        text = "NULL" if self.text is None else literal(self.text)
        return f"COMMENT ON {self.kind.upper()} {name} IS {text}"

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        before = rebuild.comment(schema, self.kind, self.schema, self.name, self.of)
        if isinstance(before, Irreversible):
            return before
        return Inverse((Comment(self.kind, self.name, before, self.of, schema=self.schema),))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        if self.kind in ("table", "view"):
            yield Requirement(self.name, self.schema)
        elif self.of is not None:
            yield Requirement(self.of, self.schema)
            if self.kind == "column":
                yield as_is(schema, self.of, self.schema, self.name)
