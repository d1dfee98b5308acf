"""a file as lint looks at it: its statements in their transactions, and what cannot be read"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from qb_engine.analysis.arrange import Arranged, Tx, arrange, arrange_parts
from qb_engine.analysis.remarks import BROKEN_FILE, SYNTAX_ERROR, Spot, remark
from qb_engine.sql import Source, SqlError
from qb_engine.sql.script import read_script, transaction_word

if TYPE_CHECKING:
    from qb_engine.analysis.hazards import Finding
    from qb_engine.errors import QbError
    from qb_engine.migrations import LoadedMigration

# the lines with which a format begins the way up, and those that end it
_UP = re.compile(r"(?mi)^[ \t]*--[ \t]*(?:qb:up|migrate:up|\+goose[ \t]+up)\b[^\n]*\n?")
_END = re.compile(
    r"(?mi)^[ \t]*--[ \t]*(?:qb:(?!accept\b|up\b)\w+|migrate:down|\+goose[ \t]+down)\b"
)
_LINE = re.compile(r":(\d+)$")


@dataclass(frozen=True)
class Sheet:
    """A file or a migration to be looked at.

    `problems` say of a step, by its number, what the grammar cannot read in it. `texts` are its
    files by name, for the comments in them. A `chained` one is seen by those after it; one that is
    not `wanted` is only run, for those after it. `filled` are tables that a backfill fills before
    its `post` part. `broken` says why nothing could be read.
    """

    file: str
    arranged: Arranged
    problems: Mapping[int, SqlError] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    chained: bool = False
    wanted: bool = True
    filled: tuple[str, ...] = ()
    broken: tuple[Finding, ...] = ()


def sheet_of_text(
    text: str, file: str = "", *, tx: Tx | None = None, chained: bool = False
) -> Sheet:
    """A text of SQL of any kind; of a file with sections, the way up.

    Without `tx` it is arranged as it says itself by BEGIN and COMMIT, else as qb's runner would.
    """
    up, line = way_up(text)
    script = read_script(up, Source(file, line))
    own = any(transaction_word(s) == "begin" for s in script.statements)
    if tx is None or (tx is Tx.NONE and own):
        tx = Tx.EXPLICIT if own else Tx.RUNNER
    arranged = arrange(script.statements, tx, file)
    steps = [n for n, s in enumerate(script.statements) if not transaction_word(s)]
    problems = {
        at: script.problems[n] for at, n in enumerate(steps, start=1) if n in script.problems
    }
    return Sheet(file, arranged, problems, {file: text}, chained)


def sheet_of_migration(
    migration: LoadedMigration, texts: Mapping[str, str], *, tx: Tx | None = None
) -> Sheet:
    """A migration of any form, its parts as qb's runner runs them, or all of it as `tx` says."""
    file = str(migration.path)
    arranged = arrange_parts(migration.parts) if tx is None else arrange(migration.up, tx, file)
    return Sheet(file, arranged, texts=texts, chained=True, filled=migration.filled)


def broken_sheet(file: str, error: QbError) -> Sheet:
    """A file that cannot be read at all, with the finding that says so."""
    found = _LINE.search(error.where)
    record = SYNTAX_ERROR if isinstance(error, SqlError) else BROKEN_FILE
    spot = Spot(file, int(found[1]) if found else 1)
    why = f"{record.meaning}\n{error.why}".strip()
    finding = remark(record, spot, what=error.what, why=why)
    if record is BROKEN_FILE and error.todo:
        finding = replace(finding, fix=error.todo)
    return Sheet(file, arrange((), Tx.RUNNER), broken=(finding,))


def way_up(text: str) -> tuple[str, int]:
    """The part of a text that goes up, where sections say which, and the line it begins on."""
    up = _UP.search(text)
    if up is None:
        return text, 1
    end = _END.search(text, up.end())
    line = text.count("\n", 0, up.end()) + 1
    return text[up.end() : end.start() if end else len(text)], line
