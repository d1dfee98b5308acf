"""what a driver for JavaScript sends, as statements: parameters written out, each in its line"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qb_engine.migrations.model import refuse_nul
from qb_engine.sql import Source, SqlError, Statement, literal, read

if TYPE_CHECKING:
    from qb_engine.migrations.typescript.values import Query

_PLAIN = re.compile(r"[^`\\${}'\"]{3,40}")  # of a line: what no language writes in another way
_FURTHER = 400  # lines that a text may be longer in its file than it is for the server


def statements_of(query: Query, path: Path, text: str = "") -> tuple[Statement, ...]:
    """The statements of one call. `text` is that of the file in which the SQL stands.

    Raise SqlError with the line, as for any other SQL.
    """
    file = query.file or str(path)
    source = Source(file, query.line)
    refuse_nul(query.sql, source)
    sql = query.sql
    if query.parameters:
        from qb_engine.sql.parameters import placed

        _refuse_unlike(query, source)
        values = [sql_of(value) for value in query.parameters]
        sql = placed(query.sql, values, source)
    found = read(sql, source)
    if query.parameters and len(found) > 1:
        raise SqlError(
            f"{len(found)} statements are sent together with parameters",
            where=str(source),
            why="PostgreSQL refuses that (42601: cannot insert multiple commands into a prepared "
            "statement), so TypeORM could not run it either",
            todo="send each statement with a call of its own",
        )
    lines = _lines(_text(Path(query.file)) if query.file else text)
    return tuple(_in_lines(found, query.line, lines))


@lru_cache(maxsize=2)
def _lines(text: str) -> list[str]:
    """The lines of a file, for one call in it after the other: there may be thousands."""
    return text.split("\n")


def _refuse_unlike(query: Query, source: Source) -> None:
    """Raise SqlError where a value that is written out twice means two things, sent once one."""
    from qb_engine.sql.parameters import unlike

    given = query.parameters or ()
    for number, uses in unlike(query.sql).items():
        if number <= len(given) and given[number - 1] is None:
            continue
        raise SqlError(
            f"${number} stands in one statement as {' and as '.join(uses)}",
            where=str(source),
            why="sent as a parameter it has one type, which PostgreSQL chooses, and is converted "
            "from that for the other uses; what comes of it cannot be told from the text",
            todo="write the same cast at each of them, or give the value twice, with a number for "
            "each use",
        )


def sql_of(value: Any) -> str:
    """A JSON value as the driver sends it: a text whose type the server finds out."""
    from qb_engine.migrations.typescript import sent

    text = sent(value)
    return "NULL" if text is None else literal(text)


def _in_lines(found: Sequence[Statement], first: int, lines: Sequence[str]) -> list[Statement]:
    """Statements with the lines on which they stand in the file.

    A string may have its line ends elsewhere than the text that it means (`\\n`, a line that goes
    on), so each is looked for by its first words, from where the one before it was found.
    """
    placed_at: list[Statement] = []
    at = first
    for statement in found:
        words = _PLAIN.search(statement.sql.split("\n", 1)[0])
        wanted = words[0].strip() if words else ""
        line = statement.source.line
        if wanted and not _stands(lines, line, wanted):
            behind = range(at, min(at + _FURTHER, len(lines) + 1))
            line = next((n for n in behind if _stands(lines, n, wanted)), at)
        at = max(at, line)
        source = Source(statement.source.file, line)
        placed_at.append(replace(statement, source=source) if source != statement.source
                         else statement)  # fmt: skip
    return placed_at


def _stands(lines: Sequence[str], line: int, wanted: str) -> bool:
    return 0 < line <= len(lines) and wanted in lines[line - 1]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig", errors="replace")
    except OSError:
        return ""
