"""opening connections, and turning libpq's failures into errors that say what to do"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from qb_engine import secrets
from qb_engine.database.sqlstates import explain
from qb_engine.errors import QbError, ServerError

if TYPE_CHECKING:
    from qb_engine.database.target import Target

Connection = psycopg.Connection[tuple[Any, ...]]

# What it finds strange about a lost connection is said by our own error; who logs still hears it.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

OLDEST = 15  # the oldest major version of PostgreSQL that qb was tried on
CONNECT_TIMEOUT_S = 10  # a host that does not answer is said within this


def connect(
    target: Target,
    *,
    autocommit: bool = True,
    application_name: str = "qb",
    dbname: str | None = None,
) -> Connection:
    """Open a connection to a target.

    Raise ServerError when that fails: which host, why, and what to look at.
    """
    settings: dict[str, Any] = {
        "application_name": application_name,
        "client_encoding": "UTF8",  # SQL is sent as UTF-8, whatever the database or PG* prefer
    }
    given = conninfo_to_dict(target.conninfo)
    if dbname:
        settings["dbname"] = dbname
    if "connect_timeout" not in given:
        settings["connect_timeout"] = CONNECT_TIMEOUT_S
    if not any(k.startswith("keepalives") or k == "tcp_user_timeout" for k in given):
        settings |= {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
    try:
        conn = psycopg.connect(
            make_conninfo(target.conninfo, **settings),
            autocommit=autocommit,
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        raise unreachable(target, error) from None
    secrets.remember(conn.info.password or None)
    if (version := conn.info.server_version) < OLDEST * 10_000:
        conn.close()
        raise too_old(target, version)
    if not (conn.info.parameter_status("DateStyle") or "ISO").startswith("ISO"):
        conn.execute("SET datestyle TO 'ISO'")  # psycopg reads no other form of a time
    return conn


def another(conninfo: str, password: str, *, application_name: str) -> Connection:
    """One more connection to where one of `connect` leads, by its parameters; autocommit."""
    given = make_conninfo(conninfo, application_name=application_name)
    return psycopg.connect(
        given, password=password or None, autocommit=True, prepare_threshold=None
    )


def too_old(target: Target, version: int) -> ServerError:
    """What is said of a server of an older version, as libpq numbers it (140011 is 14.11)."""
    return ServerError(
        f"PostgreSQL {version // 10_000} is older than what qb works with",
        where=target.display,
        why=f"the server is {version // 10_000}.{version % 10_000}; qb works with PostgreSQL "
        f"{OLDEST} and newer",
        todo="upgrade the server, or name another one",
        code="server-too-old",
    )


def unreachable(target: Target, error: psycopg.Error) -> ServerError:
    """What a failed connection means, in the words of libpq's message."""
    text = " ".join(str(error).split())
    todo, code = "see that the host, the port and the network are right", "cannot-connect"
    if "password authentication failed" in text:
        todo = "mend the password in the passfile, the service file or PGPASSWORD"
    elif "no password supplied" in text:
        todo = "give the password through the passfile, a service or PGPASSWORD"
    elif "does not exist" in text:
        todo = "create it, or name another one in the URL or alias"
    elif "definition of service" in text:
        todo = "add the service to ~/.pg_service.conf, or name another one"
    elif "unsupported startup parameter" in text:
        todo = (
            "leave options out of the URL (and out of PGOPTIONS), or let the pooler pass them: "
            "ignore_startup_parameters = options in pgbouncer.ini"
        )
    elif "Connection refused" in text or "No such file" in text:
        todo = "start the server, or mend host and port"
        if target.embedded:
            todo = "start it with: qb dev up"
    elif "too many" in text or "connection slots" in text:
        todo, code = "close idle sessions, or raise max_connections", "too-many-connections"
    raised = ServerError(
        f"cannot connect to {target.name}",
        where=target.display,
        why=text,
        todo=todo,
        code=code,
    )
    raised.needs_password = "no password supplied" in text  # type: ignore[attr-defined]
    return raised


@contextmanager
def server_errors(doing: str, target: Target | None = None) -> Iterator[None]:
    """Turn whatever psycopg raises inside into a ServerError that says what qb was doing."""
    try:
        yield
    except QbError:
        raise
    except psycopg.Error as error:
        raise server_error(doing, error, where=target.display if target else "") from error


def server_error(doing: str, error: psycopg.Error, *, where: str = "") -> ServerError:
    """A psycopg error as a ServerError, with the server's message, detail and hint."""
    diagnostic = error.diag
    why = diagnostic.message_primary or " ".join(str(error).split()) or type(error).__name__
    if diagnostic.message_detail:
        why += f"\n{diagnostic.message_detail}"
    meant = explain(error)
    todo = diagnostic.message_hint or meant.todo
    if lost(error):
        todo = "see that the server runs, then repeat the command"
    if "query_wait_timeout" in why:
        todo = "let the pooler give more sessions at once (default_pool_size), or connect directly"
    return ServerError(f"{doing} failed", where=where, why=why, todo=todo, code=meant.code)


def lost(error: BaseException) -> bool:
    """True when the connection itself is gone, so that nothing more can be said on it."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    state = error.sqlstate
    return state is None or state.startswith(("08", "57P"))
