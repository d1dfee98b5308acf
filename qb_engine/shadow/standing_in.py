"""what is tried instead of a statement that a scratch server cannot run as it stands"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.sql import deparse, ident

if TYPE_CHECKING:
    from qb_engine.sql import Statement

# that a library, a language or a wrapper is not there
ABSENT = (
    psycopg.errors.UndefinedObject,
    psycopg.errors.UndefinedFile,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidParameterValue,
)
_WRAPPER = re.compile(r'foreign-data wrapper "(.+)" does not exist')
_OUT = (2, 3, 5)  # OUT, INOUT and TABLE parameters, as the parser numbers them
LANGUAGE = "HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler"


def instead(statement: Statement, error: psycopg.Error) -> str:
    """SQL that makes something of the same name and shape, for the admin; "" when there is none."""
    if not isinstance(error, ABSENT):
        return ""
    if statement.kind == "create_function":
        return function(statement.node)
    if statement.kind == "create_fdw":
        return wrapper(statement.node.fdwname)
    if statement.kind == "create_language":
        return language(statement.node.plname)
    if statement.kind == "create_foreign_server" and (
        found := _WRAPPER.search(error.diag.message_primary or "")
    ):
        return f"{wrapper(found[1])}; {statement.sql}"
    return ""


def wrapper(name: str) -> str:
    """A foreign data wrapper that reaches nothing."""
    return (
        f"CREATE FOREIGN DATA WRAPPER {ident(name)};"
        f" GRANT USAGE ON FOREIGN DATA WRAPPER {ident(name)} TO PUBLIC"
    )


def language(name: str) -> str:
    """A language whose functions can be made, though not run."""
    return f"CREATE TRUSTED LANGUAGE {ident(name)} {LANGUAGE}"


def function(node: Any) -> str:
    """The same function in PL/pgSQL, returning nothing."""
    copy = type(node)()
    copy.CopyFrom(node)
    for option in copy.options:
        name, argument = option.def_elem.defname, option.def_elem.arg
        if name == "language":
            argument.string.sval = "plpgsql"
        elif name == "as":
            body = argument.list.items[0]
            del argument.list.items[1:]
            body.string.sval = nothing(_returns(node), node.return_type.setof)
    return deparse(copy)


def nothing(returns: str, set_of: bool) -> str:
    """A body in PL/pgSQL that does nothing and returns as little as the type allows."""
    if set_of or returns in ("", "void", "event_trigger"):
        return "BEGIN RETURN; END"
    if returns == "trigger":
        return "BEGIN RETURN coalesce(NEW, OLD); END"
    return "BEGIN RETURN NULL; END"


def _returns(node: Any) -> str:
    """The name of a function's type; "" where its parameters are its result."""
    if any(p.function_parameter.mode in _OUT for p in node.parameters) or not node.HasField(
        "return_type"
    ):
        return ""
    return str(node.return_type.names[-1].string.sval)
