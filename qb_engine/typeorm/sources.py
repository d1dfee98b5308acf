"""what a data source says of its migrations, read from its text or asked of node, as settings"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qb_engine.errors import InputError
from qb_engine.typeorm import node as running
from qb_engine.typeorm.finding import compiled_of, compiled_to
from qb_engine.typeorm.settings import Settings

NAMES = {"migrations": "--migrations", "migrationsTableName": "--table", "schema": "--schema"}
_SUFFIXES = ((".js", ".ts"), (".mjs", ".mts"), (".cjs", ".cts"))


@dataclass(frozen=True, slots=True)
class Said:
    """What a data source says; `unread` are options that its text does not tell, by name."""

    migrations: tuple[str, ...] = ()
    table: str = ""
    schema: str = ""
    mode: str = ""
    type: str = ""
    unread: Mapping[str, tuple[str, int]] | None = None  # reason and line

    def lacking(self, given: Iterable[str] = ()) -> dict[str, tuple[str, int]]:
        """The options that are needed and not told, and that nobody gave."""
        unread = self.unread or {}
        return {n: unread[n] for n in NAMES if n in unread and n not in given}


def read(path: Path, home: Path | None = None) -> Said:
    """What the text of a data source tells; its globs count from `home`.

    A script in whose text none is found may make it in a function: it tells nothing. Raise
    InputError for any other file that cannot be read.
    """
    from qb_engine.migrations.listing import is_script
    from qb_engine.migrations.typescript import data_source

    try:
        told = data_source(path, home)
    except InputError as error:
        if not is_script(path.name) or error.code != "data-source":
            raise
        return Said(unread=dict.fromkeys(NAMES, (f"{error.what}: {error.why}", 1)))
    unread = {option: (reason, line) for option, reason, line in told.unread}
    return Said(
        tuple(told.migrations),
        told.table or ("" if "migrationsTableName" in unread else "migrations"),
        told.schema or "",
        told.transaction_mode or "",
        told.type or "",
        unread,
    )


def asked(root: Path, path: Path) -> Said:
    """What the data source says when node loads it. It connects to nothing.

    Raise InputError when it cannot be loaded.
    """
    why = ""
    for way in running.found(root):
        file = compiled_of(root, path) if way.loader == "compiled" else path
        if way.loader == "compiled" and file.suffix in (".ts", ".mts", ".cts"):
            why = why or "neither tsx nor ts-node is installed, and nothing is compiled"
            continue
        plan = {"file": str(file)}
        try:
            for event in running.events(way, "options.cjs", root, plan):
                if event["event"] == "options":
                    return _of_node(path, event)
                why = why or f"{event['message']} ({way.loader})"
        except running.Ended as ended:
            why = why or f"{ended} ({way.loader})"
    raise InputError(
        "the data source cannot be loaded",
        where=str(path),
        why=why,
        todo="mend it, or say where the migrations are: qb typeorm import "
        "--migrations 'src/migrations/*.ts' --table migrations",
        code="data-source",
    )


def refuse_unread(
    path: Path, lacking: Mapping[str, tuple[str, int]], *, loaded: bool = False
) -> None:
    """Raise InputError for options that nobody knows, although node has `loaded` them maybe."""
    if not lacking:
        return
    option, (_, line) = next(iter(lacking.items()))
    said = [f"{name} (line {at}): {reason}" for name, (reason, at) in lacking.items()]
    flags = " ".join(f"{NAMES[name]} ..." for name in lacking)
    run = "; or let node load the data source: --allow-execution (its code runs, and nothing is "
    raise InputError(
        f"the data source does not tell {option}" + ("" if loaded else " without being run"),
        where=f"{path}:{line}",
        why="\n".join(said),
        todo=f"give it: qb typeorm import {flags}" + ("" if loaded else f"{run}connected to)"),
        code="data-source",
    )


def settings_of(
    root: Path, said: Said, path: Path | None, home: Path | None = None
) -> tuple[Settings, tuple[str, ...]]:
    """What qb.toml is to say for a data source, and what has to be known of it.

    `home` is the folder that relative globs count from, where it is not the project's. Raise
    InputError when it is no data source of PostgreSQL, and when its globs match nothing.
    """
    from qb_engine.migrations.formats.typeorm import matched

    if said.type and said.type not in ("postgres", "aurora-postgres", "cockroachdb"):
        raise InputError(
            f"the data source is one of {said.type}",
            where=str(path or root),
            why="qb works on PostgreSQL",
            todo="name the data source of PostgreSQL: --data-source PATH",
            code="data-source",
        )
    notes: list[str] = []
    globs: dict[str, None] = {}
    for pattern in said.migrations:
        plain = _below(root, pattern, home or root)
        source = _of_source(root, plain)
        if source != plain and matched(root, [source]):
            notes.append(f"{plain} is compiled; its sources {source} are read instead")
            plain = source
        globs[plain] = None
    found = tuple(globs)
    folder = _folder(root, found)
    if not found or not (root / folder).is_dir():
        raise InputError(
            "the data source names no folder of migrations that is there",
            where=str(path or root),
            why=f"its migrations are {', '.join(said.migrations) or '(none)'}",
            todo="name them: qb typeorm import --migrations 'src/migrations/*.ts'",
            code="data-source",
        )
    if not matched(root, found):
        notes.append(f"{', '.join(found)} matches no file yet")
    files = () if _everything(found, folder) else found
    source_path = "" if path is None else _below(root, str(path), root)
    return Settings(folder, files, source_path, said.table, said.schema), tuple(notes)


def home_of(root: Path, path: Path) -> Path:
    """The folder of the package that a data source belongs to: its commands are run there."""
    for folder in path.resolve().parents:
        if (folder / "package.json").is_file():
            return folder if folder.is_relative_to(root.resolve()) else root
        if folder == root.resolve():
            break
    return root


def _of_node(path: Path, event: Mapping[str, Any]) -> Said:
    unread: dict[str, tuple[str, int]] = {}
    if event["classes"] and not event["migrations"]:
        named = ", ".join(event["classes"][:3])
        unread["migrations"] = (f"it lists classes ({named}) and not the files they are in", 1)
    return Said(
        tuple(event["migrations"]),
        event["table"] or "migrations",
        event["schema"] or "",
        event["mode"] or "",
        event["type"] or "",
        unread,
    )


def _below(root: Path, pattern: str, home: Path) -> str:
    """A glob as it is written from the project's folder."""
    negated, pattern = pattern.startswith("!"), pattern.removeprefix("!")
    whole = Path(pattern) if Path(pattern).is_absolute() else home / pattern
    parts: list[str] = []
    for part in whole.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    whole = Path(*parts)
    for base in (root, root.resolve()):
        if whole.is_relative_to(base):
            return ("!" if negated else "") + whole.relative_to(base).as_posix()
    return ("!" if negated else "") + whole.as_posix()


def _of_source(root: Path, pattern: str) -> str:
    """The same glob over the sources, for one over what a compiler makes of them."""
    out, source = compiled_to(root)
    parts = Path(pattern).parts
    inside = parts[: len(out)] == out
    moved = Path(*source, *parts[len(out) :]) if inside else Path(*parts)
    text = moved.as_posix()
    for built, written in _SUFFIXES:
        if text.endswith(built):
            return text.removesuffix(built) + written
    return text if inside else pattern


def _folder(root: Path, globs: Iterable[str]) -> str:
    """The one folder that all that globs match stands in."""
    places = []
    for pattern in globs:
        if pattern.startswith("!"):
            continue
        fixed = []
        for part in Path(pattern).parts:
            if any(sign in part for sign in "*?[{("):
                break
            fixed.append(part)
        place = Path(*fixed) if fixed else Path(".")
        places.append(place.parent if (root / place).is_file() else place)
    if not places:
        return "."
    common = places[0]
    while not all(place.is_relative_to(common) for place in places):
        common = common.parent
    return common.as_posix()


def _everything(globs: tuple[str, ...], folder: str) -> bool:
    """True when globs match just what qb takes of the folder by itself: every script below it."""
    if len(globs) != 1:
        return False
    rest = globs[0].removeprefix(f"{folder}/")
    scripts = ("ts", "js", "{ts,js}", "{js,ts}")
    return rest in {f"**/*.{each}" for each in scripts} | {"**/*{.ts,.js}", "**/*{.js,.ts}"}
