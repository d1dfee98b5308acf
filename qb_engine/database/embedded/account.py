"""the account that a server runs as: PostgreSQL refuses root, so root hands it to nobody"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from qb_engine.errors import ServerError

UNUSED = 64942  # a uid that no account has: nobody can log in as it, so the socket is root's alone
NOBODY = 65534
INITDB_ACCOUNTS = ("nobody", "postgres")  # initdb insists on an entry in the passwd file


@dataclass(frozen=True, slots=True)
class Account:
    """A user and a group; `switched` when it is not the one that this process runs as."""

    uid: int
    gid: int
    switched: bool

    @property
    def switch(self) -> dict[str, Any]:
        """The arguments of `subprocess.Popen` that run a child as this account."""
        if not self.switched:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can(self, script: str, *arguments: Path) -> bool:
        """True when a shell script succeeds as this account: the kernel is asked, not modes."""
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", script, "qb", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath},
                check=False,
                **self.switch,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0

    def enters(self, folder: Path) -> bool:
        """True when this account reaches the folder through all of its parents."""
        return self.can('cd "$1"', folder)


def own() -> Account:
    """The account of this process."""
    return Account(os.geteuid(), os.getegid(), False)


def to_serve(data: Iterable[Path]) -> Account:
    """Who runs the server: this process's account, or for root the first that can be taken.

    The owner of data that exists already comes first. Raise ServerError when root can be no other.
    """
    if os.geteuid() != 0:
        return own()
    owners = [folder.stat() for folder in data if folder.is_dir()]
    for folder in owners:
        if folder.st_uid != 0:
            return Account(folder.st_uid, folder.st_gid, True)
    return _first_unprivileged()


@cache
def _first_unprivileged() -> Account:
    for uid in (UNUSED, NOBODY):
        account = Account(uid, uid, True)
        if account.can(":"):
            return account
    raise ServerError(
        "the embedded PostgreSQL cannot run here",
        where=f"user {os.geteuid()}",
        why="PostgreSQL refuses to run as root, and root may become no other user here "
        "(a container that knows only one user)",
        todo="run qb as an ordinary user, or name a PostgreSQL of your own with -c URL",
        code="embedded-server",
    )


def to_initialise(server: Account) -> Account:
    """Who runs initdb: the server's account, or one with a passwd entry where that has none."""
    if not server.switched:
        return server
    try:
        pwd.getpwuid(server.uid)
    except KeyError:
        pass  # the usual case for root: UNUSED has none
    else:
        return server
    for name in INITDB_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        account = Account(entry.pw_uid, entry.pw_gid, True)
        if entry.pw_uid != 0 and account.can(":"):
            return account
    raise ServerError(
        "the embedded PostgreSQL cannot be created here",
        where="initdb",
        why=f"as root it needs an account with a passwd entry: {' or '.join(INITDB_ACCOUNTS)}",
        todo="add the account nobody, or run qb as an ordinary user",
        code="embedded-server",
    )


def hand_over(folder: Path, giver: Account, taker: Account) -> None:
    """Give a folder and all in it to another account.

    Only what the giver owns, and never through a link: the giver could have laid a trap.
    """
    for _, folders, files, at in os.fwalk(folder, follow_symlinks=False):
        for name in (".", *folders, *files):
            _give(name, at, giver, taker)


def _give(name: str, at: int, giver: Account, taker: Account) -> None:
    entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    try:
        found = os.fstat(entry)
        folder = stat.S_ISDIR(found.st_mode)
        file = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        if found.st_uid == giver.uid and (folder or file):
            os.fchown(entry, taker.uid, taker.gid)
    finally:
        os.close(entry)
