"""the body of a draft: columns of the tables it names, tables, keywords"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_magic.catalogue import Catalogue
from qb_magic.completion.offer import Offer

KEYWORDS = (
    "ADD COLUMN", "ADD CONSTRAINT", "ALTER COLUMN", "ALTER TABLE", "BEGIN", "CASCADE", "CHECK",
    "COMMENT ON", "CONCURRENTLY", "CREATE INDEX", "CREATE TABLE", "CREATE TYPE", "CREATE VIEW",
    "DEFAULT", "DELETE FROM", "DROP COLUMN", "DROP CONSTRAINT", "DROP INDEX", "DROP NOT NULL",
    "DROP TABLE", "FOREIGN KEY", "FROM", "IF EXISTS", "IF NOT EXISTS", "INSERT INTO", "JOIN",
    "NOT NULL", "NOT VALID", "NULL", "ORDER BY", "PRIMARY KEY", "REFERENCES", "RENAME COLUMN",
    "RENAME TO", "RETURNING", "SELECT", "SET", "SET DEFAULT", "SET NOT NULL", "UNIQUE", "UPDATE",
    "USING", "VALIDATE CONSTRAINT", "VALUES", "WHERE", "WITH",
)  # fmt: skip

_NAME = r'(?:[\w$]+|"(?:[^"]|"")+")'
_FRAGMENT = re.compile(rf'(?:(?P<table>{_NAME}(?:\.{_NAME})?)\.)?(?P<start>"?[\w$]*)$')
_MENTION = re.compile(
    r"\b(?:from|join|update|table|into|on|references)\s+(?:only\s+)?(?:if\s+(?:not\s+)?exists\s+)?"
    rf"(?P<table>{_NAME}(?:\.{_NAME})?)(?:\s+(?:as\s+)?(?P<alias>{_NAME}))?",
    re.IGNORECASE,
)


def complete(text: str, before: str, catalogue: Catalogue) -> tuple[str, list[Offer]]:
    """The word before the cursor and what may stand there.

    `text` is the whole body, `before` the part of the cursor's line that is left of it.
    """
    found = _FRAGMENT.search(before)
    if found is None:
        return "", []
    word, table = found["start"], found["table"]
    mentioned = mentions(text, catalogue)
    if table is not None:
        columns = mentioned.get(table) or catalogue.tables.get(table, ())
        offers = [Offer(column, "column") for column in columns]
    elif not word:
        return "", []
    else:
        offers = [o for o in _offers(mentioned, catalogue) if o.text[0] == '"' or word[0] != '"']
    small = word.lower().lstrip('"')
    kept = [o for o in offers if o.text.lower().lstrip('"').startswith(small)]
    return word, list(dict.fromkeys(kept))


def mentions(text: str, catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """The known tables that a text names, and their aliases, each with its columns."""
    found: dict[str, tuple[str, ...]] = {}
    for match in _MENTION.finditer(text):
        columns = catalogue.tables.get(match["table"])
        if columns is not None:
            found[match["table"]] = columns
            if match["alias"]:
                found[match["alias"]] = columns
    return found


def _offers(mentioned: dict[str, tuple[str, ...]], catalogue: Catalogue) -> Iterator[Offer]:
    for columns in mentioned.values():
        yield from (Offer(column, "column") for column in columns)
    yield from (Offer(table, "table") for table in catalogue.tables)
    yield from (Offer(keyword, "keyword") for keyword in KEYWORDS)
