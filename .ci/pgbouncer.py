"""find the connection pooler that the tests run through, or install the distribution's package"""

from __future__ import annotations

import os
import shutil
import subprocess

import debian

NAME = "pgbouncer"
PLACES = ("/usr/sbin", "/usr/local/sbin")  # not on every user's PATH


def find() -> str | None:
    """The path of PgBouncer."""
    return shutil.which(NAME, path=os.pathsep.join((os.environ.get("PATH", ""), *PLACES)))


def find_or_install() -> tuple[str | None, str]:
    """The path of PgBouncer, or None and why there is none."""
    if found := find():
        return found, ""
    why = debian.install(NAME, NAME)
    if shutil.which("systemctl"):  # the tests start their own; this one was not asked for
        stop = ["systemctl", "disable", "--now", "--quiet", NAME]
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        subprocess.run([*sudo, *stop], capture_output=True, check=False)
    return find(), why or f"apt-get installed no {NAME}"
