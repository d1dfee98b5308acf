"""statements, carried out one after the other"""

from __future__ import annotations

from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import places
from qb_engine.migrations.typescript.acting import acts
from qb_engine.migrations.typescript.grammar import SILENT, bare, children, field, inside_of
from qb_engine.migrations.typescript.machine import Machine, statement
from qb_engine.migrations.typescript.operators import same, truthy
from qb_engine.migrations.typescript.refusal import Thrown
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import (
    LATER,
    UNDEFINED,
    Function,
    Unknown,
)


class End:
    """What ends a block before its last statement."""


class Return(End):
    """`return`, with its value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


BREAK = End()
CONTINUE = End()

# They say something to the compiler, and nothing when it runs.
_TYPES = (
    "interface_declaration", "type_alias_declaration", "empty_statement", "debugger_statement",
    "ambient_declaration", "function_signature", "comment", "hash_bang_line", "html_comment",
)  # fmt: skip


@statement(*_TYPES)
def _nothing(machine: Machine, node: Node, scope: Scope) -> None:
    return None


def block(machine: Machine, nodes: list[Node], scope: Scope) -> End | None:
    """Carry out statements in a scope, functions declared first."""
    hoist(machine, nodes, scope)
    for node in nodes:
        end = machine.run(node, scope)
        if end is not None:
            return end  # type: ignore[no-any-return]
    return None


def hoist(machine: Machine, nodes: list[Node], scope: Scope) -> None:
    """Declare the functions of a block before anything else happens in it, and name the rest."""
    for node in nodes:
        if node.type == "lexical_declaration":
            for one in node.named_children:
                pattern = one.child_by_field_name("name")
                for each in places.names(pattern) if pattern is not None else ():
                    scope.declare(machine.source.of(each), LATER)
        elif node.type in ("class_declaration", "abstract_class_declaration"):
            named = node.child_by_field_name("name")
            if named is not None:
                scope.declare(machine.source.of(named), LATER)
    for node in nodes:
        if node.type == "function_declaration":
            name = machine.source.of(field(node, "name"))
            is_async = any(child.type == "async" for child in node.children)
            scope.declare(name, Function(node, scope, None, name, is_async))


# They have variables of their own, or none.
_CLOSED = frozenset(
    ("function_declaration", "function_expression", "arrow_function", "class_declaration", "class",
     "generator_function_declaration", "generator_function", "method_definition",
     "abstract_class_declaration", "internal_module", "ambient_declaration", "expression_statement")
)  # fmt: skip


def hoist_variables(machine: Machine, nodes: list[Node], scope: Scope) -> None:
    """Name what `var` makes anywhere in a function or a file: it is there from the beginning."""
    of = nodes[0].parent if nodes else None
    if of is None:
        return
    if of.id not in machine.variables:
        machine.variables[of.id] = _variables(machine, nodes)
    for name in machine.variables[of.id]:
        scope.names.setdefault(name, UNDEFINED)


def _variables(machine: Machine, nodes: list[Node]) -> list[str]:
    found: list[str] = []
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.type in _CLOSED:
            continue
        patterns: list[Node] = []
        if node.type == "variable_declaration":
            patterns = [field(one, "name") for one in children(node)
                        if one.type == "variable_declarator"]  # fmt: skip
        elif node.type == "for_in_statement":
            kind = node.child_by_field_name("kind")
            if kind is not None and machine.source.of(kind) == "var":
                patterns = [field(node, "left")]
        found += [machine.source.of(name) for pattern in patterns for name in places.names(pattern)]
        waiting.extend(node.named_children)
    return found


@statement("function_declaration")
def _function(machine: Machine, node: Node, scope: Scope) -> None:
    return None  # hoisted


@statement("generator_function_declaration")
def _generator(machine: Machine, node: Node, scope: Scope) -> None:
    name = machine.source.of(field(node, "name"))
    scope.declare(name, machine.unknown("value", node, "is a generator"))


@statement("statement_block")
def _block(machine: Machine, node: Node, scope: Scope) -> End | None:
    return block(machine, children(node), Scope(scope))


@statement("expression_statement")
def _expression(machine: Machine, node: Node, scope: Scope) -> None:
    if inside_of(node).type in ("object", "function_expression", "class"):
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    machine.value(inside_of(node), scope)


@statement("lexical_declaration")
def _lexical(machine: Machine, node: Node, scope: Scope) -> None:
    constant = any(child.type == "const" for child in node.children)
    for one in children(node):
        pattern = one.child_by_field_name("name")
        if pattern is not None and pattern.type == "identifier":
            name = machine.source.of(pattern)
            if scope.names.get(name, LATER) is not LATER:
                machine.refuse("value", f"`{name}` is declared twice", one)
        _declarator(machine, one, scope, scope, constant)


@statement("variable_declaration")
def _var(machine: Machine, node: Node, scope: Scope) -> None:
    for one in children(node):
        _declarator(machine, one, scope, scope.function(), False)


def _declarator(machine: Machine, node: Node, scope: Scope, into: Scope, constant: bool) -> None:
    if node.type != "variable_declarator":
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    pattern = field(node, "name")
    initial = node.child_by_field_name("value")
    value = UNDEFINED if initial is None else machine.value(initial, scope)
    known = into.names.get(machine.source.of(pattern), LATER)
    if initial is None and into.whole and known is not LATER:
        return  # `var x` again changes nothing
    if initial is not None:
        places.named_by(machine, pattern, initial, value)
    if into is not scope and into is not machine.frames[-1].own:
        machine.affect(node)
    places.declare(machine, pattern, value, into, constant=constant)


def decides(machine: Machine, node: Node, scope: Scope) -> bool:
    """The outcome of a condition."""
    value = machine.value(node, scope)
    if isinstance(value, Unknown):
        condition = machine.unknown(value.cause, bare(node), value.reason)
        machine.refuse_unknown(condition, "it decides what is sent")
    machine.climb(3)
    return truthy(value)


@statement("if_statement")
def _if(machine: Machine, node: Node, scope: Scope) -> Any:
    while True:
        chosen: Node | None = field(node, "consequence")
        if not decides(machine, field(node, "condition"), scope):
            otherwise = node.child_by_field_name("alternative")
            chosen = inside_of(otherwise) if otherwise is not None else None
        if chosen is None:
            return None
        if chosen.type != "if_statement":
            return machine.run(chosen, Scope(scope))
        node = chosen


@statement("switch_statement")
def _switch(machine: Machine, node: Node, scope: Scope) -> Any:
    machine.climb(3)
    subject = field(node, "value")
    value = machine.value(subject, scope)
    if isinstance(value, Unknown):
        machine.refuse_unknown(value, "it decides what is sent")
    cases = children(field(node, "body"))
    inner = Scope(scope)
    start = None
    hoist(machine, [one for case in cases for one in _of_case(case)], inner)
    for index, case in enumerate(cases):
        test = case.child_by_field_name("value")
        if test is None:
            continue
        against = machine.value(test, inner)
        if isinstance(against, Unknown):
            machine.refuse_unknown(against, "it decides what is sent")
        if same(value, against):
            start = index
            break
    if start is None:
        defaults = [i for i, case in enumerate(cases) if case.type == "switch_default"]
        start = defaults[0] if defaults else len(cases)
    for one in [one for case in cases[start:] for one in _of_case(case)]:
        end = machine.run(one, inner)
        if end is not None:
            return None if end is BREAK else end
    return None


def _of_case(case: Node) -> list[Node]:
    inside = case.children_by_field_name("body")
    return [child for child in inside if child.is_named and child.type not in SILENT]


@statement("break_statement", "continue_statement")
def _break(machine: Machine, node: Node, scope: Scope) -> End:
    if node.child_by_field_name("label") is not None:
        machine.refuse("value", "a jump to a label is not understood", node)
    return BREAK if node.type == "break_statement" else CONTINUE


@statement("return_statement")
def _return(machine: Machine, node: Node, scope: Scope) -> End:
    inside = children(node)
    _refuse_break(machine, node, inside[:1])
    return Return(machine.value(inside[0], scope) if inside else UNDEFINED)


def _refuse_break(machine: Machine, node: Node, inside: list[Node]) -> None:
    """Refuse a line that breaks before a value: the statement ends there, even in a comment."""
    if inside and inside[0].start_point.row != node.start_point.row:
        machine.refuse("value", f"`{machine.source.brief(node)}` ends at its first line", node)


@statement("throw_statement")
def _throw(machine: Machine, node: Node, scope: Scope) -> None:
    _refuse_break(machine, node, [inside_of(node)])
    thrown = bare(inside_of(node))
    raise Thrown(message(machine, thrown, scope), node.start_point.row + 1)


def message(machine: Machine, thrown: Node, scope: Scope) -> str:
    """What is said by what is thrown: its message, or else its text."""
    made = thrown.type in ("new_expression", "call_expression")
    given = thrown.child_by_field_name("arguments")
    inside = children(given) if given is not None else []
    if thrown.type == "call_expression":  # of what stands elsewhere, such as `Error(...)`
        callee = bare(field(thrown, "function"))
        made = callee.type == "identifier" and not isinstance(
            machine.value(callee, scope), Function
        )
    if made and any(acts(one) for one in inside[1:]):
        machine.refuse("value", f"`{machine.source.brief(thrown)}` is not understood", thrown)
    if made:
        first = inside[:1]
        name = machine.source.brief(
            field(thrown, "constructor" if thrown.type == "new_expression" else "function")
        )
        if not first:
            return name
        value = machine.value(first[0], scope)
        return value if isinstance(value, str) else machine.source.brief(first[0])
    value = machine.value(thrown, scope)
    return value if isinstance(value, str) else machine.source.brief(thrown)


@statement("try_statement")
def _try(machine: Machine, node: Node, scope: Scope) -> Any:
    handler = node.child_by_field_name("handler")
    if node.child_by_field_name("finalizer") is not None or handler is None:
        machine.refuse("swallowed", "what `finally` does depends on what fails", node)
    last = children(field(handler, "body"))[-1:]
    if not last or last[0].type != "throw_statement" or not _only_says(machine, handler):
        machine.refuse(
            "swallowed", "a `catch` goes on after a failure, and only running it shows one", node
        )
    machine.climb(3)
    before = len(machine.sent)
    try:
        return machine.run(field(node, "body"), scope)
    except Thrown:
        if len(machine.sent) == before:
            raise
        machine.refuse("swallowed", "it throws what it catches", node)


def _only_says(machine: Machine, handler: Node) -> bool:
    """True for a `catch` that prints something and throws again."""
    from qb_engine.migrations.typescript.calls import is_log

    for one in children(field(handler, "body"))[:-1]:
        inside = bare(inside_of(one)) if one.type == "expression_statement" else one
        if inside.type == "await_expression":
            inside = bare(inside_of(inside))
        if inside.type != "call_expression" or not is_log(machine, inside):
            return False
    return True
