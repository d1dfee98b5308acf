"""a project of the disk, and the history of a target, as the values that traps are found in"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine.errors import QbError, nearby
from qb_engine.migrations import stamps
from qb_engine.migrations.model import read_text
from qb_engine.typeorm import sources
from qb_engine.typeorm.finding import data_source_file
from qb_engine.typeorm.traps.project import File, Mode, Options, Project

if TYPE_CHECKING:
    from qb_engine.migrations.typescript.recordings import Recording
    from qb_engine.project import Project as QbProject
    from qb_engine.typeorm.sources import Said

MODES: Mapping[str, Mode] = {"all": "all", "each": "each", "none": "none"}
COMMENT = re.compile(r"(?<![:\"'])//[^\n]*|/\*.*?\*/", re.S)
DECLARED = (".d.ts", ".d.mts", ".d.cts")


def project_of(project: QbProject) -> tuple[Project, tuple[str, ...]]:
    """The files and the data source of a project, and what was not found of it."""
    notes: list[str] = []
    options, paths = _data_source(project, notes)
    if not paths:
        paths = _files(project.root, project.config.typeorm.files, project.migrations)
    named = project.config.typeorm.sql
    files = []
    for path in paths:
        try:
            files.append(read(path, helpers=named, root=project.root))
        except QbError as error:
            notes.append(f"{nearby(str(path))} was not looked at: {error.what} ({error.why})")
    recorded = _recorded(project.root, files)
    return Project(tuple(files), options, recorded=recorded), tuple(notes)


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
            path, each.class_name, text=text, helpers=helpers or {}, root=root, strict=False
        )
    folder = stamps.split(path.parent.name) is not None
    return File(script, text, found, "folder" if folder else "file")


def options_of(path: Path, text: str, said: Said) -> Options:
    """What a data source says of how migrations run."""
    text = COMMENT.sub(lambda m: "\n" * m[0].count("\n"), text)
    lines = {}
    for option in ("synchronize", "migrationsRun", "migrationsTransactionMode", "schema"):
        if found := re.search(rf"\b{option}\b[\"']?\s*:", text):
            lines[option] = text.count("\n", 0, found.start()) + 1
    unread = (said.unread or {}).items()
    return Options(
        file=str(path),
        mode=MODES.get(said.mode, "all"),
        schema=said.schema or None,
        synchronize=_is_true(text, "synchronize"),
        migrations_run=_is_true(text, "migrationsRun"),
        lines=lines,
        unread=tuple((option, reason, line) for option, (reason, line) in unread),
    )


def _is_true(text: str, option: str) -> bool:
    return re.search(rf"\b{option}\b[\"']?\s*:\s*true\b", text) is not None


def _data_source(project: QbProject, notes: list[str]) -> tuple[Options | None, tuple[Path, ...]]:
    """The options of the data source, and the files that its globs match."""
    named = project.config.typeorm.data_source
    root, options = project.root, None
    try:
        path = data_source_file(root, Path(named) if named else None).path
        said = sources.read(path)
        options = options_of(path, read_text(path), said)
        if not said.migrations:
            return options, ()
        settings, told = sources.settings_of(root, said, path, sources.home_of(root, path))
    except QbError as error:
        notes.append(f"{error.what}: {error.why}")
        return options, ()
    notes += told
    return options, _files(root, settings.files, root / settings.migrations)


def _files(root: Path, globs: Sequence[str], folder: Path) -> tuple[Path, ...]:
    from qb_engine.migrations.formats.typeorm import matched, walked

    if not globs and not folder.is_dir():
        return ()
    found = matched(root, globs) if globs else walked(folder)
    return tuple(path for path in found if not path.name.endswith(DECLARED))


def _recorded(root: Path, files: Iterable[File]) -> frozenset[str]:
    """The classes whose SQL was recorded from a run, and whose files are still the same.

    Recordings lie in the folder of a file or above it, whatever qb.toml says of migrations yet.
    """
    from qb_engine.migrations.typescript.recordings import FILE, recordings_of

    held: dict[Path, Mapping[str, Recording]] = {}

    def nearest(path: Path, name: str) -> Recording | None:
        for folder in path.absolute().parents:
            if folder not in held:
                held[folder] = recordings_of(folder) if (folder / FILE).is_file() else {}
            if name in held[folder]:
                return held[folder][name]
            if folder.resolve() == root.resolve():
                break
        return None

    return frozenset(
        each.name
        for file in files
        for each in file.script.classes
        if (found := nearest(file.path, each.name)) is not None and not found.stale(file.path)
    )
