"""what may do something when its value is told"""

from __future__ import annotations

from tree_sitter import Node

_ACTS = frozenset(
    ("call_expression", "new_expression", "await_expression", "assignment_expression",
     "augmented_assignment_expression", "update_expression", "yield_expression")
)  # fmt: skip


def acts(node: Node) -> bool:
    """True when evaluating an expression may send something or change something."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.type in _ACTS:
            return True
        if one.type == "unary_expression" and one.children[0].type == "delete":
            return True
        if one.type not in ("arrow_function", "function_expression"):
            waiting.extend(one.named_children)
    return False
