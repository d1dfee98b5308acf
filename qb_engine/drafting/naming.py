"""TypeORM's names for the constraints and indexes that statements leave unnamed"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qb_engine.drafting.typeorm_names import Names
from qb_engine.schema import Snapshot
from qb_engine.sql import SqlError, Statement, ident, read_one
from qb_engine.sql.tokens import Token, tokens
from qb_engine.sql.tree import equal, only, pb, walk


@dataclass(frozen=True)
class Named:
    """Statements with names, and what has to be said of those that stay without."""

    statements: tuple[Statement, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Nameless:
    """A constraint or an index without a name: its node, and what would make its name."""

    node: Any
    table: str
    columns: tuple[str, ...]
    word: str  # the end of the name that PostgreSQL would give


_WORDS = {
    pb.CONSTR_PRIMARY: "pkey",
    pb.CONSTR_UNIQUE: "key",
    pb.CONSTR_FOREIGN: "fkey",
    pb.CONSTR_CHECK: "check",
    pb.CONSTR_EXCLUSION: "excl",
}


def named(
    statements: Sequence[Statement],
    schema: Snapshot,
    texts: Iterable[str] = (),
    names: Names | None = None,
) -> Named:
    """Give TypeORM's names to the constraints and indexes that have none.

    `texts` are other SQL that may speak of them, such as a way back. What some other statement
    calls by the name that PostgreSQL would give stays without one, as does an index over an
    expression, which no entity has, and what would have a name that is taken.
    """
    names = names or Names()
    related = _related(statements)
    taken = _taken(schema)
    said = [*(each.sql for each in statements), *texts]
    notes: list[str] = []
    found: list[Statement] = []
    for number, statement in enumerate(statements):
        others = "\n".join(text for at, text in enumerate(said) if at != number)
        given: list[tuple[_Nameless, str]] = []
        # read by itself, so that the places in its tree are places in its text
        for each in _nameless(read_one(statement.sql).node if statement.node else None):
            new = _name(each, statement.sql, related, names)
            if new and (spoken := _spoken(each, others)):
                notes.append(f"{spoken} keeps the name that PostgreSQL gives: the SQL speaks of it")
            elif new in taken and new not in others:
                notes.append(f"{new} is taken, so PostgreSQL names what is like it")
            elif new:
                taken.add(new)
                given.append((each, new))
        found.append(_with(statement, given) if given else statement)
    return Named(tuple(found), tuple(dict.fromkeys(notes)))


def _nameless(node: Any) -> Iterator[_Nameless]:
    if isinstance(node, pb.IndexStmt) and not node.idxname:
        columns = tuple(only(each).name for each in node.index_params)
        yield _Nameless(node, node.relation.relname, columns, "idx")
    elif isinstance(node, pb.CreateStmt):
        for element in map(only, node.table_elts):
            yield from _of_element(element, node.relation.relname)
    elif isinstance(node, pb.AlterTableStmt) and node.objtype == pb.OBJECT_TABLE:
        for command in map(only, node.cmds):
            if command.subtype in (pb.AT_AddColumn, pb.AT_AddConstraint):
                yield from _of_element(only(getattr(command, "def")), node.relation.relname)


def _of_element(element: Any, table: str) -> Iterator[_Nameless]:
    """Those of a column or a table constraint."""
    if isinstance(element, pb.ColumnDef):
        for each in map(only, element.constraints):
            if not each.conname and each.contype in _WORDS:
                yield _Nameless(each, table, (element.colname,), _WORDS[each.contype])
    elif isinstance(element, pb.Constraint) and element.contype in _WORDS:
        keys = element.fk_attrs if element.contype == pb.CONSTR_FOREIGN else element.keys
        columns = tuple(only(each).sval for each in keys)
        if not element.conname and not element.indexname:  # USING INDEX: it has the index's name
            yield _Nameless(element, table, columns, _WORDS[element.contype])


def _related(statements: Iterable[Statement]) -> set[tuple[str, frozenset[str]]]:
    """The columns of foreign keys that the statements add, named or not."""
    found = set()
    for statement in statements:
        table = getattr(getattr(statement.node, "relation", None), "relname", "")
        for element in walk(statement.node) if table else ():
            if isinstance(element, pb.ColumnDef):
                for each in map(only, element.constraints):
                    if each.contype == pb.CONSTR_FOREIGN:
                        found.add((table, frozenset({element.colname})))
            elif isinstance(element, pb.Constraint) and element.fk_attrs:
                found.add((table, frozenset(only(each).sval for each in element.fk_attrs)))
    return found


def _taken(schema: Snapshot) -> set[str]:
    return {
        name for table in schema.tables.values() for name in (*table.constraints, *table.indexes)
    }


def _spoken(found: _Nameless, text: str) -> str:
    """What a text calls by the name that PostgreSQL would give; empty when it does not."""
    # PostgreSQL cuts a long name somewhere behind its 28th byte
    table = re.escape(found.table) + "_" if len(found.table) <= 28 else re.escape(found.table[:28])
    said = re.search(rf"(?<!\w){table}\w*{found.word}\d*\b", text)
    return said[0] if said else ""


def _name(
    found: _Nameless, sql: str, related: set[tuple[str, frozenset[str]]], names: Names
) -> str:
    """TypeORM's name; empty where it has none."""
    table, columns, node = found.table, found.columns, found.node
    if isinstance(node, pb.IndexStmt):
        if not all(columns):
            return ""
        return names.index(
            table, columns, _where(node, sql) if node.HasField("where_clause") else ""
        )
    if node.contype == pb.CONSTR_PRIMARY:
        return names.primary_key(table, columns)
    if node.contype == pb.CONSTR_FOREIGN:
        return names.foreign_key(table, columns)
    if node.contype == pb.CONSTR_UNIQUE:
        one_to_one = (table, frozenset(columns)) in related
        return names.relation(table, columns) if one_to_one else names.unique(table, columns)
    said = _behind(sql, node.location)
    if node.contype == pb.CONSTR_CHECK:
        return names.check(table, said) if said else ""
    return names.exclusion(table, said) if said else ""


def _where(node: Any, sql: str) -> str:
    """The condition of an index as it is written."""
    raw = sql.encode()
    for each in reversed(tokens(sql)):
        if each.text.lower() == "where":
            text = raw[each.end :].decode().strip()
            try:
                condition = read_one(f"SELECT WHERE {text}").node.where_clause
            except SqlError:
                continue
            if equal(condition, node.where_clause):
                return text
    return ""


def _behind(sql: str, place: int) -> str:
    """What stands behind the CHECK or EXCLUDE at a place: up to where the constraint ends."""
    raw, words = sql.encode(), tokens(sql)
    at = next((i for i, each in enumerate(words) if each.begin == place), None)
    if at is None or at + 1 >= len(words):
        return ""
    if words[at].text.lower() == "check":
        end = _closing(words, at + 1)
        return raw[words[at + 1].end : words[end].begin].decode().strip() if end else ""
    depth, last = 0, at
    for i, each in enumerate(words[at + 1 :], at + 1):
        depth += {"(": 1, ")": -1}.get(each.text, 0)
        if depth < 0 or (depth == 0 and each.text in (",", ";")):
            break
        last = i
    return raw[words[at].end : words[last].end].decode().strip()


def _closing(words: Sequence[Token], at: int) -> int | None:
    """The parenthesis that closes the one at a place."""
    depth = 0
    for i, each in enumerate(words[at:], at):
        depth += {"(": 1, ")": -1}.get(each.text, 0)
        if not depth:
            return i if words[at].text == "(" else None
    return None


# -- writing the names into a statement ------------------------------------------------------------


def _with(statement: Statement, given: Sequence[tuple[_Nameless, str]]) -> Statement:
    """The statement with names, its text otherwise as it was."""
    edits: list[tuple[int, str]] = []
    for each, new in given:
        if isinstance(each.node, pb.IndexStmt):
            on = next(t.begin for t in tokens(statement.sql) if t.text.lower() == "on")
            edits.append((on, f"{ident(new)} "))
        else:
            edits.append((each.node.location, f"CONSTRAINT {ident(new)} "))
    raw = statement.sql.encode()
    for place, text in sorted(edits, reverse=True):
        raw = raw[:place] + text.encode() + raw[place:]
    found = read_one(raw.decode(), statement.source)
    # a name that was put elsewhere would change more than a name
    assert equal(_without(found.node), _without(statement.node)), found.sql
    return found


def _without(node: Any) -> Any:
    """A tree without the names of what was named."""
    copy = type(node)()
    copy.CopyFrom(node)
    for each in walk(copy):
        if isinstance(each, pb.Constraint):
            each.conname = ""
        elif isinstance(each, pb.IndexStmt):
            each.idxname = ""
    return copy
