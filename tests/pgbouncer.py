"""Debian's PgBouncer between a test and its database"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from pgbouncer import find
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from qb_engine.database import Target

PROGRAM = find()
START_S = 30
PORT = 6432  # only a part of the socket's name

pooled = pytest.mark.skipif(
    PROGRAM is None and os.environ.get("CI") != "true",
    reason="PgBouncer is not installed (Debian's package pgbouncer)",
)


@contextmanager
def bouncer(database: Target, mode: str, **settings: object) -> Iterator[Target]:
    """The database through a PgBouncer of its own, in `mode`; settings are pgbouncer.ini's."""
    assert PROGRAM is not None, "PgBouncer cannot be left out in CI: .ci/pgbouncer.py installs it"
    part = conninfo_to_dict(database.conninfo)
    owner = os.stat(str(part["host"]))  # PostgreSQL's socket is this account's alone
    with tempfile.TemporaryDirectory(prefix="qb-bouncer-") as folder:
        file = Path(folder) / "pgbouncer.ini"
        chosen = {
            "listen_port": PORT,
            "unix_socket_dir": folder,
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": 20,
            "logfile": f"{folder}/log",
            **settings,
        }
        server = f"host={part['host']} port={part['port']} user={part['user']}"
        file.write_text(
            f"[databases]\n{part['dbname']} = {server} dbname={part['dbname']}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in chosen.items())
        )
        switch = {}
        if os.geteuid() == 0:  # which PgBouncer refuses to be
            os.chown(folder, owner.st_uid, owner.st_gid)
            switch = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        process = subprocess.Popen(
            [PROGRAM, "-q", file], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            **switch,
        )  # fmt: skip
        conninfo = make_conninfo(database.conninfo, host=folder, port=PORT)
        try:
            _wait(process, conninfo, Path(folder))
            yield Target(f"pooled-{mode}", conninfo)
        finally:
            process.terminate()
            process.wait()


def _wait(process: subprocess.Popen[bytes], conninfo: str, folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while not _answers(conninfo):
        log = folder / "log"
        assert process.poll() is None, log.read_text() if log.exists() else "no log"
        assert time.monotonic() < deadline, "it never answered"
        time.sleep(0.01)  # between two looks at a condition


def _answers(conninfo: str) -> bool:
    try:
        psycopg.connect(conninfo, autocommit=True).close()
    except psycopg.OperationalError:
        return False
    return True
