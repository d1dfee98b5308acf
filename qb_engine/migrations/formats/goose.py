"""goose: one file, `-- +goose Up` and `-- +goose Down`; programs in Go are only named"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from qb_engine.errors import InputError
from qb_engine.migrations import stamps
from qb_engine.migrations.formats.format import Format, Found, Seen, in_order, is_sql, stranger
from qb_engine.migrations.listing import Entry
from qb_engine.migrations.model import Part, read_text
from qb_engine.sql import Source, Statement, read

_NAME = re.compile(r"(\d+)_(.+)\.(sql|go)")
_MARK = re.compile(r"(?m)^--[ \t]*\+goose[ \t]+([^\n]*?)[ \t\r]*$")
_SIGN = re.compile(r"(?m)^--\s*\+goose\s")
KNOWN = ("Up", "Down", "StatementBegin", "StatementEnd", "NO TRANSACTION")


def signs(seen: Seen) -> str:
    name = seen.saying(_SIGN)
    return f"{name} holds -- +goose" if name else ""


def entries(folder: Path) -> Found:
    """The files by the numbers that their names begin with."""
    found, strange = [], []
    for name in Seen.of(folder).files:
        path, named = folder / name, _NAME.fullmatch(name)
        if named is not None and not name.endswith("_test.go"):
            entry = Entry(path, path.stem, str(int(named[1])), named[2], files=(path,))
            found.append(replace(entry, problem=_program(path)) if named[3] == "go" else entry)
        elif is_sql(name):
            why = "goose takes only files named NUMBER_NAME.sql: it overlooks this one"
            strange.append(stranger(path, why, f"rename it to {stamps.new()}_{name.lstrip('_')}"))
    return Found((*in_order("goose", found, lambda e: int(e.stamp)), *strange))


def _program(path: Path) -> InputError:
    return InputError(
        f"{path.name} is a program in Go",
        where=str(path),
        why="qb runs SQL, and cannot know what the program would do",
        todo="apply it with goose, then: qb import-history --from goose; or write it as SQL",
        code="broken-file",
    )


def read_file(entry: Entry) -> tuple[Part, ...]:
    return (parse(read_text(entry.path), entry.path),)


def parse(text: str, path: Path) -> Part:
    """A file's text as a part. Raise InputError with the line.

    The parser knows where a statement ends, so StatementBegin and StatementEnd only have to match.
    """
    where: dict[str, tuple[int, int]] = {}  # end and line of the section's marker
    ends: dict[str, int] = {}
    opened, transaction, last = 0, True, ""
    for mark in _MARK.finditer(text):
        line = text.count("\n", 0, mark.start()) + 1
        word = _word(mark[1], f"{path}:{line}")
        if word in ("Up", "Down"):
            if word in where or (word == "Down" and "Up" not in where) or opened:
                raise _misplaced(word, path, line)
            if last:
                ends[last] = mark.start()
            where[word], last = (mark.end(), line), word
        elif word == "NO TRANSACTION":
            transaction = False
        elif word:
            if bool(opened) != (word == "StatementEnd") or not last:
                raise _misplaced(word, path, line)
            opened = line if word == "StatementBegin" else 0
    if opened:
        raise InputError(
            "StatementBegin has no StatementEnd",
            where=f"{path}:{opened}",
            todo="write it",
            code="broken-file",
        )
    if "Up" not in where:
        raise InputError(
            "the file holds no -- +goose Up",
            where=str(path),
            why="goose runs what stands below that line",
            todo="write it above the SQL, at the beginning of a line",
            code="broken-file",
        )
    before = read(text[: where["Up"][0]], Source(str(path)))
    if before:
        raise _misplaced("Up", path, where["Up"][1])

    def section(word: str) -> tuple[Statement, ...]:
        if word not in where:
            return ()
        start, line = where[word]
        return read(text[start : ends.get(word, len(text))], Source(str(path), line))

    return Part("migration", path.name, section("Up"), section("Down"), transaction=transaction)


def _word(said: str, where: str) -> str:
    if said in KNOWN:
        return said
    if said.upper().startswith("ENVSUB") and not said.upper().endswith("OFF"):
        raise InputError(
            "goose would put environment variables into this SQL",
            where=where,
            why="what runs would depend on where it runs: it could not be planned, nor checked",
            todo="write the values into the SQL",
            code="broken-file",
        )
    if said.upper().startswith("ENVSUB"):
        return ""
    raise InputError(
        f"+goose {said} is no annotation of goose",
        where=where,
        why=f"it knows {', '.join(KNOWN)}, written like this, and overlooks everything else",
        todo="mend the line",
        code="broken-file",
    )


def _misplaced(word: str, path: Path, line: int) -> InputError:
    return InputError(
        f"+goose {word} does not belong here",
        where=f"{path}:{line}",
        why="Up comes first, Down once behind it; StatementBegin and StatementEnd stand in pairs"
        " within these, and no statement before Up",
        todo="mend the order",
        code="broken-file",
    )


FORMAT = Format(
    name="goose",
    form="00001_name.sql with -- +goose Up and -- +goose Down",
    signs=signs,
    entries=entries,
    read=read_file,
    table="goose_db_version",
)
