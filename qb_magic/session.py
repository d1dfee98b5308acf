"""the session of one notebook: a Session that also remembers which database was reached last"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qb_engine.commands import Session

if TYPE_CHECKING:
    from qb_engine.commands import Face
    from qb_engine.database.connect import Connection


class NotebookSession(Session):
    """A Session whose last connection can be repeated without starting or choosing anything."""

    def __init__(self, face: Face, root: Path | None = None) -> None:
        super().__init__(face, root)
        self.cell: str | None = None
        self.reached = ""  # libpq's connection string; holds a secret, so it is never shown

    def connect(self, *, application_name: str = "qb", autocommit: bool = True) -> Connection:
        from psycopg.conninfo import make_conninfo

        conn = super().connect(application_name=application_name, autocommit=autocommit)
        info = conn.info
        secret = {"password": info.password} if info.password else {}
        self.reached = make_conninfo(info.dsn, **secret)
        return conn
