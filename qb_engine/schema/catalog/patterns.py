"""index definitions, printed once for all indexes that differ in nothing but names

Printing definitions is the slowest part of a snapshot: pg_get_indexdef alone, which looks for the
operator class of every column again, takes a third of it. So the server is asked for the
definition of one index of each shape, and the others are written like it.
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
DEFINITIONS = """
SELECT o.oid, pg_catalog.pg_get_indexdef(o.oid) FROM pg_catalog.unnest(%(wanted)s::oid[]) o (oid)
"""

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


class Index(NamedTuple):
    """An index without expressions: the names in its definition, and where that belongs."""

    oid: int
    name: str
    table: ObjectId
    columns: list[str]
    predicate: str | None
    payload: Payload


class Shape(NamedTuple):
    """What two indexes have in common when only names and predicates tell them apart."""

    unique: bool
    partitioned: bool
    rest: Hashable


@dataclass(slots=True)
class Indexes:
    """The indexes whose definitions are still to be written, by shape."""

    quote: Quote
    shapes: defaultdict[Shape, list[Index]] = field(default_factory=lambda: defaultdict(list))
    single: list[Index] = field(default_factory=list)

    def wanted(self) -> list[int]:
        """The indexes to ask the server about."""
        return [i.oid for i in self.single] + [like[0].oid for like in self.shapes.values()]

    def read(self, rows: Iterable[Row]) -> None:
        """Write the definitions; those for which there is no pattern are `wanted` again."""
        known: dict[int, str | None] = dict(rows)
        for index in self.single:
            index.payload["definition"] = known[index.oid]
        self.single = []
        for shape, indexes in self.shapes.items():
            pattern = self._pattern(shape, indexes[0], known[indexes[0].oid] or "")
            if pattern is None:
                self.single += indexes
            else:
                for index in indexes:
                    index.payload["definition"] = self._written(shape, index, *pattern)
        self.shapes.clear()

    def _written(
        self, shape: Shape, index: Index, method: str, after: Sequence[str], tail: str
    ) -> str:
        columns = ", ".join([self.quote(c) + suffix for c, suffix in zip(index.columns, after)])
        return f"{self._start(shape, index)}{method} ({columns}){tail}{_end(index)}"

    def _start(self, shape: Shape, index: Index) -> str:
        quote, table = self.quote, index.table
        head = "CREATE UNIQUE INDEX" if shape.unique else "CREATE INDEX"
        on = "ON ONLY" if shape.partitioned else "ON"
        return f"{head} {quote(index.name)} {on} {quote(table.schema)}.{quote(table.name)} USING "

    def _pattern(
        self, shape: Shape, index: Index, definition: str
    ) -> tuple[str, Sequence[str], str] | None:
        """The access method, what follows each column, and what follows them all."""
        start, end = self._start(shape, index), _end(index)
        if not (definition.startswith(start) and definition.endswith(end)):
            return None
        method, _, rest = definition[len(start) : len(definition) - len(end)].partition(" (")
        keys, *tail = split_outside(rest, ")")
        parts = [part.lstrip() for part in split_outside(keys, ",")]
        names = [self.quote(column) for column in index.columns]
        if len(parts) != len(names) or not all(map(str.startswith, parts, names)):
            return None
        return method, [p[len(n) :] for p, n in zip(parts, names)], ")".join(tail)


def _end(index: Index) -> str:
    return f" WHERE {index.predicate}" if index.predicate else ""


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
