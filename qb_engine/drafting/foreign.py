"""a migration written into a folder that is kept in another tool's format"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine.drafting.new_files import remove, there_already
from qb_engine.drafting.typescript_files import NAME
from qb_engine.errors import InputError
from qb_engine.migrations import LoadedMigration, formats
from qb_engine.migrations.formats import Format, New

if TYPE_CHECKING:
    from qb_engine.drafting.derive import WayBack
    from qb_engine.project import Project


def format_of(project: Project, kind: str = "") -> Format | None:
    """The format that a new migration has to be in; None for qb's own.

    Raise InputError for one that qb only reads, and where `kind` asks for TypeORM's in a folder of
    some other tool.
    """
    found = formats.chosen(project.migrations, project.config.format, project)
    if found is not None and found.name == NAME:
        return found
    if found is not None and kind == NAME:
        raise InputError(
            f"the folder is kept for {found.name}, which does not run TypeScript",
            where=str(project.migrations),
            why=f"{found.name} would leave the file out, and so would qb, which reads the folder"
            f" as {found.name} does",
            todo="leave --format out; or keep TypeORM's migrations in a folder of their own"
            ' (migrations = "..." in qb.toml)',
            code="not-supported",
        )
    if found is not None and found.write is None:
        writing = [each.name for each in formats.known().values() if each.write is not None]
        writing.append(NAME)
        raise InputError(
            f"qb does not write migrations of {found.name}",
            where=str(project.migrations),
            why=f"it reads and runs them, and writes its own and those of {', '.join(writing)}",
            todo=f"write the file as {found.name} has it ({found.form}), then: qb plan",
            code="not-supported",
        )
    return found


def refuse_parts(format: Format, parts: list[str]) -> None:
    """Raise InputError for a draft with more than one part: a file has no place for them."""
    if others := [part for part in parts if part != "migration"]:
        raise InputError(
            f"a migration of {format.name} has no {', '.join(others)}",
            why="pre, post and backfill are parts of qb's own folders",
            todo="write them as migrations of their own; or keep qb's migrations in a folder of"
            ' their own (migrations = "..." in qb.toml)',
            code="not-supported",
        )


def write(
    project: Project, format: Format, name: str, sql: str, way: WayBack, *, transaction: bool
) -> tuple[tuple[Path, ...], LoadedMigration]:
    """Write the files of a migration, never over one, and read them back.

    Raise InputError when the name is taken, or when what was written reads otherwise.
    """
    assert format.write is not None, "format_of gives only formats that can be written"
    folder = project.migrations
    for entry in format.entries(folder).entries:
        if entry.name == name:
            raise there_already(entry.path)
    new = New(name, sql, way.down, way.irreversible, transaction)
    paths: list[Path] = []
    try:
        for file, text in format.write(folder, new).items():
            with (folder / file).open("x", encoding="utf-8", newline="") as opened:
                paths.append(folder / file)
                opened.write(text)
        found = next(e for e in format.entries(folder).entries if paths[0] in e.files)
        return tuple(paths), format.load(found)
    except FileExistsError as error:
        remove(paths)
        raise there_already(Path(error.filename)) from None
    except BaseException:
        remove(paths)
        raise
