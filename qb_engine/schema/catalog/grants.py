"""privileges: what differs from what an object has when it is made"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from qb_engine.schema.catalog.collector import Collector
from qb_engine.schema.ids import ObjectId

PRIVILEGES = {
    "r": "SELECT",
    "a": "INSERT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
    "s": "SET",
    "A": "ALTER SYSTEM",
    "m": "MAINTAIN",
}
OWNER = "(owner)"  # stands for the owner's name, so that a change of owner is one difference
PUBLIC = "PUBLIC"

_ITEM = re.compile(r'(?P<to>"(?:[^"]|"")*"|[^=]*)=(?P<what>[^/]*)/(?P<by>.*)', re.DOTALL)

Privileges = dict[str, list[str]]


def read_acl(items: Iterable[str], owner: str) -> Privileges:
    """Privileges by role, `*` for the grant option; `role by grantor` when not the owner's."""
    found: dict[str, set[str]] = {}
    for item in items:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"not an access privilege: {item!r}")
        role, grantor = _role(match["to"]), _role(match["by"])
        key = PUBLIC if not role else OWNER if role == owner else role
        if owner and grantor != owner:
            key = f"{key} by {grantor}"
        words = re.findall(r".\*?", match["what"])
        found.setdefault(key, set()).update(
            PRIVILEGES.get(word[0], word[0]) + word[1:] for word in words
        )
    return {role: sorted(words) for role, words in sorted(found.items()) if words}


def add_grants(
    into: Collector,
    id: ObjectId,
    owner: str,
    items: Sequence[str] | None,
    default: Sequence[str] | None = None,
) -> None:
    """Record the grants on `id` when they are not the default ones."""
    if items is None:
        return
    privileges = read_acl(items, owner)
    if privileges != read_acl(default or (), owner):
        into.facts[id.remark("grant")] = {"privileges": privileges}


def _role(name: str) -> str:
    if name.startswith('"'):
        return name[1:-1].replace('""', '"')
    return name
