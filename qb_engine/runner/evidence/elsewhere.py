"""what has a name in a catalog and is there or not: databases, subscriptions, enum values, ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qb_engine.runner.evidence.kind import Found, Kind, Note
from qb_engine.sql import Statement, qualified
from qb_engine.sql.tree import pb, relation

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# each says with one row that it is there, whole
DATABASE = "SELECT datconnlimit <> -2 FROM pg_catalog.pg_database WHERE datname = %s"
TABLESPACE = "SELECT true FROM pg_catalog.pg_tablespace WHERE spcname = %s"
SUBSCRIPTION = """
SELECT true FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
 WHERE s.subname = %s AND d.datname = pg_catalog.current_database()
"""
PREPARED = "SELECT true FROM pg_catalog.pg_prepared_xacts WHERE gid = %s"
LABEL = """
SELECT true FROM pg_catalog.pg_enum
 WHERE enumtypid = pg_catalog.to_regtype(%s) AND enumlabel = %s
"""

Words = Callable[[Any], tuple[str, list[str]]]
"""What a statement's node is about: in words, and as the query's parameters."""


def _there(conn: Connection, query: str, given: list[str]) -> str:
    """`whole`, `half` (its removal was begun) or empty."""
    row = conn.execute(query.encode(), given).fetchone()
    return "" if row is None else "whole" if row[0] else "half"


def _kind(node: str, query: str, words: Words, *, makes: bool) -> Kind:
    """Statements that make, or remove, one thing that a query finds."""

    def before(conn: Connection, statement: Statement) -> Note:
        return {"there": _there(conn, query, words(statement.node)[1])}

    def now(conn: Connection, statement: Statement, noted: Note) -> Found:
        what, given = words(statement.node)
        there = _there(conn, query, given)
        state = {"": "not there", "whole": "there", "half": "there, and half removed"}[there]
        if there == noted["there"] and (bool(there) is makes):
            how = "was there before" if makes else "was not there before"
            return Found("repeatable", f"{what} {how}")
        done = there == "whole" if makes else not there
        return Found("finished" if done else "unfinished", f"{what} is {state}")

    return Kind(lambda statement: statement.kind == node, before, now)


def _named(word: str, field: str) -> Words:
    return lambda node: (f"{word} {getattr(node, field)}", [getattr(node, field)])


def _label(node: Any) -> tuple[str, list[str]]:
    schema, name = relation(node.type_name)
    type_name = qualified(schema, name)
    return f"the value {node.new_val} of {type_name}", [type_name, node.new_val]


def _ends_prepared(statement: Statement) -> bool:
    kinds = (
        pb.TransactionStmtKind.TRANS_STMT_COMMIT_PREPARED,
        pb.TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED,
    )
    return statement.kind == "transaction" and statement.node.kind in kinds


_PREPARED = _kind("transaction", PREPARED, _named("the prepared transaction", "gid"), makes=False)

KINDS = (
    _kind("createdb", DATABASE, _named("the database", "dbname"), makes=True),
    _kind("dropdb", DATABASE, _named("the database", "dbname"), makes=False),
    _kind("create_table_space", TABLESPACE, _named("the tablespace", "tablespacename"), makes=True),
    _kind("drop_table_space", TABLESPACE, _named("the tablespace", "tablespacename"), makes=False),
    _kind("create_subscription", SUBSCRIPTION, _named("the subscription", "subname"), makes=True),
    _kind("drop_subscription", SUBSCRIPTION, _named("the subscription", "subname"), makes=False),
    _kind("alter_enum", LABEL, _label, makes=True),
    Kind(_ends_prepared, _PREPARED.before, _PREPARED.now),
)
