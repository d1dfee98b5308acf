"""what a file exports, as TypeORM finds it"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from tree_sitter import Node

from qb_engine.migrations.typescript.classes import KINDS
from qb_engine.migrations.typescript.grammar import bare, children, field, inside_of, line_of
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.module import exported_from
from qb_engine.migrations.typescript.refusal import Refused
from qb_engine.migrations.typescript.values import Export, Exported

_FUNCTIONS = frozenset(
    ("function_declaration", "generator_function_declaration", "function_expression",
     "generator_function", "arrow_function")
)  # fmt: skip
_TYPES = frozenset(
    ("interface_declaration", "type_alias_declaration", "ambient_declaration",
     "function_signature")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """An export with the node of its value; None for what stands elsewhere."""

    export: Export
    value: Node | None


class Exports:
    """The exports of a file, and the nodes of what is declared at its top."""

    def __init__(self, machine: Machine) -> None:
        self._source = machine.source
        self._machine = machine
        self.declared: dict[str, Node] = {}
        self.imported: set[str] = set()
        nodes = children(machine.source.root)
        self.found: list[Found] = []
        for node in nodes:
            with suppress(Refused):  # a part that does not parse, which `errors` tells
                self._declare(node)
        for node in nodes:
            with suppress(Refused):
                self.found += self._of(node)

    def _declare(self, node: Node) -> None:
        if node.type == "export_statement":
            inside = node.child_by_field_name("declaration")
            if inside is not None:
                self._declare(inside)
        elif node.type in ("lexical_declaration", "variable_declaration"):
            for one in children(node):
                if one.type == "variable_declarator":
                    self.declared[self._source.of(field(one, "name"))] = one
        elif node.type == "import_statement":
            waiting = list(node.named_children)
            while waiting:
                one = waiting.pop()
                if one.type == "identifier":
                    self.imported.add(self._source.of(one))
                waiting.extend(one.named_children)
        else:
            name = node.child_by_field_name("name")
            if name is not None:
                self.declared.setdefault(self._source.of(name), node)

    def _of(self, node: Node) -> Iterator[Found]:
        if node.type == "expression_statement":
            made = exported_from(self._machine, node)
            if made is not None:
                yield from self._assigned(*made, node)
            return
        if node.type != "export_statement":
            return
        kinds = {child.type for child in node.children}
        declaration = node.child_by_field_name("declaration")
        if "type" in kinds:
            yield Found(Export(self._source.brief(node), "type", line_of(node), False), None)
        elif declaration is not None:
            yield from self._declaration(declaration, "default" in kinds)
        elif "=" in kinds:  # export = X
            yield self._value("default", inside_of(node), node)
        elif "default" in kinds:
            yield self._value("default", field(node, "value"), node)
        else:
            yield from self._clause(node)

    def _declaration(self, node: Node, default: bool) -> Iterator[Found]:
        if node.type in ("lexical_declaration", "variable_declaration"):
            for one in children(node):
                if one.type == "variable_declarator":
                    yield self._value(self._source.of(field(one, "name")), one, one)
            return
        named = node.child_by_field_name("name")
        name = "default" if default or named is None else self._source.of(named)
        yield self._value(name, node, node)

    def _clause(self, node: Node) -> Iterator[Found]:
        """`export {a, b as c}`, `export {a} from "./a"`, `export * from "./a"`."""
        clause = next((child for child in node.children if child.type == "export_clause"), None)
        elsewhere = node.child_by_field_name("source") is not None
        if clause is None:
            yield Found(Export("*", "again", line_of(node), True), None)
            return
        for one in children(clause):
            local = self._source.of(field(one, "name"))
            alias = one.child_by_field_name("alias")
            name = self._source.of(alias) if alias is not None else local
            if any(child.type == "type" for child in one.children):
                yield Found(Export(name, "type", line_of(one), False), None)
            elif elsewhere or local in self.imported:
                yield Found(Export(name, "again", line_of(one), True), None)
            else:
                yield self._value(name, field(one, "name"), one)

    def _assigned(self, name: str, value: Node, node: Node) -> Iterator[Found]:
        value = bare(value)
        while value.type == "assignment_expression":  # exports.A = exports.B = void 0
            value = bare(field(value, "right"))
        if value.type == "unary_expression":
            return
        if name == "" and value.type == "object":
            for one in children(value):
                if one.type == "pair":
                    key = self._source.of(field(one, "key"))
                    yield self._value(key, field(one, "value"), one)
                elif one.type == "shorthand_property_identifier":
                    yield self._value(self._source.of(one), one, one)
                elif one.type == "method_definition":
                    key = self._source.of(field(one, "name"))
                    yield Found(Export(key, "function", line_of(one), True), None)
                else:
                    yield Found(Export("*", "again", line_of(one), True), None)
        else:
            yield self._value(name or "default", value, node)

    def _value(self, name: str, node: Node, at: Node) -> Found:
        value = self.resolve(node)
        if value.type in ("identifier", "shorthand_property_identifier"):
            again = self._source.of(value) in self.imported
            kind: Exported = "again" if again else "constant"
            return Found(Export(name, kind, line_of(at), again), None)
        kind, callable_ = self._kind(value)
        return Found(Export(name, kind, line_of(at), callable_), value)

    def resolve(self, node: Node) -> Node:
        """The node of a value: names of the file are followed to what they stand for."""
        for _ in range(20):
            if node.type == "variable_declarator":
                value = node.child_by_field_name("value")
                if value is None:
                    return node
                node = bare(value)
            elif node.type in ("identifier", "shorthand_property_identifier"):
                name = self._source.of(node)
                if name not in self.declared:
                    return node
                node = self.declared[name]
            elif bare(node) is not node:
                node = bare(node)
            else:
                break
        return node

    def _kind(self, node: Node, depth: int = 0) -> tuple[Exported, bool]:
        if node.type in KINDS:
            return "class", True
        if node.type in _FUNCTIONS:
            return "function", True
        if node.type in _TYPES:
            return "type", False
        if node.type == "enum_declaration":
            return "object", False
        if node.type in ("object", "array") and depth < 20:
            inside = [self._inside(one, depth) for one in children(node)]
            return ("object" if node.type == "object" else "array"), any(inside)
        return "constant", False

    def _inside(self, node: Node, depth: int) -> bool:
        """True when a part of an object or an array is something that TypeORM takes."""
        if node.type == "method_definition":
            return True
        if node.type == "pair":
            node = field(node, "value")
        elif node.type == "spread_element":
            node = inside_of(node)
        value = self.resolve(node)
        if value.type == "identifier" and self._source.of(value) in self.imported:
            return True
        return self._kind(value, depth + 1)[1]
