"""calls: of functions, methods, the query runner, and those that say something to a log"""

from __future__ import annotations

import re
from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import cooking, files, functions, members
from qb_engine.migrations.typescript import operators as op
from qb_engine.migrations.typescript.acting import acts
from qb_engine.migrations.typescript.expressions import template, told
from qb_engine.migrations.typescript.grammar import bare, children, field, inside_of, line_of
from qb_engine.migrations.typescript.machine import ITEM, ITEMS, Machine, expression
from qb_engine.migrations.typescript.refusal import Fails, Refused, Thrown
from qb_engine.migrations.typescript.runner import ask
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.statements import message
from qb_engine.migrations.typescript.things import (
    LATER,
    UNDEFINED,
    Class,
    Connection,
    Function,
    Instance,
    Late,
    Namespace,
    Promise,
    Runner,
    Undefined,
    Unknown,
)

_LOG = re.compile(r"(?:.*[._])?(?:console|_?logger|log)", re.IGNORECASE)
_SAYS = frozenset(
    ("log", "info", "warn", "warning", "error", "debug", "verbose", "trace", "table", "group",
     "groupEnd", "time", "timeEnd", "timeLog", "dir", "success", "notice", "silly")
)  # fmt: skip


def is_log(machine: Machine, call: Node) -> bool:
    """True for `console.log(...)`, `this.logger.warn(...)` and the like."""
    callee = bare(field(call, "function"))
    if callee.type != "member_expression":
        return False
    if machine.source.of(field(callee, "property")) not in _SAYS:
        return False
    owner = bare(field(callee, "object"))
    if owner.type not in ("identifier", "member_expression"):
        return False
    return _LOG.fullmatch(machine.source.of(owner)) is not None


def _said(machine: Machine, arguments: Node, scope: Scope) -> None:
    """Tell what a log is given, for what that does; what it is matters to nobody."""
    rung = machine.rung
    for argument in children(arguments):
        inside = inside_of(argument) if argument.type == "spread_element" else argument
        try:
            machine.value(inside, scope)
        except Fails:
            raise
        except Refused:
            if acts(argument):
                raise
        if not acts(argument):
            machine.rung = rung


def _is_own(machine: Machine, callee: Node, scope: Scope) -> bool:
    """True for a logger that the file makes itself."""
    owner = bare(field(callee, "object"))
    try:
        value = machine.value(owner, scope)
    except Fails:
        raise
    except Refused:
        return False
    if isinstance(value, (Undefined, Namespace)) or value is None:
        return False  # of a class that TypeORM makes, it is put there by something else
    return not isinstance(value, Unknown)


@expression("call_expression")
def _call(machine: Machine, node: Node, scope: Scope) -> Any:
    function = field(node, "function")
    if function.type == "await_expression":  # the grammar takes `await f<T>(x)` for `(await f)(x)`
        return machine.wait(_called(machine, node, bare(inside_of(function)), scope), node)
    return _called(machine, node, bare(function), scope)


def _called(machine: Machine, node: Node, callee: Node, scope: Scope) -> Any:
    arguments = field(node, "arguments")
    if node.child_by_field_name("type_arguments") is not None and machine.source.is_javascript:
        machine.refuse("value", f"`{machine.source.brief(node)}` compares, in JavaScript", node)
    if arguments.type == "template_string":
        return _tagged(machine, callee, arguments, scope)
    if is_log(machine, node) and not _is_own(machine, callee, scope):
        _said(machine, arguments, scope)
        return UNDEFINED
    optional = any(child.type in ("?.", "optional_chain") for child in node.children)
    if (compiled := _of_compiler(machine, callee, arguments, scope)) is not None:
        return compiled[0]
    if callee.type in ("member_expression", "subscript_expression"):
        return _of_member(machine, node, callee, scope, optional)
    if callee.type == "import":
        machine.refuse("code", f"`{machine.source.brief(node)}` runs code that stands elsewhere",
                       node)  # fmt: skip
    if callee.type == "super":
        return _super(machine, node, arguments, scope)
    if callee.type == "identifier" and machine.source.of(callee) in machine.helpers:
        given = args(machine, arguments, scope)
        return files.helper(machine, machine.source.of(callee), given, node)
    function = machine.value(callee, scope)
    if optional and (function is None or isinstance(function, Undefined)):
        return UNDEFINED
    return functions.call(machine, function, None, args(machine, arguments, scope), node)


def _of_compiler(machine: Machine, callee: Node, given: Node, scope: Scope) -> list[Any] | None:
    """A call of what tsc puts into JavaScript, wherever it takes it from; None for any other."""
    name = machine.source.of(callee).rpartition(".")[2]
    if not name.startswith("__"):
        return None
    parts = children(given)
    if name in ("__importDefault", "__importStar") and len(parts) == 1:
        module = machine.value(parts[0], scope)
        if isinstance(module, dict):
            return [{**(module if name == "__importStar" else {}), "default": module}]
        return [module]
    if name == "__awaiter" and len(parts) == 4 and parts[3].type == "generator_function":
        this = scope.holder("this")
        function = Function(parts[3], scope, None, "", is_async=True)
        owner = this.names["this"] if this is not None else None
        return [functions.invoke(machine, function, None if owner is LATER else owner, [])]
    return None


def args(machine: Machine, node: Node, scope: Scope) -> list[Any]:
    """The values that a call gives."""
    given: list[Any] = []
    for child in children(node):
        if child.type == "spread_element":
            through = machine.value(inside_of(child), scope)
            more = members.items(machine, through, child)
            machine.spend(ITEM * len(more), node)
            given += more
        else:
            given.append(machine.value(child, scope))
    machine.bounded(len(given), ITEMS, node)
    return given


def _of_member(machine: Machine, node: Node, callee: Node, scope: Scope, optional: bool) -> Any:
    owner = machine.value(field(callee, "object"), scope)
    if owner is None or isinstance(owner, Undefined):
        if callee.child_by_field_name("optional_chain") is not None:
            return UNDEFINED
        machine.refuse("value", f"`{machine.source.brief(callee)}` has no value to call", node)
    if callee.type == "member_expression":
        name: Any = machine.source.of(field(callee, "property"))
    else:
        name = machine.value(field(callee, "index"), scope)
        if isinstance(name, Unknown):
            machine.refuse_unknown(name, "it decides what is called")
        name = told(machine, op.key_of, callee, name)
    given_node = field(node, "arguments")
    if name in machine.helpers:
        return files.helper(machine, name, args(machine, given_node, scope), node)
    if isinstance(owner, (Runner, Connection)):
        return ask(machine, owner, name, node, lambda: args(machine, given_node, scope))
    if isinstance(owner, Namespace) and (owner.name, name) == ("Promise", "reject"):
        first = children(given_node)[:1]
        said = message(machine, bare(first[0]), scope) if first else ""
        thrown = Thrown(said, line_of(node))
        rejected = Promise(UNDEFINED, (), Late.SENDS | Late.CHANGES, line_of(node), thrown)
        machine.loose.append(rejected)
        return rejected
    own = members.METHODS.get(kind_of(owner), {}).get(name)
    if own is not None and not (isinstance(owner, dict) and name in owner):
        given = args(machine, given_node, scope)
        if name in members.CHANGING:
            machine.affect(node, owner)
        machine.method = name
        return own(machine, owner, given, node)
    if isinstance(owner, Promise):
        cause: Any = "swallowed" if name == "catch" else "value"
        machine.refuse(cause, f"what `.{name}(...)` does after a query is not understood", node)
    if field(callee, "object").type == "super":
        this = scope.holder("this")
        made = this.names["this"] if this is not None else None
        if isinstance(made, Instance) and isinstance(owner, Class):
            function = members.of_prototype(machine, Instance(owner), made, name, callee)
        else:
            function = members.get(machine, owner, name, callee)
        return functions.call(machine, function, made, args(machine, given_node, scope), node)
    function = members.get(machine, owner, name, callee)
    if optional and (function is None or isinstance(function, Undefined)):
        return UNDEFINED
    if isinstance(function, Unknown):  # what it is given may be a query, but it is refused anyway
        return functions.call(machine, function, owner, [], node)
    return functions.call(machine, function, owner, args(machine, given_node, scope), node)


def kind_of(value: Any) -> type:
    """The type whose methods a value has."""
    if isinstance(value, str):
        return str
    return type(value)


def _tagged(machine: Machine, tag: Node, text: Node, scope: Scope) -> Any:
    if machine.source.of(tag) != "String.raw" or members.holder(machine, "String", scope):
        machine.refuse(
            "value", f"the tagged template `{machine.source.of(tag)}` is not understood", tag
        )
    machine.climb(2)
    made: list[str] = []
    for index, part in enumerate(template(machine, text, scope)):
        if unknown := op.unknown_in(part):
            return unknown
        made.append(cooking.raw(part) if index % 2 == 0 else part)
    from qb_engine.migrations.typescript.things import Text

    return Text.at(cooking.joined("".join(made)), text.start_point.row + 1)


def _super(machine: Machine, node: Node, arguments: Node, scope: Scope) -> Any:
    parent = members.named(machine, "super", node, scope)
    if isinstance(parent, Unknown):
        machine.refuse_unknown(parent, "the class is made of it")
    machine.refuse("value", "`super(...)` is not understood", node)
