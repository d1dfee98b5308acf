"""the statement of a backfill, read: where its range goes, and that nothing runs outside of it"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qb_engine.errors import InputError
from qb_engine.sql import ident, qualified, read_one

PLACEHOLDER = "{batch}"
STAND_IN = "_batch_"  # as long as the placeholder, so that places in the text stay the same

Verb = Literal["update", "delete", "insert"]

# A name as it stands in a text, with what it is qualified by.
_PART = r'(?:(?:[Uu]&)?"(?:[^"]|"")*"|[^\W\d][\w$]*)'
_NAME = re.compile(rf"{_PART}(?:\s*\.\s*{_PART})*")

_MUST = (
    f"{PLACEHOLDER} becomes the range of keys of a batch. Only where it is AND-ed to the WHERE of "
    "what reads the walked table is each row in one batch, and no batch larger than it may be"
)
_FORMS = (
    "UPDATE t SET a = b WHERE {batch}",
    "DELETE FROM t WHERE {batch} AND ...",
    "INSERT INTO u SELECT ... FROM t WHERE {batch}",
)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A statement that goes over the rows of a range, and no others.

    `walked` is what the table that is walked is called in it, `alone` says that its columns need
    no qualifier, `writes` that these are the rows that the statement writes, `heirs` that it means
    tables that inherit from it, too (it does not say ONLY), `grows` that it inserts into it. `sets`
    are the columns of the walked table that it writes.
    """

    text: str
    verb: Verb
    walked: str
    alone: bool
    writes: bool
    name: str
    aliased: bool
    heirs: bool
    table_at: tuple[int, int]
    range_at: int
    sets: tuple[str, ...] = ()
    grows: bool = False

    def filled(
        self, condition: str, schema: str = "", table: str = "", *, only: bool = False
    ) -> str:
        """The statement over the rows of `condition`; of that table or partition, if named.

        With `only` the tables that inherit from it are left out.
        """
        # the line break ends a comment at the end of the condition
        edits = [(self.range_at, self.range_at + len(PLACEHOLDER), f"({_ended(condition)})")]
        if table:
            called = qualified(schema or None, table)
            if not self.aliased and table != self.name:
                called += f" AS {ident(self.walked)}"
            if only and self.heirs:
                called = f"ONLY {called}"
            edits.append((*self.table_at, called))
        text = self.text
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text


@dataclass(frozen=True, slots=True)
class _Piece:
    """The main statement, or one of its WITH queries: what it reads, and under which conditions.

    `body` is what has the WHERE: an INSERT's is its SELECT.
    """

    name: str
    node: Any
    body: Any
    target: Any
    sources: tuple[Any, ...]
    conditions: tuple[int, ...]  # where those stand that are AND-ed and may be the placeholder
    alone: bool

    def reads(self, ctes: set[str]) -> bool:
        return any(not s.schemaname and s.relname in ctes for s in self.sources)


def bounded(text: str, table: str, where: str = "sql in backfill.py") -> Bounded:
    """Read a statement with `{batch}`, which walks over `table`.

    Raise InputError when it is not one UPDATE, DELETE or INSERT ... SELECT that is bounded by the
    range: `{batch}` is AND-ed to the WHERE of what reads the walked table, once, and whatever else
    the statement writes is read from there.
    """
    text = text.strip(" \t\r\n;")
    refused = _Refusal(table, where)
    places = {len(text[: m.start()].encode()) for m in re.finditer(re.escape(PLACEHOLDER), text)}
    if not places:
        raise refused(f"it has no {PLACEHOLDER}", "each batch would run over the whole table")
    main = _parsed(text, where)
    if type(main).__name__ not in _VERBS:
        raise refused(
            f"it is a {type(main).__name__.removesuffix('Stmt').upper()}",
            "only UPDATE, DELETE and INSERT ... SELECT do something to the rows of a range",
        )
    marker = _marker(main, places, refused)
    pieces = _pieces(main)
    holder = next((p for p in pieces if marker in p.conditions), None)
    if holder is None:
        raise refused(f"{PLACEHOLDER} stands {_standing(main, marker)}", _MUST)
    walked = _walked(holder, {p.name for p in pieces}, refused)
    _check(pieces, holder, refused)
    start = len(text.encode()[: walked.location].decode())
    name = _NAME.match(text, start)
    if name is None:
        raise refused("the name of the walked table in it cannot be read", "")
    found = Bounded(
        text,
        _VERBS[type(main).__name__],
        walked.alias.aliasname or walked.relname,
        len(pieces) == 1 and holder.alone,
        holder is pieces[0] and holder.target is not None and holder.target == walked,
        walked.relname,
        bool(walked.alias.aliasname),
        bool(walked.inh),
        (start, name.end()),
        len(text.encode()[:marker].decode()),
        _sets(holder, walked),
        any(_grows(piece.node, table) for piece in pieces),
    )
    _parsed(found.filled("true", "qb", "part"), where)
    return found


_VERBS: dict[str, Verb] = {"UpdateStmt": "update", "DeleteStmt": "delete", "InsertStmt": "insert"}


def _sets(holder: _Piece, walked: Any) -> tuple[str, ...]:
    """The columns that an UPDATE of the walked table sets."""
    if holder.target is None or holder.target != walked or _verb(holder.node) != "update":
        return ()
    return tuple(dict.fromkeys(target.res_target.name for target in holder.node.target_list))


def _grows(node: Any, table: str) -> bool:
    return _verb(node) == "insert" and _is(node.relation, tuple(_names(table)))


def _verb(node: Any) -> Verb | None:
    return _VERBS.get(type(node).__name__)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Words an InputError about a statement."""

    table: str
    where: str

    def __call__(self, what: str, why: str, todo: str = "") -> InputError:
        return InputError(
            f"the statement of the backfill of {self.table} is not bounded by its batch: {what}",
            where=self.where,
            why=why,
            todo=todo or "write it as one of: " + "; ".join(_FORMS),
            code="bad-backfill",
        )


def _ended(condition: str) -> str:
    return condition + "\n" if "--" in condition else condition


def _parsed(text: str, where: str) -> Any:
    try:
        return read_one(text.replace(PLACEHOLDER, STAND_IN)).node
    except InputError as error:
        error.where = where
        error.why = error.why.replace(STAND_IN, PLACEHOLDER)
        raise


def _marker(main: Any, places: set[int], refused: _Refusal) -> int:
    """Where the placeholder stands; others may stand in comments and texts."""
    from qb_engine.sql.tree import pb, walk

    found = [n for n in walk(main) if isinstance(n, pb.ColumnRef) and n.location in places]
    if not found:
        raise refused(f"{PLACEHOLDER} stands in a text, a name or a comment", _MUST)
    if len(found) > 1:
        raise refused(f"it has {PLACEHOLDER} {len(found)} times", _MUST)
    return int(found[0].location)


def _pieces(main: Any) -> list[_Piece]:
    """The main statement first, then those in its WITH."""
    from qb_engine.sql.tree import only

    first = _piece("", main)
    found = [first]
    for statement in (main, first.body if first.body is not main else None):
        if statement is not None and statement.DESCRIPTOR.fields_by_name.get("with_clause"):
            for cte in statement.with_clause.ctes:
                query = only(cte).ctequery
                found.append(_piece(only(cte).ctename, only(query)))
    return found


def _piece(name: str, node: Any) -> _Piece:
    from qb_engine.sql.tree import pb

    body, target = node, None
    sources: Sequence[Any] = ()
    if isinstance(node, pb.InsertStmt):
        body = node.select_stmt.select_stmt if node.HasField("select_stmt") else node
    if isinstance(node, pb.UpdateStmt | pb.DeleteStmt):
        target = node.relation
        sources = node.using_clause if isinstance(node, pb.DeleteStmt) else node.from_clause
    elif isinstance(body, pb.SelectStmt) and body.op == pb.SETOP_NONE:
        sources = body.from_clause
    where = getattr(body, "where_clause", None) if sources or target is not None else None
    conditions = tuple(_conjuncts(where)) if where is not None else ()
    several = len(sources) + (target is not None) > 1 or any(
        s.HasField("join_expr") for s in sources
    )
    return _Piece(
        name, node, body, target, tuple(_relations(sources)), conditions, alone=not several
    )


def _conjuncts(node: Any) -> Iterator[int]:
    """Where names stand that are AND-ed in a condition by themselves."""
    from qb_engine.sql.tree import only, pb

    inner = only(node)
    if isinstance(inner, pb.BoolExpr) and inner.boolop == pb.AND_EXPR:
        for each in inner.args:
            yield from _conjuncts(each)
    elif isinstance(inner, pb.ColumnRef):  # nothing else can be the placeholder
        yield inner.location


def _relations(nodes: Sequence[Any]) -> Iterator[Any]:
    """The tables of a FROM, through its joins."""
    from qb_engine.sql.tree import only, pb

    for node in nodes:
        inner = only(node)
        if isinstance(inner, pb.JoinExpr):
            yield from _relations([inner.larg, inner.rarg])
        elif isinstance(inner, pb.RangeVar):
            yield inner


def _walked(holder: _Piece, ctes: set[str], refused: _Refusal) -> Any:
    """The walked table among what the statement with the placeholder is about."""
    names = tuple(_names(refused.table))
    if holder.target is not None and _is(holder.target, names):
        return holder.target
    found = [
        source
        for source in holder.sources
        if _is(source, names) and (source.schemaname or source.relname not in ctes)
    ]
    if len(found) == 1:
        return found[0]
    raise refused(
        f"it reads {refused.table} {'more than once' if found else 'nowhere'} "
        f"where {PLACEHOLDER} stands",
        "the range is one of keys of `table`, the table that is walked",
        "read it there once, and the other time in a sub-select"
        if found
        else "name in `table` the table whose rows are gone through",
    )


def _is(relation: Any, names: Sequence[tuple[str, str]]) -> bool:
    return any(
        name == relation.relname and (not schema or relation.schemaname in ("", schema))
        for schema, name in names
    )


def _names(text: str) -> Iterator[tuple[str, str]]:
    """What the name of a table may mean: bare, schema and name, as SQL writes it."""
    yield "", text
    schema, dot, name = text.partition(".")
    if dot and name:
        yield schema, name
    if _NAME.fullmatch(text):
        try:
            relation = read_one(f"SELECT FROM {text}").node.from_clause[0].range_var
        except InputError:
            return  # a word that SQL keeps: it was meant as it stands
        yield relation.schemaname, relation.relname


def _check(pieces: Sequence[_Piece], holder: _Piece, refused: _Refusal) -> None:
    """Refuse what is written beside the bounded part, and what leaves rows of the range out."""
    known = {holder.name} - {""}
    while more := {p.name for p in pieces if p.name and p.reads(known)} - known:
        known |= more
    for piece in pieces:
        changes = type(piece.node).__name__ != "SelectStmt"
        if changes and piece is not holder and not piece.reads(known):
            what = f"the WITH query {piece.name}" if piece.name else "the main statement"
            raise refused(
                f"{what} writes rows of its own",
                f"it has no {PLACEHOLDER}, and does not read from what has it",
                f"have it read from the part with {PLACEHOLDER}, or leave it out",
            )
        if piece.reads(known) or piece is holder:
            _whole(piece, refused)
    main = pieces[0].node
    if main.HasField("returning_clause"):
        raise refused("it has RETURNING", "nobody reads what it returns", "leave it out")


def _whole(piece: _Piece, refused: _Refusal) -> None:
    if any(getattr(piece.body, n, None) and piece.body.HasField(n) for n in _LIMITS):
        raise refused(
            "it has LIMIT or OFFSET",
            "rows of the range would be left out, and never be come back to",
            "leave it out: batch_size says how many rows a batch may have",
        )


_LIMITS = ("limit_count", "limit_offset")


def _standing(main: Any, marker: int) -> str:
    """Where the placeholder stands when it bounds nothing, in words."""
    words = "in a place that bounds nothing"
    for node in _around(main, marker):
        kind = type(node).__name__
        if kind == "SubLink" or kind == "RangeSubselect":
            return "in a sub-select"
        if kind == "BoolExpr":
            words = {2: "under OR", 3: "under NOT"}.get(node.boolop, words)
        elif kind == "JoinExpr":
            words = "in the ON of a join"
        elif kind == "ResTarget":
            words = "among the values"
        elif kind in ("A_Expr", "FuncCall", "CaseExpr", "NullTest", "BooleanTest", "TypeCast"):
            words = "inside an expression"
        elif kind == "SelectStmt" and node.op > 1:
            return "in one part of a UNION, INTERSECT or EXCEPT"
    return words


def _around(node: Any, marker: int) -> Iterator[Any]:
    """The messages around the placeholder, the outermost first."""
    from qb_engine.sql.tree import pb, walk

    for each in walk(node):
        if any(isinstance(n, pb.ColumnRef) and n.location == marker for n in walk(each)):
            yield each
