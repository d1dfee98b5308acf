"""what a target's catalog tells of an extension, as statements that make something like it"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.shadow.extensions import Extension


def described(conn: Connection, extension: Extension) -> tuple[str, ...]:
    """Statements for the types, functions, tables and wrappers that an extension has made."""
    return ()
