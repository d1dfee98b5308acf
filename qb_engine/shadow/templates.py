"""databases that are kept per schema and copied per use, and the sweeping of what is left"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.database.connect import lost, server_error
from qb_engine.errors import ServerError
from qb_engine.shadow.lacking import Lacking, read_lacking
from qb_engine.shadow.roles import sweep_roles
from qb_engine.shadow.server import MAINTENANCE, Scratch, actor
from qb_engine.sql import ident, literal

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

TEMPLATE = "qb_shadow_"  # + hash of the schema: kept, because the next look is then instant
CLONE = "qb_scratch_"  # + seconds since the epoch + random: dropped after use
SPARE = "qb_spare_"  # + that hash: a copy of a large template that the next use finds ready
LARGE_BYTES = 24 << 20  # some 200 tables, of which a copy takes a second and more
FORMAT = 3  # how a template is filled; one that was filled otherwise is not found
KEEP = 8  # templates kept; one of an ordinary schema costs about 8 MB
KEEP_BYTES = 1 << 30  # ... and of large ones no more than this together
STALE_S = 3600  # a clone older than this was left by a crash


@contextmanager
def clone(server: Scratch, template: str, *, owner: str = "") -> Iterator[str]:
    """A copy of a database under a name of its own, dropped at the end whatever happens.

    It belongs to `owner`, else to the server's ordinary role. Of a large template a copy is made
    ahead, in the background, so that the next use finds it ready; that one is dropped there, too.
    """
    name = f"{CLONE}{int(time.time())}_{secrets.token_hex(4)}"
    admin = server.connect(MAINTENANCE)
    try:
        sweep(admin)
        owner = owner or actor(admin).name
        if not _spare_taken(admin, template, name, owner):
            admin.execute(_copying(template, name, owner))
        large = _is_large(admin, template)
        if large:
            _spare_begun(server, template, owner)
        try:
            yield name
        except BaseException as error:
            try:
                _drop(admin, name, wait=not large)
            except psycopg.Error as gone:  # what came first says more, if it says anything
                if isinstance(error, psycopg.Error):
                    raise went_away(server, gone) from error
            raise
        try:
            _drop(admin, name, wait=not large)
        except psycopg.Error as gone:
            if lost(gone):
                raise went_away(server, gone) from gone
            raise
    finally:
        admin.close()


def _copying(template: str, name: str, owner: str) -> bytes:
    # STRATEGY is left as it is, WAL_LOG: for 8 MB half the time of FILE_COPY, which waits for two
    # checkpoints; for 80 MB it makes no difference, dropping included
    return f"CREATE DATABASE {ident(name)} OWNER {ident(owner)} TEMPLATE {ident(template)}".encode()


def _spare(template: str) -> str:
    return SPARE + template.removeprefix(TEMPLATE)


def _spare_taken(admin: Connection, template: str, name: str, owner: str) -> bool:
    """Give the copy that was made ahead its name, when there is one."""
    if not template.startswith(TEMPLATE):
        return False
    spare = _spare(template)
    there = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
    if admin.execute(there, [spare]).fetchone() is None:
        return False
    try:
        admin.execute(f"ALTER DATABASE {ident(spare)} RENAME TO {ident(name)}".encode())
    except (psycopg.errors.ObjectInUse, psycopg.errors.InvalidCatalogName):  # somebody was quicker
        return False
    admin.execute(f"ALTER DATABASE {ident(name)} OWNER TO {ident(owner)}".encode())
    return True


def _is_large(admin: Connection, template: str) -> bool:
    """True for a template of ours of which a copy takes long to be made, and to be dropped."""
    if not template.startswith(TEMPLATE):
        return False
    row = admin.execute(NOTED, [template]).fetchone()
    return row is not None and _bytes(_note(row[0])) >= LARGE_BYTES


def _spare_begun(server: Scratch, template: str, owner: str) -> None:
    asking = server.connect(MAINTENANCE)
    _begun(asking, _copying(template, _spare(template), owner))


def _drop(admin: Connection, name: str, *, wait: bool) -> None:
    """Drop a database; that of a large one waits for a checkpoint of all that the server holds."""
    drop = f"DROP DATABASE IF EXISTS {ident(name)} WITH (FORCE)".encode()
    if wait:
        admin.execute(drop)
    else:
        _begun(admin, drop)


def _begun(asking: Connection, command: bytes) -> None:
    """Ask for something and do not wait, closing: the server ends what it has begun."""
    asking.pgconn.send_query(command)
    while asking.pgconn.flush():
        pass
    asking.close()


def went_away(server: Scratch, error: psycopg.Error) -> ServerError:
    """What is said when a scratch server stops, or a shadow is dropped, while it is used."""
    return server_error("working on a shadow", error, where=server.target.display)


@contextmanager
def template(
    server: Scratch,
    identity: str,
    fill: Callable[[str], tuple[Lacking, ...]],
    *,
    owner: str = "",
) -> Iterator[tuple[str, tuple[Lacking, ...]]]:
    """The database that is kept for an identity, filled when it is not there yet; kept while used.

    `fill` is given the name of an empty database, and returns what it could not load.
    """
    admin = server.connect(MAINTENANCE)
    try:
        us = actor(admin).name
        digest = hashlib.sha256(f"{FORMAT}:{us}:{identity}".encode()).hexdigest()
        name = TEMPLATE + digest[:20]
        # one maker at a time; the others find the template when the lock is theirs
        admin.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        row = admin.execute(NOTED, [name]).fetchone()
        if row and row[0]:
            note = json.loads(row[0])
            lacking = tuple(read_lacking(each) for each in note["lacking"])
        else:
            lacking = _filled(admin, name, fill, owner or us)
            size = admin.execute("SELECT pg_catalog.pg_database_size(%s)", [name]).fetchone()
            note = {"lacking": [each.as_dict() for each in lacking], "bytes": size and size[0]}
        note["used"] = time.time()
        text = literal(json.dumps(note))
        admin.execute(f"COMMENT ON DATABASE {ident(name)} IS {text}".encode())
        yield name, lacking
    finally:
        admin.close()  # and with it the lock


def _filled(
    admin: Connection, name: str, fill: Callable[[str], tuple[Lacking, ...]], owner: str
) -> tuple[Lacking, ...]:
    drop = f"DROP DATABASE IF EXISTS {ident(name)} WITH (FORCE)".encode()
    admin.execute(drop)
    create = f"CREATE DATABASE {ident(name)} OWNER {ident(owner)} TEMPLATE template0"
    admin.execute(create.encode())
    try:
        return fill(name)
    except BaseException:
        if not admin.closed:
            admin.execute(drop)
        raise


# what was noted of a template: how large it is, when it was used, what it lacks
NOTED = """
SELECT pg_catalog.shobj_description(d.oid, 'pg_database') FROM pg_catalog.pg_database d
 WHERE d.datname = %s
"""

# databases of ours that nobody is connected to, with what is noted of each
LEFT_BEHIND = """
SELECT d.datname::text, pg_catalog.shobj_description(d.oid, 'pg_database')
  FROM pg_catalog.pg_database d
 WHERE (pg_catalog.starts_with(d.datname, %s) OR pg_catalog.starts_with(d.datname, %s)
        OR pg_catalog.starts_with(d.datname, %s))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
"""


def sweep(admin: Connection) -> int:
    """Drop what crashes left behind and the templates that were not used lately.

    What somebody else is making or using is left alone. Roles that only they needed go with them.
    """
    rows = admin.execute(LEFT_BEHIND, [TEMPLATE, CLONE, SPARE]).fetchall()
    now, dropped, size = time.time(), [], 0
    for name, _ in rows:
        made = name.removeprefix(CLONE).partition("_")[0]
        if name.startswith(CLONE) and made.isdigit() and now - int(made) > STALE_S:
            dropped.append(name)
    notes = {name: _note(text) for name, text in rows}
    templates = [
        (_used(note), name, _bytes(note) * (2 if _spare(name) in notes else 1))
        for name, note in notes.items()
        if name.startswith(TEMPLATE)
    ]
    for number, (_, name, own) in enumerate(sorted(templates, reverse=True)):
        size += own
        if number >= KEEP or (number and size > KEEP_BYTES):
            dropped.append(name)
    kept = {_spare(name) for _, name, _ in templates if name not in dropped}
    dropped += [name for name in notes if name.startswith(SPARE) and name not in kept]
    gone = sum(_dropped(admin, name) for name in dropped)
    return gone + (sweep_roles(admin) if gone else 0)


def _dropped(admin: Connection, name: str) -> bool:
    """Drop a database unless somebody is at it, or it is another role's."""
    row = admin.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]).fetchone()
    if not (row and row[0]):
        return False
    try:
        admin.execute(f"DROP DATABASE IF EXISTS {ident(name)}".encode())
    except (psycopg.errors.ObjectInUse, psycopg.errors.InsufficientPrivilege):
        return False
    finally:
        admin.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
    return True


def _note(comment: str | None) -> dict[str, Any]:
    try:
        return dict(json.loads(comment or "{}"))
    except ValueError:
        return {}


def _used(note: dict[str, Any]) -> float:
    return float(note.get("used", 0))


def _bytes(note: dict[str, Any]) -> int:
    return int(note.get("bytes") or 0)
