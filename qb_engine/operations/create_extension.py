"""CREATE EXTENSION"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Any, Self

from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    operation,
)
from qb_engine.sql import ident, literal
from qb_engine.sql.tree import only, pb


@operation
class CreateExtension(Operation):
    """Install an extension.

    >>> CreateExtension("pg_trgm", if_not_exists=True).write()
    'CREATE EXTENSION IF NOT EXISTS pg_trgm'
    """

    name: str
    schema: str | None = field(default=None, kw_only=True)
    version: str | None = field(default=None, kw_only=True)
    cascade: bool = field(default=False, kw_only=True)
    if_not_exists: bool = field(default=False, kw_only=True)

    @classmethod
    def read(cls, node: Any) -> Iterator[Self]:
        if not isinstance(node, pb.CreateExtensionStmt):
            return
        given = {only(each).defname: only(each).arg for each in node.options}
        yield cls(
            node.extname,
            schema=only(given["schema"]).sval if "schema" in given else None,
            version=only(given["new_version"]).sval if "new_version" in given else None,
            cascade="cascade" in given,
            if_not_exists=node.if_not_exists,
        )

    def write(self) -> str:
        parts = ["CREATE EXTENSION"]
        parts += ["IF NOT EXISTS"] if self.if_not_exists else []
        parts.append(ident(self.name))
        parts += [f"SCHEMA {ident(self.schema)}"] if self.schema is not None else []
        parts += [f"VERSION {literal(self.version)}"] if self.version is not None else []
        parts += ["CASCADE"] if self.cascade else []
        return " ".join(parts)

    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        if self.if_not_exists and schema.find("extension", "", self.name) is not None:
            return Inverse(())
        if self.cascade:
            return Irreversible("CASCADE installs what the extension needs, whatever that is")
        return Inverse((f"DROP EXTENSION {ident(self.name)}",))

    def requires(self, schema: Schema) -> Iterable[Requirement]:
        return ()
