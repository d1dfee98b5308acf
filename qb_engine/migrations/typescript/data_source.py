"""what a data source says about migrations, told from its text"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tree_sitter import Node

from qb_engine.errors import InputError
from qb_engine.migrations.model import read_text
from qb_engine.migrations.typescript import classes, members, sending
from qb_engine.migrations.typescript.exports import Exports
from qb_engine.migrations.typescript.grammar import (
    Source,
    bare,
    children,
    descended,
    field,
    inside_of,
    line_of,
)
from qb_engine.migrations.typescript.machine import WHY, Machine
from qb_engine.migrations.typescript.module import exported_from
from qb_engine.migrations.typescript.operators import unknown_in
from qb_engine.migrations.typescript.refusal import Refused
from qb_engine.migrations.typescript.things import UNDEFINED, Class, Function, Undefined, Unknown
from qb_engine.migrations.typescript.values import DataSourceOptions

_MAKERS = frozenset(("DataSource", "createConnection", "createConnections", "Connection"))
_TEXTS = ("type", "schema", "migrationsTableName", "migrationsTransactionMode")
_WANTED = ("migrations", *_TEXTS)
Option = tuple[Any, int]  # its value and its line


def data_source(path: Path, root: Path | None = None) -> DataSourceOptions:
    """Read `new DataSource({...})`, `createConnection({...})`, or the options of an ormconfig.

    Globs are relative to `root`, by default the folder of the nearest package.json. Raise
    InputError for a file without any options.
    """
    path = path.absolute()
    root = root.absolute() if root is not None else _root(path)
    if path.suffix == ".json":
        return _told(_of_json(path), 1, root)
    machine = Machine(Source(path), {}, root)
    node = _options(machine)
    if node is None:
        raise InputError(
            "no data source is in this file",
            where=str(path),
            why="it neither calls new DataSource({...}) nor exports an object of options",
            todo="name the file that makes the data source, or give the folder of migrations",
            code="data-source",
        )
    return _told(_of_object(machine, node), line_of(node), root)


def _root(path: Path) -> Path:
    for folder in path.parents:
        if (folder / "package.json").is_file():
            return folder
    return path.parent


def _of_json(path: Path) -> dict[str, Option]:
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(
            "the options do not parse as JSON",
            where=str(path),
            why=str(error),
            todo="mend the file, or name another one",
            code="data-source",
        ) from None
    listed = value if isinstance(value, list) else [value]
    chosen = next((one for one in listed if isinstance(one, dict)), {})
    return {name: (sending.parsed(one), 1) for name, one in chosen.items()}


def _options(machine: Machine) -> Node | None:
    """The object of options: what a data source is made of, else an object that is exported."""
    exports = Exports(machine)
    for node in descended(machine.source.root):
        if node.type not in ("new_expression", "call_expression"):
            continue
        maker = bare(field(node, "constructor" if node.type == "new_expression" else "function"))
        name = machine.source.of(maker).rpartition(".")[2]
        given = node.child_by_field_name("arguments")
        if name not in _MAKERS or given is None or not children(given):
            continue
        machine.harmless = node
        first = exports.resolve(inside_of(given))
        while first.type == "array" and children(first):
            first = exports.resolve(inside_of(first))
        return first
    for value in _exported(machine, exports):
        if value.type == "array" and children(value):
            value = exports.resolve(inside_of(value))
        if value.type == "object":
            names = {_key(machine, one) for one in children(value) if one.type == "pair"}
            if names & {"type", "migrations", "entities"}:
                return value
    return None


def _exported(machine: Machine, exports: Exports) -> Iterator[Node]:
    """The nodes of what is exported, `module.exports` as a whole first."""
    for node in children(machine.source.root):
        if node.type == "expression_statement":
            made = exported_from(machine, node)
            if made is not None and made[0] == "":
                yield exports.resolve(made[1])
    for found in exports.found:
        if found.value is not None:
            yield found.value


def _key(machine: Machine, pair: Node) -> str:
    return machine.source.of(field(pair, "key")).strip("'\"`")


def _of_object(machine: Machine, node: Node) -> dict[str, Option]:
    """The options of an object literal, each for itself: one that is not clear spoils no other."""
    if node.type != "object":
        value = classes.guarded(machine, node, machine.module)
        if isinstance(value, dict):
            return {name: (one, line_of(node)) for name, one in value.items()}
        if not isinstance(value, Unknown):
            value = machine.unknown("value", node, "is no object")
        return {name: (value, line_of(node)) for name in _WANTED}
    made: dict[str, Option] = {}
    exports = Exports(machine)
    for one in children(node):
        line = line_of(one)
        if one.type == "pair":
            try:
                key = members.key(machine, field(one, "key"), machine.module)
            except Refused as no:
                value = machine.unknown(no.cause, one, no.reason)
                made.update(dict.fromkeys(_WANTED, (value, line)))
                continue
            made[key] = (classes.guarded(machine, field(one, "value"), machine.module), line)
        elif one.type == "shorthand_property_identifier":
            made[machine.source.of(one)] = (classes.guarded(machine, one, machine.module), line)
        elif one.type == "spread_element":
            inside = exports.resolve(inside_of(one))
            if inside.type in ("object", "identifier"):
                made.update(_of_object(machine, inside))
                continue
            value = classes.guarded(machine, inside_of(one), machine.module)
            if isinstance(value, Unknown):
                made.update(dict.fromkeys(_WANTED, (value, line)))
            elif isinstance(value, dict):
                made.update({name: (item, line) for name, item in value.items()})
    return made


def _told(options: dict[str, Option], line: int, root: Path) -> DataSourceOptions:
    unread: list[tuple[str, str, int]] = []
    texts: dict[str, str | None] = {}
    for name in _TEXTS:
        value, at = options.get(name, (UNDEFINED, line))
        texts[name] = str.__str__(value) if isinstance(value, str) else None
        if not isinstance(value, str) and not (value is None or isinstance(value, Undefined)):
            unread.append((name, _why(value), at))
    value, at = options.get("migrations", (UNDEFINED, line))
    globs: list[str] = []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (str, list)):
        for one in [value] if isinstance(value, str) else value:
            if isinstance(one, str):
                globs.append(relative(one, root))
            else:
                unread.append(("migrations", _why(one), at))
    elif value is not None and not isinstance(value, Undefined):
        unread.append(("migrations", _why(value), at))
    return DataSourceOptions(
        tuple(globs), texts["migrationsTableName"], texts["schema"],
        texts["migrationsTransactionMode"], texts["type"], line, tuple(unread),
    )  # fmt: skip


def _why(value: Any) -> str:
    unknown = unknown_in(value)
    if unknown is not None:
        return f"`{unknown.text}` {unknown.reason or WHY[unknown.cause]}"
    if isinstance(value, (Class, Function)):
        return f"it lists the class {value.name}, not files"
    return "it is not a text"


def relative(glob: str, root: Path) -> str:
    """A glob from the folder of a project; one that lies elsewhere stays absolute."""
    glob = str.__str__(glob)
    if glob.startswith("!"):
        return "!" + relative(glob[1:], root)
    start = root.as_posix().rstrip("/") + "/"
    if not glob.startswith("/"):
        glob = start + glob
    glob = posixpath.normpath(glob)
    return os.path.relpath(glob, root) if _near(glob, start) else glob


def _near(glob: str, start: str) -> bool:
    return glob.startswith(start) or start.startswith(glob)
