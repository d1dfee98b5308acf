"""calls of the query runner and of what hangs on it"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, sending
from qb_engine.migrations.typescript.grammar import children, field, line_of
from qb_engine.migrations.typescript.machine import Machine, Sent
from qb_engine.migrations.typescript.members import method
from qb_engine.migrations.typescript.operators import unknown_in
from qb_engine.migrations.typescript.things import (
    UNDEFINED,
    Builtin,
    Connection,
    Promise,
    Runner,
    Text,
    Undefined,
    Unknown,
)
from qb_engine.migrations.typescript.values import Cause

_TRANSACTION = frozenset(("startTransaction", "commitTransaction", "rollbackTransaction"))
_LOOKS = ("has", "get")


def ask(
    machine: Machine,
    owner: Runner | Connection,
    name: str,
    node: Node,
    given: Callable[[], list[Any]],
) -> Any:
    """A call of a method of the query runner, or of its connection or manager."""
    path = owner.path if isinstance(owner, Connection) else ""
    if name == "query" and path in ("", "manager"):
        return _query(machine, given(), node)
    text = machine.source.brief(field(node, "function"))
    if path == "" and name == "connect":
        return Promise(UNDEFINED)  # it has its connection already
    if path == "driver" and name == "escape":
        return _escaped(machine, given(), node)
    cause, reason = _why(path, name, text)
    machine.refuse(cause, reason, node)


@method(Builtin, "bind")
def _bind(machine: Machine, owner: Builtin, given: list[Any], node: Node) -> Any:
    if owner.name != "query" or len(given) != 1 or not isinstance(given[0], Runner):
        return machine.unknown("value", node)
    machine.climb(3)
    return Builtin("query to the runner", lambda at, more, call: _query(at, more, call), pure=False)


def _why(path: str, name: str, text: str) -> tuple[Cause, str]:
    if path == "":
        if name in _TRANSACTION:
            return "schema", f"`{text}` begins or ends a transaction of its own"
        if name.startswith(_LOOKS):
            return "schema", f"`{text}` looks at the schema of the database"
        return "schema", f"TypeORM makes the SQL of `{text}`"
    if path in ("manager", "otherManager"):
        return "manager", f"the entity manager makes the SQL of `{text}`"
    if name == "query":
        return "manager", f"`{text}` sends on another connection, outside the transaction"
    return "manager", f"`{text}` goes through the data source"


def _query(machine: Machine, given: list[Any], node: Node) -> Promise:
    sql = given[0] if given else UNDEFINED
    first = children(field(node, "arguments"))[:1]
    if isinstance(sql, Unknown):
        machine.refuse_unknown(sql, "it reaches the SQL")
    if not isinstance(sql, str):
        machine.refuse("value", f"`{machine.source.brief(node)}` sends no string", node)
    if not cooking.is_whole(sql) or "\0" in sql:
        machine.refuse("value", "the SQL holds a character that cannot be sent", node)
    parameters = given[1] if len(given) > 1 else UNDEFINED
    values: tuple[Any, ...] | None = None
    if unknown := unknown_in(parameters):
        machine.refuse_unknown(unknown, "it is a parameter of the SQL")
    if isinstance(parameters, list):
        machine.climb(2)
        values = tuple(sending.parameter(machine, value, node) for value in parameters)
    elif parameters is not None and not isinstance(parameters, Undefined):
        machine.refuse("value", "the parameters are not an array", node)
    line, file = line_of(first[0]), ""
    if isinstance(sql, Text):
        line, file = sql.line, sql.file
    return machine.send(Sent(str.__str__(sql), values, line, file, line_of(node)), node)


def _escaped(machine: Machine, given: list[Any], node: Node) -> Any:
    if given and isinstance(given[0], Unknown):
        return given[0]
    if not given or not isinstance(given[0], str) or '"' in given[0]:
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    machine.climb(4)
    return f'"{given[0]}"'
