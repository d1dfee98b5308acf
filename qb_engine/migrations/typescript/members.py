"""what stands behind a name, a `.` or a `[`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, numbers
from qb_engine.migrations.typescript.grammar import inside_of, line_of
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.operators import NotTold, is_index, key_of
from qb_engine.migrations.typescript.refusal import Fails
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import (
    UNDEFINED,
    Buffer,
    Builtin,
    Class,
    Connection,
    Date,
    Function,
    Instance,
    Iterated,
    Later,
    Namespace,
    Promise,
    Runner,
    Undefined,
    Unknown,
)

Own = Callable[[Machine, Any, list[Any], Node], Any]
METHODS: dict[type, dict[str, Own]] = {}  # of strings, arrays, ...: filled by their modules
CHANGING: set[str] = set()  # those of them that change their array
LOADERS: list[Callable[[Machine], None]] = []  # carries out the file; set by module.py
GLOBALS: dict[str, Any] = {}
COMPUTED: dict[str, Callable[[Machine], Any]] = {}  # globals that depend on the file


def method(of: type, *names: str) -> Callable[[Own], Own]:
    """Name the methods of a kind of value that a function carries out."""

    def named(function: Own) -> Own:
        METHODS.setdefault(of, {}).update(dict.fromkeys(names, function))
        return function

    return named


def holder(machine: Machine, name: str, scope: Scope) -> Scope | None:
    """The block that has a name; the file is carried out when only it can have it."""
    found = scope.holder(name)
    if found is None and not machine.loaded:
        machine.loaded = True
        LOADERS[0](machine)
        found = scope.holder(name)
    return found


def named(machine: Machine, name: str, node: Node, scope: Scope) -> Any:
    """The value of a variable or of something global."""
    found = holder(machine, name, scope)
    if found is not None:
        value = found.names[name]
        if isinstance(value, Runner):
            return value
        if isinstance(value, Later):
            raise Fails("value", f"`{name}` is used before it is declared", line_of(node))
        machine.climb(2)
        if name not in found.constant or isinstance(value, (list, dict, Instance, Class)):
            machine.look(node, value, found)
        return _used(value, name, node) if found is machine.module else value
    if name in COMPUTED:
        return COMPUTED[name](machine)
    if name in GLOBALS:
        return GLOBALS[name]
    if name in _KNOWN_TO_NODE:
        return machine.unknown("value", node, "is not declared in this file")
    raise Fails("value", f"`{name}` is not declared in this file", line_of(node))


# Global names that are there and of which qb knows nothing more.
_KNOWN_TO_NODE = frozenset(
    ("AbortController", "AbortSignal", "Atomics", "BigInt", "DataView", "Error", "EvalError",
     "Event", "EventTarget", "FinalizationRegistry", "Function", "Headers", "Intl", "Iterator",
     "Map", "Proxy", "RangeError", "ReferenceError", "Reflect", "RegExp", "Request", "Response",
     "Set", "SharedArrayBuffer", "Symbol", "SyntaxError", "TextDecoder", "TextEncoder",
     "TypeError", "URIError", "URLSearchParams", "Uint8Array", "WeakMap", "WeakRef", "WeakSet",
     "ArrayBuffer", "AggregateError", "atob", "btoa", "clearImmediate", "clearInterval",
     "clearTimeout", "console", "decodeURI", "decodeURIComponent", "encodeURI",
     "encodeURIComponent", "escape", "eval", "exports", "fetch", "global", "globalThis",
     "isFinite", "isNaN", "module", "performance", "queueMicrotask", "setImmediate",
     "setInterval", "setTimeout", "structuredClone", "unescape")
)  # fmt: skip


def _used(value: Any, name: str, node: Node) -> Any:
    """What was imported and is not known, at the line where it is used."""
    if not isinstance(value, Unknown) or not value.reason:
        return value
    if value.cause != "code" and value.text != name:
        return value  # `const x = process.env.X` says more than x
    return Unknown(value.cause, name, line_of(node), value.reason)


def key(machine: Machine, node: Node, scope: Scope) -> str:
    """The name of a property as an object literal, a class or a pattern has it."""
    kind = node.type
    if kind in ("property_identifier", "private_property_identifier", "identifier"):
        return machine.source.of(node)
    if kind == "computed_property_name":
        value = machine.value(inside_of(node), scope)
        if isinstance(value, Unknown):
            machine.refuse_unknown(value, "it names a property")
        return key_of(value)
    return key_of(machine.value(node, scope))


def items(machine: Machine, value: Any, node: Node) -> list[Any]:
    """What `for...of` and `...` go through."""
    if isinstance(value, Unknown):
        machine.refuse_unknown(value, "it decides how often something is done")
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return list(value)
    if isinstance(value, Iterated) and not value.used:
        value.used = True
        return [value.part(index) for index in range(len(value.of))]
    machine.refuse("value", f"`{machine.source.brief(node)}` goes through no array", node)


def get(machine: Machine, owner: Any, name: Any, node: Node) -> Any:
    """`owner.name` or `owner[name]`; `name` is a string or a number."""
    if isinstance(owner, Unknown):
        reason = owner.reason
        return Unknown(owner.cause, machine.source.brief(node), line_of(node), reason)
    if owner is None or isinstance(owner, Undefined):
        reason = f"`{machine.source.brief(node)}` has no value to look into"
        raise Fails("value", reason, line_of(node))
    if isinstance(owner, (str, list)):
        return _at(machine, owner, name, node)
    try:
        named = key_of(name)
    except NotTold:
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    if isinstance(owner, dict):
        if named in owner:
            return owner[named]
        if named in OF_OBJECTS:
            return machine.unknown("value", node)
        return UNDEFINED
    if isinstance(owner, Namespace):
        if named in owner.members:
            return owner.members[named]
        return owner if named == "default" else machine.unknown(owner.cause, node)
    if isinstance(owner, (Runner, Connection)):
        return _of_runner(machine, owner, named, node)
    if isinstance(owner, Instance):
        return _of_instance(machine, owner, named, node)
    if isinstance(owner, Class):
        return _of_class(machine, owner, named, node)
    if isinstance(owner, (Date, Buffer, Promise)):
        if named in METHODS.get(type(owner), {}):
            return machine.unknown("value", node)
        return machine.unknown("value", node)
    if isinstance(owner, (Function, Builtin)):
        if isinstance(owner, Builtin) and named in _STATIC.get(owner.name, {}):
            return _STATIC[owner.name][named]
        if named == "name" and owner.name:
            return owner.name
        return machine.unknown("value", node)
    if isinstance(owner, (float, bool)) and named not in OF_OBJECTS | _OF_NUMBERS:
        return UNDEFINED
    return machine.unknown("value", node)


OF_OBJECTS = frozenset(
    ("constructor", "toString", "valueOf", "hasOwnProperty", "__proto__", "toLocaleString",
     "isPrototypeOf", "propertyIsEnumerable", "__defineGetter__", "__defineSetter__",
     "__lookupGetter__", "__lookupSetter__")
)  # fmt: skip
_OF_NUMBERS = frozenset(("toFixed", "toPrecision", "toExponential"))
_OF_FUNCTIONS = frozenset(("prototype", "length", "call", "apply", "bind", "arguments", "caller"))


def refuse_prototype(machine: Machine, node: Node) -> NoReturn:
    """Giving an object another prototype is not understood; a member it is only as `["..."]:`."""
    machine.refuse("value", "`__proto__` is not understood", node)


_STATIC: dict[str, dict[str, Any]] = {}  # `String.raw`, `Object.keys`, ...


def static(name: str, members: dict[str, Any]) -> None:
    """Give a global function members of its own."""
    _STATIC.setdefault(name, {}).update(members)


def _at(machine: Machine, owner: str | list[Any], name: Any, node: Node) -> Any:
    if name == "length":
        if isinstance(owner, str):
            return float(len(owner.encode("utf-16-le", "surrogatepass")) // 2)
        return float(len(owner))
    if isinstance(name, str) and is_index(name):
        name = float(name)
    if isinstance(name, float):
        if not name.is_integer():  # nor the two that are no numbers
            return UNDEFINED
        if isinstance(owner, str) and not owner.isascii() and max(owner) > "\uffff":
            return machine.unknown("value", node)
        if name < 0 or name >= len(owner):
            return UNDEFINED
        return owner[int(name)]
    return machine.unknown("value", node)  # a method that is not called


def _of_instance(machine: Machine, owner: Instance, name: str, node: Node) -> Any:
    if name in owner.fields:
        return owner.fields[name]
    return of_prototype(machine, owner, owner, name, node)


def of_prototype(machine: Machine, owner: Instance, this: Instance, name: str, node: Node) -> Any:
    """What the classes of an object give it."""
    of: Any = owner.of
    while isinstance(of, Class):
        if of.unclear and name != "name":
            return Unknown("code", machine.source.brief(node), line_of(node), of.unclear)
        if name in of.getters:
            return CALL[0](machine, of.getters[name], this, [], node)
        if name in of.methods:
            return of.methods[name]
        of = of.parent
    if name == "constructor":
        return owner.of
    if isinstance(of, Unknown):
        return Unknown(of.cause, machine.source.brief(node), line_of(node), of.reason)
    return machine.unknown("value", node) if name in OF_OBJECTS else UNDEFINED


def _of_class(machine: Machine, owner: Class, name: str, node: Node) -> Any:
    of: Any = owner
    while isinstance(of, Class):
        if of.unclear and name != "name":
            return Unknown("code", machine.source.brief(node), line_of(node), of.unclear)
        if name in of.statics:
            return of.statics[name]
        if name in of.static_getters:
            return CALL[0](machine, of.static_getters[name], owner, [], node)
        of = of.parent
    if name == "name" and owner.name:
        return owner.name
    if name == "prototype":
        owner.unclear = owner.unclear or "its prototype may be changed"
    if isinstance(of, Unknown) or name == "name" or name in OF_OBJECTS | _OF_FUNCTIONS:
        return machine.unknown("value", node)
    return UNDEFINED


# A function is called by functions.py, which needs this module.
CALL: list[Callable[[Machine, Any, Any, list[Any], Node], Any]] = []


# The ways to the options of the data source; what lies beside them is not known.
_PATHS = {
    "": {"connection": "connection", "dataSource": "connection", "manager": "manager"},
    "connection": {"options": "options", "driver": "driver", "manager": "otherManager"},
    "driver": {"options": "options", "connection": "connection", "dataSource": "connection"},
    "manager": {"connection": "connection", "dataSource": "connection", "queryRunner": ""},
}


def _of_runner(machine: Machine, owner: Runner | Connection, name: str, node: Node) -> Any:
    path = owner.path if isinstance(owner, Connection) else ""
    if path == "options" and name == "type":
        machine.climb(4)
        return "postgres"
    if path == "" and name == "queryRunner":
        return Runner()  # a project's own caller gives it inside an object
    if name in _PATHS.get(path, {}):
        to = _PATHS[path][name]
        return Connection(to) if to else Runner()
    if path == "" and name == "query":
        return Builtin("query", _without_runner, pure=False)
    if path == "":
        return machine.unknown("schema", node)
    if path == "options":
        return machine.unknown("environment", node, "is an option of the data source")
    return machine.unknown("manager" if "anager" in path else "schema", node)


def _without_runner(machine: Machine, given: list[Any], node: Node) -> Any:
    machine.refuse("value", "`query` is called without its query runner, which fails", node)


@method(Buffer, "toString")
def _text_of_file(machine: Machine, owner: Any, given: list[Any], node: Node) -> Any:
    return decoded(machine, owner, given[0] if given else "utf8", node)


def decoded(machine: Machine, buffer: Buffer, encoding: Any, node: Node) -> Any:
    """The text of a file's bytes."""
    from qb_engine.migrations.typescript.things import Text

    if not isinstance(encoding, str) or encoding.lower() not in ("utf8", "utf-8"):
        return machine.unknown("value", node, "is in an encoding that qb does not read")
    return Text.at(cooking.joined(buffer.data.decode("utf-8", "replace")), 1, buffer.file)


@method(float, "toString")
def _text_of_number(machine: Machine, owner: Any, given: list[Any], node: Node) -> Any:
    if given and given[0] != 10.0:
        return machine.unknown("value", node)
    return numbers.written(owner)
