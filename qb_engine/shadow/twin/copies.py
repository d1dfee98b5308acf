"""databases that are copied file by file, and copies whose files are as long as the target's"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine.errors import RefusedError, ServerError
from qb_engine.shadow.server import MAINTENANCE, Scratch
from qb_engine.shadow.templates import CLONE
from qb_engine.shadow.twin import settings
from qb_engine.shadow.twin.files import Length, extend
from qb_engine.sql import ident

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

OLDEST = 180_000  # the functions that give statistics are there from 18 on
OWNER = "SELECT pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database WHERE datname = %s"


@contextmanager
def copied(server: Scratch, source: str) -> Iterator[str]:
    """A copy of a base under a name of its own, with short files; dropped at the end."""
    name = _throwaway()
    admin = server.connect(MAINTENANCE)
    try:
        copy(admin, source, name)
        try:
            yield name
        finally:
            drop_databases(admin, name)
    finally:
        admin.close()


@contextmanager
def stretched(
    server: Scratch, source: str, lengths: Sequence[Length], own: Mapping[str, str]
) -> Iterator[str]:
    """A copy with long files: it can be asked for plans; dropped at the end."""
    name = _throwaway()
    admin = server.connect(MAINTENANCE)
    try:
        try:
            stretch(admin, data_folder(server, admin), source, name, lengths)
            settings.apply(admin, name, dict(own))
            yield name
        finally:
            drop_databases(admin, name)
    finally:
        admin.close()


def data_folder(server: Scratch, admin: Connection) -> Path:
    """The data directory of the scratch server. Raise RefusedError where it is not ours."""
    refused = RefusedError(
        "a statistics twin cannot be made on this server",
        where=server.target.display,
        why="its relation files are made longer from outside; that is done only to the files of "
        "the embedded server, which are qb's own",
        todo="use the embedded server for shadows: take `shadow` out of qb.toml, or leave "
        "--scratch out",
        code="no-shadow",
    )
    if not server.target.embedded or admin.info.server_version < OLDEST:
        raise refused
    row = admin.execute("SHOW data_directory").fetchone()
    folder = Path(str(row[0]) if row else "")
    if not os.access(folder / "base", os.R_OK | os.W_OK | os.X_OK):
        raise refused
    return folder


def stretch(
    admin: Connection, data: Path, source: str, name: str, lengths: Sequence[Length]
) -> None:
    """Copy a database and lengthen the copy's files before anybody can have connected to it."""
    old = oid_of(admin, source)
    copy(admin, source, name, open_to_all=False)
    new = oid_of(admin, name)
    row = admin.execute("SHOW data_checksums").fetchone()
    moved = [replace(each, path=each.path.replace(f"/{old}/", f"/{new}/")) for each in lengths]
    try:
        extend(data, moved, checksums=bool(row and row[0] == "on"))
    except OSError as error:
        raise ServerError(
            "the files of the statistics twin cannot be made",
            where=str(error.filename or data),
            why=error.strerror or str(error),
            todo="see that the file system of the embedded server takes large sparse files",
            code="disk-full",
        ) from error
    admin.execute(f"ALTER DATABASE {ident(name)} ALLOW_CONNECTIONS true".encode())


def copy(admin: Connection, source: str, name: str, *, open_to_all: bool = True) -> None:
    """Copy file by file: nothing of the copy is in the server's memory then."""
    row = admin.execute(OWNER, [source]).fetchone()
    owner = f" OWNER {ident(row[0])}" if row else ""
    command = (
        f"CREATE DATABASE {ident(name)} TEMPLATE {ident(source)} STRATEGY file_copy"
        f" ALLOW_CONNECTIONS {'true' if open_to_all else 'false'}{owner}"
    )
    admin.execute(command.encode())


def drop_databases(admin: Connection, *names: str) -> None:
    for name in names:
        admin.execute(f"DROP DATABASE IF EXISTS {ident(name)} WITH (FORCE)".encode())


def lock(admin: Connection, name: str) -> None:
    """One at a time makes, uses or drops a twin; the others wait."""
    admin.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])


def exists(admin: Connection, name: str) -> bool:
    query = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
    return admin.execute(query, [name]).fetchone() is not None


def oid_of(admin: Connection, name: str) -> int:
    query = "SELECT oid FROM pg_catalog.pg_database WHERE datname = %s"
    row = admin.execute(query, [name]).fetchone()
    assert row is not None
    return int(row[0])


def on_disk(server: Scratch, admin: Connection, name: str) -> int:
    folder = data_folder(server, admin) / "base" / str(oid_of(admin, name))
    return sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in os.scandir(folder))


def _throwaway() -> str:
    """A name that shadows sweep when a crash leaves it."""
    return f"{CLONE}{int(time.time())}_{secrets.token_hex(4)}"
