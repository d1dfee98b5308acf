"""Reading migrations written in TypeScript or JavaScript, without running them.

What a method sends is told from its text where that can be done for certain; anything else is
`unread`, with the line and the reason. Nothing is ever guessed. Only this room knows the grammar.
"""

from __future__ import annotations

from qb_engine.migrations.typescript.values import (
    Export,
    Method,
    Methods,
    MigrationClass,
    Query,
    Script,
    Unread,
)

__all__ = ["Export", "Method", "Methods", "MigrationClass", "Query", "Script", "Unread"]
