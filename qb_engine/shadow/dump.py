"""a target's schema as SQL, by pg_dump; where the role may not read all of it, what it may read"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qb_engine.errors import ServerError
from qb_engine.sql import ident, qualified

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target

DUMP_S = 600  # pg_dump of a schema that takes longer than this waits for a lock
LOCK_WAIT = "10s"  # of pg_dump, for each table

# pg_dump 17 and later guard their output with psql commands
_GUARD = re.compile(r"(?m)^\\(?:un)?restrict .*$")
# settings that only newer servers know
_SETTING = re.compile(r"(?m)^SET (?:transaction_timeout) = .*$")
# a backfill's trigger, whose function is in schema qb; both are gone when it is over
_IN_SYNC = re.compile(
    r"(?m)^CREATE TRIGGER \S*qb_in_sync_\S+ BEFORE .* EXECUTE FUNCTION qb\.in_sync_\w+\(\);$"
    r"|^ALTER TABLE .* ENABLE ALWAYS TRIGGER \S*qb_in_sync_\S+;$"
)
# pg_dump writes privileges and what follows them last
_LAST = re.compile(r"(?m)^-- Name: [^\n]*; Type: (?:DEFAULT )?ACL; Schema: ")

# relations that pg_dump wants to lock and may not: it needs SELECT on them and USAGE of the schema
CLOSED = """
SELECT n.nspname::text, c.relname::text, c.oid::pg_catalog.int8, c.relkind::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'qb')
   AND NOT pg_catalog.starts_with(n.nspname, 'pg_toast')
   AND NOT pg_catalog.starts_with(n.nspname, 'pg_temp')
   AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
            AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
 ORDER BY 1, 2
"""

# the catalog is open to everybody: what a closed table is made of
COLUMNS = """
SELECT pg_catalog.string_agg(
           pg_catalog.quote_ident(a.attname) || ' '
           || pg_catalog.format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY a.attnum),
       ARRAY(SELECT pg_catalog.quote_ident(x.conname) || ' '
                    || pg_catalog.pg_get_constraintdef(x.oid)
               FROM pg_catalog.pg_constraint x
              WHERE x.conrelid = %(oid)s::pg_catalog.oid AND x.contype IN ('p', 'u', 'x', 'c')
              ORDER BY x.contype DESC, x.conname),
       ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid)
               FROM pg_catalog.pg_index i
              WHERE i.indrelid = %(oid)s::pg_catalog.oid
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint x
                                 WHERE x.conindid = i.indexrelid AND x.contype IN ('p', 'u', 'x'))
              ORDER BY i.indexrelid)
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = %(oid)s::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped
"""


@dataclass(frozen=True, slots=True)
class Closed:
    """A relation whose definition a role may not dump, and statements for one that is alike."""

    schema: str
    name: str
    stub: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Dump:
    """The DDL of a whole schema, without owners and rows.

    `privileges` is what comes last: grants, and what must come after them. `closed` was left out.
    """

    sql: str
    privileges: str = ""
    closed: tuple[Closed, ...] = ()


def dump(
    target: Target,
    *,
    privileges: bool = False,
    extensions: bool = True,
    closed: Sequence[Closed] = (),
) -> Dump:
    """Read the schema of a target with the embedded server's own pg_dump (schema qb left out).

    Takes ACCESS SHARE on every table for the moment, bar those in `closed`. Raise ServerError with
    pg_dump's words.
    """
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    from qb_engine.database.embedded import pg_binary

    part = conninfo_to_dict(target.conninfo)
    environment = dict(os.environ)
    if password := part.pop("password", None):
        environment["PGPASSWORD"] = str(password)  # never on a command line, where all may read it
    command = [
        str(pg_binary("pg_dump")), "--schema-only", "--no-owner",
        "--exclude-schema=qb", f"--lock-wait-timeout={LOCK_WAIT}",
        "--dbname", make_conninfo("", **part) or "dbname=" + os.environ.get("PGDATABASE", ""),
    ]  # fmt: skip
    if not privileges:
        command.append("--no-privileges")
    if not extensions:
        command.append("--exclude-extension=*")
    with tempfile.NamedTemporaryFile("w", suffix=".filter", encoding="utf-8") as filters:
        if closed:
            for each in closed:
                filters.write(f"exclude table {_pattern(each.schema)}.{_pattern(each.name)}\n")
            filters.flush()
            command.append(f"--filter={filters.name}")
        text = _SETTING.sub("", _GUARD.sub("", _run(command, environment, target)))
    text = _IN_SYNC.sub("", text)
    at = found.start() if (found := _LAST.search(text)) else len(text)
    return Dump(text[:at], text[at:], tuple(closed))


def closed_to(conn: Connection) -> tuple[Closed, ...]:
    """The relations that a role may not dump, with what the catalog tells everybody of them."""
    found = []
    conn.execute("SET search_path = ''")
    for schema, name, oid, kind in conn.execute(CLOSED).fetchall():
        stub: list[str] = []
        if kind in ("r", "p", "f"):
            row = conn.execute(COLUMNS, {"oid": oid}).fetchone()
            assert row is not None
            columns, constraints, indexes = row
            table = qualified(schema, name)
            stub.append(f"CREATE SCHEMA IF NOT EXISTS {ident(schema)}")
            stub.append(f"CREATE TABLE {table} ({columns or ''})")
            stub += [f"ALTER TABLE {table} ADD CONSTRAINT {text}" for text in constraints]
            stub += [text.replace(" ON ONLY ", " ON ") for text in indexes]
        found.append(Closed(schema, name, tuple(stub)))
    conn.execute("RESET search_path")
    return tuple(found)


def _run(command: list[str], environment: dict[str, str], target: Target) -> str:
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
        said, code = done.stderr.strip(), "no-shadow"
        todo = "see what pg_dump says, then try again"
        if "timeout" in said and "LOCK TABLE" in said:
            todo, code = (
                "see who holds the lock with qb locks; wait for it, then again",
                "schema-busy",
            )
        elif "permission denied" in said:
            todo, code = (
                "give the role SELECT on what is named, or pg_read_all_data",
                "missing-privilege",
            )
        raise ServerError(
            "reading the target's schema failed",
            where=target.display,
            why=said,
            todo=todo,
            code=code,
        )
    return done.stdout


def _pattern(name: str) -> str:
    """A name as pg_dump's patterns have it: in double quotes nothing else is special."""
    return '"' + name.replace('"', '""') + '"'
