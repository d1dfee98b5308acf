"""the environment that a server is given: a few harmless variables, never the user's secrets"""

from __future__ import annotations

import os

KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def clean(**more: str) -> dict[str, str]:
    """The variables that are kept, and `more`; messages in English, times in UTC."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC", **more}
