"""find the browser of the browser tests, or install the distribution's package"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOG = Path(__file__).resolve().parent.parent / ".venv" / "chromium.log"
INSTALL = (
    ["apt-get", "update", "-qq"],
    ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
)


def find() -> str | None:
    """The path of a Chromium or Chrome on PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def find_or_install() -> tuple[str | None, str]:
    """The path of a browser, or None and why there is none."""
    if found := find():
        return found, ""
    if shutil.which("apt-get") is None:
        return None, "none of " + ", ".join(NAMES) + " is on PATH; install one"
    if os.geteuid() == 0:
        prefix = ["env", "DEBIAN_FRONTEND=noninteractive"]
    elif passwordless_sudo():
        prefix = ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"]
    else:
        return None, "installing it takes root: sudo apt-get install chromium"
    print(f"chromium: installing the distribution's package ({LOG})", flush=True)
    with LOG.open("w") as log:
        for command in INSTALL:
            done = subprocess.run(
                prefix + command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
    if done.returncode != 0:
        return None, f"apt-get could not install it; see {LOG}"
    return find(), f"apt-get installed no {NAMES[0]}; see {LOG}"


def passwordless_sudo() -> bool:
    """True when sudo asks nothing."""
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
