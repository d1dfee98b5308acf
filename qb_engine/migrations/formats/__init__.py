"""The formats of other tools, one file each, read as they stand.

A folder's format is the one that `qb.toml` names, else the only one that its content speaks for.
"""

from __future__ import annotations

import difflib
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from qb_engine.errors import InputError
from qb_engine.migrations import stamps
from qb_engine.migrations.collection import Migrations
from qb_engine.migrations.formats.format import Format, Found, New, Seen, is_sql
from qb_engine.migrations.listing import is_script
from qb_engine.migrations.model import LoadedMigration
from qb_engine.project import Project

__all__ = ["OWN", "Format", "Found", "New", "Seen", "at_path", "chosen", "known", "migrations"]

OWN = "qb"
_OWN_MARK = "-- qb:"
_OWN_PARTS = ("migration.", "pre.", "post.", "backfill.")


@cache
def known() -> dict[str, Format]:
    """Every format by its name."""
    found = [
        import_module(f"{__name__}.{module.name}").FORMAT
        for module in pkgutil.iter_modules(__path__)
        if module.name != "format" and not module.name.startswith("_")
    ]
    return {each.name: each for each in found}


def chosen(folder: Path, named: str | None = None, project: Project | None = None) -> Format | None:
    """The format of a folder; None for qb's own.

    Raise InputError for a name that is none, and when the content speaks for several.
    """
    if named is not None:
        return _named(named)
    if project is not None and project.config.typeorm.files:
        return known()["typeorm"]
    seen = Seen.of(folder)
    said = {each.name: why for each in known().values() if (why := each.signs(seen))}
    if not said:
        return None
    if own := _own(seen, scripts="typeorm" not in said):
        said[OWN] = own
    if len(said) > 1:
        raise InputError(
            f"the folder could be of {' or '.join(said)}",
            where=str(folder),
            why="; ".join(f"{name}: {why}" for name, why in said.items()),
            todo=f'say which in qb.toml (format = "{next(iter(said))}"), or move the others away',
            code="unknown-format",
        )
    return known()[next(iter(said))]


def migrations(folder: Path, format: Format, project: Project | None = None) -> Migrations:
    """The migrations of a folder that is kept in another tool's format."""
    format = _within(format, project)
    found = format.entries(folder)
    return Migrations(
        folder,
        entries=found.entries,
        read=lambda entry, reader: format.load(entry),
        format=format.name,
        notes=found.notes,
        project=project,
    )


def _within(format: Format, project: Project | None) -> Format:
    return format if project is None or format.within is None else format.within(project)


def at_path(
    path: Path, folder: Path, named: str | None = None, project: Project | None = None
) -> LoadedMigration | None:
    """The migration of a file or folder that another tool's format has; None when none has it.

    `folder` is the project's own; a path outside of it is told by its own name and text.
    """
    path, home = path.resolve(), folder.resolve()
    if path.is_relative_to(home):
        format = chosen(home, named, project)
    else:
        home, name = path.parent, (path.name,)
        alone = Seen(home, (), name) if path.is_dir() else Seen(home, name, ())
        format = next((each for each in known().values() if each.signs(alone)), None)
    if format is None:
        return None
    format = _within(format, project)
    for entry in format.entries(home).entries:
        if path == entry.path or path in entry.files:
            return format.load(entry)
    return None


def _named(name: str) -> Format | None:
    if name == OWN:
        return None
    if name in known():
        return known()[name]
    names = [OWN, *known()]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    raise InputError(
        f"{name!r} is no format of migrations that qb reads",
        where="qb.toml: format",
        why=f"it reads {', '.join(names)}",
        todo=f"did you mean {near[0]!r}?" if near else "name one of these, or leave it out",
        code="unknown-format",
    )


def _own(seen: Seen, *, scripts: bool = True) -> str:
    """What in a folder speaks for qb's own format; without `scripts` only what TypeORM has not."""
    for name in seen.folders:
        if stamps.split(name) is not None:
            parts = sorted(path.name for path in (seen.folder / name).iterdir())
            parts = [part for part in parts if part.startswith(_OWN_PARTS)]
            if parts and (scripts or not any(map(is_script, parts))):
                return f"{name}/{parts[0]}"
    for name in seen.files:
        suffixed = name.endswith(".py") or (scripts and is_script(name))
        if suffixed and stamps.split(Path(name).stem) is not None:
            return name
        if is_sql(name) and _OWN_MARK in seen.texts.get(name, ""):
            return f"{name} holds {_OWN_MARK.strip()}"
    return ""
