"""golang-migrate, and whatever else keeps `1_name.up.sql` beside `1_name.down.sql`"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from qb_engine.errors import InputError
from qb_engine.migrations import stamps
from qb_engine.migrations.formats.format import (
    Format,
    Found,
    New,
    Seen,
    in_order,
    is_sql,
    stranger,
)
from qb_engine.migrations.listing import Entry
from qb_engine.migrations.model import Part, read_text
from qb_engine.sql import Source, Statement, read_framed

_NAME = re.compile(r"(\d+)[_-](.*)\.(up|down)\.sql")
_NEARLY = re.compile(r"(\d+)[_-]?(.*?)[_.\- ]*(up|down)\.sql", re.IGNORECASE)
_SIGN = re.compile(r"\.(?:up|down)\.sql$")
STAMPED = 8  # digits; a version with as many is a date, one with fewer is a number in a row
EPOCH = 10  # digits of the seconds since 1970


def signs(seen: Seen) -> str:
    return seen.named(_SIGN)


def entries(folder: Path) -> Found:
    """The files in pairs, in the order of their numbers."""
    ups: list[Entry] = []
    downs: dict[int, list[Path]] = {}
    strange: list[Entry] = []
    for name in filter(is_sql, Seen.of(folder).files):
        path, named = folder / name, _NAME.fullmatch(name)
        if named is None:
            strange.append(stranger(path, *_misspelt(name)))
        elif named[3] == "down":
            downs.setdefault(int(named[1]), []).append(path)
        else:
            id = name.removesuffix(".up.sql")
            ups.append(Entry(path, id, str(int(named[1])), named[2], files=(path,)))
    paired = in_order("golang-migrate", ups, _number)
    found = [_with_down(entry, downs.pop(_number(entry), [])) for entry in paired]
    for paths in downs.values():
        for path in paths:
            why = "there is no .up.sql of that version, so there is nothing to undo"
            strange.append(stranger(path, why, "write the way up, or remove the file"))
    return Found((*found, *strange))


def _number(entry: Entry) -> int:
    return int(entry.stamp)


def _with_down(entry: Entry, downs: list[Path]) -> Entry:
    if not downs:
        return entry
    if len(downs) > 1:
        error = InputError(
            f"two ways back have the version {entry.stamp}",
            where=str(downs[1]),
            why=f"{downs[0].name} has it, too",
            todo="give one of them a version of its own",
            code="duplicate-migration",
        )
        return replace(entry, problem=entry.problem or error)
    return replace(entry, files=(*entry.files, downs[0]))


def _misspelt(name: str) -> tuple[str, str]:
    why = "golang-migrate takes only NUMBER_NAME.up.sql and NUMBER_NAME.down.sql: it overlooks this"
    nearly = _NEARLY.fullmatch(name)
    if nearly is None:
        return why, "give it such a name, or move it out of the folder"
    right = f"{nearly[1]}_{nearly[2].strip('_-. ') or 'name'}.{nearly[3].lower()}.sql"
    return why, f"rename it to {right}"


def read_files(entry: Entry) -> tuple[Part, ...]:
    """The pair as one part.

    A file without BEGIN is one message to the server, which makes a transaction of it all the same.
    """
    up, *down = (_read(path) for path in entry.files)
    return (Part("migration", entry.path.name, up, down[0] if down else ()),)


def _read(path: Path) -> tuple[Statement, ...]:
    """A file's statements; a BEGIN and COMMIT around all of them are left to qb."""
    return read_framed(read_text(path), Source(str(path)))[0]


def write(folder: Path, new: New) -> Mapping[str, str]:
    """The two files of a new migration, numbered as the others are.

    Raise InputError for one that must not run in a transaction: its files cannot say so.
    """
    if not new.transaction:
        raise InputError(
            "golang-migrate has no word for a migration without a transaction",
            where=new.name,
            why="the server makes one transaction of a file; what refuses one is run alone anyway",
            todo="leave qb:transaction out, or split the migration",
            code="not-supported",
        )
    versions = [e.path.name.split("_")[0] for e in entries(folder).entries if e.stamp]
    last = max(versions, key=int, default="")
    if last and len(last) < STAMPED:
        stamp = str(int(last) + 1).zfill(len(last))
    elif len(last) == EPOCH:
        stamp = str(max(int(time.time()), int(last) + 1))
    else:
        stamp = stamps.new(after=last or None)
    files = {f"{stamp}_{new.name}.up.sql": new.up.strip() + "\n"}
    if new.down and not new.irreversible:
        back = "".join(f"{sql.rstrip().rstrip(';')};\n" for sql in new.down)
        files[f"{stamp}_{new.name}.down.sql"] = back
    return files


FORMAT = Format(
    name="golang-migrate",
    form="000001_name.up.sql beside 000001_name.down.sql",
    signs=signs,
    entries=entries,
    read=read_files,
    table="schema_migrations",
    write=write,
)
