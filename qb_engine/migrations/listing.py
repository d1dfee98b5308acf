"""what stands in a folder of migrations, and in what order, told without reading a statement"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qb_engine.errors import QbError
from qb_engine.migrations import stamps

SCRIPTS = (".ts", ".mts", ".cts", ".js", ".mjs", ".cjs")  # as TypeORM loads them
SUFFIXES = (".py", ".sql", *SCRIPTS)
BACKFILLS = ("backfill.py", *(f"backfill{suffix}" for suffix in SCRIPTS))

_TYPES = re.compile(r"\.d\.[mc]?ts$")
_NUMBERED = re.compile(r"\d+[_-]")

# What a Python file can do is in the file alone as long as it reaches nothing but qb's own words.
_IMPORT = re.compile(r"\bimport\b")
_OURS = re.compile(r"(?m)^[ \t]*from (?:__future__|typing|qb_engine(?:\.\w+)*) import\b")
_REACHING = re.compile(
    r"\b(?:__(?:import|builtins|loader|spec|file)__|open|exec|eval|compile|globals|getattr|vars"
    r"|sys|os)\b"
)

# A script is all there is as long as it reads no file, and imports nothing but types of TypeORM.
_FROM = re.compile(r"\b(?:import|from|require)\b")
_TYPEORM = re.compile(
    r"(?m)^[ \t]*import\b[^;\"'()]*\bfrom\s*([\"'])typeorm\1"
    r"|\brequire\s*\(\s*([\"'])typeorm\2\s*\)"
)
_ELSEWHERE = re.compile(r"\b(?:readFile|process|eval|globalThis|fs)\b")


@dataclass(frozen=True, slots=True, eq=False)  # there are thousands: one is only itself
class Entry:
    """A file or a folder that is a migration by its name, not read yet.

    `stamp` and `name` are empty when the name holds no timestamp; reading it says so. In a folder
    of another tool's format `stamp` is the version as that tool records it, `files` are all the
    files that make the migration, and `problem` is why it can be none.
    """

    path: Path
    id: str
    stamp: str
    name: str
    folder: bool = False
    files: tuple[Path, ...] = ()
    requires: tuple[str, ...] = ()  # ids of those that must be applied before it
    repeatable: bool = False  # to be run again whenever it changes
    problem: QbError | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What the bytes of a migration tell before anything is parsed.

    `raw` is their checksum, empty when they cannot be read. `plain` says that nothing else decides
    what would run: with equal bytes it is what it was.
    """

    raw: str
    plain: bool
    backfill: bool = False
    post: bool = False


def listing(folder: Path) -> tuple[Entry, ...]:
    """The migrations of a folder in the order they run. A folder that is not there holds none."""
    try:
        with os.scandir(folder) as found:
            folders = {each.name for each in found if each.is_dir()}
        paths = {path.name: path for path in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return ()
    entries = [
        entry(path, name in folders)
        for name, path in paths.items()
        if _candidate(name, name in folders)
    ]
    entries.sort(key=order)
    return tuple(entries)


def entry(path: Path, is_dir: bool | None = None) -> Entry:
    """A path as an entry."""
    is_dir = path.is_dir() if is_dir is None else is_dir
    id = path.name if is_dir else path.stem
    stamp, name = stamps.split(id) or ("", "")
    return Entry(path, id, stamp, name, is_dir)


def order(entry: Entry) -> tuple[bool, str, str, str]:
    """Sorts entries by time; those without a timestamp come last."""
    moment = stamps.moment(entry.stamp) if entry.stamp else ""
    return not entry.stamp, moment, entry.id, entry.path.name


def look(entry: Entry) -> Look:
    """Read the bytes of a migration, and what they and the names of its files tell."""
    try:
        if entry.files:
            plain = not any(is_script(file.name) for file in entry.files) or all(
                _plain(file.name, _bytes(file)) for file in entry.files
            )
            return Look(raw_checksum_of(entry.files), plain)
        if entry.folder:
            return _look_into(entry.path)
        data = _bytes(entry.path)
    except OSError:
        return Look("", False)
    plain = _plain(entry.path.name, data)
    return Look(hashlib.sha256(data).hexdigest(), plain)


def raw_checksum(path: Path) -> str:
    """The checksum of a file's bytes, or of the names and bytes of a folder's parts."""
    return look(entry(path)).raw


def raw_checksum_of(files: Iterable[Path]) -> str:
    """The checksum of the names and bytes of several files that make one migration."""
    return _digest([(file.name, _bytes(file)) for file in files])


def self_contained(data: bytes) -> bool:
    """True for Python that reaches nothing beyond qb: no other import, no file, no clock."""
    text = data.decode("utf-8", "replace")
    if _REACHING.search(text):
        return False
    return len(_IMPORT.findall(text)) == len(_OURS.findall(text))


def self_contained_script(data: bytes) -> bool:
    """True for a script that takes nothing but types from TypeORM: no other import, no file."""
    text = data.decode("utf-8", "replace")
    if _ELSEWHERE.search(text):
        return False
    ours = sum(len(_FROM.findall(found[0])) for found in _TYPEORM.finditer(text))
    return len(_FROM.findall(text)) == ours


def is_script(name: str) -> bool:
    """True for a file that TypeORM would load, by its name."""
    return name.endswith(SCRIPTS) and not _TYPES.search(name)


def _look_into(folder: Path) -> Look:
    """A folder's parts; README and what is kept out by its name do not count."""
    names = sorted(
        name
        for name in os.listdir(folder)
        if name.lower().endswith(SUFFIXES)
        and not name.startswith(("_", "."))
        and not _TYPES.search(name)
    )
    files: Sequence[tuple[str, bytes]] = [(name, _bytes(folder / name)) for name in names]
    plain = all(_plain(name, data) for name, data in files)
    post = any(name.startswith("post") for name in names)
    return Look(_digest(files), plain, any(name in BACKFILLS for name in names), post)


def _plain(name: str, data: bytes) -> bool:
    """True when nothing but these bytes decides what a file would run."""
    if is_script(name):
        return self_contained_script(data)
    return not name.endswith(".py") or self_contained(data)


def _digest(files: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, data in files:
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _bytes(path: Path) -> bytes:
    """A whole file by three system calls: there are thousands of them."""
    fd = os.open(path, os.O_RDONLY)
    try:
        data = os.read(fd, 65_536)
        while more := os.read(fd, 65_536) if len(data) % 65_536 == 0 and data else b"":
            data += more
        return data
    finally:
        os.close(fd)


def _candidate(name: str, is_dir: bool) -> bool:
    if name.startswith((".", "_")):
        return False
    if (
        is_dir
    ):  # one with another number is meant for a migration, and reading it says what is wrong
        return stamps.split(name) is not None or _NUMBERED.match(name) is not None
    if is_script(name):  # others are what these import
        return _NUMBERED.match(name) is not None
    return name.endswith((".py", ".sql"))
