"""what tsconfig.json says of imports: the folders that stand behind names such as `@/helpers`"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

FILE = "tsconfig.json"
DEEP = 20  # tsconfigs that extend one another
_COMMENTS = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.S)
_TRAILING = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
_HERE = "${configDir}"  # of the tsconfig that was asked, also in one that it extends


@dataclass(frozen=True, slots=True)
class Aliases:
    """`paths` and `baseUrl` of a tsconfig, as absolute paths; `paths` may hold one `*` each."""

    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    base: str = ""

    def __bool__(self) -> bool:
        return bool(self.paths or self.base)

    def places(self, name: str) -> Iterator[Path]:
        """Where an import of this name may lead, in the order in which TypeScript looks."""
        fitting = [pattern for pattern in self.paths if _star(pattern, name) is not None]
        exactly = [pattern for pattern in fitting if "*" not in pattern]
        for pattern in exactly or sorted(fitting, key=_ahead, reverse=True)[:1]:
            for target in self.paths[pattern]:
                yield Path(target.replace("*", _star(pattern, name) or "", 1))
        if self.base:
            yield Path(self.base, name)


def aliases_of(script: Path) -> Aliases:
    """The aliases for a script: of the tsconfig in its folder, or the nearest above it.

    None where there is no such file, and where it cannot be read.
    """
    for folder in script.resolve().parents:
        if os.path.isfile(folder / FILE):
            told = _told(folder / FILE, ())
            start = told.base or told.home
            paths = {
                pattern: tuple(_from(start, each, folder) for each in targets)
                for pattern, targets in told.paths.items()
            }
            return Aliases(paths, told.base)
    return Aliases()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, comments and trailing commas allowed; nothing when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        kept = _COMMENTS.sub(lambda m: m[1] or "", text)
        data = json.loads(_TRAILING.sub(lambda m: m[1] or "", kept))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


@dataclass(frozen=True, slots=True)
class _Told:
    """What a tsconfig says: `paths` count from `base`, or without one from `home`, where they
    are written.
    """

    paths: Mapping[str, list[str]] = field(default_factory=dict)
    home: str = ""
    base: str = ""


def _told(path: Path, seen: tuple[Path, ...]) -> _Told:
    """A tsconfig, with what it extends for the rest."""
    read = read_json(path)
    found = _Told()
    extended = read.get("extends")
    for one in extended if isinstance(extended, list) else [extended]:
        if isinstance(one, str) and one.startswith("."):
            other = _file(path.parent / one)
            if other not in seen and len(seen) < DEEP:
                more = _told(other, (*seen, path))
                last = more if more.paths else found
                found = replace(last, base=more.base or found.base)
    options = read.get("compilerOptions")
    options = options if isinstance(options, dict) else {}
    top = (seen or (path,))[0].parent
    if isinstance(options.get("baseUrl"), str):
        base = _from(str(path.parent), options["baseUrl"], top)
        found = replace(found, base=base)
    if isinstance(options.get("paths"), dict):
        paths = {
            pattern: [each for each in targets if isinstance(each, str)]
            for pattern, targets in options["paths"].items()
            if isinstance(targets, list) and pattern.count("*") < 2
        }
        found = replace(found, paths=paths, home=str(path.parent))
    return found


def _file(named: Path) -> Path:
    """The tsconfig that `extends` names, with its ending or without."""
    path = os.path.normpath(named)
    return Path(path if os.path.isfile(path) else f"{path}.json")


def _from(start: str, text: str, top: Path) -> str:
    return os.path.normpath(os.path.join(start, text.replace(_HERE, str(top))))


def _ahead(pattern: str) -> int:
    """How much of a name stands before the star: TypeScript takes the pattern with the most."""
    return pattern.index("*")


def _star(pattern: str, name: str) -> str | None:
    """What the star of a pattern stands for in a name; None where the name does not fit."""
    before, star, behind = pattern.partition("*")
    if not star:
        return "" if name == pattern else None
    if not (name.startswith(before) and name.endswith(behind)):
        return None
    return (
        name[len(before) : len(name) - len(behind)] if len(name) >= len(before + behind) else None
    )
