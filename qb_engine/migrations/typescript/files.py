"""files that a migration reads: paths, fs, and the helpers that a project names"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tree_sitter import Node

from qb_engine.migrations.typescript import members, sending
from qb_engine.migrations.typescript.machine import Machine
from qb_engine.migrations.typescript.operators import unknown_in
from qb_engine.migrations.typescript.things import (
    UNDEFINED,
    Buffer,
    Builtin,
    Namespace,
    Promise,
    Unknown,
    placed,
)

_PLACE = re.compile(r"\{(\d+)\}")
_TODAY = "depends on the folder that it runs in; join it to __dirname"


def folder(machine: Machine) -> str:
    """What `__dirname` is."""
    return str(machine.source.path.absolute().parent)


def helper(machine: Machine, name: str, given: list[Any], node: Node) -> Any:
    """What a helper of the project gives: the text of the file that its pattern names."""
    if unknown := unknown_in(*given):
        return unknown

    def filled(match: re.Match[str]) -> str:
        index = int(match[1])
        if index >= len(given) or not isinstance(given[index], str):
            machine.refuse("value", f"`{machine.source.brief(node)}` names no file", node)
        return str(given[index])

    path = _PLACE.sub(filled, machine.helpers[name])
    root = machine.root or machine.source.path.absolute().parent
    buffer = _read(machine, str(root / path), node)
    return members.decoded(machine, buffer, "utf8", node)


def _read(machine: Machine, path: str, node: Node) -> Buffer:
    machine.climb(5)
    file = Path(posixpath.normpath(path))
    try:
        return Buffer(file.read_bytes(), str(file))
    except OSError:
        shown = str(file)
        root = machine.root or machine.source.path.absolute().parent
        if file.is_relative_to(root):
            shown = str(file.relative_to(root))
        machine.refuse("value", f"the file {shown} that it reads cannot be read", node)


def _read_file(machine: Machine, given: list[Any], node: Node) -> Any:
    path = given[0] if given else UNDEFINED
    if isinstance(path, Namespace) and path.name == "URL":
        path = path.members["pathname"]
    if not isinstance(path, str):
        machine.refuse("value", f"`{machine.source.brief(node)}` names no file", node)
    if not path.startswith("/"):
        return machine.unknown("environment", node, _TODAY)
    buffer = _read(machine, path, node)
    options = given[1] if len(given) > 1 else UNDEFINED
    if isinstance(options, dict):
        options = options.get("encoding", UNDEFINED)
    if options is None or options is UNDEFINED:
        return buffer
    return members.decoded(machine, buffer, options, node)


def _later(machine: Machine, given: list[Any], node: Node) -> Any:
    return Promise(_read_file(machine, given, node))


def _strings(machine: Machine, given: list[Any], node: Node) -> list[str]:
    if not all(isinstance(one, str) for one in given):
        machine.refuse("value", f"`{machine.source.brief(node)}` joins no paths", node)
    return given


def _normal(path: str) -> str:
    """A path as Node.js normalises it: a slash at its end stays."""
    made = posixpath.normpath(path) if path else "."
    if made.startswith("//"):
        made = made[1:]
    return made + "/" if path.endswith("/") and not made.endswith("/") else made


def _join(machine: Machine, given: list[Any], node: Node) -> Any:
    return _normal("/".join(one for one in _strings(machine, given, node) if one))


def _resolve(machine: Machine, given: list[Any], node: Node) -> Any:
    made = ""
    for part in _strings(machine, given, node):
        made = part if part.startswith("/") else f"{made}/{part}" if made else part
    if not made.startswith("/"):
        return machine.unknown("environment", node, _TODAY)
    made = _normal(made)
    return made.rstrip("/") or "/"


def _normalize(machine: Machine, given: list[Any], node: Node) -> Any:
    return _normal(_strings(machine, given[:1] or [UNDEFINED], node)[0])


def _dirname(machine: Machine, given: list[Any], node: Node) -> Any:
    path = _path(machine, given, node)
    return posixpath.dirname(path) or "."


def _basename(machine: Machine, given: list[Any], node: Node) -> Any:
    name = posixpath.basename(_path(machine, given, node))
    end = given[1] if len(given) > 1 else ""
    if not isinstance(end, str) or name == end:
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    return name.removesuffix(end)


def _extname(machine: Machine, given: list[Any], node: Node) -> Any:
    name = posixpath.basename(_path(machine, given, node))
    if name.startswith(".."):
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    return posixpath.splitext(name)[1]


def _path(machine: Machine, given: list[Any], node: Node) -> str:
    """A path of an ordinary form: Node.js has its own ways with others."""
    path = given[0] if given else UNDEFINED
    if not isinstance(path, str) or "//" in path or (path.endswith("/") and path != "/"):
        machine.refuse("value", f"`{machine.source.brief(node)}` is not understood", node)
    return path


def _url(machine: Machine, given: list[Any], node: Node) -> Any:
    texts = _strings(machine, given, node)
    base = next((text for text in texts[1:] if text.startswith("file://")), None)
    if base is None or ":" in texts[0] or texts[0].startswith("/"):
        return machine.unknown("value", node)
    start = posixpath.dirname(base.removeprefix("file://"))
    path = unquote(_normal(f"{start}/{texts[0]}"))
    return Namespace("URL", {"pathname": path, "href": f"file://{path}"})


def _from_url(machine: Machine, given: list[Any], node: Node) -> Any:
    url = given[0] if given else UNDEFINED
    if isinstance(url, Namespace) and url.name == "URL":
        return url.members["pathname"]
    if isinstance(url, str) and url.startswith("file://"):
        return placed(unquote(url.removeprefix("file://")), url)
    return machine.unknown("value", node)


def _required(machine: Machine, given: list[Any], node: Node) -> Any:
    name = given[0] if given else UNDEFINED
    if not isinstance(name, str):
        return machine.unknown("code", node)
    return module(machine, name, node)


def module(machine: Machine, name: str, node: Node) -> Any:
    """What `import * as x from "name"` gives."""
    known = MODULES.get(name.removeprefix("node:"))
    if known is not None:
        return known
    if name.startswith(".") and name.endswith(".json"):
        buffer = _read(machine, f"{folder(machine)}/{name}", node)
        try:
            return sending.parsed(json.loads(buffer.data.decode("utf-8-sig")))
        except ValueError:
            machine.refuse("value", f"the file {name} is not JSON", node)
    if name in ("crypto", "node:crypto", "uuid", "nanoid"):
        return Unknown("environment", name, node.start_point.row + 1, "is random")
    reason = f"comes from '{name}'"
    return Unknown("code", name, node.start_point.row + 1, reason)


READ = {"readFileSync": Builtin("readFileSync", _read_file)}
LATER = Namespace("fs/promises", {"readFile": Builtin("readFile", _later)}, "environment")
PATH: dict[str, Any] = {
    "join": Builtin("join", _join),
    "resolve": Builtin("resolve", _resolve),
    "normalize": Builtin("normalize", _normalize),
    "dirname": Builtin("dirname", _dirname),
    "basename": Builtin("basename", _basename),
    "extname": Builtin("extname", _extname),
    "sep": "/",
    "delimiter": ":",
}
PATH["posix"] = Namespace("path", dict(PATH))
URL = Builtin("URL", _url)

MODULES: dict[str, Namespace] = {
    "fs": Namespace("fs", {**READ, "promises": LATER}, "environment"),
    "fs/promises": LATER,
    "path": Namespace("path", PATH),
    "path/posix": Namespace("path", PATH),
    "url": Namespace("url", {"fileURLToPath": Builtin("fileURLToPath", _from_url), "URL": URL}),
}

members.COMPUTED["__dirname"] = folder
members.COMPUTED["__filename"] = lambda machine: str(machine.source.path.absolute())
members.COMPUTED["import.meta"] = lambda machine: Namespace(
    "import.meta",
    {
        "dirname": folder(machine),
        "filename": str(machine.source.path.absolute()),
        "url": f"file://{machine.source.path.absolute()}",
    },
)
members.GLOBALS["require"] = Builtin("require", _required)
members.GLOBALS["URL"] = URL
