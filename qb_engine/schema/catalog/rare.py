"""kinds that most databases have none of: read only when the catalog has a row of them"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qb_engine.schema.catalog.collector import FIRST_USER_OID, Collector, Row, present
from qb_engine.schema.catalog.grants import add_grants
from qb_engine.schema.ids import ObjectId


@dataclass(frozen=True, slots=True)
class Rare:
    """One kind: its catalog, and a query of oid, schema, name, sub, owner, payload, acl, default.

    `of` is the oid of the catalog; `rows` says which of its rows are a user's.
    """

    kind: str
    of: int
    catalog: str
    sql: str
    oid: str = "oid"

    @property
    def exists(self) -> str:
        """An SQL expression: the number of the catalog when it has rows to read."""
        return (
            f"CASE WHEN EXISTS (SELECT FROM pg_catalog.{self.catalog} "
            f"WHERE {self.oid} >= {FIRST_USER_OID}) THEN {self.of} END"
        )

    def read(self, rows: Sequence[Row], into: Collector) -> None:
        for oid, schema_oid, name, sub, owner, payload, acl, default_acl in rows:
            schema = into.schemas.get(schema_oid) if schema_oid else ""
            if schema is None:
                continue
            id = ObjectId(self.kind, schema, name, sub or "")
            # nothing that is rare is a list with an order of its own
            values = {k: sorted(v) if isinstance(v, list) else v for k, v in payload.items()}
            into.add(id, present(owner=owner, **values), of=self.of, oid=oid)
            add_grants(into, id, owner or "", acl, default_acl)


def presence(kinds: Iterable[Rare]) -> str:
    """A query for the oids of the catalogs that have rows of these kinds, and how big it all is."""
    cases = ",\n    ".join(kind.exists for kind in kinds)
    return f"""SELECT pg_catalog.array_remove(ARRAY[\n    {cases}]::int[], NULL),
    pg_catalog.pg_relation_size('pg_catalog.pg_attribute')"""


NO_ACL = "NULL::text[], NULL::text[]"
