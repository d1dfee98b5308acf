"""the files of the project that a script imports, whatever they import included"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from qb_engine.migrations.typescript.tsconfig import Aliases, aliases_of

MOST = 2_000  # files; a migration that reaches as many reaches all of the project
_FROM = re.compile(
    r"""\b(?:from|import|require\s*\(|import\s*\()\s*(?P<quote>['"`])(?P<name>[^'"`\n]+)(?P=quote)"""
)
_ENDS = ("", ".ts", ".mts", ".cts", ".js", ".mjs", ".cjs", ".tsx", ".json")
_INDEX = tuple(f"/index{end}" for end in _ENDS[1:])
_COMPILED = {".js": ".ts", ".mjs": ".mts", ".cjs": ".cts"}  # what is imported by its later name


def imported(script: Path) -> Mapping[str, Path]:
    """The files reached by relative imports and by those through an alias of the tsconfig.json
    nearest to the script, by their paths from the script's folder.

    Packages are left out: what they are is said by the project's lock file.
    """
    home, aliases = script.resolve(), aliases_of(script)
    found: dict[Path, None] = {}
    todo = [home]
    while todo and len(found) < MOST:
        here = todo.pop()
        try:
            text = here.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for match in _FROM.finditer(text):
            path = _meant(match["name"], here.parent, aliases)
            if path is not None and path != home and path not in found:
                found[path] = None
                if path.suffix != ".json":
                    todo.append(path)
    return {Path(os.path.relpath(path, home.parent)).as_posix(): path for path in sorted(found)}


def _meant(name: str, folder: Path, aliases: Aliases) -> Path | None:
    """The file that an import from a folder leads to; None for a package."""
    if name.startswith("."):
        return _file(folder / name)
    found = next(filter(None, map(_file, aliases.places(name))), None)
    return None if found is None or "node_modules" in found.parts else found


def _file(named: Path) -> Path | None:
    """The file that an import without its ending means."""
    text = os.path.normpath(named)
    tried = [f"{text}{end}" for end in _ENDS + _INDEX]
    if (suffix := Path(text).suffix) in _COMPILED:
        tried.append(text.removesuffix(suffix) + _COMPILED[suffix])
    return next((Path(each) for each in tried if os.path.isfile(each)), None)
