"""dbmate: one file, `-- migrate:up` and `-- migrate:down`, each with options"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
from qb_engine.sql import Source, read

_NAME = re.compile(r"(\d+)(.*)\.sql")
_MARK = re.compile(r"(?m)^--[ \t]*migrate:(\w+)[ \t]*([^\n]*)$")
_SIGN = re.compile(r"(?m)^--\s*migrate:(?:up|down)\b")


def signs(seen: Seen) -> str:
    name = seen.saying(_SIGN)
    return f"{name} holds -- migrate:up" if name else ""


def entries(folder: Path) -> Found:
    """The files whose names begin with digits, in the order of their names, as dbmate has it."""
    found, strange = [], []
    for name in filter(is_sql, Seen.of(folder).files):
        path, named = folder / name, _NAME.fullmatch(name)
        if named is None:
            why = "dbmate takes only files whose names begin with a version: it leaves this one out"
            strange.append(stranger(path, why, f"rename it to {stamps.new()}_{name}"))
            continue
        short = named[2].lstrip("_-") or named[1]
        found.append(Entry(path, path.stem, named[1], short, files=(path,)))
    return Found((*in_order("dbmate", found, lambda e: e.stamp), *strange))


def read_file(entry: Entry) -> tuple[Part, ...]:
    return (parse(read_text(entry.path), entry.path),)


def parse(text: str, path: Path) -> Part:
    """A file's text as a part. Raise InputError with the line."""
    marks = {}
    for mark in _MARK.finditer(text):
        line = text.count("\n", 0, mark.start()) + 1
        if mark[1] not in ("up", "down") or mark[1] in marks:
            twice = "stands twice" if mark[1] in marks else "is no section of dbmate"
            raise InputError(
                f"migrate:{mark[1]} {twice}",
                where=f"{path}:{line}",
                todo="mend the line",
                code="broken-file",
            )
        marks[mark[1]] = (mark, line)
    if "up" not in marks:
        raise InputError(
            "the file holds no -- migrate:up",
            where=str(path),
            why="dbmate runs what stands below that line",
            todo="write it above the SQL, at the beginning of a line",
            code="broken-file",
        )
    if "down" in marks and marks["down"][1] < marks["up"][1]:
        raise InputError(
            "migrate:down stands before migrate:up",
            where=f"{path}:{marks['down'][1]}",
            todo="put the way back last",
            code="broken-file",
        )
    up, line = marks["up"]
    if before := read(text[: up.start()], Source(str(path))):
        raise InputError(
            "a statement stands before -- migrate:up",
            where=str(before[0].source),
            why="dbmate refuses it, and it belongs to neither section",
            todo="move it below the line",
            code="broken-file",
        )
    down, down_line = marks.get("down", (None, 0))
    body = text[up.end() : down.start() if down else len(text)]
    transaction = _transaction(up[2], f"{path}:{line}")
    return Part(
        "migration",
        path.name,
        up=read(body, Source(str(path), line)),
        down=read(text[down.end() :], Source(str(path), down_line)) if down else (),
        transaction=transaction,
        down_transaction=_transaction(down[2], f"{path}:{down_line}") if down else None,
    )


def _transaction(options: str, where: str) -> bool:
    """What the words behind a marker say. Raise InputError for any that dbmate would overlook."""
    given = True
    for word in options.split():
        key, _, value = word.partition(":")
        if key != "transaction" or value not in ("true", "false"):
            raise InputError(
                f"{word!r} is no option of a section",
                where=where,
                why="dbmate knows transaction:false, and overlooks everything else",
                todo="write transaction:false, or remove the word",
                code="broken-file",
            )
        given = value == "true"
    return given


def write(folder: Path, new: New) -> Mapping[str, str]:
    """A new migration as dbmate writes one, later than all there are."""
    stamped = [e.stamp for e in entries(folder).entries if len(e.stamp) == 14]
    option = "" if new.transaction else " transaction:false"
    back = "".join(f"{sql.rstrip().rstrip(';')};\n" for sql in new.down)
    if new.irreversible:
        back = "".join(f"-- {line}\n" for line in new.irreversible.splitlines())
    up = f"-- migrate:up{option}\n{new.up.strip()}\n"
    stamp = stamps.new(after=max(stamped, default=None))
    return {f"{stamp}_{new.name}.sql": f"{up}\n-- migrate:down{option}\n{back}"}


FORMAT = Format(
    name="dbmate",
    form="20240315103000_name.sql with -- migrate:up and -- migrate:down",
    signs=signs,
    entries=entries,
    read=read_file,
    table="schema_migrations",
    write=write,
)
