"""reading what stands in a folder of migrations: files, and folders of parts"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from qb_engine.errors import InputError
from qb_engine.migrations import filling, listing, python_file, sql_file, stamps
from qb_engine.migrations.collection import Migrations, Reading
from qb_engine.migrations.declaration import Backfill
from qb_engine.migrations.listing import Entry
from qb_engine.migrations.model import (
    LoadedMigration,
    Part,
    PartKind,
    Reader,
    checksum,
    read_text,
)
from qb_engine.project import Project

FORMATS = {".py": "python", ".sql": "sql"}
KINDS: tuple[PartKind, ...] = ("pre", "migration", "post")  # in the order they run
_PART = re.compile(rf"({'|'.join(KINDS)})(?=[_.\-0-9]).*\.(py|sql|[mc]?[tj]s)")


def load(
    folder: Path,
    reader: Reader | None = None,
    reading: Reading | None = None,
    format: str | None = None,
    project: Project | None = None,
) -> Migrations:
    """Every migration of a folder. A folder that is not there holds none.

    What they read of the target they read by `reader`, or by what `reading` opens when it comes to
    that. `format` names another tool's format; without it the folder's content tells. What
    `qb.toml` says of TypeORM is that of `project`, or of the one that the folder is in.
    """
    from qb_engine.migrations import formats  # they build on what is in here

    project = project or Project.find(folder)
    if (foreign := formats.chosen(folder, format, project)) is not None:
        return formats.migrations(folder, foreign, project)
    return Migrations(
        folder,
        entries=listing.listing(folder),
        read=lambda entry, opened: load_one(entry.path, opened, project),
        reading=reading or (lambda: nullcontext(reader)),
        project=project,
    )


def load_one(
    path: Path, reader: Reader | None = None, project: Project | None = None
) -> LoadedMigration:
    """Load one migration: a `.py`, `.sql`, `.ts` or `.js` file, or a folder of parts.

    Raise InputError with file, line and reason when it is broken.
    """
    return load_entry(listing.entry(path), reader, project)


def load_entry(
    entry: Entry, reader: Reader | None = None, project: Project | None = None, format: str = ""
) -> LoadedMigration:
    """Load the migration of an entry; of another tool's `format` it has the entry's own id."""
    path = entry.path
    raw, stem = listing.look(entry).raw, entry.id
    named = (entry.stamp, entry.name) if format else stamps.split(stem)
    if named is None:
        raise InputError(
            "the file name holds no timestamp",
            where=str(path),
            why="migrations run in the order of their timestamps",
            todo=f"rename it to {stamps.new()}_{stem}{'' if entry.folder else path.suffix}",
            code="no-timestamp",
        )
    backfill: Backfill | None = None
    texts: list[str] = []
    parts: list[Part] = []
    constraints: dict[str, Any] = {}
    if entry.folder:
        for file, kind in _parts(path):
            part, found, text = load_part(file, kind, reader, project)
            parts.append(part)
            constraints = _merged(constraints, found)
            texts.append(text)
        _refuse_twice(path, parts)
        if (filled := _backfill(path)) is not None:
            backfill, text = filled
            texts.append(text)
    else:
        part, constraints, text = load_part(path, "migration", reader, project)
        parts.append(part)
        texts.append(text)
    methods = [text for part, text in zip(parts, texts) if part.dynamic]
    return LoadedMigration(
        id=stem,
        stamp=named[0],
        name=named[1],
        path=path,
        format="folder" if entry.folder else format or FORMATS.get(path.suffix, "typescript"),
        parts=tuple(parts),
        constraints=constraints,
        backfill=backfill,
        checksum=checksum((s for p in parts if not p.dynamic for s in p.up), *methods),
        fill_checksum="" if backfill is None else filling.checksum(backfill),
        down_checksum=checksum((s for p in parts if not p.dynamic for s in p.down), *methods),
        # a file that was being written meanwhile has no checksum that stands for what was read
        raw_checksum=raw if raw == listing.look(entry).raw else "",
        text="\n".join(texts),
    )


def load_part(
    path: Path, kind: PartKind, reader: Reader | None, project: Project | None = None
) -> tuple[Part, dict[str, Any], str]:
    """Load one file by the loader that its suffix names."""
    if listing.is_script(path.name):
        from qb_engine.migrations import typescript_file

        return typescript_file.load(path, kind, project)
    if path.suffix == ".py":
        return python_file.load(path, kind, reader)
    return sql_file.load(path, kind)


def _backfill(folder: Path) -> tuple[Backfill, str] | None:
    """The backfill of a folder: that of backfill.py, else that of backfill.ts; and its text.

    Raise InputError when both are there and do not say the same.
    """
    from qb_engine.migrations import typescript_backfill as typescript

    scripts = [folder / name for name in listing.BACKFILLS[1:] if (folder / name).is_file()]
    python = folder / listing.BACKFILLS[0]
    said = [(path, typescript.read_constants(path)) for path in scripts]
    if not python.is_file():
        declared = [typescript.backfill_of(constants, path) for path, constants in said]
        return (declared[0], read_text(scripts[0])) if declared else None
    found, text = python_file.load_backfill(python)
    for path, constants in said:
        if not typescript.same(constants, found):
            raise InputError(
                f"{python.name} and {path.name} do not fill the same",
                where=str(path),
                why="whoever reads one of them expects what the other does not do",
                todo="give both the same table, columns and values; or remove one of them",
                code="bad-backfill",
            )
    return found, text


def _refuse_twice(folder: Path, parts: list[Part]) -> None:
    """Raise InputError for two parts of one name in TypeORM's history."""
    first: dict[str, str] = {}
    for part in parts:
        other = first.setdefault(part.history_name, part.file)
        if part.history_name and other != part.file:
            raise InputError(
                f"{other} and {part.file} have the same name, {part.history_name}",
                where=str(folder / part.file),
                why="TypeORM refuses to run anything: Duplicate migrations",
                todo="give each class a name of its own, or remove what was compiled from it",
                code="duplicate-migration",
            )


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Names in the order a reader expects: pre, pre_2, pre_10."""
    return [(int(digits or 0), text) for digits, text in re.findall(r"(\d+)|(\D+)", path.stem)]


def _parts(folder: Path) -> list[tuple[Path, PartKind]]:
    """The files of a folder migration in the order they run.

    Raise InputError for SQL, Python or TypeScript that is none of them: it would never run.
    """
    names: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.iterdir(), key=_by_number):
        skipped = path.name in listing.BACKFILLS or path.name.startswith(("_", "."))
        read = path.suffix.lower() in (".py", ".sql") or listing.is_script(path.name)
        if skipped or not read or not path.is_file():
            continue
        named = _PART.fullmatch(path.name)
        if named is None:
            raise InputError(
                f"{path.name} is no part of a migration",
                where=str(path),
                why="parts are migration.*, pre.* and post.* (.sql, .py or .ts; also"
                " post_index.sql, pre_1.sql), and backfill.py or backfill.ts",
                todo="give it one of these names, or one that begins with _ to keep it out",
                code="broken-file",
            )
        names[named[1]].append(path)
    found = [(path, kind) for kind in KINDS for path in names[kind]]
    if not found and not any((folder / name).is_file() for name in listing.BACKFILLS):
        raise InputError(
            "the folder holds no migration",
            where=str(folder),
            why="none of migration.py, migration.sql, migration.ts, pre.*, post.*, backfill.* is"
            " in it",
            todo="add migration.sql, or remove the folder",
            code="broken-file",
        )
    return found


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What either of two parts requires; where they contradict, what the first one does.

    The first part runs on the target as it is, the second one on what the first has made of it.
    """
    merged = dict(first)
    for key, value in second.items():
        mine = merged.setdefault(key, value)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(mine, value)
    return merged
