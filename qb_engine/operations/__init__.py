"""What one command does to one object: one file per operation.

An operation is a frozen value with five methods, always these: `read` from a parse tree, `write`
as SQL, its `inverse`, what it `requires`, and the steps that do it `safely`. A new operation is a
new file; it is found here.
"""

from __future__ import annotations

import inspect
import pkgutil
from functools import lru_cache
from importlib import import_module
from typing import Any

from qb_engine.operations.column import Column
from qb_engine.operations.generic import Generic
from qb_engine.operations.operation import (
    Inverse,
    Irreversible,
    Operation,
    Requirement,
    Schema,
    Sql,
)
from qb_engine.sql import SqlError, Statement, deparse
from qb_engine.sql.tree import equal, parse, pb

__all__ = [
    "Column",
    "Generic",
    "Inverse",
    "Irreversible",
    "Operation",
    "Requirement",
    "Schema",
    "Sql",
    "all_operations",
    "read",
]


@lru_cache(maxsize=1)
def all_operations() -> tuple[type[Operation], ...]:
    """Every operation there is, by name, the generic one last."""
    found: dict[str, type[Operation]] = {}
    for module in pkgutil.iter_modules(__path__):
        for name, value in vars(import_module(f"{__name__}.{module.name}")).items():
            if (
                inspect.isclass(value)
                and issubclass(value, Operation)
                and not inspect.isabstract(value)
                and value is not Generic
            ):
                found[name] = value
    return (*(found[name] for name in sorted(found)), Generic)


def read(statement: Statement) -> tuple[Operation, ...]:
    """What a statement does, command by command.

    A command that no operation can write back exactly is a Generic one.
    """
    if statement.node is None:
        return (Generic(statement.sql),)
    nodes = _commands(statement.node)
    if len(nodes) == 1:
        return (_read(statement.node) or Generic(statement.sql),)
    found = [operation for node in nodes if (operation := _read(node) or _generic(node))]
    return tuple(found) if len(found) == len(nodes) else (Generic(statement.sql),)


def _commands(node: Any) -> list[Any]:
    """An ALTER TABLE with several commands as several with one; a DROP of several likewise."""
    if isinstance(node, pb.AlterTableStmt):
        field = "cmds"
    elif isinstance(node, pb.DropStmt):
        field = "objects"
    else:
        return [node]
    found = []
    for each in getattr(node, field):
        single = type(node)()
        single.CopyFrom(node)
        del getattr(single, field)[:]
        getattr(single, field).append(each)
        found.append(single)
    return found


def _read(node: Any) -> Operation | None:
    """The operation that a statement with one command is, when it says all that is in it."""
    for kind in all_operations()[:-1]:
        try:
            found = next(kind.read(node), None)
            if found is not None and equal(parse(found.write()), node):
                return found
        except SqlError:
            continue  # a part of it cannot be printed, so it cannot be written by us
    return None


def _generic(node: Any) -> Operation | None:
    """One command of several as a statement of its own, when it can be printed."""
    text = deparse(node)
    try:
        return Generic(text) if equal(parse(text), node) else None
    except SqlError:
        return None


def __getattr__(name: str) -> Any:
    """Every operation by its name: `from qb_engine.operations import AddColumn`."""
    for kind in all_operations() if name[:1].isupper() else ():
        if kind.__name__ == name:
            return kind
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(kind.__name__ for kind in all_operations())})
