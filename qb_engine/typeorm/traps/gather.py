"""a project of the disk, and the history of a target, as the values that traps are found in"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine.errors import InputError, QbError
from qb_engine.migrations import stamps
from qb_engine.migrations.model import read_text
from qb_engine.typeorm.finding import compiled_to, data_source_file
from qb_engine.typeorm.traps.project import File, Mode, Options, Project

if TYPE_CHECKING:
    from qb_engine.project import Project as QbProject

MODES: Mapping[str, Mode] = {"all": "all", "each": "each", "none": "none"}
SOURCES = {".js": ".ts", ".mjs": ".mts", ".cjs": ".cts"}


def project_of(project: QbProject) -> tuple[Project, tuple[str, ...]]:
    """The files and the data source of a project, and what was not found of it."""
    notes: list[str] = []
    options, globs = _data_source(project, notes)
    paths = _paths(project, globs, notes)
    named = project.config.typeorm.sql
    files = tuple(read(path, helpers=named, root=project.root) for path in paths)
    return Project(files, options, recorded=_recorded(project, files)), tuple(notes)


def read(
    path: Path,
    text: str | None = None,
    *,
    helpers: Mapping[str, str] | None = None,
    root: Path | None = None,
) -> File:
    """A file with its classes and what their methods send."""
    from qb_engine.migrations.typescript import describe, methods

    text = read_text(path) if text is None else text
    script = describe(path, text)
    found = {}
    for each in script.classes if not script.errors else ():
        found[each.class_name] = methods(
            path, each.class_name, text=text, helpers=helpers or {}, root=root
        )
    folder = stamps.split(path.parent.name) is not None
    return File(script, text, found, "folder" if folder else "file")


def options_of(path: Path, text: str) -> tuple[Options, tuple[str, ...]]:
    """What a data source says of how migrations run, and the globs of its migrations."""
    from qb_engine.migrations.typescript import data_source

    said = data_source(path)
    lines = {}
    for option in ("synchronize", "migrationsRun", "migrationsTransactionMode", "schema"):
        if found := re.search(rf"^[^\n/*]*\b{option}\b", text, re.M):
            lines[option] = text.count("\n", 0, found.end()) + 1
    options = Options(
        file=str(path),
        line=said.line,
        mode=MODES.get(said.transaction_mode or "all", "all"),
        schema=said.schema,
        synchronize=_is_true(text, "synchronize"),
        migrations_run=_is_true(text, "migrationsRun"),
        lines=lines,
        unread=said.unread,
    )
    return options, said.migrations


def _is_true(text: str, option: str) -> bool:
    return re.search(rf"^[^\n/*]*\b{option}\b[\"']?\s*:\s*true\b", text, re.M) is not None


def _data_source(project: QbProject, notes: list[str]) -> tuple[Options | None, tuple[str, ...]]:
    named = project.config.typeorm.data_source
    try:
        path = data_source_file(project.root, Path(named) if named else None).path
        if path.suffix == ".json":
            notes.append(f"{path.name} is not read: its options are taken for the usual ones")
            return None, ()
        return options_of(path, read_text(path))
    except QbError as error:
        notes.append(f"{error.what}: its options are taken for TypeORM's own defaults")
        return None, ()


def _paths(project: QbProject, globs: Sequence[str], notes: list[str]) -> tuple[Path, ...]:
    """What TypeORM would load: by the data source, by qb.toml, or by the folder."""
    from qb_engine.migrations.formats.typeorm import matched, walked

    told = project.config.typeorm.files
    for patterns in (_sources(project.root, globs), told):
        if not patterns:
            continue
        try:
            found = matched(project.root, patterns)
        except InputError as error:
            notes.append(f"{error.what}: {error.why}")
            continue
        if found:
            return tuple(path for path in found if not path.name.endswith(".d.ts"))
    if globs and not told:
        notes.append(f"no file is matched by {', '.join(globs)}: looked in {project.migrations}")
    return tuple(walked(project.migrations)) if project.migrations.is_dir() else ()


def _sources(root: Path, globs: Iterable[str]) -> tuple[str, ...]:
    """Globs of compiled files as those of the sources, where these are there."""
    out, source = compiled_to(root)
    found = []
    for pattern in globs:
        parts = Path(pattern.removeprefix("./")).parts
        if parts[: len(out)] == out and root.joinpath(*source).is_dir():
            moved = Path(*source, *parts[len(out) :]).as_posix()
            for compiled, suffix in SOURCES.items():
                moved = moved.replace(compiled, suffix) if compiled in moved else moved
            pattern = moved
        found.append(pattern)
    return tuple(found)


def _recorded(project: QbProject, files: Iterable[File]) -> frozenset[str]:
    """The classes whose SQL was recorded from a run, and whose files are still the same."""
    from qb_engine.migrations.typescript.recordings import recordings_of

    kept = recordings_of(project.migrations)
    return frozenset(
        each.name
        for file in files
        for each in file.script.classes
        if each.name in kept and not kept[each.name].stale(file.path)
    )
