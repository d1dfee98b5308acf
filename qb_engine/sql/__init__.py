"""reading and writing SQL through PostgreSQL's own grammar; the only room that knows the parser"""

from __future__ import annotations

from qb_engine.sql.quote import ident, literal, qualified
from qb_engine.sql.statement import (
    Source,
    SqlError,
    Statement,
    deparse,
    read,
    read_framed,
    read_one,
)

__all__ = [
    "Source",
    "SqlError",
    "Statement",
    "deparse",
    "ident",
    "literal",
    "qualified",
    "read",
    "read_framed",
    "read_one",
]
