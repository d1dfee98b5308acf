"""a target's schema as SQL, by pg_dump, and loading it elsewhere"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from qb_engine.errors import ServerError
from qb_engine.sql import SqlError, ident, read

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target

DUMP_S = 600  # pg_dump of a schema that takes longer than this waits for a lock

# pg_dump 17 and later guard their output with psql commands
_GUARD = re.compile(r"(?m)^\\(?:un)?restrict .*$")
# settings that only newer servers know
_SETTING = re.compile(r"(?m)^SET (?:transaction_timeout) = .*$")
_ROLE = re.compile(r'role "(.+)" does not exist')


@dataclass(frozen=True, slots=True)
class Dump:
    """The DDL of a whole schema, without owners, privileges and rows."""

    sql: str


def dump(target: Target) -> Dump:
    """Read the schema of a target with the embedded server's own pg_dump (schema qb left out).

    Takes ACCESS SHARE on every table for the moment. Raise ServerError with pg_dump's words.
    """
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    from qb_engine.database.embedded import pg_binary

    part = conninfo_to_dict(target.conninfo)
    environment = dict(os.environ)
    if password := part.pop("password", None):
        environment["PGPASSWORD"] = str(password)  # never on a command line, where all may read it
    command = [
        str(pg_binary("pg_dump")), "--schema-only", "--no-owner", "--no-privileges",
        "--exclude-schema=qb", "--lock-wait-timeout=10s",
        "--dbname", make_conninfo("", **part) or "dbname=" + os.environ.get("PGDATABASE", ""),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=DUMP_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ServerError(
            "reading the target's schema took too long",
            where=target.display,
            why=f"pg_dump did not end within {DUMP_S} s",
            todo="see who holds locks on the catalog",
            code="no-shadow",
        ) from None
    if done.returncode:
        raise ServerError(
            "reading the target's schema failed",
            where=target.display,
            why=done.stderr.strip(),
            todo="the role must be allowed to read the tables' definitions",
            code="no-shadow",
        )
    return Dump(_SETTING.sub("", _GUARD.sub("", done.stdout)))


def load(conn: Connection, ddl: str) -> tuple[str, ...]:
    """Load dumped DDL into an empty database; return what could not be loaded, as sentences.

    All at once when it goes; else one by one, so that one missing extension costs only what needs
    it. A role that is missing is made (it cannot log in).
    """
    try:
        conn.execute(ddl.encode())
        return ()
    except psycopg.Error:
        conn.execute("ROLLBACK")
        conn.execute("RESET ALL")
    missing: list[str] = []
    try:
        statements = [(s.sql, s.first_line) for s in read(ddl)]
    except SqlError as error:
        raise ServerError(
            "the schema cannot be loaded into a scratch database",
            why=error.why or error.what,
            todo="name a scratch server of the same version with --scratch URL",
            code="no-shadow",
        ) from None
    conn.execute("SET search_path = ''")
    for sql, line in statements:
        for _attempt in (1, 2):
            try:
                conn.execute(sql.encode())
                break
            except psycopg.Error as error:
                text = error.diag.message_primary or str(error)
                role = _ROLE.search(text)
                if role is None or _attempt == 2:
                    missing.append(f"{line}: {text}")
                    break
                conn.execute(f"CREATE ROLE {ident(role[1])} NOLOGIN".encode())
    conn.execute("RESET ALL")
    return tuple(missing)
