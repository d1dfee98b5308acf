"""a file of SQL as a schema: what is no SQL, and what is not for one database, is left out of it"""

from __future__ import annotations

import re
from pathlib import Path

from qb_engine.errors import InputError

ARCHIVE = b"PGDMP"  # how pg_dump's own format begins
_COPY = re.compile(r"(?i)^COPY\s.*\sFROM\s+stdin\b.*;\s*$")
_META = re.compile(r"^\\[a-zA-Z!?]")
_LEFT_OUT = re.compile(
    r"(?i)^(?:BEGIN|COMMIT|START\s+TRANSACTION)(?:\s+(?:TRANSACTION|WORK))?;\s*$"
    r"|^SET\s+transaction_timeout\b.*;\s*$"
    r"|^(?:CREATE|DROP|ALTER)\s+DATABASE\b.*;\s*$|^(?:CREATE|ALTER)\s+ROLE\b.*;\s*$"
)


def read_file(path: Path) -> str:
    """The SQL of a file. Raise InputError when it cannot be read as text."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(
            "the schema file cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            todo="name a file of SQL, such as pg_dump --schema-only writes",
            code="missing-file",
        ) from None
    if raw.startswith(ARCHIVE):
        raise InputError(
            "the schema file is an archive of pg_dump, not SQL",
            where=str(path),
            why="it was written with -Fc",
            todo=f"turn it into SQL: pg_restore --schema-only -f schema.sql {path}",
            code="bad-input",
        )
    try:
        return plain(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(
            "the schema file is not UTF-8 text",
            where=str(path),
            why=str(error),
            todo="write it with pg_dump --encoding=UTF8",
            code="bad-input",
        ) from None


def plain(text: str) -> str:
    """A script without psql's commands, rows of COPY, its own transactions, and server-wide lines.

    Lines stay where they are, so that messages name the right ones.
    """
    found: list[str] = []
    rows = False
    quote = ""  # the dollar quote that is open
    for line in text.split("\n"):
        if rows:
            rows = line.rstrip() != "\\."
            found.append("")
            continue
        if not quote and (_META.match(line) or _LEFT_OUT.match(line)):
            found.append("")
            continue
        if not quote and _COPY.match(line):
            rows = True
            found.append("")
            continue
        for mark in re.findall(r"\$(?:[A-Za-z_]\w*)?\$", line):
            if not quote:
                quote = mark
            elif quote == mark:
                quote = ""
        found.append(line)
    return "\n".join(found)
