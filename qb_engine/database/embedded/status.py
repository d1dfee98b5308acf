"""what is known of an embedded server at one moment"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """An embedded server: whether it runs, how it is reached, and where its files are.

    `address` is a libpq connection string for PostgreSQL and `host:port` for Temporal; it is empty
    before the first start. `ui` is an http URL, for a server that has pages to look at.
    """

    name: str
    running: bool
    pid: int | None
    address: str
    ui: str | None
    log: Path
    data: Path
    version: str
