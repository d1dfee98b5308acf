"""a whole schema at one moment, as values"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from qb_engine.errors import InputError
from qb_engine.schema.garbage import no_collection
from qb_engine.schema.ids import ObjectId
from qb_engine.schema.tables import Table, Tables
from qb_engine.schema.writing import by_kind, write

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
        digest = hashlib.sha256(f"qb {self.format_version}\n[".encode())
        for number, text in enumerate(self._canonical):
            digest.update(f",{text}".encode() if number else text.encode())
        digest.update(b"]")
        return digest.hexdigest()

    @cached_property
    def _canonical(self) -> tuple[str, ...]:
        """All facts as items of a JSON list, kind by kind, one way only."""
        known = self.written
        with no_collection():
            kinds = by_kind(self.facts).items()
            return tuple(known.get(kind) or write(kind, facts) for kind, facts in kinds)

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
        return f'{json.dumps(head)[:-1]}, "facts": [{",".join(self._canonical)}]}}'

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
