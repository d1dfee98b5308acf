"""values and the places for them: PostgreSQL takes a statement only where the two agree"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qb_engine.migrations.typescript.values import Method, Query
from qb_engine.sql import Source, SqlError, Statement

_PLACE = re.compile(r"\$\d")
_WITH_PLACES = frozenset(
    ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CallStmt",
     "ExplainStmt", "DeclareCursorStmt", "CreateTableAsStmt")
)  # fmt: skip
_OWN_PLACES = ("CreateFunctionStmt", "PrepareStmt")  # `$1` is an argument of what they make
NEITHER = "so TypeORM could not run it either"


@dataclass(frozen=True, slots=True)
class Unbound:
    """Why PostgreSQL refuses a call for its values, and what to do."""

    what: str
    why: str
    todo: str


def unbound(query: Query) -> Unbound | None:
    """What is wrong with the values of a call; None when each has a place, and each place one.

    Of several statements with values, and of SQL that does not parse, others tell.
    """
    if not query.parameters and not _PLACE.search(query.sql):
        return None
    from qb_engine.sql.script import read_script

    script = read_script(query.sql)
    if script.problems:
        return None
    if not query.parameters:
        return next(filter(None, map(_without, script.statements)), None)
    return _of(script.statements[0], len(query.parameters)) if len(script.statements) == 1 else None


def refuse_unbound(method: Method, path: Path) -> None:
    """Raise SqlError at the first call of a method that PostgreSQL refuses for its values."""
    for query in method.queries:
        if wrong := unbound(query):
            where = str(Source(str(path), query.called))
            raise SqlError(wrong.what, where=where, why=wrong.why, todo=wrong.todo)


def _without(statement: Statement) -> Unbound | None:
    """Of a statement that is sent without values."""
    places = () if _kind(statement) in _OWN_PLACES else _places(statement)
    return _missing(places[0], 0, f"42P02: there is no parameter ${places[0]}") if places else None


def _of(statement: Statement, given: int) -> Unbound | None:
    if _kind(statement) not in _WITH_PLACES or _is_matview(statement):
        return Unbound(
            "values are given with a statement that takes none",
            "places for values are only in SELECT, INSERT, UPDATE, DELETE, MERGE, and in what "
            f"holds one of them; of others PostgreSQL knows none ({_supplied(given, ())}), "
            f"{NEITHER}",
            "write the values into the SQL",
        )
    places = _places(statement)
    if missing := [number for number in places if not 1 <= number <= given]:
        return _missing(missing[0], given, _supplied(given, places))
    if spare := [number for number in range(1, given + 1) if number not in places]:
        return Unbound(
            f"the statement has no place for the value of ${spare[0]}",
            f"PostgreSQL refuses that ({_supplied(given, places)}), {NEITHER}",
            "give as many values as the statement has places, which count from $1",
        )
    return None


def _missing(number: int, given: int, said: str) -> Unbound:
    return Unbound(
        f"there is no value for ${number}",
        f"{given or 'no'} {'values are' if given > 1 else 'value is'} given with this statement; "
        f"PostgreSQL refuses that ({said}), {NEITHER}",
        "give as many values as the statement has places",
    )


def _supplied(given: int, places: tuple[int, ...]) -> str:
    """What the server says: it looks at the places up to the last one, and then counts."""
    last = max(places, default=0)
    if gap := next((number for number in range(1, last) if number not in places), 0):
        return f"42P18: could not determine data type of parameter ${gap}"
    return (
        f"08P01: bind message supplies {given} parameters, but prepared statement requires {last}"
    )


def _kind(statement: Statement) -> str:
    return type(statement.node).__name__


def _places(statement: Statement) -> tuple[int, ...]:
    """The numbers of a statement's places, each once, in order."""
    from qb_engine.sql.tree import pb, walk

    found = (each for each in walk(statement.node) if isinstance(each, pb.ParamRef))
    return tuple(sorted({each.number for each in found}))


def _is_matview(statement: Statement) -> bool:
    """True for CREATE MATERIALIZED VIEW, which may not be defined with values."""
    from qb_engine.sql.tree import pb

    node = statement.node
    made = isinstance(node, pb.CreateTableAsStmt)
    return made and node.objtype == pb.ObjectType.OBJECT_MATVIEW
