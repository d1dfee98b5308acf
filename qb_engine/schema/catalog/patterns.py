"""definitions, printed once for all indexes or constraints that differ in nothing but names

Printing definitions is the slowest part of a snapshot: the server opens every table again to print
a condition on it, and looks for the operator class of every column. So it is asked for one
definition of each kind there is, and the others are written like it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qb_engine.schema.definitions import split_outside

if TYPE_CHECKING:
    from qb_engine.schema.catalog.collector import Payload, Row
    from qb_engine.schema.ids import ObjectId

KEYWORDS = """
SELECT pg_catalog.array_agg(k.word::text) FROM pg_catalog.pg_get_keywords() k WHERE k.catcode <> 'U'
"""
INDEX_DEFINITIONS = """
SELECT o.oid, pg_catalog.pg_get_indexdef(o.oid) FROM pg_catalog.unnest(%(wanted)s::oid[]) o (oid)
"""
CONSTRAINT_DEFINITIONS = """
SELECT o.oid, pg_catalog.pg_get_constraintdef(o.oid)
FROM pg_catalog.unnest(%(wanted)s::oid[]) o (oid)
"""


def tree(*columns: str) -> str:
    """An SQL expression: equal for expressions that are printed equally, the columns being so.

    Up to PostgreSQL 16 an expression remembers where in its statement it stood.
    """
    text = " || ' ' || ".join(f"coalesce({column}::text, '')" for column in columns)
    return f"""pg_catalog.sha256(pg_catalog.convert_to(
           CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 170000 THEN {text}
                ELSE pg_catalog.regexp_replace({text}, ' :location -?[0-9]+', '', 'g') END,
           'UTF8'))"""


def names_a_row(*columns: str) -> str:
    """An SQL condition: an expression speaks of the whole row, and so names its table."""
    return " OR ".join(f"{column}::text LIKE '%:varattno 0 %'" for column in columns)


_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(slots=True)
class Alike:
    """Definitions that begin with what we can write, and go on in the same way."""

    sql: str  # asks for definitions by oid
    groups: defaultdict[Hashable, list[tuple[int, str, Payload]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    single: list[tuple[int, Payload]] = field(default_factory=list)

    def wanted(self) -> list[int]:
        """Those to ask the server about."""
        return [oid for oid, _ in self.single] + [like[0][0] for like in self.groups.values()]

    def read(self, rows: Iterable[Row]) -> None:
        """Write the definitions; those that do not begin as we thought are `wanted` again."""
        known: dict[int, str | None] = dict(rows)
        for oid, payload in self.single:
            payload["definition"] = known[oid]
        self.single = []
        for like in self.groups.values():
            oid, start, _ = like[0]
            definition = known[oid] or ""
            if definition.startswith(start):
                end = definition[len(start) :]
                for _, start, payload in like:
                    payload["definition"] = start + end
            else:
                self.single += [(oid, payload) for oid, _, payload in like]
        self.groups.clear()


@dataclass(slots=True)
class Indexes(Alike):
    """The indexes whose definitions are still to be written.

    Those of one of the `shapes` are on columns alone, and differ in nothing but names.
    """

    quote: Quote = field(default_factory=lambda: Quote())
    shapes: defaultdict[Hashable, list[tuple[int, str, list[str], Payload]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _places: dict[int, tuple[str, str]] = field(default_factory=dict)
    _layouts: dict[int, int] = field(default_factory=dict)
    _numbers: dict[tuple[str, ...], int] = field(default_factory=dict)

    def wanted(self) -> list[int]:
        return [*Alike.wanted(self), *(like[0][0] for like in self.shapes.values())]

    def read(self, rows: Iterable[Row]) -> None:
        known: dict[int, str | None] = dict(rows)
        Alike.read(self, known.items())
        quote = self.quote
        for indexes in self.shapes.values():
            oid, start, names, _ = indexes[0]
            pattern = self._pattern(start, names, known[oid] or "")
            if pattern is None:
                self.single += [(oid, payload) for oid, _, _, payload in indexes]
                continue
            method, after, tail = pattern
            for _, start, names, payload in indexes:
                columns = ", ".join([quote(c) + suffix for c, suffix in zip(names, after)])
                payload["definition"] = f"{start}{method} ({columns}){tail}"
        self.shapes.clear()

    def start(self, unique: bool, partitioned: bool, name: str, oid: int, table: ObjectId) -> str:
        """How the definition of an index begins; `oid` is the table's."""
        places = self._places.get(oid)
        if places is None:
            on = f"{self.quote(table.schema)}.{self.quote(table.name)} USING "
            places = self._places[oid] = f"ON {on}", f"ON ONLY {on}"
        head = "CREATE UNIQUE INDEX" if unique else "CREATE INDEX"
        return f"{head} {self.quote.once(name)} {places[partitioned]}"

    def layout(self, oid: int, columns: Sequence[ObjectId]) -> int:
        """A number for the names of a table's columns and their places: equal when these are."""
        found = self._layouts.get(oid)
        if found is None:
            names = tuple([id[3] for id in columns])
            found = self._layouts[oid] = self._numbers.setdefault(names, len(self._numbers))
        return found

    def _pattern(
        self, start: str, names: Sequence[str], definition: str
    ) -> tuple[str, Sequence[str], str] | None:
        """The access method, what follows each column, and what follows them all."""
        if not definition.startswith(start):
            return None
        method, _, rest = definition[len(start) :].partition(" (")
        keys, *tail = split_outside(rest, ")")
        parts = [part.lstrip() for part in split_outside(keys, ",")]
        quoted = [self.quote(column) for column in names]
        if len(parts) != len(quoted) or not all(map(str.startswith, parts, quoted)):
            return None
        return method, [p[len(n) :] for p, n in zip(parts, quoted)], ")".join(tail)


class Quote:
    """Writes identifiers as the server's quote_identifier does."""

    def __init__(self) -> None:
        self.keywords: frozenset[str] = frozenset()  # those that need quotes
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        quoted = self._known.get(name)
        if quoted is None:
            quoted = self._known[name] = self.once(name)
        return quoted

    def once(self, name: str) -> str:
        """The same, of a name that will hardly come again."""
        if _PLAIN.fullmatch(name) and name not in self.keywords:
            return name
        return '"' + name.replace('"', '""') + '"'
