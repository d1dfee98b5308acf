"""the statements that stand in the text of a block or a function of PL/pgSQL"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import postgast
else:
    from qb_engine.sql.parser import postgast

ENDLESS = ("PLpgSQL_stmt_loop", "PLpgSQL_stmt_while")  # they run until something is so
BRANCHES = (
    *ENDLESS, "PLpgSQL_stmt_if", "PLpgSQL_stmt_case", "PLpgSQL_exception_block",
    "PLpgSQL_stmt_fori", "PLpgSQL_stmt_fors", "PLpgSQL_stmt_foreach_a", "PLpgSQL_stmt_dynfors",
    "PLpgSQL_stmt_forc",
)  # fmt: skip
ENDS = ("PLpgSQL_stmt_commit", "PLpgSQL_stmt_rollback")
RUN = {"sqlstmt": "PLpgSQL_stmt_execsql", "query": "PLpgSQL_stmt_dynexecute"}
LITERAL = re.compile(r"(?s)^\s*'((?:[^']|'')*)'\s*$")
# for a text that the parser cannot read, because it names types of the schema, say
COMMENTS = re.compile(r"(?s)--[^\n]*|/\*.*?\*/")
STARTS = re.compile(
    r"(?is)\b(?:alter|create|drop|insert|update|delete|merge|truncate|reindex|cluster|vacuum"
    r"|refresh)\s[^;]*"
)
FORKS = re.compile(r"(?i)\b(?:if|case|loop|exception)\b")
UNTIL = re.compile(r"(?is)(?:;|\bbegin|\bthen|\bwhile\b[^;]*?)\s*\bloop\b")
COMMITS = re.compile(r"(?i)\bcommit\s*;")
HEAD = re.compile(r"(?is)^\s*(?:do\b|create\b.*?\bas)\s*(?:language\s+\S+\s*)?['$]")
OTHER = re.compile(r"(?i)\blanguage\s+(?!'?plpgsql)\w+")


@dataclass(frozen=True, slots=True)
class Inner:
    """A statement in the text of a block.

    `repeated` says that a loop runs it until something is so. A `composed` one is an expression
    that gives the statement.
    """

    sql: str
    repeated: bool = False
    composed: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """What a block may do: its statements, and what it computes besides.

    `forks` says that not all of it need run, `commits` that it ends transactions. `whole` is false
    where only its words could be looked at.
    """

    inner: tuple[Inner, ...] = ()
    read: tuple[str, ...] = ()
    forks: bool = False
    commits: bool = False
    whole: bool = True


def body(sql: str) -> Body:
    """What stands in a DO block or in a CREATE FUNCTION."""
    try:
        found = postgast.parse_plpgsql(sql)
    except (postgast.PgQueryError, ValueError):  # the parser's JSON is broken for some
        return _by_words(sql)
    inner: list[Inner] = []
    read: list[str] = []
    marks: list[str] = []
    for function in found:
        action = function.get("PLpgSQL_function", {}).get("action")
        for kind, what in _walk(action, Inner("")):
            if isinstance(what, Inner):
                inner.append(what)
            elif kind:
                marks.append(kind)
            else:
                read.append(what)
    forks = any(mark in BRANCHES for mark in marks)
    return Body(tuple(inner), tuple(read), forks, any(mark in ENDS for mark in marks))


def _walk(
    node: Any, around: Inner, kind: str = "", role: str = ""
) -> Iterator[tuple[str, Inner | str]]:
    """Statements, expressions (without a kind), branches and ends of transactions, by kind."""
    if isinstance(node, list):
        for each in node:
            yield from _walk(each, around, kind)
        return
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        inside = replace(around, repeated=around.repeated or key in ENDLESS)
        if key in ENDS or key in BRANCHES:
            yield key, ""
        if key != "PLpgSQL_expr":
            of_a_kind = key.startswith("PLpgSQL_")
            yield from _walk(value, inside, key if of_a_kind else kind, "" if of_a_kind else key)
        elif RUN.get(role) == kind:
            text = str(value.get("query", ""))
            said = LITERAL.match(text) if role == "query" else None
            sql = said[1].replace("''", "'") if said else text
            yield kind, replace(around, sql=sql, composed=role == "query" and said is None)
        else:
            yield "", str(value.get("query", ""))


def _by_words(sql: str) -> Body:
    if OTHER.search(sql):
        return Body()
    text = HEAD.sub(" ", COMMENTS.sub(" ", sql), count=1)
    repeated = bool(UNTIL.search(text))
    inner = tuple(Inner(each.strip(), repeated) for each in STARTS.findall(text))
    return Body(inner, (), bool(FORKS.search(text)), bool(COMMITS.search(text)), whole=False)
