"""what the methods of a migration class send"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tree_sitter import Node

from qb_engine.migrations.typescript import classes, functions, members
from qb_engine.migrations.typescript.binding import refuse_unbound
from qb_engine.migrations.typescript.description import candidates, class_name, found_class
from qb_engine.migrations.typescript.exports import Exports
from qb_engine.migrations.typescript.grammar import Source, errors, line_of
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.module import ready
from qb_engine.migrations.typescript.operators import truthy
from qb_engine.migrations.typescript.refusal import Refused, Thrown
from qb_engine.migrations.typescript.things import (
    Class,
    Function,
    Instance,
    Late,
    Promise,
    Runner,
    Undefined,
    Unknown,
)
from qb_engine.migrations.typescript.values import Method, Methods, Query, Unread


def methods(
    path: Path,
    class_name: str | None = None,
    *,
    text: str | None = None,
    helpers: Mapping[str, str] = {},
    root: Path | None = None,
    strict: bool = True,
) -> Methods:
    """Tell what `up` and `down` send: of the class that is named, or of the first one.

    `helpers` are functions that give the text of a file: their name and the path, in which `{0}`
    is the first argument, from `root`. Raise LookupError when the file has no such class, and
    where it is `strict` SqlError for a call whose values PostgreSQL refuses: see `unbound`.
    """
    source = Source(path, text)
    up = _read(source, class_name, "up", helpers, root)
    if up is None:
        raise LookupError(f"{path} has no migration class {class_name or ''}".rstrip())
    down = _read(source, class_name, "down", helpers, root)
    for method in (up, down) if strict else ():
        if method is not None and method.unread is None:
            refuse_unbound(method, path)
    return Methods(up, None if down is MISSING else down)


MISSING = Method(0)


def _read(
    source: Source,
    wanted: str | None,
    name: str,
    helpers: Mapping[str, str],
    root: Path | None,
) -> Method | None:
    """One method, read by a machine of its own; None without a class, MISSING without a method."""
    machine = Machine(source, helpers, root)
    exports = Exports(machine)
    node = _chosen(machine, exports, wanted)
    if node is None:
        return None
    broken = errors(source.root)
    line = line_of(node)
    try:
        ready(machine)
        of = found_class(machine, node, exports)
        if machine.broken is not None:
            raise machine.broken
        new = classes.instance(machine, of)
        unclear = _unclear(of)
        for named, declared in exports.declared.items() if not unclear else ():
            held = machine.module.names.get(named, of) if machine.loaded else of
            if held is not of and exports.resolve(declared).id == node.id:
                unclear = f"`{named}` may be another class"
        function = members.get(machine, new, name, node)
        if isinstance(function, Undefined) and not unclear:
            return MISSING
        if isinstance(function, Function):
            line = line_of(function.node)
        if broken:
            raise Refused("value", "the file does not parse", broken[0])
        if unclear:
            raise Refused("code", unclear, line)
        transaction = new.fields.get("transaction")
        if isinstance(transaction, Unknown):
            machine.refuse_unknown(transaction, "it decides over the transaction")
        if of.name in machine.stirred:
            raise machine.stirred[of.name]
        return _method(machine, function, new, line)
    except Refused as no:
        return _unread(machine, no.unread(), line)
    except Thrown as no:  # from a field or a constructor
        return _unread(machine, Unread("value", f"it throws: {no.message}", no.line), line)
    except RecursionError:
        return _unread(machine, Unread("value", "the text is nested too deeply", line), line)


def _unclear(of: Class) -> str:
    """Why a class may be another than the text says, or one that it is made of."""
    one: object = of
    while isinstance(one, Class):
        if one.unclear or one.unmade:
            return one.unclear or one.unmade
        one = one.parent
    return ""


def _chosen(machine: Machine, exports: Exports, wanted: str | None) -> Node | None:
    listed = candidates(machine, exports)
    if wanted is None:
        return listed[0] if listed else None
    for node in listed:
        if class_name(machine, node, exports) == wanted:
            return node
    return None


def _method(machine: Machine, function: object, new: Instance, line: int) -> Method:
    if isinstance(function, Unknown):
        machine.refuse_unknown(function, "it is the method")
    if not isinstance(function, Function):
        raise Refused("value", "the method is not a function", line)
    try:
        result = functions.invoke(machine, function, new, [Runner()])
        value = machine.wait(result, function.node)
    except Thrown as thrown:
        if machine.sent:
            raise Refused("value", "it throws after it has sent something", thrown.line) from None
        return Method(
            line, rung=machine.rung, throws=thrown.message or "it throws",
            asynchronous=function.is_async,
        )  # fmt: skip
    loose = [one for one in machine.loose if one.late & (Late.SENDS | Late.CHANGES)]
    if loose:
        at = loose[0].line or line
        raise Refused("value", "what is not awaited goes on after the end of the method", at)
    return Method(
        line, _queries(machine), rung=machine.rung, asynchronous=function.is_async,
        returns=isinstance(result, Promise) or truthy(value),
    )  # fmt: skip


def _unread(machine: Machine, unread: Unread, line: int) -> Method:
    return Method(line, _queries(machine), unread, machine.rung)


def _queries(machine: Machine) -> tuple[Query, ...]:
    return tuple(
        Query(one.sql, one.parameters, one.line, one.file, one.awaited, one.called)
        for one in machine.sent
    )
