"""what must not run on a shadow: it would reach past it, into files, programs, other databases"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from qb_engine.sql.whole_server import WHOLE_SERVER

if TYPE_CHECKING:
    from qb_engine.sql import Statement

# functions that reach outside whoever calls them, and COPY within the text of a function
_CALLS = re.compile(
    r"(?i)\b(?:(dblink\w*|lo_import|lo_export|pg_read_(?:binary_)?file|pg_ls_dir|pg_file_write"
    r"|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile|pg_promote)\s*\("
    r"|copy\b[^;]*?\b((?:to|from)\s+program)\b)"
)


def reaches_outside(statement: Statement) -> str:
    """Why a statement is not run on a shadow; empty when it is."""
    kind = statement.kind
    if kind in WHOLE_SERVER:
        return WHOLE_SERVER[kind]
    node = statement.node
    if kind == "copy":
        if node.is_program:
            return "COPY with PROGRAM runs a program on the server's machine"
        if node.filename:
            return "COPY with a file reads or writes on the server's machine"
        return ""
    if kind in ("create_function", "comment", "unknown"):
        return ""  # it names them, and calls them later
    found = _CALLS.search(statement.sql)
    if found is None:
        return ""
    if found[2]:
        return f"COPY {found[2].upper()} runs a program on the server's machine"
    return f"{found[1].lower()} reaches beyond the database"


def locks_unseen(statement: Statement) -> tuple[str, str]:
    """The table of a statement that nobody saw run, and the lock that its text lets expect."""
    from qb_engine.sql.tree import only, pb, relation

    node = statement.node
    if not isinstance(node, pb.AlterTableStmt) or node.objtype != pb.OBJECT_TABLE:
        return "", ""
    triggers = (
        pb.AT_EnableTrig, pb.AT_EnableAlwaysTrig, pb.AT_EnableReplicaTrig, pb.AT_EnableTrigAll,
        pb.AT_EnableTrigUser, pb.AT_DisableTrig, pb.AT_DisableTrigAll, pb.AT_DisableTrigUser,
    )  # fmt: skip
    mild = all(command.subtype in triggers for command in map(only, node.cmds))
    schema, name = relation(node.relation)
    mode = "ShareRowExclusiveLock" if mild else "AccessExclusiveLock"
    return f"{schema or 'public'}.{name}", mode


def made_roles(statements: Iterable[Statement]) -> frozenset[str]:
    """The roles that statements make: not run on a shadow, and yet named by those after them."""
    return frozenset(s.node.role for s in statements if s.kind == "create_role")
