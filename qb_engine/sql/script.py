"""reading a file of SQL as it is: with BEGIN and COMMIT of its own, and past what does not parse"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import postgast
from postgast import pg_query_pb2 as pb

from qb_engine.sql.statement import Source, SqlError, Statement, _blank_length, read_one

_META = re.compile(r"(?m)^[ \t]*\\[^\n]*$")
_COPIED = re.compile(r"(?mis)^([ \t]*COPY\b[^;]*?\bFROM\s+STDIN\b[^;]*;)[^\n]*\n.*?^\\\.[ \t]*$")


@dataclass(frozen=True, slots=True)
class Script:
    """The statements of a file in order, BEGIN and COMMIT among them.

    What the grammar cannot read is a statement without `node`, and an error in `problems`, by its
    place in `statements`: a server may know more than the grammar.
    """

    statements: tuple[Statement, ...]
    problems: dict[int, SqlError]


def read_script(text: str, source: Source | None = None) -> Script:
    """Read a file of SQL; psql's own commands and the data behind COPY are left out."""
    source = source or Source()
    blank = _COPIED.sub(lambda m: _blank(m[0], m[1]), text)
    blank = _META.sub(lambda m: _blank(m[0]), blank)
    statements: list[Statement] = []
    problems: dict[int, SqlError] = {}
    for start, piece in _pieces(blank):
        place = Source(source.file, source.line + text.count("\n", 0, start))
        try:
            statements.append(_one(piece, place))
        except SqlError as error:
            problems[len(statements)] = error
            statements.append(Statement(piece, place))
    return Script(tuple(statements), problems)


def transaction_word(statement: Statement) -> str:
    """`begin`, `commit`, `rollback` or `savepoint` for transaction control; else empty."""
    kinds = pb.TransactionStmtKind
    if not isinstance(statement.node, pb.TransactionStmt):
        return ""
    words = {
        kinds.TRANS_STMT_BEGIN: "begin",
        kinds.TRANS_STMT_START: "begin",
        kinds.TRANS_STMT_COMMIT: "commit",
        kinds.TRANS_STMT_ROLLBACK: "rollback",
        kinds.TRANS_STMT_SAVEPOINT: "savepoint",
        kinds.TRANS_STMT_RELEASE: "savepoint",
        kinds.TRANS_STMT_ROLLBACK_TO: "savepoint",
    }
    return words.get(statement.node.kind, "")


def _one(piece: str, place: Source) -> Statement:
    try:
        tree = postgast.parse(piece)
    except postgast.PgQueryError:
        return read_one(piece, place)  # words the error, with the line
    item = tree.stmts[0].stmt
    return Statement(piece, place, getattr(item, item.WhichOneof("node")))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Each statement with the character where it starts, found by the scanner alone."""
    at = 0
    try:
        parts = postgast.split(text, method="scanner")
    except postgast.PgQueryError:
        parts = [text]  # an open quote, say: nobody knows where it ends
    for part in parts:
        start = text.index(part, at)
        at = start + len(part)
        start += _blank_length(part)
        piece = text[start:at].rstrip().rstrip(";").rstrip()
        if piece:
            yield start, piece


def _blank(text: str, kept: str = "") -> str:
    """White space of the same length and lines, so that what follows keeps its place."""
    return kept + re.sub(r"[^\n]", " ", text[len(kept) :])
