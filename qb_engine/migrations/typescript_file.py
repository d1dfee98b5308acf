"""a migration of TypeORM: a file with one class, in TypeScript or JavaScript, as a part"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qb_engine.errors import InputError, QbError
from qb_engine.migrations.listing import is_script
from qb_engine.migrations.model import Part, PartKind, read_text
from qb_engine.migrations.sent import statements_of
from qb_engine.project import Project

if TYPE_CHECKING:
    from qb_engine.migrations.typescript.recordings import Kept, Recording
    from qb_engine.migrations.typescript.values import (
        Method,
        MigrationClass,
        Query,
        Script,
        Unread,
    )
    from qb_engine.sql import Statement

RECORD = (
    "record what it sends: qb typeorm import --allow-execution; or write it as plain SQL; or let "
    "TypeORM run it, and take that over: qb typeorm adopt"
)
IN_VAIN = "let TypeORM run it, and take that over: qb typeorm adopt; or write it as plain SQL"


def load(
    path: Path, kind: PartKind, project: Project | None = None
) -> tuple[Part, dict[str, Any], str]:
    """Read a file with one migration class: its part, its constraints, its text.

    What cannot be read without running it stands in the recordings beside it, or is refused.
    """
    from qb_engine.migrations.typescript import describe, methods
    from qb_engine.migrations.typescript.recordings import Kept, kept_of

    project = project or Project.find(path.parent)
    text = read_text(path)
    declared = the_class(describe(path, text), path)
    named = project.config.typeorm.sql
    found = methods(path, declared.class_name, text=text, helpers=named, root=project.root)
    if declared.constraints_unread:
        raise InputError(
            "static constraints cannot be read",
            where=f"{path}:{declared.constraints_line or declared.line}",
            why=declared.constraints_unread,
            todo="write them as a literal: static constraints = { users: { must_exist: true } }",
            code="bad-constraints",
        )
    kept = Kept()
    if found.up.unread or (found.down is not None and found.down.unread):
        kept = kept_of(path, declared.name, project.root)
    recorded = kept.recording
    up, said = _up(path, text, declared, found.up, kept)
    down, irreversible = _down(path, text, declared, found.down, recorded)
    outdated = recorded.edited(path) if recorded is not None and said else ""
    if outdated:
        said = f"{said}; {outdated} was edited since: record it again"
    part = Part(
        kind, path.name, up, down, irreversible, declared.transaction is not False,
        history_name=declared.name, recorded=said, outdated=outdated,
    )  # fmt: skip
    return part, dict(declared.constraints), text


def the_class(script: Script, path: Path) -> MigrationClass:
    """The one migration of a file that TypeORM would find, with a name that it takes.

    Raise InputError with the line for a file that is none, or has several.
    """
    if script.errors:
        raise InputError(
            "the file does not parse",
            where=f"{path}:{script.errors[0]}",
            why="what stands there is not TypeScript, or JavaScript",
            todo="mend the line that is named",
            code="broken-file",
        )
    found = [each for each in script.classes if each.exported]
    if len(found) > 1:
        raise InputError(
            f"the file holds {len(found)} migrations",
            where=f"{path}:{found[1].line}",
            why=f"{_listed(found)}: TypeORM would run each by itself, in the order of their stamps",
            todo="give each a file of its own",
            code="broken-file",
        )
    if not found:
        raise _no_class(script, path)
    return named(found[0], path)


def named(declared: MigrationClass, path: Path) -> MigrationClass:
    """The same class. Raise InputError for a name that TypeORM refuses, or takes for another."""
    where = f"{path}:{declared.name_line or declared.line}"
    if declared.name_unread:
        raise InputError(
            f"the name of {declared.class_name} is computed",
            where=where,
            why=f"{declared.name_unread}; history knows a migration by nothing but its name",
            todo=f'write it: name = "{declared.class_name}"',
            code="typeorm-name",
        )
    if not int(declared.stamp or "0"):
        raise InputError(
            f"the name {declared.name!r} does not end in a timestamp of 13 digits",
            where=where,
            why="TypeORM takes the last 13 characters of it for the milliseconds since 1970, and "
            "refuses the migration, or runs it in another order than it says",
            todo=f"let it end in one, such as {_example(declared.name)}; when it is applied already"
            ", rename it in TypeORM's table, too",
            code="typeorm-name",
        )
    return declared


def _no_class(script: Script, path: Path) -> InputError:
    hidden = [each for each in script.classes if not each.exported]
    again = [each for each in script.exports if each.kind == "again"]
    called = [each for each in script.exports if each.callable]
    if hidden:
        return InputError(
            f"{hidden[0].class_name} is not exported",
            where=f"{path}:{hidden[0].line}",
            why="TypeORM would not see it, and never run it",
            todo=f"write: export class {hidden[0].class_name}",
            code="broken-file",
        )
    if again and len(again) == len(script.exports):
        return InputError(
            "the file exports again what other files export",
            where=f"{path}:{again[0].line}",
            why="TypeORM would find these migrations twice, and refuse to run any: Duplicate "
            "migrations",
            todo="leave it out of the globs of migrations: [typeorm] files, and the data source",
            code="broken-file",
        )
    if called:
        return InputError(
            f"the file holds no migration, but exports {called[0].name}",
            where=f"{path}:{called[0].line}",
            why="TypeORM takes every function and class that is exported for a migration, and "
            "refuses to run any",
            todo="leave it out of the globs of migrations: [typeorm] files, and the data source",
            code="broken-file",
        )
    return InputError(
        "the file holds no migration",
        where=str(path),
        why="no class in it has a method up",
        todo="write: export class Name1710460800000 implements MigrationInterface { ... }",
        code="broken-file",
    )


def _up(
    path: Path,
    text: str,
    declared: MigrationClass,
    method: Method,
    kept: Kept,
) -> tuple[tuple[Statement, ...], str]:
    """The statements up, and how they were recorded if they were."""
    if method.unread is None:
        return _statements(method.queries, path, text), ""
    recorded = kept.recording
    if recorded is not None and recorded.up is not None:
        return _recorded(recorded.up, path, method.line), recorded.said
    raise _dynamic(path, declared, method.unread, kept)


def _down(
    path: Path,
    text: str,
    declared: MigrationClass,
    method: Method | None,
    recorded: Recording | None,
) -> tuple[tuple[Statement, ...], str]:
    """The way back, or why there is none."""
    if method is None or not declared.has_down:
        return (), f"{declared.class_name} has no method down"
    if method.unread is not None:
        if recorded is not None and recorded.down is not None:
            return _recorded(recorded.down, path, method.line), recorded.irreversible
        if recorded is not None and recorded.irreversible:
            return (), recorded.irreversible
        unread = method.unread
        return (), f"its down cannot be read: {unread.reason} (line {unread.line})"
    if method.throws:
        return (), method.throws
    found = _statements(method.queries, path, text)
    return found, "" if found else "its down does nothing"


def _statements(queries: Iterable[Query], path: Path, text: str) -> tuple[Statement, ...]:
    return tuple(each for query in queries for each in statements_of(query, path, text))


def _recorded(queries: Iterable[Query], path: Path, line: int) -> tuple[Statement, ...]:
    """What was recorded has no line of its own: it is that of the method that sent it."""
    from dataclasses import replace

    from qb_engine.sql import Source

    found = _statements(queries, path, "")
    return tuple(replace(each, source=Source(str(path), line)) for each in found)


def _dynamic(path: Path, declared: MigrationClass, unread: Unread, kept: Kept) -> InputError:
    why = f"{unread.reason}: what it sends is known only when it runs"
    return InputError(
        f"the SQL of {declared.name} cannot be read",
        where=f"{path}:{unread.line}",
        why=f"{why}\n{kept.why}" if kept.why else why,
        todo=IN_VAIN if kept.tried else RECORD,
        code="dynamic-migration",
    )


def _listed(found: Iterable[MigrationClass]) -> str:
    return ", ".join(each.class_name for each in found)


def _example(name: str) -> str:
    from qb_engine.migrations import stamps

    bare = re.sub(r"\d+$", "", name) or "Migration"
    bare = re.sub(r"\W", "", bare) or "Migration"
    return f"{bare}{stamps.to_ms(stamps.new())}"


def names_in_history(path: Path, *, folder: bool) -> dict[str, str]:
    """What TypeORM calls the migrations of a file, or of the parts in a folder, by their files.

    What cannot be read has none: reading it as a migration says what is wrong.
    """
    if not folder:
        files = [path] if is_script(path.name) else []
    else:
        files = [path / name for name in sorted(os.listdir(path)) if is_part(name)]
    found = {}
    for file in files:
        try:
            found[file.name] = history_name(file)
        except QbError:
            continue
    return found


def history_names(path: Path) -> tuple[str, ...]:
    """What TypeORM calls the migrations of a file, or of the parts in a folder."""
    return tuple(names_in_history(path, folder=path.is_dir()).values())


def history_name(file: Path) -> str:
    """What TypeORM calls the migration of a file. Raise InputError when it holds none."""
    from qb_engine.migrations.typescript import describe

    return the_class(describe(file, read_text(file)), file).name


def is_part(name: str) -> bool:
    """True for a script in a folder that is a part of its migration."""
    parts = ("migration", "pre", "post")
    return is_script(name) and name.startswith(parts) and not name.startswith(("_", "."))
