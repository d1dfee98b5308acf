"""where the files of a TypeORM migration stand: in a folder of qb's own, or among TypeORM's"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qb_engine.drafting.new_files import remove, there_already
from qb_engine.drafting.typescript_text import Style, pascal
from qb_engine.errors import InputError
from qb_engine.migrations import LoadedMigration, load_one, stamps
from qb_engine.migrations.listing import is_script

if TYPE_CHECKING:
    from qb_engine.migrations import Reader
    from qb_engine.migrations.formats import Format
    from qb_engine.project import Project

NAME = "typeorm"
_STAMPED = re.compile(r"\d{13}-(.+)")
_TYPES = re.compile(r"(?m)^import\s+(?:type\s*\{|\{[^}]*\btype\s)[^}]*\bMigrationInterface\b")
_REQUIRED = re.compile(r"(?m)^\s*(?:module\.exports|exports\.\w+)\s*=|^\"use strict\"")


@dataclass(frozen=True)
class Place:
    """Where new files go, and how those that stand there are written.

    `format` is None in a folder of qb's own. `latest` is the highest stamp of a class, 0 without
    any; `names` are the classes' names without their stamps. `types`: what is no value has to be
    imported as a type (verbatimModuleSyntax).
    """

    folder: Path
    format: Format | None
    suffix: str = ".ts"
    style: Style = "typescript"
    types: bool = False
    kebab: bool = False
    latest: int = 0
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, project: Project, format: Format | None) -> Place:
        """The place for a new migration of a project: beside the latest one."""
        if format is not None and format.within is not None:
            format = format.within(project)
        found = list(_classes(project.migrations, format))
        if not found:
            return cls(_start(project, format), format)
        single = [each for each in found if not each.part] if format else found
        file = max(single or found).file
        stamped = _STAMPED.fullmatch(file.stem)
        return cls(
            folder=file.parent if format and single else _start(project, format),
            format=format,
            suffix=file.suffix,
            style=_style(file),
            types=_TYPES.search(file.read_text("utf-8", errors="replace")) is not None,
            kebab=stamped is not None and stamped[1] == stamped[1].lower() and "-" in stamped[1],
            latest=max(each.ms for each in found),
            names=frozenset(each.name for each in found),
        )

    def file(self, ms: int, name: str) -> str:
        """What the file of a migration is called among TypeORM's."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", pascal(name)).lower()
        return f"{ms}-{words if self.kebab else pascal(name)}{self.suffix}"

    def load(self, path: Path, reader: Reader | None, project: Project) -> LoadedMigration:
        """Read what was written as everybody will. Raise InputError when nobody would find it."""
        if self.format is None:
            return load_one(path, reader, project)
        for entry in self.format.entries(project.migrations).entries:
            if path.resolve() in (entry.path.resolve(), *(f.resolve() for f in entry.files)):
                return self.format.load(entry)
        raise InputError(
            "the new file would not be found",
            where=str(path),
            why=f"none of {', '.join(project.config.typeorm.files)} matches it",
            todo="let [typeorm] files in qb.toml match it, and the data source's migrations, too",
            code="bad-config",
        )


def plain_name(name: str) -> str:
    """A name of any kind as one for files and folders of qb: `2fa-thing` as `2fa_thing`."""
    pascal(name)  # refuses what has neither letters nor digits
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")


def write_new(folder: Path, files: Mapping[str, str], *, fresh: bool = False) -> tuple[Path, ...]:
    """Write files into a folder, never over one; all or none. A `fresh` folder is made for them.

    Raise InputError for a file or folder that is there.
    """
    written: list[Path] = []
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=not fresh)
        written += [folder] * fresh
        for name, text in files.items():
            with (folder / name).open("x", encoding="utf-8", newline="") as file:
                written.append(folder / name)
                file.write(text)
    except FileExistsError as error:
        remove(written)
        raise there_already(Path(str(error.filename))) from None
    except BaseException:
        remove(written)
        raise
    return tuple(written[fresh:])


class _Class(NamedTuple):
    """A class that stands in the project, by its stamp."""

    ms: int
    file: Path
    name: str
    part: bool


def _classes(folder: Path, format: Format | None) -> Iterator[_Class]:
    if format is None:
        paths: Iterable[Path] = sorted(folder.iterdir()) if folder.is_dir() else ()
    else:
        entries = [each for each in format.entries(folder).entries if each.problem is None]
        paths = [each.path for each in entries if each.folder]
        for each in entries:
            if not each.folder:
                yield _Class(int(each.stamp), each.path, each.name, False)
    for path in paths:
        if path.is_dir() and stamps.split(path.name):
            for file in sorted(path.iterdir()):
                if is_script(file.name) and file.name.startswith(("migration.", "pre", "post")):
                    yield from _described(file, part=True)
        elif path.is_file() and is_script(path.name):
            yield from _described(path, part=False)


def _described(file: Path, *, part: bool) -> Iterator[_Class]:
    from qb_engine.migrations.typescript import describe

    for each in describe(file).classes:
        if each.stamp:
            yield _Class(int(each.stamp), file, each.name[:-13], part)


def _style(file: Path) -> Style:
    if file.suffix in (".ts", ".mts", ".cts"):
        return "typescript"
    if file.suffix != ".js":
        return "module" if file.suffix == ".mjs" else "commonjs"
    return "commonjs" if _REQUIRED.search(file.read_text("utf-8", errors="replace")) else "module"


def _start(project: Project, format: Format | None) -> Path:
    """Where the first one of a project goes: what the first glob names before its first sign."""
    globs = project.config.typeorm.files if format is not None else ()
    for glob in (each for each in globs if not each.startswith("!")):
        words = glob.removeprefix("./").split("/")[:-1]
        plain = next((i for i, word in enumerate(words) if set(word) & set("*?[{")), len(words))
        return project.root.joinpath(*words[:plain])
    return project.migrations
