"""scratch databases on the embedded server (or one that the user names), cloned and dropped"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from qb_engine.database.connect import connect, server_errors
from qb_engine.database.target import Target, from_url
from qb_engine.schema import snapshot
from qb_engine.shadow.dump import dump, load
from qb_engine.sql import ident, literal

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.project import Project
    from qb_engine.schema import Snapshot

TEMPLATE = "qb_shadow_"  # + hash of the schema: kept, because the next look is then instant
CLONE = "qb_scratch_"  # + seconds since the epoch + random: dropped after use
KEEP = 8  # templates kept; one of an ordinary schema costs about 8 MB
KEEP_BYTES = 1 << 30  # ... and of large ones no more than this together
MAINTENANCE = "postgres"  # a database to stand in while others are made and dropped
STALE_S = 3600  # a clone older than this was left by a crash


@dataclass(frozen=True, slots=True)
class Scratch:
    """A server on which databases may be made and dropped.

    `opened` hears of every connection, so that a user's Stop reaches what runs on it.
    """

    target: Target
    opened: Callable[[Connection], object] = field(default=lambda conn: None, compare=False)

    def connect(self, dbname: str) -> Connection:
        conn = connect(self.target, dbname=dbname, application_name="qb shadow")
        self.opened(conn)
        return conn


@dataclass(frozen=True, slots=True)
class Shadow:
    """An empty database of our own: connect to it as often as needed, then it is dropped."""

    scratch: Scratch
    dbname: str
    missing: tuple[str, ...] = ()  # what the target has and this one could not load

    def connect(self) -> Connection:
        return self.scratch.connect(self.dbname)


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


@contextmanager
def like(server: Scratch, target: Target, *, schema: Snapshot | None = None) -> Iterator[Shadow]:
    """A fresh database with the schema of a target and no rows; dropped at the end.

    Read from the target only when this schema was not seen before.
    """
    if schema is None:
        conn = connect(target, application_name="qb")
        try:
            schema = snapshot(conn)
        finally:
            conn.close()
    identity = f"{schema.server_version}:{schema.fingerprint}"
    with server_errors("making a shadow", server.target), ExitStack() as stack:
        with _template(server, identity, lambda: dump(target).sql) as (template, missing):
            name = stack.enter_context(clone(server, template))
        yield Shadow(server, name, missing)


@contextmanager
def from_sql(server: Scratch, ddl: str, name: str = "") -> Iterator[Shadow]:
    """A fresh database in which a script has run; the same script runs only once per server.

    `name` says in messages where the script comes from.
    """
    doing = f"making a shadow of {name or 'a script'}"
    with server_errors(doing, server.target), ExitStack() as stack:
        with _template(server, f"sql:{ddl}", lambda: ddl) as (template, missing):
            dbname = stack.enter_context(clone(server, template))
        yield Shadow(server, dbname, missing)


@contextmanager
def loaded(server: Scratch, ddl: str) -> Iterator[Shadow]:
    """A fresh database with the schema of a dump."""
    with clone(server, "template0") as name:
        conn = server.connect(name)
        try:
            missing = load(conn, ddl)
        finally:
            conn.close()
        yield Shadow(server, name, missing)


@contextmanager
def clone(server: Scratch, template: str) -> Iterator[str]:
    """A copy of a database under a name of its own, dropped at the end whatever happens."""
    name = f"{CLONE}{int(time.time())}_{secrets.token_hex(4)}"
    admin = server.connect(MAINTENANCE)
    try:
        sweep(admin)
        admin.execute(f"CREATE DATABASE {ident(name)} TEMPLATE {ident(template)}".encode())
        try:
            yield name
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {ident(name)} WITH (FORCE)".encode())
    finally:
        admin.close()


def sweep(admin: Connection) -> int:
    """Drop what crashes left behind and the templates that were not used lately.

    What somebody else is making or using is left alone.
    """
    rows = admin.execute(
        "SELECT d.datname::text, shobj_description(d.oid, 'pg_database'),"
        "       coalesce(pg_catalog.pg_database_size(d.oid), 0)"  # NULL: dropped meanwhile
        "  FROM pg_catalog.pg_database d"
        " WHERE (starts_with(d.datname, %s) OR starts_with(d.datname, %s))"
        "   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)",
        [TEMPLATE, CLONE],
    ).fetchall()
    now, dropped, size = time.time(), [], 0
    for name, _, _ in rows:
        made = name.removeprefix(CLONE).partition("_")[0]
        if name.startswith(CLONE) and made.isdigit() and now - int(made) > STALE_S:
            dropped.append(name)
    templates = [(_used(note), name, own) for name, note, own in rows if name.startswith(TEMPLATE)]
    for number, (_, name, own) in enumerate(sorted(templates, reverse=True)):
        size += own
        if number >= KEEP or (number and size > KEEP_BYTES):
            dropped.append(name)
    return sum(_dropped(admin, name) for name in dropped)


def _dropped(admin: Connection, name: str) -> bool:
    """Drop a database unless somebody is at it."""
    row = admin.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]).fetchone()
    if not (row and row[0]):
        return False
    try:
        admin.execute(f"DROP DATABASE IF EXISTS {ident(name)}".encode())
    except psycopg.errors.ObjectInUse:
        return False
    finally:
        admin.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
    return True


@contextmanager
def _template(
    server: Scratch, identity: str, ddl: Callable[[], str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The database that holds this schema, made when it is not there yet; kept while in use."""
    name = TEMPLATE + hashlib.sha256(identity.encode()).hexdigest()[:20]
    admin = server.connect(MAINTENANCE)
    try:
        # one maker at a time; the others find the template when the lock is theirs
        admin.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        row = admin.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database"
            " WHERE datname = %s",
            [name],
        ).fetchone()
        if row and row[0]:
            missing = tuple(json.loads(row[0])["missing"])
        else:
            admin.execute(f"DROP DATABASE IF EXISTS {ident(name)} WITH (FORCE)".encode())
            text = ddl()
            admin.execute(f"CREATE DATABASE {ident(name)} TEMPLATE template0".encode())
            conn = server.connect(name)
            try:
                missing = load(conn, text)
            finally:
                conn.close()
        note = json.dumps({"used": time.time(), "missing": missing})
        admin.execute(f"COMMENT ON DATABASE {ident(name)} IS {literal(note)}".encode())
        yield name, missing
    finally:
        admin.close()  # and with it the lock


def _used(comment: str | None) -> float:
    try:
        return float(json.loads(comment or "{}").get("used", 0))
    except ValueError:
        return 0.0
