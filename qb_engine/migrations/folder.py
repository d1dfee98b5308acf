"""a folder of migrations, in order, the broken ones named and never in the way of the good ones"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qb_engine.errors import InputError, QbError
from qb_engine.migrations import python_file, sql_file, stamps
from qb_engine.migrations.declaration import Backfill
from qb_engine.migrations.model import LoadedMigration, Part, PartKind, Reader, checksum

KINDS: tuple[PartKind, ...] = ("pre", "migration", "post")  # in the order they run
_PART = re.compile(rf"({'|'.join(KINDS)})(?=[_.\-0-9]).*\.(py|sql)")


@dataclass(frozen=True)
class Broken:
    """A file that should be a migration and is not: where, and why."""

    path: Path
    error: QbError

    @property
    def id(self) -> str:
        return _id(self.path)


@dataclass(frozen=True)
class Migrations:
    """All migrations of a folder in the order of their timestamps, and those that are broken."""

    folder: Path
    all: tuple[LoadedMigration, ...]
    broken: tuple[Broken, ...] = ()

    def find(self, name: str) -> LoadedMigration:
        """A migration by id, by name, or by a part of its id that is unique.

        Raise InputError that names the nearest ones; the error of a broken file is raised as it is.
        """
        for broken in self.broken:
            if name in (broken.id, broken.path.name, broken.id.partition("_")[2]):
                raise broken.error
        exact = [m for m in self.all if name in (m.id, m.name, m.path.name, str(m.path))]
        found = exact if len(exact) == 1 else [m for m in self.all if name and name in m.id]
        if len(exact) > 1:
            found = exact
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"{name!r} names {len(found)} migrations",
                where=str(self.folder),
                why=", ".join(m.id for m in found[:8]),
                todo="give the whole id",
            )
        near = difflib.get_close_matches(name, [m.name for m in self.all], n=3, cutoff=0.4)
        raise InputError(
            f"there is no migration {name!r}",
            where=str(self.folder),
            why=f"{len(self.all)} migrations are in the folder",
            todo=f"did you mean {', '.join(near)}?" if near else "see them with: qb status",
        )

    def __iter__(self) -> Any:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)


def load(folder: Path, reader: Reader | None = None) -> Migrations:
    """Load every migration of a folder. A folder that is not there holds none."""
    good: list[LoadedMigration] = []
    broken: list[Broken] = []
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    taken: dict[str, Path] = {}
    for path in entries:
        if not _is_candidate(path):
            continue
        try:
            first = taken.setdefault(_id(path), path)
            if first != path:
                raise _same_id(path, first)
            good.append(load_one(path, reader))
        except QbError as error:
            broken.append(Broken(path, error))
    good.sort(key=lambda m: (stamps.moment(m.stamp), m.id))
    return Migrations(folder, tuple(good), tuple(broken))


def _same_id(path: Path, first: Path) -> InputError:
    return InputError(
        f"two migrations have the same id, {_id(path)}",
        where=str(path),
        why=f"{first.name} has it, too, and history could not tell them apart",
        todo="rename or remove one of them",
    )


def load_one(path: Path, reader: Reader | None = None) -> LoadedMigration:
    """Load one migration: a `.py` file, a `.sql` file, or a folder of parts.

    Raise InputError with file, line and reason when it is broken.
    """
    stem = _id(path)
    named = stamps.split(stem)
    if named is None:
        raise InputError(
            "the file name holds no timestamp",
            where=str(path),
            why="migrations run in the order of their timestamps",
            todo=f"rename it to {stamps.new()}_{stem}{'' if path.is_dir() else path.suffix}",
        )
    backfill: Backfill | None = None
    texts: list[str] = []
    parts: list[Part] = []
    constraints: dict[str, Any] = {}
    if path.is_dir():
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
    extra = list(methods)
    if backfill is not None:
        fill = backfill
        said = [
            fill.table, sorted(fill.set.items()), fill.where or "", fill.key, fill.validate or "",
        ]  # fmt: skip
        extra.append(repr(said))
    return LoadedMigration(
        id=stem,
        stamp=named[0],
        name=named[1],
        path=path,
        format="folder" if path.is_dir() else {".py": "python", ".sql": "sql"}[path.suffix],
        parts=tuple(parts),
        constraints=constraints,
        backfill=backfill,
        checksum=checksum((s for p in parts if not p.dynamic for s in p.up), *extra),
        down_checksum=checksum((s for p in parts if not p.dynamic for s in p.down), *methods),
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
            )
        names[named[1]].append(path)
    found = [(path, kind) for kind in KINDS for path in names[kind]]
    if not found and not (folder / "backfill.py").is_file():
        raise InputError(
            "the folder holds no migration",
            where=str(folder),
            why="none of migration.py, migration.sql, pre.*, post.*, backfill.py is in it",
            todo="add migration.sql, or remove the folder",
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


def _id(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _is_candidate(path: Path) -> bool:
    if path.name.startswith((".", "_")):
        return False
    if path.is_dir():
        return stamps.split(path.name) is not None
    return path.suffix in (".py", ".sql")
