"""Reading migrations written in TypeScript or JavaScript, without running them.

What a method sends is told from its text where that can be done for certain; anything else is
`unread`, with the line and the reason. Nothing is ever guessed. Only this room knows the grammar.
"""

from __future__ import annotations

from qb_engine.migrations.typescript import (  # noqa: F401 - they name what they understand
    arrays,
    calls,
    classes,
    expressions,
    files,
    loops,
    module,
    operating,
    standard,
    statements,
    strings,
)
from qb_engine.migrations.typescript.data_source import data_source
from qb_engine.migrations.typescript.description import constants, describe
from qb_engine.migrations.typescript.grammar import EXTENSIONS, is_script
from qb_engine.migrations.typescript.reading import methods
from qb_engine.migrations.typescript.sending import sent
from qb_engine.migrations.typescript.values import (
    DataSourceOptions,
    Export,
    Method,
    Methods,
    MigrationClass,
    Query,
    Script,
    Unread,
)

__all__ = [
    "EXTENSIONS",
    "DataSourceOptions",
    "Export",
    "Method",
    "Methods",
    "MigrationClass",
    "Query",
    "Script",
    "Unread",
    "constants",
    "data_source",
    "describe",
    "is_script",
    "methods",
    "sent",
]
