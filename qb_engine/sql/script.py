"""reading a file of SQL as it is: with BEGIN and COMMIT of its own, and past what does not parse"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import postgast
from postgast import pg_query_pb2 as pb

from qb_engine.sql.statement import Source, SqlError, Statement, _split, read_one

_META = re.compile(r"(?m)^[ \t]*\\[^\n]*$")
_COPIED = re.compile(r"(?mis)^([ \t]*COPY\b[^;]*?\bFROM\s+STDIN\b[^;]*;)[^\n]*\n.*?^\\\.[ \t]*$")

TRIES = 200  # statements that may stand behind a quote that is left open


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
    try:
        return Script(_split(blank, source), {})
    except SqlError:
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
    scanned, tokens = _tokens(text)
    raw = text.encode()
    start, depth, body = -1, 0, 0  # body: how deep in BEGIN ATOMIC ... END
    rule = False  # only a rule may have several commands in parentheses
    before = 0
    for token in tokens:
        if token.token in (pb.SQL_COMMENT, pb.C_COMMENT):
            continue
        if token.token == pb.ASCII_59 and not (body or (rule and depth > 0)):
            if start >= 0:
                yield _characters(raw, start), raw[start : token.start].decode().rstrip()
            start, depth, rule = -1, 0, False
        else:
            start = token.start if start < 0 else start
            rule = rule or token.token == pb.RULE
            depth += (token.token == pb.ASCII_40) - (token.token == pb.ASCII_41)
            if (token.token == pb.ATOMIC and before == pb.BEGIN_P) or (body and _opens(token)):
                body += 1
            elif body and token.token == pb.END_P:
                body -= 1
        before = token.token
    if start < 0 and scanned < len(text):
        start = len(text[:scanned].encode())
        start += len(raw[start:]) - len(raw[start:].lstrip())
    if 0 <= start < len(raw) and (piece := raw[start:].decode().rstrip()):
        yield _characters(raw, start), piece


def _tokens(text: str) -> tuple[int, Sequence[Any]]:
    """The tokens of a text, as far as it can be scanned, and how many characters that is.

    Nobody knows where a quote ends that is left open: what follows it is one piece.
    """
    end = len(text)
    for _ in range(TRIES):
        try:
            return end, postgast.scan(text[:end]).tokens
        except postgast.PgQueryError:
            end = text.rfind(";", 0, max(end - 1, 0)) + 1
            if not end:
                break
    return 0, ()


def _opens(token: Any) -> bool:
    return bool(token.token == pb.CASE)


def _characters(raw: bytes, at: int) -> int:
    return len(raw[:at].decode())


def _blank(text: str, kept: str = "") -> str:
    """White space of the same length and lines, so that what follows keeps its place."""
    return kept + re.sub(r"[^\n]", " ", text[len(kept) :])
