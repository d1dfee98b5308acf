"""what `qb typeorm import` writes into qb.toml: keys put in, everything else as it stands"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qb_engine._config import problems
from qb_engine.errors import InputError, RefusedError
from qb_engine.project import DEFAULT_FOLDER, TEMPLATE, line_of

_HEADER = re.compile(r"^\s*\[")
_TYPEORM = re.compile(r"^\s*\[\s*typeorm\s*\]")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a TypeORM project keeps its migrations, as qb.toml is to say it.

    Empty values are those that qb takes without being told.
    """

    migrations: str
    files: tuple[str, ...] = ()
    data_source: str = ""
    table: str = ""
    schema: str = ""

    def top(self) -> dict[str, Any]:
        """The keys of the file itself."""
        return {"migrations": self.migrations, "format": "typeorm"}

    def section(self) -> dict[str, Any]:
        """The keys of its section, those left out that are as qb takes them to be."""
        found: dict[str, Any] = {
            "files": list(self.files),
            "data_source": self.data_source,
            "table": "" if self.table == "migrations" else self.table,
            "schema": self.schema,
        }
        return {key: value for key, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Edited:
    """The text that qb.toml would have, and what it would say that it does not say now."""

    text: str
    added: tuple[str, ...]


def edited(text: str | None, wanted: Settings, file: str = "qb.toml", *, fresh: str = "") -> Edited:
    """A qb.toml with the settings in it, comments kept; `text` None: as `qb init` makes it.

    `fresh` is a value of `migrations` that nothing depends on yet. Raise RefusedError where the
    file says something else.
    """
    before = TEMPLATE if text is None else text
    data = _parsed(before, file)
    lines = before.splitlines(keepends=True)
    end = "\r\n" if "\r\n" in before else "\n"
    added: list[str] = []
    default = DEFAULT_FOLDER if text is None else fresh
    for key, value in wanted.top().items():
        said = data.get(key)
        replaced = key == "migrations" and said in (None, default) and said != value
        if said is not None and not replaced:
            _refuse_other(key, said, value, file, before)
            continue
        if said is None and key == "migrations" and value == DEFAULT_FOLDER:
            continue
        _put(lines, 0, _first_header(lines), key, value, end)
        added.append(_line(key, value))
    section = wanted.section()
    said_there = data.get("typeorm")
    there: Mapping[str, Any] = said_there if isinstance(said_there, dict) else {}
    missing = []
    for key, value in section.items():
        if key in there:
            _refuse_other(f"typeorm.{key}", there[key], value, file, before)
        else:
            missing.append((key, value))
    for key in ("table", "schema"):
        if key in there and key not in section and not _default(key, there[key], wanted):
            given = {"table": wanted.table, "schema": wanted.schema}[key]
            if given:
                _refuse_other(f"typeorm.{key}", there[key], given, file, before)
    if missing:
        first = next((n for n, line in enumerate(lines) if _TYPEORM.match(line)), None)
        if first is None:
            if lines and not lines[-1].endswith("\n"):
                lines[-1] += end
            lines += [end, f"[typeorm]{end}"]
            first = len(lines) - 1
        for key, value in missing:
            last = first + 1 + _first_header(lines[first + 1 :])
            _put(lines, first + 1, last, key, value, end)
            added.append(_line(key, value, "typeorm"))
    after = "".join(lines)
    _see_that_it_says(after, wanted, file, added)
    return Edited(after, tuple(added))


def _put(lines: list[str], first: int, last: int, key: str, value: Any, end: str) -> None:
    """Put a key in between two lines: in place of itself, after its comment, or at the end."""
    text = f"{key} = {_toml(value)}"
    own = re.compile(rf"^\s*{re.escape(key)}\s*=")
    shown = re.compile(rf"^\s*#\s*{re.escape(key)}\s*=")
    for n in range(first, last):
        if own.match(lines[n]):
            lines[n] = text + end
            return
    for n in range(first, last):
        if shown.match(lines[n]):
            lines.insert(n + 1, text + end)
            return
    at = last
    while at > first and not lines[at - 1].strip():
        at -= 1
    if at and not lines[at - 1].endswith("\n"):
        lines[at - 1] += end
    lines.insert(at, text + end)


def _first_header(lines: Sequence[str]) -> int:
    """The number of lines before the first section."""
    return next((n for n, line in enumerate(lines) if _HEADER.match(line)), len(lines))


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _line(key: str, value: Any, section: str = "") -> str:
    return f"{section + '.' if section else ''}{key} = {_toml(value)}"


def _default(key: str, said: Any, wanted: Settings) -> bool:
    return bool(key == "table" and said == "migrations" and wanted.table in ("", "migrations"))


def _refuse_other(key: str, said: Any, wanted: Any, file: str, text: str) -> None:
    """Raise RefusedError when a key that stands there says something else."""
    if said == wanted:
        return
    raise RefusedError(
        f"qb.toml says otherwise: {key} = {_toml(said)}",
        where=f"{file}:{line_of(text, key)}",
        why=f"the TypeORM project says {_toml(wanted)}, and one of the two is wrong",
        todo="mend qb.toml, or name what is meant with --migrations, --table and --schema",
        code="bad-config",
    )


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            "qb.toml is not valid TOML",
            where=file,
            why=str(error),
            todo="mend the line that is named",
            code="bad-config",
        ) from None


def _see_that_it_says(text: str, wanted: Settings, file: str, added: Sequence[str]) -> None:
    """Raise InputError when the edited text does not say what it should (an unusual form)."""
    try:
        data = tomllib.loads(text.removeprefix("\ufeff"))
        there = data.get("typeorm", {})
        ok = data.get("format") == "typeorm"
        ok = ok and data.get("migrations", DEFAULT_FOLDER) == wanted.migrations
        ok = ok and all(there.get(key) == value for key, value in wanted.section().items())
        ok = ok and problems(data)[0] is not None
    except (tomllib.TOMLDecodeError, AttributeError):
        ok = False
    if not ok:
        raise InputError(
            "qb cannot edit this qb.toml by itself",
            where=file,
            why="its keys are written in a form that lines cannot be put into",
            todo="write these into it by hand:\n" + "\n".join(added),
            code="bad-config",
        )
