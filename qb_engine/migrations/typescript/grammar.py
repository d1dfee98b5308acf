"""a file as a tree of nodes, and where in it they stand"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from qb_engine.migrations.model import read_text
from qb_engine.migrations.typescript.refusal import Refused

EXTENSIONS = (".ts", ".mts", ".cts", ".js", ".mjs", ".cjs")

# What stands between the things that say something.
SILENT = frozenset(("comment", "hash_bang_line", "html_comment"))

# Around a value, for the compiler's eyes only.
_WRAPPERS = frozenset(
    ("parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression")
)


def is_script(path: Path) -> bool:
    """True for a file that TypeORM would import; declarations of types never are."""
    name = path.name
    return path.suffix in EXTENSIONS and not name.endswith((".d.ts", ".d.mts", ".d.cts"))


class Source:
    """The text of a file, and its tree."""

    __slots__ = ("data", "path", "root", "text")

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        self.text = read_text(path) if text is None else text.removeprefix("\ufeff")
        self.data = self.text.encode("utf-8", "replace")
        self.root = _parser().parse(self.data).root_node

    @property
    def is_javascript(self) -> bool:
        """True for a file in which the compiler strips no types."""
        return self.path.suffix in (".js", ".mjs", ".cjs")

    def of(self, node: Node) -> str:
        """The text of a node as it stands in the file."""
        return self.data[node.start_byte : node.end_byte].decode()

    def brief(self, node: Node) -> str:
        """The text of a node in one short line, for a sentence."""
        line = " ".join(self.data[node.start_byte : node.start_byte + 400].decode("utf-8", "ignore")
                        [: max(node.end_byte - node.start_byte, 0)].split())  # fmt: skip
        if node.end_byte - node.start_byte < 400:
            line = " ".join(self.of(node).split())
        return line if len(line) <= 60 else line[:57] + "..."


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_typescript.language_typescript()))


def line_of(node: Node) -> int:
    """The line a node begins in, counted from 1."""
    return node.start_point.row + 1


def children(node: Node) -> list[Node]:
    """The named children that say something."""
    return [child for child in node.named_children if child.type not in SILENT]


def inside_of(node: Node) -> Node:
    """The first of them. Raise Refused where the text does not parse."""
    found = children(node)
    if not found:
        raise Refused("value", "the text does not parse", line_of(node))
    return found[0]


def field(node: Node, name: str) -> Node:
    """A child that the grammar promises. Raise Refused where the text does not parse."""
    found = node.child_by_field_name(name)
    if found is None:
        raise Refused("value", "the text does not parse", line_of(node))
    return found


def bare(node: Node) -> Node:
    """An expression without its parentheses, `as`, `satisfies` and `!`."""
    while node.type in _WRAPPERS or node.type == "type_assertion":
        inside = children(node)
        if not inside:
            return node
        node = inside[-1] if node.type == "type_assertion" else inside[0]
    return node


def descended(root: Node) -> Iterator[Node]:
    """All nodes, in the order of the file."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.named_children))


def errors(root: Node) -> tuple[int, ...]:
    """The lines that do not parse."""
    found: set[int] = set()
    waiting = [root]
    if b"<!--" in (root.text or b"") or b"-->" in (root.text or b""):
        found = _old_comments(root)
    if not root.has_error:
        return tuple(sorted(found))
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            found.add(line_of(node))
        else:
            waiting.extend(child for child in node.children if child.has_error)
    return tuple(sorted(found))


def _old_comments(root: Node) -> set[int]:
    """The lines of comments as HTML has them, which are operators where a file is a module."""
    return {line_of(node) for node in descended(root) if node.type == "html_comment"}
