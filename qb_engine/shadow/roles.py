"""the roles that a schema speaks of: made on the scratch server without login, swept when unused"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from qb_engine.shadow.server import MAINTENANCE, Scratch, actor
from qb_engine.sql import ident, literal

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

MARK = "made by qb for shadows, last needed at "  # + seconds since the epoch
FRESH_S = 3_600  # a mark younger than this is left as it is
UNUSED_S = 86_400  # a role that no shadow needed for so long is dropped
MANY = 1_000  # of a server's roles, those that own something first
LOCK = "qb_shadow roles"

# predefined roles that reach nothing but the database itself
HARMLESS = (
    "pg_read_all_data", "pg_write_all_data", "pg_monitor", "pg_read_all_settings",
    "pg_read_all_stats", "pg_stat_scan_tables", "pg_maintain",
)  # fmt: skip

ROLES = """
SELECT r.rolname::text,
       ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_auth_members m
               JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)
  FROM pg_catalog.pg_roles r
 WHERE NOT pg_catalog.starts_with(r.rolname, 'pg_')
 ORDER BY EXISTS (SELECT FROM pg_catalog.pg_shdepend d
                   WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid)
          DESC, r.oid
 LIMIT %s
"""

# which roles are here, how they are marked, and whether our own may act as them: not as who may
# do, by itself or through another role, what an ordinary owner may not
HERE = """
WITH RECURSIVE reach(member, role) AS (
    SELECT oid, oid FROM pg_catalog.pg_roles WHERE rolname = ANY (%(names)s)
     UNION
    SELECT r.member, m.roleid FROM reach r
      JOIN pg_catalog.pg_auth_members m ON m.member = r.role
), strong AS (
    SELECT DISTINCT reach.member FROM reach JOIN pg_catalog.pg_roles r ON r.oid = reach.role
     WHERE r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
        OR pg_catalog.starts_with(r.rolname, 'pg_') AND r.rolname <> ALL (%(harmless)s)
)
SELECT r.rolname::text, pg_catalog.shobj_description(r.oid, 'pg_authid'),
       r.oid NOT IN (SELECT member FROM strong),
       EXISTS (SELECT FROM pg_catalog.pg_auth_members m
                 JOIN pg_catalog.pg_roles u ON u.oid = m.member
                WHERE m.roleid = r.oid AND u.rolname = %(us)s)
  FROM pg_catalog.pg_roles r WHERE r.rolname = ANY (%(names)s)
"""

UNUSED = """
SELECT r.rolname::text, pg_catalog.shobj_description(r.oid, 'pg_authid')
  FROM pg_catalog.pg_roles r
 WHERE pg_catalog.starts_with(pg_catalog.shobj_description(r.oid, 'pg_authid'), %s)
   AND NOT r.rolcanlogin
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend d
                    WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass
                      AND d.refobjid = r.oid
                      AND d.classid <> 'pg_catalog.pg_auth_members'::regclass)
"""

# where a script names a role; what this misses is made when the server misses it
NAME = r'(?:"(?:[^"]|"")+"|[a-z_][\w$]*)'
_NAMED = re.compile(
    rf"(?im)^[^\n]*?\b(?:OWNER\s+TO|AUTHORIZATION|FOR\s+ROLE|SET\s+ROLE"
    rf"|(?:GRANT|REVOKE|POLICY)\b[^\n;]*?\b(?:TO|FROM))\s+({NAME}(?:\s*,\s*{NAME})*)"
)
_WORDS = {"public", "current_user", "session_user", "current_role", "none", "default", "group"}


@dataclass(frozen=True, slots=True)
class Role:
    """A role by its name, and the roles that it is a member of."""

    name: str
    member_of: tuple[str, ...] = ()


def roles_of(conn: Connection) -> tuple[Role, ...]:
    """The roles of a target's server."""
    return tuple(Role(name, tuple(of)) for name, of in conn.execute(ROLES, [MANY]).fetchall())


def named_in(ddl: str) -> tuple[Role, ...]:
    """The roles that a script seems to name."""
    found: set[str] = set()
    for listed in _NAMED.findall(ddl):
        for name in re.findall(NAME, listed):
            if bare(name) not in _WORDS and not bare(name).startswith("pg_"):
                found.add(bare(name))
    return tuple(Role(name) for name in sorted(found))


def bare(name: str) -> str:
    """A name as it is, from how it is written."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def mirror(server: Scratch, wanted: Collection[Role], *, harmless: bool = False) -> frozenset[str]:
    """See that roles are there, without login, and that the owner of shadows may act as them.

    Return those it may act as: what is a superuser here, or near to one, is left alone.
    `harmless` gives the predefined roles that reach nothing but data, too.
    """
    names = [role.name for role in wanted]
    admin = server.connect(MAINTENANCE)
    try:
        who = actor(admin)
        arguments = {"names": names, "us": who.name, "harmless": list(HARMLESS)}
        rows = admin.execute(HERE, arguments).fetchall()
        marks = {name: note for name, note, _, _ in rows}
        fits = {name for name, _, fit, _ in rows if fit} | (set(names) - set(marks))
        granted = {name for name, _, _, has in rows if has}
        now = time.time()
        script = []
        for role in wanted:
            if role.name == who.name:
                continue
            note = marks.get(role.name)
            new = role.name not in marks
            if new:
                script.append(f"CREATE ROLE {ident(role.name)} NOLOGIN")
            if new or (note and note.startswith(MARK) and now - _marked(note) > FRESH_S):
                said = literal(f"{MARK}{int(now)}")
                script.append(f"COMMENT ON ROLE {ident(role.name)} IS {said}")
            if role.name in fits and role.name not in granted:
                script.append(f"GRANT {ident(role.name)} TO {ident(who.name)}")
        made = {role.name for role in wanted if role.name not in marks}
        script += [
            f"GRANT {ident(group)} TO {ident(role.name)}"
            for role in wanted
            if role.name in made
            for group in role.member_of
            if group in fits or group in HARMLESS
        ]
        if harmless and who.ours:
            script += _predefined(admin, who.name)
        if script:
            _run(admin, script)
        return frozenset(fits)
    finally:
        admin.close()


def _predefined(admin: Connection, us: str) -> list[str]:
    rows = admin.execute(HERE, {"names": list(HARMLESS), "us": us, "harmless": list(HARMLESS)})
    return [f"GRANT {ident(name)} TO {ident(us)}" for name, _, _, has in rows if not has]


def _run(admin: Connection, script: list[str]) -> None:
    """Run what can be run: one role that somebody just dropped, or may not be given, is no harm."""
    admin.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [LOCK])
    try:
        for statement in script:
            with suppress(psycopg.errors.ProgrammingError, psycopg.errors.InvalidGrantOperation):
                admin.execute(statement.encode())
    finally:
        admin.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [LOCK])


@contextmanager
def lent(server: Scratch, names: Collection[str]) -> Iterator[None]:
    """Roles that are there for a while, so that what is tried may name them; none can log in."""
    if not names:
        yield
        return
    admin = server.connect(MAINTENANCE)
    made: list[str] = []
    try:
        who = actor(admin)
        for name in sorted(names):
            with suppress(psycopg.errors.DuplicateObject, psycopg.errors.InsufficientPrivilege):
                admin.execute(f"CREATE ROLE {ident(name)} NOLOGIN".encode())
                made.append(name)
                admin.execute(f"GRANT {ident(name)} TO {ident(who.name)}".encode())
        yield
    finally:
        for name in made:  # somebody else may have come to need it
            with suppress(psycopg.errors.DependentObjectsStillExist):
                admin.execute(f"DROP ROLE IF EXISTS {ident(name)}".encode())
        admin.close()


def sweep_roles(admin: Connection) -> int:
    """Drop the roles that were made for shadows and that none has needed for long."""
    dropped = 0
    for name, note in admin.execute(UNUSED, [MARK]).fetchall():
        if time.time() - _marked(note) < UNUSED_S:
            continue
        with suppress(psycopg.errors.DependentObjectsStillExist, psycopg.errors.UndefinedObject):
            admin.execute(f"DROP ROLE {ident(name)}".encode())
            dropped += 1
    return dropped


def _marked(note: str) -> float:
    text = note.removeprefix(MARK)
    return float(text) if text.isdigit() else 0.0
