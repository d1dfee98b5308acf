"""TypeORM: a class in a file of its own, anywhere below the folder; what it is called counts"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from qb_engine.errors import InputError, QbError, nearby
from qb_engine.migrations import folder as folders
from qb_engine.migrations import stamps
from qb_engine.migrations.formats.format import SAMPLED, Format, Found, Seen
from qb_engine.migrations.listing import Entry, is_script
from qb_engine.migrations.model import LoadedMigration, Part, read_text
from qb_engine.migrations.typescript_file import is_part, the_class
from qb_engine.project import Project

TABLE = "migrations"
_NAMED = re.compile(r"(\d{13})-(.+)")  # as TypeORM's own commands name files
_SIGN = re.compile(r"\bimplements\s+(?:[\w.]+\s*,\s*)*MigrationInterface\b")
_BRACES = re.compile(r"\{([^{}]*)\}")
_CHOICE = re.compile(r"([@?!])\(([^()]*)\)")  # of a pattern: one of these, or maybe, or none
_REPEATED = re.compile(r"[*+]\(|[@?!]\([^)]*\(")
_LEFT_OUT = ("node_modules", "__pycache__")


@dataclass(frozen=True, slots=True)
class Listed:
    """A migration that was found, by the milliseconds that TypeORM orders it by."""

    ms: int
    entry: Entry


def signs(seen: Seen) -> str:
    for name in seen.files:
        if is_script(name) and _NAMED.match(name):
            return name
    for name in [n for n in seen.files if is_script(n)][:SAMPLED]:
        if _says(seen.folder / name):
            return f"{name} implements MigrationInterface"
    below = [name for name in seen.folders if stamps.split(name) is None]
    for name in below[:SAMPLED]:
        for path in walked(seen.folder / name):
            if _NAMED.match(path.name) or _says(path):
                return str(path.relative_to(seen.folder))
    return ""


def _says(path: Path) -> bool:
    """True for a class that says it is a migration, in a file that is not named as qb names them"""
    if stamps.split(path.stem) is not None and not _NAMED.match(path.name):
        return False
    try:
        return _SIGN.search(path.read_text("utf-8", errors="replace")) is not None
    except OSError:
        return False


def entries(folder: Path, project: Project | None = None) -> Found:
    """The classes in the order of the stamps that their names end in, each with its name as id."""
    project = project or Project.find(folder)
    globs = project.config.typeorm.files
    paths = matched(project.root, globs) if globs else walked(folder)
    found: list[Listed] = []
    strange: list[Entry] = []
    notes: list[str] = []
    seen: set[Path] = set()
    for path in paths:
        home = path.parent
        if stamps.split(home.name) is not None and home != folder:
            if home not in seen:
                seen.add(home)
                found.append(_folder(home))
        elif (
            path.suffix in (".js", ".mjs", ".cjs")
            and path.with_suffix(path.suffix.replace("j", "t")).is_file()
        ):
            notes.append(f"{nearby(str(path))} is what {path.stem} in TypeScript was compiled to")
        else:
            one = _file(path, notes, matched=bool(globs))
            if isinstance(one, Entry):
                strange.append(one)
            elif one is not None:
                found.append(one)
    found.sort(key=lambda each: (each.ms, each.entry.id, str(each.entry.path)))
    notes += _ties(found)
    return Found(tuple(each.entry for each in found) + tuple(strange), tuple(notes))


def _folder(path: Path) -> Listed:
    """A folder of parts, where the class in it would be, or where its own name says."""
    stamp, name = stamps.split(path.name) or ("", "")
    for file in sorted(path.iterdir()):
        if file.name.startswith("migration.") and is_part(file.name):
            try:
                return Listed(
                    int(_class_name(file)[-13:]), Entry(path, path.name, stamp, name, True)
                )
            except QbError:  # reading it as a migration says what is wrong
                break
    try:
        ms = stamps.to_ms(stamp)
    except InputError:
        ms = 0
    return Listed(ms, Entry(path, path.name, stamp, name, True))


def _class_name(file: Path) -> str:
    from qb_engine.migrations.typescript import describe

    return the_class(describe(file, read_text(file)), file).name


def _file(path: Path, notes: list[str], *, matched: bool) -> Listed | Entry | None:
    """A file as a migration, as a problem, or as nothing, with a note where that is to be known.

    What a glob has `matched` TypeORM loads, and what it cannot use there ends every run of it.
    """
    from qb_engine.migrations.typescript import describe

    try:
        script = describe(path, read_text(path))
    except QbError as error:
        return _problem(path, error)
    meant = _NAMED.match(path.name) or stamps.split(path.stem) is not None
    if not script.classes and not script.errors and not meant:
        if matched and any(each.callable or each.kind == "again" for each in script.exports):
            try:
                the_class(script, path)
            except QbError as error:
                return _problem(path, error)
        if script.exports:
            notes.append(f"{nearby(str(path))} holds no migration, and is left out")
        return None
    try:
        declared = the_class(script, path)
    except QbError as error:
        return _problem(path, error)
    stamp = declared.stamp
    said = _NAMED.match(path.name)
    if said is not None and said[1] != stamp:
        notes.append(
            f"{nearby(str(path))} holds {declared.name}: the stamp of the class counts, not that "
            "of the file"
        )
    entry = Entry(path, declared.name, stamp, declared.name[:-13], files=(path,))
    return Listed(int(stamp), entry)


def _problem(path: Path, error: QbError) -> Entry:
    return Entry(path, path.name, "", path.name, files=(path,), problem=error)


def _ties(found: Sequence[Listed]) -> Iterator[str]:
    """What is to be known of migrations that TypeORM does not order."""
    same: dict[int, list[str]] = defaultdict(list)
    for each in found:
        same[each.ms].append(each.entry.id)
    for names in same.values():
        if len(set(names)) > 1:
            yield (
                f"{' and '.join(names)} have the same stamp: TypeORM runs them in the order in "
                "which it finds their files, qb by their names"
            )


def walked(folder: Path) -> Iterator[Path]:
    """Every script below a folder that a glob over all of it matches, in the order of their paths.

    One whose name begins with `_` is among them: TypeORM would run what is in it.
    """
    for place, below, files in os.walk(folder):
        below[:] = sorted(
            name for name in below if not name.startswith(".") and name not in _LEFT_OUT
        )
        here = Path(place)
        for name in sorted(files):
            if is_script(name) and not name.startswith("."):
                yield here / name
        if here != folder and stamps.split(here.name) is not None:
            below[:] = []


def matched(root: Path, globs: Sequence[str]) -> list[Path]:
    """The scripts that globs name, from the project's folder; one that begins with ! takes back."""
    found: dict[Path, None] = {}
    for said in globs:
        back = said.startswith("!") and not said.startswith("!(")
        paths = _matching(root, said.removeprefix("!") if back else said)
        if back:
            for path in paths:
                found.pop(path, None)
        else:
            found |= dict.fromkeys(paths)
    kept = [p for p in found if is_script(p.name) and not set(p.parts) & set(_LEFT_OUT)]
    return sorted(kept, key=str)


def _matching(root: Path, pattern: str) -> list[Path]:
    """What a pattern names; what TypeORM's globs know and Python's do not, in other words."""
    if _REPEATED.search(pattern):
        raise _no_glob(pattern, "qb does not know +( ), *( ), and one ( ) in another")
    found = _CHOICE.search(pattern)
    if found is None:
        return [path for each in _expanded(pattern) for path in _globbed(root, each)]
    before, after = pattern[: found.start()], pattern[found.end() :]
    each = found[2].replace("|", ",")
    if found[1] != "!":
        maybe = "," if found[1] == "?" else ""
        return _matching(root, f"{before}{{{maybe}{each}}}{after}")
    if before[-1:] not in ("", "/") or after[:1] in ("*", "?", "["):
        raise _no_glob(pattern, "qb knows !( ) at the beginning of a name, with text behind it")
    without = {path for one in each.split(",") for path in _matching(root, before + one + after)}
    return [path for path in _matching(root, f"{before}*{after}") if path not in without]


def _globbed(root: Path, pattern: str) -> Iterator[Path]:
    pattern = pattern.removeprefix("./").replace("[^", "[!")
    if pattern.startswith("/"):
        root, pattern = Path("/"), pattern[1:]
    while pattern.startswith("../"):
        root, pattern = root.parent, pattern[3:]
    parts = [part if part == "**" else re.sub(r"\*\*+", "*", part) for part in pattern.split("/")]
    parts += ["*"] * (parts[-1] == "**")  # the files, too
    hidden = any(part.startswith(".") for part in parts)
    try:
        for path in root.glob("/".join(parts)):
            if hidden or not any(part.startswith(".") for part in path.relative_to(root).parts):
                yield path
    except ValueError as error:
        raise _no_glob(pattern, str(error)) from None


def _no_glob(pattern: str, why: str) -> InputError:
    return InputError(
        f"{pattern!r} is no glob that qb knows",
        where="qb.toml: typeorm.files",
        why=why,
        todo='write it from the folder of qb.toml: "src/migrations/*.ts"',
        code="bad-config",
    )


def _expanded(pattern: str) -> Iterator[str]:
    """`*{.ts,.js}` as `*.ts` and `*.js`, which Python's globs do not know."""
    found = _BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    for each in found[1].split(","):
        yield from _expanded(pattern[: found.start()] + each + pattern[found.end() :])


def whole(entry: Entry, project: Project | None = None) -> LoadedMigration:
    return folders.load_entry(entry, None, project, "typeorm")


def read(entry: Entry) -> tuple[Part, ...]:
    return whole(entry).parts


def within(project: Project) -> Format:
    """The format with the globs, the table and the named readers of a project."""
    return replace(
        FORMAT,
        entries=partial(entries, project=project),
        whole=partial(whole, project=project),
        table=project.config.typeorm.table,
    )


FORMAT = Format(
    name="typeorm",
    form="1710460800000-Name.ts with a class that implements MigrationInterface",
    signs=signs,
    entries=entries,
    read=read,
    table=TABLE,
    whole=whole,
    within=within,
)
