"""migrations written as one SQL file with `-- qb:` sections"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qb_engine.errors import InputError
from qb_engine.migrations.model import Expectation, Part, PartKind, read_text
from qb_engine.sql import Source, Statement, read

_MARK = re.compile(r"(?m)^[ \t]*--[ \t]*qb:(\w+)[ \t]*(.*)$")
_FOREIGN = re.compile(r"(?m)^[ \t]*--[ \t]*(migrate:(?:up|down)|\+goose)\b")
SECTIONS = ("up", "down", "constraints", "expect", "transaction", "irreversible")


def load(path: Path, kind: PartKind) -> tuple[Part, dict[str, Any], str]:
    """Read an SQL file: its part, its constraints, its text. Without sections, all of it is up."""
    text = read_text(path)
    _refuse_foreign(text, path)
    sections = _sections(text, path)
    up = _read(sections, "up", path)
    if not up:
        raise InputError(
            "the file holds no statement to run",
            where=str(path),
            todo="write SQL below a line `-- qb:up`",
            code="broken-file",
        )
    _, transaction, at = sections.get("transaction", ("", "true", 1))
    if transaction.lower() not in ("true", "false"):
        raise InputError(
            f"qb:transaction is {transaction!r}",
            where=f"{path}:{at}",
            todo="write true or false",
            code="broken-file",
        )
    part = Part(
        kind, path.name, up, _read(sections, "down", path),
        sections.get("irreversible", ("", "", 1))[1], transaction.lower() == "true",
        expect=_expect(sections, path),
    )  # fmt: skip
    return part, _constraints(sections, path), text


def _refuse_foreign(text: str, path: Path) -> None:
    """Raise InputError for another tool's sections: both ways would run as one way up."""
    if (found := _FOREIGN.search(text)) is not None:
        tool = "goose" if found[1].startswith("+") else "dbmate"
        raise InputError(
            f"the file is written for {tool}",
            where=f"{path}:{text.count(chr(10), 0, found.start()) + 1}",
            why=f"{found[1]} is no section of qb's own format, in which the other files are",
            todo=f'rewrite it with -- qb:up; or if all are {tool}\'s: format = "{tool}" in qb.toml',
            code="broken-file",
        )


def _sections(text: str, path: Path) -> dict[str, tuple[str, str, int]]:
    """Each section as (body, what stands behind the marker, the body's first line)."""
    marks = _marks(text)
    found: dict[str, tuple[str, str, int]] = {}
    if not any(mark[1] in ("up", "down") for mark in marks):
        found["up"] = (text, "", 1)
    for mark, after in zip(marks, [*marks[1:], None]):
        line = text.count("\n", 0, mark.start()) + 1
        if mark[1] not in SECTIONS:
            raise InputError(
                f"qb:{mark[1]} is not a section",
                where=f"{path}:{line}",
                why=f"known sections: {', '.join(SECTIONS)}",
                code="broken-file",
            )
        if mark[1] in found and not (mark[1] == "up" and found["up"][0] is text):
            raise InputError(
                f"qb:{mark[1]} stands twice", where=f"{path}:{line}", code="broken-file"
            )
        body = text[mark.end() : after.start() if after else len(text)]
        found[mark[1]] = (body, mark[2].strip(), line)
    return found


def _marks(text: str) -> list[re.Match[str]]:
    """The marks that begin sections; one that accepts a hazard belongs to its statement."""
    return [mark for mark in _MARK.finditer(text) if mark[1] != "accept"]


def _read(
    sections: dict[str, tuple[str, str, int]], name: str, path: Path
) -> tuple[Statement, ...]:
    if name not in sections:
        return ()
    body, _, line = sections[name]
    return read(body, Source(str(path), line))


def _constraints(sections: dict[str, tuple[str, str, int]], path: Path) -> dict[str, Any]:
    found, _, line = _yaml(sections, "constraints", path, "users: {must_exist: true}")
    if not isinstance(found, dict | None):
        raise InputError(
            "qb:constraints is not a mapping", where=f"{path}:{line}", code="bad-constraints"
        )
    return found or {}


def _expect(sections: dict[str, tuple[str, str, int]], path: Path) -> tuple[Expectation, ...]:
    found, lines, line = _yaml(sections, "expect", path, "- not_null: users.email")
    if "expect" in sections and not found:
        raise InputError(
            "qb:expect holds no rule",
            where=f"{path}:{line}",
            why="lines that begin with # are comments there, too",
            todo="write each rule on a line of its own: `-- - not_null: users.email`; or leave "
            "the section out",
            code="bad-rule",
        )
    items = found or []
    if not isinstance(items, list) or not all(isinstance(each, str | dict) for each in items):
        raise InputError(
            "qb:expect is not a list of rules",
            where=f"{path}:{line}",
            why="each rule is a query that must return no row, or a mapping",
            todo="write each on a line of its own: `-- - not_null: users.email`",
            code="bad-rule",
        )
    return tuple(Expectation(said, Source(str(path), at)) for said, at in zip(items, lines))


def _yaml(
    sections: dict[str, tuple[str, str, int]], name: str, path: Path, example: str
) -> tuple[Any, list[int], int]:
    """A section's YAML or JSON, the lines of its items when it is a list, and its own line."""
    if name not in sections:
        return None, [], 1
    import yaml

    body, behind, line = sections[name]
    whole = bool(_marks(sections["up"][0]))  # all of the file is up, marks included
    text = "\n".join([behind, *_uncommented(body.split("\n")[1:], whole)])
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "context_mark", None) or getattr(error, "problem_mark", None)
        raise InputError(
            f"qb:{name} is neither YAML nor JSON",
            where=f"{path}:{line + (mark.line if mark else 0)}",
            why=str(error),
            todo=f"write it as `{example}`",
            code="broken-file",
        ) from None
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    return found, [line + item.start_mark.line for item in items], line


def _uncommented(lines: list[str], whole: bool) -> Iterator[str]:
    """The text of comment lines; where all of the file is up, its first statement ends them."""
    for line in lines:
        if whole and line.strip() and not line.lstrip().startswith("--"):
            return
        yield re.sub(r"^[ \t]*--[ \t]?", "", line)
