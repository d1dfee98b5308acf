"""find the browser of the browser tests, or install the distribution's package"""

from __future__ import annotations

import shutil

import debian

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The path of a Chromium or Chrome on PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def find_or_install() -> tuple[str | None, str]:
    """The path of a browser, or None and why there is none."""
    if found := find():
        return found, ""
    why = debian.install("chromium", "chromium", "fonts-dejavu-core")
    return find(), why or f"apt-get installed no {NAMES[0]}"
