"""CREATE VIEW"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations import rebuild
from qb_engine.operations.drop_view import DropView
from qb_engine.operations.mentions import relied_on
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    names,
    normalise,
    operation,
)
from qb_engine.sql import deparse, ident, qualified
from qb_engine.sql.tree import only, parse, pb, printed, relation, strings


@operation
class CreateView(Operation):
    """Make a view over a query; `tail` is SQL such as `WITH LOCAL CHECK OPTION`.

    >>> CreateView("adults", "SELECT * FROM users WHERE age > 17").write()
    'CREATE VIEW adults AS SELECT * FROM users WHERE age > 17'
    """

    name: str
    query: str
    columns: tuple[str, ...] = ()
    schema: str | None = field(default=None, kw_only=True)
    replace: bool = field(default=False, kw_only=True)
    options: str = field(default="", kw_only=True)
    tail: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        normalise(self, "columns", names)
        normalise(self, "query", printed)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if not isinstance(node, pb.ViewStmt):
            return
        schema, name = relation(node.view)
        query = deparse(only(node.query))
        head, _, rest = deparse(node).partition(f" AS {query}")
        _, found, options = head.rpartition(" WITH (")
        yield cls(
            name,
            query,
            strings(node.aliases),
            schema=schema,
            replace=node.replace,
            options=options.removesuffix(")") if found else "",
            tail=rest.strip(),
        )

    def write(self) -> str:
        columns = f" ({', '.join(map(ident, self.columns))})" if self.columns else ""
        return (
            f"CREATE {'OR REPLACE ' if self.replace else ''}VIEW "
            f"{qualified(self.schema, self.name)}{columns}"
            + (f" WITH ({self.options})" if self.options else "")
            + f" AS {self.query}"
            + (f" {self.tail}" if self.tail else "")
        )

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        drop = DropView(self.name, schema=self.schema)
        before = schema.table(self.name, self.schema or "public") if self.replace else None
        if before is None:
            return Inverse((drop,))
        steps = rebuild.view(schema, before)
        return steps if isinstance(steps, Irreversible) else Inverse((drop, *steps))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        if not self.replace:
            yield Requirement(self.name, self.schema, must_exist=False)
        yield from relied_on(schema, parse(self.query))
