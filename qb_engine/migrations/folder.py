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
from qb_engine.migrations.model import LoadedMigration, Part, PartKind, Reader, checksum

KINDS: tuple[PartKind, ...] = ("pre", "migration", "post")  # in the order they run
_PART = re.compile(rf"({'|'.join(KINDS)})(?=[_.\-0-9]).*\.(py|sql)")


def load(
    folder: Path,
    reader: Reader | None = None,
    reading: Reading | None = None,
    format: str | None = None,
) -> Migrations:
    """Every migration of a folder. A folder that is not there holds none.

    What they read of the target they read by `reader`, or by what `reading` opens when it comes to
    that. `format` names another tool's format; without it the folder's content tells.
    """
    from qb_engine.migrations import formats  # they build on what is in here

    if (foreign := formats.chosen(folder, format)) is not None:
        return formats.migrations(folder, foreign)
    return Migrations(
        folder,
        entries=listing.listing(folder),
        read=lambda entry, opened: load_one(entry.path, opened),
        reading=reading or (lambda: nullcontext(reader)),
    )


def load_one(path: Path, reader: Reader | None = None) -> LoadedMigration:
    """Load one migration: a `.py` file, a `.sql` file, or a folder of parts.

    Raise InputError with file, line and reason when it is broken.
    """
    entry = listing.entry(path)
    raw, stem = listing.look(entry).raw, entry.id
    named = stamps.split(stem)
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
            part, found, text = load_part(file, kind, reader)
            parts.append(part)
            constraints = _merged(constraints, found)
            texts.append(text)
        if (path / "backfill.py").is_file():
            backfill, text = python_file.load_backfill(path / "backfill.py")
            texts.append(text)
    else:
        part, constraints, text = load_part(path, "migration", reader)
        parts.append(part)
        texts.append(text)
    methods = [text for part, text in zip(parts, texts) if part.dynamic]
    return LoadedMigration(
        id=stem,
        stamp=named[0],
        name=named[1],
        path=path,
        format="folder" if entry.folder else {".py": "python", ".sql": "sql"}[path.suffix],
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
    path: Path, kind: PartKind, reader: Reader | None
) -> tuple[Part, dict[str, Any], str]:
    """Load one file by the loader that its suffix names."""
    if path.suffix == ".py":
        return python_file.load(path, kind, reader)
    return sql_file.load(path, kind)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Names in the order a reader expects: pre, pre_2, pre_10."""
    return [(int(digits or 0), text) for digits, text in re.findall(r"(\d+)|(\D+)", path.stem)]


def _parts(folder: Path) -> list[tuple[Path, PartKind]]:
    """The files of a folder migration in the order they run.

    Raise InputError for an SQL or Python file that is none of them: it would never run.
    """
    names: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.iterdir(), key=_by_number):
        skipped = path.name == "backfill.py" or path.name.startswith(("_", "."))
        if skipped or path.suffix.lower() not in (".py", ".sql") or not path.is_file():
            continue
        named = _PART.fullmatch(path.name)
        if named is None:
            raise InputError(
                f"{path.name} is no part of a migration",
                where=str(path),
                why="parts are migration.*, pre.* and post.* (.sql or .py; also post_index.sql,"
                " pre_1.sql), and backfill.py",
                todo="give it one of these names, or one that begins with _ to keep it out",
                code="broken-file",
            )
        names[named[1]].append(path)
    found = [(path, kind) for kind in KINDS for path in names[kind]]
    if not found and not (folder / "backfill.py").is_file():
        raise InputError(
            "the folder holds no migration",
            where=str(folder),
            why="none of migration.py, migration.sql, pre.*, post.*, backfill.py is in it",
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
