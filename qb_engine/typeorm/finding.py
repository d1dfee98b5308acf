"""where a TypeORM project has its data source: what package.json says, else the usual places"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qb_engine.errors import InputError
from qb_engine.migrations.typescript.tsconfig import read_json

SUFFIXES = (".ts", ".mts", ".cts", ".js", ".mjs", ".cjs")
NAMES = ("data-source", "datasource", "dataSource", "data_source", "ormconfig", "typeorm.config")
FOLDERS = (
    *("src", "", "src/database", "src/db", "src/config", "database", "db", "config"),
    *("src/typeorm", "typeorm"),
)
BUILT = ("dist", "build", "lib", "out")  # where compilers put what they make of src
BELOW = ("", "src", "database", "db", "config")  # in there, where the sources were left out
_OPTION = re.compile(r"(?:^|\s)(?:-d|--dataSource|--datasource|--data-source)(?:=|\s+)(\S+)")
_TO_SOURCE = {".js": ".ts", ".mjs": ".mts", ".cjs": ".cts"}


@dataclass(frozen=True, slots=True)
class Found:
    """A data source file, and what was said of how it was found."""

    path: Path
    note: str = ""


def data_source_file(root: Path, given: Path | None = None) -> Found:
    """The data source of the project in `root`: the given one, or the one that is found.

    Raise InputError when there is none, or when scripts of package.json name several.
    """
    if given is not None:
        for path in (given, root / given):
            if path.is_file():
                return Found(path.resolve())
        folders = [path for path in (given, root / given) if path.is_dir()]
        if folders:
            raise InputError(
                f"{given} is a folder, and no data source",
                where=str(folders[0]),
                why="a data source is the file that makes one: new DataSource({ ... })"
                + _looks_like(root, folders[0]),
                todo="name the file in it: qb typeorm import --data-source PATH",
                code="data-source",
            )
        raise InputError(
            f"there is no data source {given}",
            where=str(root),
            why="no such file is there",
            todo="name one that exists: qb typeorm import --data-source PATH",
            code="data-source",
        )
    named = list(dict.fromkeys(_in_scripts(root)))
    sources = list(dict.fromkeys(source_of(root, root / each) for each in named))
    there = [path for path in sources if path.is_file()]
    if len(there) > 1:
        raise InputError(
            "the scripts of package.json name several data sources",
            where=str(root / "package.json"),
            why=", ".join(_relative(root, path) for path in there),
            todo="say which one has the migrations: qb typeorm import --data-source PATH",
            code="data-source",
        )
    if there:
        return Found(there[0].resolve(), "the data source is the one that package.json names")
    for path in _usual(root):
        return Found(path.resolve())
    said = "package.json names none with -d"
    if not (root / "package.json").is_file():
        said = "there is no package.json that names one"
    raise InputError(
        "no data source was found",
        where=str(root),
        why=f"{said}, and none of the usual places has one "
        "(src/data-source.ts, data-source.ts, ormconfig.*)",
        todo="name it: qb typeorm import --data-source PATH; or say where the migrations are: "
        "qb typeorm import --migrations 'src/migrations/*.ts' --table migrations",
        code="data-source",
    )


def source_of(root: Path, path: Path) -> Path:
    """The source that a compiled file is made of, where that is there; else the path itself."""
    if path.suffix not in _TO_SOURCE:
        return path if path.suffix else _with_suffix(path)
    try:
        parts = path.resolve().relative_to(root.resolve()).parts
    except ValueError:
        return path
    suffix = _TO_SOURCE[path.suffix]
    out, source = compiled_to(root)
    if parts[: len(out)] == out:
        rest = Path(*parts[len(out) :]).with_suffix(suffix)
        for candidate in (root.joinpath(*source, rest), root / "src" / rest, root / rest):
            if candidate.is_file():
                return candidate
    beside = path.with_suffix(suffix)
    return beside if beside.is_file() else path


def compiled_of(root: Path, path: Path) -> Path:
    """What the compiler made of a source, where that is there; else the path itself."""
    to_built = {source: built for built, source in _TO_SOURCE.items()}
    if path.suffix not in to_built:
        return path
    out, source = compiled_to(root)
    try:
        parts = path.resolve().relative_to(root.resolve()).parts
    except ValueError:
        return path
    rest = parts[len(source) :] if parts[: len(source)] == source else parts
    for each in (rest, parts):
        built = root.joinpath(*out, *each).with_suffix(to_built[path.suffix])
        if built.is_file():
            return built
    return path


def compiled_to(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The folder that the compiler writes to and the one that it reads, below the project's."""
    options = read_json(root / "tsconfig.json").get("compilerOptions")
    options = options if isinstance(options, dict) else {}
    out = str(options.get("outDir") or "")
    if not out:
        out = next((name for name in BUILT if (root / name).is_dir()), BUILT[0])
    return _parts(out), _parts(str(options.get("rootDir") or "src"))


def scripts(root: Path) -> Mapping[str, str]:
    """The scripts of package.json; none when it cannot be read."""
    found = read_json(root / "package.json").get("scripts")
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _in_scripts(root: Path) -> Iterator[str]:
    for text in scripts(root).values():
        if "typeorm" in text or "migration" in text:
            for each in _OPTION.findall(text):
                yield each.strip("'\"")
    told = read_json(root / "package.json").get("typeorm")
    if isinstance(told, dict) and isinstance(told.get("dataSource"), str):
        yield told["dataSource"]


def _usual(root: Path) -> Iterator[Path]:
    built = (f"{out}/{each}" for out in BUILT for each in BELOW)
    for folder in (*FOLDERS, *built):
        yield from _named(root / folder)


def _named(folder: Path) -> Iterator[Path]:
    """The files of a folder that are called as data sources usually are."""
    for name in NAMES:
        for suffix in (*SUFFIXES, *((".json",) if name == "ormconfig" else ())):
            path = folder / f"{name}{suffix}"
            if path.is_file():
                yield path


def _looks_like(root: Path, folder: Path) -> str:
    """The data source that a folder seems to have, as the end of a sentence."""
    found = next(_named(folder), None)
    return f"; {_relative(root, found)} looks like it" if found else ""


def _with_suffix(path: Path) -> Path:
    """A path that was named without its suffix, as TypeORM's command line allows."""
    found = (path.with_name(path.name + suffix) for suffix in SUFFIXES)
    return next((each for each in found if each.is_file()), path)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in Path(text).parts if part not in (".", "/"))


def _relative(root: Path, path: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return str(path)
