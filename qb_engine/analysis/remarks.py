"""what is found in a file besides hazards: what cannot be read, run or told, and idle comments"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qb_engine.analysis.facts import Provenance
from qb_engine.analysis.hazards import Finding, Hazard, Severity

SYNTAX_ERROR = Hazard(
    id="syntax-error",
    severity=Severity.ERROR,
    title="{what}",
    meaning="PostgreSQL cannot read the statement, so it would fail. The rest of the file was "
    "looked at all the same.",
    fix="mend the SQL at the place that is named",
    bad="ALTER TABLE users ADD COLUM email text",
)
BROKEN_FILE = Hazard(
    id="broken-file",
    severity=Severity.ERROR,
    title="{what}",
    meaning="The file cannot be read as a migration, so nothing in it was looked at.",
    fix="mend the file",
    bad="",
)
STATEMENT_FAILS = Hazard(
    id="statement-fails",
    severity=Severity.ERROR,
    title="fails: {what}",
    meaning="The statement was run on an empty copy of the schema, after those before it, and the "
    "server refused it.",
    fix="mend the statement, or give the schema that it is meant for (-c TARGET, --schema FILE)",
    bad="ALTER TABLE users ADD COLUMN email text",
)
OBJECT_NOT_FOUND = Hazard(
    id="object-not-found",
    severity=Severity.WARNING,
    title="object not found here: {what}",
    meaning="What the statement does was seen on a stand-in, made from what the file says of it. "
    "Its true columns, constraints and size are not known.",
    fix="mend the name, or give the schema that the file is meant for: -c TARGET or --schema FILE",
    bad="ALTER TABLE unknown ADD COLUMN note text",
)
NOT_LOOKED_AT = Hazard(
    id="not-looked-at",
    severity=Severity.WARNING,
    title="not run on the shadow: {what}",
    meaning="What a shadow runs must stay on it, so nobody has seen what this statement does.",
    fix="look at it with care; nothing here can tell what it does",
    bad="COPY users TO PROGRAM 'cat > /tmp/users'",
)
NEEDS_RIGHTS = Hazard(
    id="not-looked-at",
    severity=Severity.NOTICE,
    title="not looked at, because it needs more rights than an ordinary owner has: {what}",
    meaning="What is tried is run by an ordinary role that owns the schema, never by a superuser, "
    "so nobody has seen what this statement does. On the target it needs these rights, too.",
    fix="look at it with care, and see who is to run it",
    bad="ALTER TABLE users DISABLE TRIGGER ALL",
)
TAKES_TOO_LONG = Hazard(
    id="takes-too-long",
    severity=Severity.WARNING,
    title="did not end within {seconds:g} s on an empty copy of the schema, and was cancelled",
    meaning="On a schema without rows hardly anything takes time: it waits, loops, or makes rows "
    "by itself. Nobody has seen what it does in the end.",
    fix="see what it waits for; give it a limit of its own",
    bad="SELECT pg_sleep(3600)",
)
UNKNOWN_STATEMENT = Hazard(
    id="unknown-statement",
    severity=Severity.NOTICE,
    title="unknown statement, observed only: {what}",
    meaning="The server ran what qb's grammar cannot read. Its locks and its work were seen; what "
    "is judged from the text was not.",
    fix="nothing is to be mended; look at the plan's locks",
    bad="",
)
UNUSED_ACCEPTANCE = Hazard(
    id="unused-acceptance",
    severity=Severity.NOTICE,
    title="{what}",
    meaning="An acceptance that accepts nothing hides what it was meant for, or what comes later.",
    fix="remove it, or write: -- qb:accept <id> because <reason>, directly above the statement",
    bad="-- qb:accept drop-table because it is empty\nSELECT 1",
)
REMARKS = (
    SYNTAX_ERROR,
    BROKEN_FILE,
    STATEMENT_FAILS,
    OBJECT_NOT_FOUND,
    NOT_LOOKED_AT,
    TAKES_TOO_LONG,
    UNKNOWN_STATEMENT,
    UNUSED_ACCEPTANCE,
)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something is found: the line of a file, and its statement, if it is of one."""

    file: str
    line: int
    number: int = 0
    statement: str = ""


def remark(
    record: Hazard,
    at: Spot,
    *,
    relation: str = "",
    lock: str = "",
    severity: Severity | None = None,
    provenance: Provenance = Provenance.STATIC,
    why: str = "",
    **words: Any,
) -> Finding:
    """A finding of one of these records; `words` fill the places of its title."""
    return Finding(
        hazard=record.id,
        severity=severity or record.severity,
        number=at.number,
        statement=at.statement,
        file=at.file,
        line=at.line,
        relation=relation,
        lock=lock,
        message=record.title.format(**words),
        why=why or record.meaning,
        fix=record.fix,
        provenance=provenance,
    )
