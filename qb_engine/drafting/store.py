"""drafts by name, as plain files in the project's own folder"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from qb_engine.drafting import cell
from qb_engine.errors import InputError
from qb_engine.sql import Source, SqlError, read

if TYPE_CHECKING:
    from qb_engine.project import Project

PartName = Literal["migration", "pre", "post", "backfill"]
PARTS: tuple[PartName, ...] = get_args(PartName)
WRITE_IT = "qb draft NAME --sql FILE (in a notebook: %%qb draft NAME)"
LONGEST = 100  # characters: file names end at 255 bytes, and the stamp stands before

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class DraftPart:
    """One cell of a draft, and where it is kept."""

    part: PartName
    text: str
    python: bool
    path: Path
    saved: datetime


@dataclass(frozen=True)
class Draft:
    """A draft: its name and its parts."""

    name: str
    cells: Mapping[PartName, DraftPart] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, str]:
        """The text of each part."""
        return {part: cell.text for part, cell in self.cells.items()}

    @property
    def saved(self) -> datetime:
        """When a part was last saved."""
        return max(cell.saved for cell in self.cells.values())


def checked_name(name: str) -> str:
    """The name as it is; raise InputError when it cannot name a file and a class."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise InputError(
            f"{name!r} cannot name a migration",
            why=f"letters, digits and _ are, a letter first, {LONGEST} at most: "
            "the name becomes a file and a class",
            todo=f"call it {_suggested(name)!r}, say",
            code="bad-name",
        )
    return name


def save(
    project: Project, name: str, text: str, *, part: str = "migration", python: bool = False,
    source: Source | None = None,
) -> Draft:  # fmt: skip
    """Keep one part of a draft, after a look at it; a part saved before is replaced.

    `source` is where the text begins, for errors. Raise SqlError or InputError with the line.
    """
    checked_name(name)
    known = checked_part(part)
    check(text, python=python or known == "backfill", part=known, source=source or Source("", 1))
    folder = _folder(project) / name
    folder.mkdir(parents=True, exist_ok=True)
    is_python = python or known == "backfill"
    path = folder / f"{known}.{'py' if is_python else 'sql'}"
    _write(path, text if text.endswith("\n") else text + "\n")
    (folder / f"{known}.{'sql' if is_python else 'py'}").unlink(missing_ok=True)
    return get(project, name)


def checked_part(part: str) -> PartName:
    """The part as it is; raise InputError for an unknown one."""
    for known in PARTS:
        if part == known:
            return known
    near = difflib.get_close_matches(part, PARTS, n=1, cutoff=0.4)
    raise InputError(
        f"a draft has no part {part!r}",
        why=f"its parts are {', '.join(PARTS)}",
        todo=f"did you mean {near[0]!r}?" if near else "name one of these",
        code="bad-draft",
    )


def check(text: str, *, python: bool, part: PartName, source: Source) -> None:
    """Raise SqlError or InputError, with the line, for a text that cannot be a draft."""
    if python:
        cell.run(text, backfill=part == "backfill", source=source)
    elif not read(text, source):
        raise SqlError(
            "the draft holds no statement",
            where=str(source),
            todo="write SQL into the cell",
            code="bad-draft",
        )


def drafts(project: Project) -> tuple[Draft, ...]:
    """Every draft, the one saved last first."""
    folder = _folder(project)
    names = [f.name for f in folder.iterdir() if f.is_dir()] if folder.is_dir() else []
    found = [_read(folder, name) for name in sorted(names)]
    return tuple(sorted((d for d in found if d.cells), key=_saved, reverse=True))


def last(project: Project) -> Draft:
    """The draft that was saved last; raise InputError when there is none."""
    found = drafts(project)
    if not found:
        raise InputError(
            "there is no draft yet",
            where=str(_folder(project)),
            todo=f"write one: {WRITE_IT}",
            code="no-such-draft",
        )
    return found[0]


def get(project: Project, name: str) -> Draft:
    """A draft by its name; raise InputError that names the nearest ones."""
    found = _read(_folder(project), checked_name(name))
    if not found.cells:
        known = [draft.name for draft in drafts(project)]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        raise InputError(
            f"there is no draft {name!r}",
            where=str(_folder(project)),
            why=f"the drafts are {', '.join(known)}" if known else "nothing was drafted yet",
            todo=f"did you mean {', '.join(near)}?" if near else f"write it: {WRITE_IT}",
            code="no-such-draft",
        )
    return found


def discard(project: Project, name: str) -> None:
    """Throw a draft away; raise InputError when there is none of that name."""
    for kept in get(project, name).cells.values():
        kept.path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody keeps a file of their own in it
        (_folder(project) / name).rmdir()


def _folder(project: Project) -> Path:
    return project.home / "drafts"


def _read(folder: Path, name: str) -> Draft:
    parts: dict[PartName, DraftPart] = {}
    for part in PARTS:
        for suffix in ("py", "sql"):
            path = folder / name / f"{part}.{suffix}"
            if path.is_file():
                saved = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                text = path.read_bytes().decode()
                parts[part] = DraftPart(part, text, suffix == "py", path, saved)
    return Draft(name, MappingProxyType(parts))


def _saved(draft: Draft) -> tuple[datetime, str]:
    return draft.saved, draft.name


def _write(path: Path, text: str) -> None:
    """Write in one step, so that an interrupt leaves the old draft or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode())
    Path(name).replace(path)


def _suggested(name: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_0123456789")
    return words[:LONGEST].lower() or "add_user_email"
