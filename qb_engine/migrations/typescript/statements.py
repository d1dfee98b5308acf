"""statements, carried out one after the other"""

from __future__ import annotations

from typing import Any

from tree_sitter import Node

from qb_engine.migrations.typescript import members, places
from qb_engine.migrations.typescript.grammar import SILENT, bare, children, field, inside_of
from qb_engine.migrations.typescript.machine import STATEMENTS, Machine, statement
from qb_engine.migrations.typescript.operators import keys, same, truthy
from qb_engine.migrations.typescript.refusal import Thrown
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import LATER, UNDEFINED, Function, Unknown


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
                if pattern is not None and pattern.type == "identifier":
                    scope.declare(machine.source.of(pattern), LATER)
        if node.type == "function_declaration":
            name = machine.source.of(field(node, "name"))
            is_async = any(child.type == "async" for child in node.children)
            scope.declare(name, Function(node, scope, None, name, is_async))


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
    if isinstance(value, Function) and not value.name and pattern.type == "identifier":
        value.name = machine.source.of(pattern)
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


@statement("for_statement")
def _for(machine: Machine, node: Node, scope: Scope) -> Any:
    machine.climb(3)
    inner = Scope(scope)
    initializer = field(node, "initializer")
    if initializer.type in STATEMENTS:
        machine.run(initializer, inner)
    else:
        machine.value(initializer, inner)
    condition = node.child_by_field_name("condition")
    increment = node.child_by_field_name("increment")
    while True:
        if condition is not None and condition.type != "empty_statement":
            test = inside_of(condition) if condition.type == "expression_statement" else condition
            if not decides(machine, test, inner):
                return None
        machine.turn(node)
        turn = Scope(inner.outer)  # closures keep the variables of their own turn
        turn.names, turn.constant = dict(inner.names), inner.constant
        end = machine.run(field(node, "body"), turn)
        if end is BREAK:
            return None
        if end is not None and end is not CONTINUE:
            return end
        inner = Scope(scope)
        inner.names, inner.constant = dict(turn.names), turn.constant
        if increment is not None:
            machine.value(increment, inner)


@statement("for_in_statement")
def _for_each(machine: Machine, node: Node, scope: Scope) -> Any:
    machine.climb(3)
    if any(child.type == "await" for child in node.children):
        machine.refuse("value", "`for await` is not understood", node)
    right = field(node, "right")
    through = machine.value(right, scope)
    if isinstance(through, Unknown):
        machine.refuse_unknown(through, "it decides how often a loop runs")
    if machine.source.of(field(node, "operator")) == "in":
        if isinstance(through, dict):
            through = keys(through)
        elif isinstance(through, list):
            through = [str(i) for i in range(len(through))]
        else:
            machine.refuse("value", f"`{machine.source.brief(right)}` is no object", right)
    kind = node.child_by_field_name("kind")
    left = field(node, "left")
    if isinstance(through, str):
        through = members.items(machine, through, right)
    position = 0
    while True:  # an array may grow while it is gone through
        going = members.items(machine, through, right)
        if position >= len(going):
            return None
        machine.turn(node)
        turn = Scope(scope)
        if kind is None:
            places.assign(machine, left, going[position], scope)
        else:
            is_var = machine.source.of(kind) == "var"
            places.declare(
                machine, left, going[position], scope.function() if is_var else turn
            )  # fmt: skip
        position += 1
        end = machine.run(field(node, "body"), turn)
        if end is BREAK:
            return None
        if end is not None and end is not CONTINUE:
            return end


@statement("while_statement")
def _while(machine: Machine, node: Node, scope: Scope) -> Any:
    while decides(machine, field(node, "condition"), scope):
        machine.turn(node)
        end = machine.run(field(node, "body"), Scope(scope))
        if end is BREAK:
            return None
        if end is not None and end is not CONTINUE:
            return end
    return None


@statement("do_statement")
def _do(machine: Machine, node: Node, scope: Scope) -> Any:
    while True:
        machine.turn(node)
        end = machine.run(field(node, "body"), Scope(scope))
        if end is BREAK:
            return None
        if end is not None and end is not CONTINUE:
            return end
        if not decides(machine, field(node, "condition"), scope):
            return None


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
    nodes = [
        child
        for case in cases[start:]
        for child in case.children_by_field_name("body")
        if child.is_named and child.type not in SILENT
    ]
    end = block(machine, nodes, inner)
    return None if end is BREAK else end


@statement("break_statement", "continue_statement")
def _break(machine: Machine, node: Node, scope: Scope) -> End:
    if node.child_by_field_name("label") is not None:
        machine.refuse("value", "a jump to a label is not understood", node)
    return BREAK if node.type == "break_statement" else CONTINUE


@statement("return_statement")
def _return(machine: Machine, node: Node, scope: Scope) -> End:
    inside = children(node)
    return Return(machine.value(inside[0], scope) if inside else UNDEFINED)


@statement("throw_statement")
def _throw(machine: Machine, node: Node, scope: Scope) -> None:
    thrown = bare(inside_of(node))
    raise Thrown(message(machine, thrown, scope), node.start_point.row + 1)


def message(machine: Machine, thrown: Node, scope: Scope) -> str:
    """What is said by what is thrown: its message, or else its text."""
    if thrown.type in ("new_expression", "call_expression"):
        given = thrown.child_by_field_name("arguments")
        first = children(given)[:1] if given is not None else []
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
