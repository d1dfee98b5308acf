"""the server that scratch databases are made on: its admin's way, and its ordinary role's"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo

from qb_engine.database.connect import connect
from qb_engine.database.target import Target, from_url
from qb_engine.errors import ServerError
from qb_engine.sql import ident, literal

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.project import Project

MAINTENANCE = "postgres"  # a database to stand in while others are made and dropped
ROLE = "qb_shadow"  # owns what is on a shadow, and runs what is tried there
STANDINS = Path(__file__).parent / "standins"
OUTSIDE = STANDINS / "outside"  # instead of extensions that reach outside
LACKING = STANDINS / "lacking"  # for extensions that the server does not bring
NAME = "qb shadow"
PATHS_SINCE = 180_000  # the version that looks for extensions where it is told

HERE = """
SELECT u.rolsuper, u.rolname::text, o.oid IS NOT NULL,
       coalesce(o.rolsuper OR o.rolcreaterole OR o.rolcreatedb OR o.rolreplication
                OR o.rolbypassrls OR NOT o.rolcanlogin OR NOT o.rolinherit, false),
       coalesce(o.rolconfig, '{}')::text[]
  FROM pg_catalog.pg_roles u LEFT JOIN pg_catalog.pg_roles o ON o.rolname = %s
 WHERE u.rolname = current_user
"""
_let_in: dict[str, Target] = {}  # by the admin's connection string: how the role gets in
ORDINARY = "LOGIN INHERIT NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who runs statements on a server's shadows: `ours` is false where that is the URL's role."""

    name: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Scratch:
    """A server on which databases may be made and dropped.

    `opened` hears of every connection, so that a user's Stop reaches what runs on it.
    """

    target: Target
    opened: Callable[[Connection], object] = field(default=lambda conn: None, compare=False)

    def connect(self, dbname: str) -> Connection:
        """A session of who may make databases here."""
        conn = connect(self.target, dbname=dbname, application_name=NAME)
        self.opened(conn)
        return conn

    def session(self, dbname: str) -> Connection:
        """A session of the ordinary role that owns the shadows."""
        conn = _session(self, dbname)
        self.opened(conn)
        return conn

    def reached(self, dbname: str) -> Target:
        """A database here as the ordinary role reaches it; as the admin does, where it must."""
        self.session(dbname).close()
        target = _let_in.get(self.target.conninfo, self.target)
        return replace(target, conninfo=make_conninfo(target.conninfo, dbname=dbname))


def scratch(
    project: Project,
    url: str | None = None,
    opened: Callable[[Connection], object] = lambda conn: None,
) -> Scratch:
    """The scratch server: a URL's, qb.toml's `shadow`, or the embedded one (started if needed)."""
    if url := url or project.config.shadow:
        return Scratch(from_url(url, origin="--scratch"), opened)
    from qb_engine.database import named

    return Scratch(named(project, "embedded"), opened)


def actor(admin: Connection) -> Actor:
    """The role that owns the shadows of a server, made when it is not there and may be made."""
    row = admin.execute(HERE, [ROLE]).fetchone()
    assert row is not None
    superuser, name, there, strange, config = row
    if not superuser:
        return Actor(name, ours=False)
    wanted = _settings(admin)
    if there and not strange and config == wanted:
        return Actor(ROLE, ours=True)
    with admin.transaction():
        admin.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [ROLE])
        row = admin.execute(HERE, [ROLE]).fetchone()
        assert row is not None
        role = ident(ROLE)
        admin.execute(f"{'ALTER' if row[2] else 'CREATE'} ROLE {role} {ORDINARY}".encode())
        if secret := _password(admin.info.password):
            admin.execute(f"ALTER ROLE {role} PASSWORD {literal(secret)}".encode())
        admin.execute(f"ALTER ROLE {role} RESET ALL".encode())  # what a migration may have set
        for setting in wanted:
            key, _, value = setting.partition("=")
            admin.execute(f"ALTER ROLE {role} SET {key} = {literal(value)}".encode())
    return Actor(ROLE, ours=True)


def reads_standins(admin: Connection) -> bool:
    """True when the server finds our stand-ins for extensions by itself."""
    if admin.info.server_version < PATHS_SINCE:
        return False
    if admin.info.parameter_status("is_superuser") != "on":
        return False
    probe = "SELECT size IS NOT NULL FROM pg_catalog.pg_stat_file(%s, true)"
    row = admin.execute(probe, [str(LACKING / "extension" / "pgcrypto.control")]).fetchone()
    return bool(row and row[0])


def extension_path() -> str:
    """Where the server looks for extensions: our guards first, our stand-ins last."""
    return f"{OUTSIDE}:$system:{LACKING}"


def _settings(admin: Connection) -> list[str]:
    """What holds for every session of the role: what it does is thrown away, and need not last."""
    paths = [f"extension_control_path={extension_path()}"] if reads_standins(admin) else []
    return [*paths, "synchronous_commit=off"]


def _password(admins: str | None) -> str:
    """The role's password: derived from the admin's, so that it need not be kept anywhere."""
    return hashlib.sha256(f"{ROLE}:{admins}".encode()).hexdigest() if admins else ""


def _session(server: Scratch, dbname: str) -> Connection:
    """A connection as the ordinary role, whichever way the server lets it in."""
    if known := _let_in.get(server.target.conninfo):
        try:
            return connect(known, dbname=dbname, application_name=NAME)
        except ServerError:  # the server was made anew since
            _let_in.pop(server.target.conninfo, None)
    admin = connect(server.target, dbname=dbname, application_name=NAME)
    try:
        if not actor(admin).ours:
            return admin
        part = {"user": ROLE}
        if secret := _password(admin.info.password):
            part["password"] = secret
        role = replace(server.target, conninfo=make_conninfo(server.target.conninfo, **part))
        try:
            conn = connect(role, dbname=dbname, application_name=NAME)
        except ServerError as error:
            if error.code != "cannot-connect":
                raise
            # peer, a certificate or pg_hba.conf: the server knows the admin only
            admin.execute(f"SET SESSION AUTHORIZATION {ident(ROLE)}".encode())
            return admin
    except BaseException:
        admin.close()
        raise
    admin.close()
    _let_in[server.target.conninfo] = role
    return conn
