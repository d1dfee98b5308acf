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
from typing import TYPE_CHECKING, NamedTuple

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


class Plain(NamedTuple):
    """An index on columns alone: the names in its definition, and where that belongs."""

    oid: int
    name: str
    table: ObjectId
    columns: list[str]
    payload: Payload


class Shape(NamedTuple):
    """What two indexes on columns have in common when only names tell them apart."""

    unique: bool
    partitioned: bool
    rest: Hashable


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
    """The indexes whose definitions are still to be written."""

    quote: Quote = field(default_factory=lambda: Quote())
    shapes: defaultdict[Shape, list[Plain]] = field(default_factory=lambda: defaultdict(list))

    def wanted(self) -> list[int]:
        return [*Alike.wanted(self), *(like[0].oid for like in self.shapes.values())]

    def read(self, rows: Iterable[Row]) -> None:
        known: dict[int, str | None] = dict(rows)
        Alike.read(self, known.items())
        for shape, indexes in self.shapes.items():
            first = indexes[0]
            pattern = self._pattern(shape, first, known[first.oid] or "")
            if pattern is None:
                self.single += [(index.oid, index.payload) for index in indexes]
            else:
                for index in indexes:
                    index.payload["definition"] = self._written(shape, index, *pattern)
        self.shapes.clear()

    def start(self, unique: bool, partitioned: bool, name: str, table: ObjectId) -> str:
        """How the definition of an index begins."""
        quote = self.quote
        head = "CREATE UNIQUE INDEX" if unique else "CREATE INDEX"
        on = "ON ONLY" if partitioned else "ON"
        return f"{head} {quote(name)} {on} {quote(table.schema)}.{quote(table.name)} USING "

    def _written(
        self, shape: Shape, index: Plain, method: str, after: Sequence[str], tail: str
    ) -> str:
        columns = ", ".join([self.quote(c) + suffix for c, suffix in zip(index.columns, after)])
        start = self.start(shape.unique, shape.partitioned, index.name, index.table)
        return f"{start}{method} ({columns}){tail}"

    def _pattern(
        self, shape: Shape, index: Plain, definition: str
    ) -> tuple[str, Sequence[str], str] | None:
        """The access method, what follows each column, and what follows them all."""
        start = self.start(shape.unique, shape.partitioned, index.name, index.table)
        if not definition.startswith(start):
            return None
        method, _, rest = definition[len(start) :].partition(" (")
        keys, *tail = split_outside(rest, ")")
        parts = [part.lstrip() for part in split_outside(keys, ",")]
        names = [self.quote(column) for column in index.columns]
        if len(parts) != len(names) or not all(map(str.startswith, parts, names)):
            return None
        return method, [p[len(n) :] for p, n in zip(parts, names)], ")".join(tail)


class Quote:
    """Writes identifiers as the server's quote_identifier does."""

    def __init__(self) -> None:
        self.keywords: frozenset[str] = frozenset()  # those that need quotes
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        quoted = self._known.get(name)
        if quoted is None:
            plain = _PLAIN.fullmatch(name) and name not in self.keywords
            quoted = name if plain else '"' + name.replace('"', '""') + '"'
            self._known[name] = quoted
        return quoted
