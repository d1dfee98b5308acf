"""where a server's files go: in `.qb/`, or in a private folder where `.qb/` will not do"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path

from qb_engine.database.embedded.account import Account
from qb_engine.errors import RefusedError

SHARED = Path("/var/tmp")  # survives a reboot, and short enough for a socket's path
SOCKET = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 103  # bytes, of macOS; Linux allows 107

# Other characters mean something in connection strings, URLs or PostgreSQL's list of folders.
PLAIN = re.compile(r"[A-Za-z0-9/._+~-]+")


def base(home: Path) -> Path:
    """The private folder outside of the project that belongs to `home` and to this user."""
    key = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return SHARED / f"qb-{os.geteuid()}-{key}"


def for_data(home: Path, account: Account) -> Path:
    """The folder that holds the data: `.qb/postgres`, or the base where that is out of reach.

    qb never opens a folder up that it did not make, so a private home leads to the base.
    """
    inside = home / "postgres"
    for place in (inside, base(home)):
        if (place / "data").is_dir():
            return place if place == inside else private(place, _base_mode(account))
    with contextlib.suppress(RefusedError):  # a file system that keeps no modes
        private(inside, _base_mode(account))
        if not account.switched or account.enters(inside):
            return inside
    with contextlib.suppress(OSError):  # an older version's files are in it
        inside.rmdir()
    return private(base(home), _base_mode(account))


def for_socket(home: Path, place: Path, account: Account) -> Path:
    """The folder of the socket, 0700, the account's own; in the base when its path is too long."""
    folder = place / "run"
    length = len(os.fsencode(folder / SOCKET))
    if length > SOCKET_PATH_LIMIT or not PLAIN.fullmatch(str(folder)):
        folder = private(base(home), _base_mode(account)) / "run"
    return private(folder, 0o700, account)


def private(folder: Path, mode: int, account: Account | None = None) -> Path:
    """Make a folder, or verify that it is what qb would have made; return it.

    Raise RefusedError when it is a link, another user's, or open to others: in a folder that all
    may write to, somebody else could have made it first.
    """
    owner = account.uid if account else os.geteuid()
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    closed = not found.st_mode & (0o077 if mode == 0o700 else 0o022)
    if stat.S_ISDIR(found.st_mode) and closed and found.st_uid in (owner, os.geteuid()):
        # ours, perhaps just made, perhaps by a start that was cut off before these two
        if stat.S_IMODE(found.st_mode) != mode:
            os.chmod(folder, mode)
        if account and found.st_uid != owner:
            os.chown(folder, account.uid, account.gid)
        return folder
    raise RefusedError(
        "a private folder of qb is not private",
        where=str(folder),
        why=f"it should be a folder of user {owner} with mode {mode:04o}, and is "
        f"{stat.filemode(found.st_mode)} of user {found.st_uid}",
        todo="see who made it; remove it when it is not in use",
        code="wrong-owner",
    )


def is_ours(folder: Path, home: Path) -> bool:
    """True for a folder (no link) of this user's, or of the project's owner."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid in (os.geteuid(), home.stat().st_uid)


def _base_mode(account: Account) -> int:
    """Others may pass through (not look) where the server runs as an account of its own."""
    return 0o711 if account.switched else 0o700
