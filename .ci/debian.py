"""what the tests need of the distribution, installed where that takes no question"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

LOGS = Path(__file__).resolve().parent.parent / ".venv"
QUIETLY = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]


def install(name: str, *packages: str) -> str:
    """Install packages; empty when that worked, else why it did not. `name` says what for."""
    if shutil.which("apt-get") is None:
        return f"there is no apt-get to install {packages[0]} with"
    # no service is started: invoke-rc.d does nothing in the single-user mode
    prefix = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    if os.geteuid() != 0:
        if not passwordless_sudo():
            return f"installing it takes root: sudo apt-get install {packages[0]}"
        prefix = ["sudo", "-n", *prefix]
    log = LOGS / f"{name}.log"
    print(f"{name}: installing the distribution's package ({log})", flush=True)
    with log.open("w") as output:
        for command in (["apt-get", "update", "-qq"], [*QUIETLY, *packages]):
            done = subprocess.run(
                prefix + command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
    return f"apt-get could not install it; see {log}" if done.returncode else ""


def passwordless_sudo() -> bool:
    """True when sudo asks nothing."""
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
