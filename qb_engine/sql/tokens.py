"""where the words of a statement stand in its text"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import postgast
    from postgast import pg_query_pb2 as pb
else:
    from qb_engine.sql.parser import pb, postgast

_COMMENTS = ("SQL_COMMENT", "C_COMMENT")


class Token(NamedTuple):
    """A word or sign, and where it stands: in bytes, as the grammar counts, as a tree has it."""

    text: str
    begin: int
    end: int


def tokens(sql: str) -> list[Token]:
    """The words and signs of a text, comments left out."""
    raw = sql.encode()
    return [
        Token(raw[each.start : each.end].decode(), each.start, each.end)
        for each in postgast.scan(sql).tokens
        if pb.Token.Name(each.token) not in _COMMENTS
    ]
