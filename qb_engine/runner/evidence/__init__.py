"""What the catalog says about a statement that runs outside a transaction.

`before` writes down what is there when it starts, `now` looks again: did it finish? Nobody guesses.
A kind of statement is one `Kind`, in the file of what it is about; a new one is added to `KINDS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.runner.evidence import elsewhere, index, partition, reindex
from qb_engine.runner.evidence.kind import Found, Kind, Note

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.sql import Statement

__all__ = ["KINDS", "Found", "Kind", "Note", "before", "now"]

KINDS: tuple[Kind, ...] = (*index.KINDS, *reindex.KINDS, *partition.KINDS, *elsewhere.KINDS)

# what may run a second time and leaves the same behind
REPEATABLE = (
    "vacuum", "reindex", "cluster", "alter_system", "discard", "refresh_mat_view", "check_point",
)  # fmt: skip


def before(acting: Connection, statement: Statement) -> Note:
    """What is to be known of the catalog before a statement starts; plain JSON values.

    `acting` is the session that will run it: names mean what they mean there.
    """
    kind = _kind(statement)
    return kind.before(acting, statement) if kind else {}


def now(conn: Connection, statement: Statement, noted: Note) -> Found:
    """Whether a statement that was cut off had finished, by what was noted before it began.

    Reads only, whatever it finds.
    """
    kind = _kind(statement)
    if kind and noted:
        return kind.now(conn, statement, noted)
    if statement.kind in REPEATABLE:
        return Found("repeatable", "it may run a second time: the same is left behind")
    return Found("unknown", "nothing in the catalog tells whether it finished")


def _kind(statement: Statement) -> Kind | None:
    return next((kind for kind in KINDS if kind.matches(statement)), None)
