"""a whole schema at one moment, as values"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from json.encoder import encode_basestring_ascii
from types import MappingProxyType
from typing import Any

from qb_engine.errors import InputError
from qb_engine.schema.ids import ObjectId
from qb_engine.schema.tables import Table, Tables

# What a fact says and how it is named. Fingerprints of different formats are never equal.
FORMAT_VERSION = 1

Payload = Mapping[str, Any]

# An empty database has these.
_BORN = frozenset({ObjectId("schema", "", "public"), ObjectId("extension", "", "plpgsql")})


@dataclass(frozen=True)
class Snapshot:
    """The whole schema of a database at one moment.

    `facts` has one entry per object, its payload plain JSON values, where a field that has its
    usual value is left out. `unmodelled` names the objects that facts do not describe.
    """

    facts: Mapping[ObjectId, Payload]
    unmodelled: tuple[str, ...] = ()
    server_version: int = 0
    format_version: int = FORMAT_VERSION
    # canonical JSON of some kinds, when there was time to write it before it was asked for
    written: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the facts: equal when, and only when, the schemas are."""
        return hashlib.sha256(f"qb {self.format_version}\n{self._canonical}".encode()).hexdigest()

    @cached_property
    def _canonical(self) -> str:
        """All facts as JSON, one way only: sorted by code point, no blanks."""
        kinds = sorted({id.kind for id in self.facts})
        known = self.written
        return f"[{','.join(known.get(kind) or write(kind, self.facts) for kind in kinds)}]"

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """Tables and views by `schema.name`."""
        return Tables(self.facts)

    @property
    def is_empty(self) -> bool:
        """True when the database has nothing but what every database is made with."""
        return all(id in _BORN for id in self.facts) and not self.unmodelled

    def table(self, name: str, schema: str = "public") -> Table | None:
        """The table or view of that name, or None; `name` may be `schema.name`."""
        tables = self.tables
        assert isinstance(tables, Tables)
        return tables.at(schema, name) or tables.get(name)

    def has_index(self, schema: str, name: str) -> bool:
        """True when an index of that name is in a schema, on whatever table."""
        return any(i.kind == "index" and i.schema == schema and i.sub == name for i in self.facts)

    def find(self, kind: str, schema: str, name: str, sub: str = "") -> Payload | None:
        """The payload of one object, or None."""
        return self.facts.get(ObjectId(kind, schema, name, sub))

    def to_json(self) -> str:
        """The snapshot as JSON text, the same for equal snapshots."""
        head = {
            "format_version": self.format_version,
            "server_version": self.server_version,
            "unmodelled": list(self.unmodelled),
        }
        return f'{json.dumps(head)[:-1]}, "facts": {self._canonical}}}'

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """Read what `to_json` has written."""
        try:
            whole = json.loads(text)
            facts = {ObjectId(*fact[:4]): fact[4] for fact in whole["facts"]}
            unmodelled = tuple(whole["unmodelled"])
            server, format = int(whole["server_version"]), int(whole["format_version"])
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise InputError(
                "this is not a snapshot of qb",
                why=f"{type(error).__name__}: {error}",
                todo="take a new snapshot of the database",
                code="bad-snapshot",
            ) from error
        return cls(MappingProxyType(facts), unmodelled, server, format)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self.facts)} objects, {self.fingerprint[:12]}>"


def write(kind: str, facts: Mapping[ObjectId, Payload]) -> str:
    """The facts of one kind as items of a JSON list, in the one order."""
    ids = sorted([id for id in facts if id.kind == kind])
    if kind != "column":
        return _encode([[*id, facts[id]] for id in ids])[1:-1]
    texts: dict[int, str] = {}  # columns are many and share their payloads
    items = []
    for key in ids:
        payload = facts[key]
        text = texts.get(id(payload))
        if text is None:
            text = texts[id(payload)] = _encode(payload)
        schema, name, sub = map(encode_basestring_ascii, key[1:])
        items.append(f'["column",{schema},{name},{sub},{text}]')
    return ",".join(items)


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
