"""what the server said about a statement, and the line of the file that it points at"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qb_engine.sql import Source
from qb_engine.sql.marking import WIDTH, marked

if TYPE_CHECKING:
    from psycopg import Error
    from psycopg.errors import Diagnostic

    from qb_engine.sql import Statement

CONTEXT_LINES = 8  # deep recursion has thousands

# the line of a DO block in a CONTEXT; the words around the name depend on lc_messages
_IN_BLOCK = re.compile(r"\binline_code_block\b\D+(\d+)")
_BODY = re.compile(r"\$\w*\$|'")
_SELECT = re.compile(r"(?i)select\b")


def told(statement: Statement, error: Error, *, ahead: int = 0) -> list[str]:
    """What the server said, line by line: message, detail, hint, context, the place in the file.

    `ahead` counts the characters that were sent before the statement (EXPLAIN and its options).
    """
    said = error.diag
    found = [f"{said.severity or 'ERROR'}: {said.message_primary or ' '.join(str(error).split())}"]
    if said.message_detail:
        found.append(f"DETAIL: {said.message_detail}")
    if said.message_hint:
        found.append(f"HINT: {said.message_hint}")
    if said.context:
        lines = [_short(line) for line in said.context.splitlines()]
        more = [f"... {len(lines) - CONTEXT_LINES} more lines"] if lines[CONTEXT_LINES:] else []
        found += ["CONTEXT: " + "\n".join(lines[:CONTEXT_LINES] + more)]
    return found + drawn(statement, said, ahead=ahead)


def drawn(statement: Statement, said: Diagnostic, *, ahead: int = 0) -> list[str]:
    """The line that the server points at, with a caret below; empty when it points at none.

    Errors inside a DO block point at the line of its body; errors inside another function show the
    function's query.
    """
    if said.statement_position:
        return _in_file(statement, int(said.statement_position) - 1 - ahead)
    return _in_body(statement, said)


def _in_body(statement: Statement, said: Diagnostic) -> list[str]:
    """The place of an error that a function or a DO block met while it ran."""
    context = said.context or ""
    block = _IN_BLOCK.search(context)
    at = _start_of_line(statement.sql, int(block[1])) if block else None
    query, position = said.internal_query, int(said.internal_position or 0) - 1
    if query and position >= 0:
        innermost = block is not None and "\n" not in context[: block.start()].strip()
        if innermost and at is not None:
            found = _find(statement.sql, query, at)
            if found is not None:
                return _in_file(statement, found + position)
        lines = marked("query: ", query, position)
        return lines + (_in_file(statement, at) if at is not None else [])
    return _in_file(statement, at) if at is not None else []


def _find(sql: str, query: str, start: int) -> int | None:
    """Where a query stands in a body, from a line on; PERFORM reaches the server as SELECT."""
    if (found := sql.find(query, start)) >= 0:
        return found
    if select := _SELECT.match(query):
        rest = query[select.end() :]
        if (found := sql.find(rest, start)) >= 0:
            return found - select.end()
    return None


def _start_of_line(sql: str, line: int) -> int | None:
    """Where a line of a DO block's body begins, its blanks left out; None when it has no body."""
    body = _BODY.search(sql)
    if body is None:
        return None
    at = body.end()
    for _ in range(line - 1):
        at = sql.find("\n", at) + 1
        if not at:
            return None
    rest = sql[at:]
    return at + len(rest) - len(rest.lstrip(" \t"))


def _in_file(statement: Statement, at: int) -> list[str]:
    if at < 0:
        return []
    at = min(at, len(statement.sql))
    line = statement.source.line + statement.sql.count("\n", 0, at)
    return marked(f"{Source(statement.source.file, line)}: ", statement.sql, at)


def _short(line: str) -> str:
    return line if len(line) <= 2 * WIDTH else line[: 2 * WIDTH - 3] + "..."
