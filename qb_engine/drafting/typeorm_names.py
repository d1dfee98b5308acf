"""what TypeORM calls constraints and indexes, and whether a database has them called so"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from qb_engine.schema import Snapshot

Policy = Literal["database", "typeorm", "postgres"]


@dataclass(frozen=True)
class Names:
    """The names of TypeORM's default naming strategy.

    TypeORM up to 0.3 hashes a text with `encoded` signs, as they stand in a URL; 1.x as it is. They
    differ in every name that is made of more than letters, digits and `-_.!~*'()`, so in those of
    most checks and partial indexes.
    """

    encoded: bool = False

    def primary_key(self, table: str, columns: Iterable[str]) -> str:
        return f"PK_{self._hash(table, _joined(columns))[:27]}"

    def unique(self, table: str, columns: Iterable[str]) -> str:
        return f"UQ_{self._hash(table, _joined(columns))[:27]}"

    def relation(self, table: str, columns: Iterable[str]) -> str:
        """Of the uniqueness that a one-to-one relation has besides its foreign key."""
        return f"REL_{self._hash(table, _joined(columns))[:26]}"

    def foreign_key(self, table: str, columns: Iterable[str]) -> str:
        return f"FK_{self._hash(table, _joined(columns))[:27]}"

    def index(self, table: str, columns: Iterable[str], where: str = "") -> str:
        """Of an index, unique or not; `where` as the entity has it."""
        return f"IDX_{self._hash(table, _joined(columns), *[where] * bool(where))[:26]}"

    def check(self, table: str, expression: str) -> str:
        """Of a check; the expression as the entity has it, without the parentheses of CHECK."""
        return f"CHK_{self._hash(table, expression)[:26]}"

    def exclusion(self, table: str, expression: str) -> str:
        """Of an exclusion; the expression is all that stands behind EXCLUDE."""
        return f"XCL_{self._hash(table, expression)[:26]}"

    def default(self, table: str, column: str) -> str:
        """Of a default where the database names them; PostgreSQL does not."""
        return f"DF_{self._hash(table, column)[:27]}"

    def _hash(self, table: str, *parts: str) -> str:
        key = "_".join([table.rpartition(".")[2], *parts])
        if self.encoded:
            key = quote(key, safe="-_.!~*'()")
        return hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()


def _joined(columns: Iterable[str]) -> str:
    # sorted as JavaScript does: by units of UTF-16
    return "_".join(sorted(columns, key=lambda name: name.encode("utf-16-be")))


def names_in(folder: Path) -> Names:
    """The names of the TypeORM that a folder's project uses; of 1.x where there is none.

    It is the one that is installed for the folder, else the one that package.json asks for.
    """
    for home in (folder, *folder.parents):
        installed = _read(home / "node_modules" / "typeorm" / "package.json").get("version")
        if isinstance(installed, str):
            return Names(encoded=installed.startswith("0."))
        package = _read(home / "package.json")
        for kind in ("dependencies", "devDependencies", "peerDependencies"):
            asked = package.get(kind)
            if isinstance(asked, dict) and (said := re.search(r"\d+", str(asked.get("typeorm")))):
                return Names(encoded=said[0] == "0")
    return Names()


def _read(file: Path) -> dict[str, object]:
    """A package.json; empty when it is not there, or is none: npm says what is wrong with it."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


_HASHED = re.compile(r"(?:(?:UQ|FK)_[0-9a-f]{27}|(?:IDX|REL|XCL)_[0-9a-f]{26}|CHK_[0-9a-f]{26}.*)")
_KINDS = ("foreign key", "unique", "check", "exclusion")
_OTHERS = ("qb", "information_schema")


def follows(schema: Snapshot, policy: Policy = "database") -> bool:
    """True when unnamed constraints and indexes are to have TypeORM's names.

    With "database" when at least half of the database's have them, or when it has none. Primary
    keys do not count: TypeORM's own table has one.
    """
    if policy != "database":
        return policy == "typeorm"
    names = [
        name
        for table in schema.tables.values()
        if table.schema not in _OTHERS
        for name in (
            *(c.name for c in table.constraints.values() if c.kind in _KINDS and not c.inherited),
            *(i.name for i in table.indexes.values() if i.constraint is None),
        )
    ]
    hashed = sum(bool(_HASHED.fullmatch(name)) for name in names)
    return hashed * 2 >= len(names)
