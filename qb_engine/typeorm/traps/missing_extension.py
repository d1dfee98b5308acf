"""a function or type of an extension that no migration creates"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Finding, Severity, Trap, alone

UP = "CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT uuid_generate_v4())"

TRAP = Trap(
    id="missing-extension",
    severity=Severity.WARNING,
    stage="up",
    title="{name} needs the extension {extension} ({word}), and no migration creates it",
    meaning="TypeORM creates extensions itself when it connects, because of your entities and not "
    "of the migrations. Whoever replays the migrations without it (qb, psql, CI) lacks it.",
    fix='put a migration in front: CREATE EXTENSION IF NOT EXISTS "{extension}"',
    bad=alone("AddNotes1710460800000", [UP]),
    good=alone("AddNotes1710460800000", ['CREATE EXTENSION IF NOT EXISTS "uuid-ossp"', UP]),
)
NEEDED = {
    "uuid-ossp": r"uuid_generate_v[1-5]\w*\s*\(",
    "citext": r"\bcitext\b",
    "hstore": r"\bhstore\b",
    "postgis": r"\b(?:geometry|geography)\s*\(|\bst_\w+\s*\(",
    "ltree": r"\bltree\b",
    "vector": r"\b(?:half)?vector\s*\(\s*\d+\s*\)",
    "pg_trgm": r"\bgin_trgm_ops\b|\bgist_trgm_ops\b",
    "pgcrypto": r"\bgen_salt\s*\(|\bcrypt\s*\(|\bgen_random_bytes\s*\(",
}
CREATED = re.compile(r'CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?"?([\w-]+)', re.I)


def find(project: Project) -> Iterator[Finding]:
    there: set[str] = set()
    for each in project.in_order:
        for statement in each.statements:
            there |= {name.lower() for name in CREATED.findall(statement.sql)}
            for extension, pattern in NEEDED.items():
                used = None if extension in there else re.search(pattern, statement.sql, re.I)
                if used:
                    there.add(extension)  # once is enough
                    word = used[0].strip().rstrip("(").strip()
                    yield TRAP.on(each, statement.source.line, extension=extension, word=word)
