"""what has been read so far: facts, and the oids that lead to them"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qb_engine.schema.catalog.patterns import (
    CONSTRAINT_DEFINITIONS,
    INDEX_DEFINITIONS,
    Alike,
    Indexes,
    Quote,
)
from qb_engine.schema.ids import ObjectId

Row = tuple[Any, ...]
Payload = dict[str, Any]
NO_COLUMN = ObjectId("column", "", "")  # stands for number 0, and for columns that were dropped


class ColumnKind(NamedTuple):
    """What many columns say: `type` with the collation, when it is not the type's."""

    payload: Payload
    type: tuple[str, str | None]
    acl: list[str] | None
    text: str  # the payload as canonical JSON


# oids of the system catalogs; they are the same in every PostgreSQL
TYPE, ATTRIBUTE, PROC, CLASS, NAMESPACE = 1247, 1249, 1255, 1259, 2615
CONSTRAINT, REWRITE, TRIGGER, POLICY = 2606, 2618, 2620, 3256
EXTENSION, ATTRDEF = 3079, 2604

FIRST_USER_OID = 16384


@dataclass(slots=True)
class Collector:
    """Gathers facts while the catalog is read; later groups find the objects of earlier ones."""

    facts: dict[ObjectId, Payload] = field(default_factory=dict)
    schemas: dict[int, str] = field(default_factory=dict)
    relations: dict[int, ObjectId] = field(default_factory=dict)
    columns: dict[int, list[ObjectId]] = field(default_factory=dict)  # by number, see NO_COLUMN
    column_kinds: dict[int, list[ColumnKind]] = field(default_factory=dict)
    special: set[int] = field(default_factory=set)  # tables with columns that say more since
    defaults: dict[int, str] = field(default_factory=dict)  # by table and number, as one number
    attributes: dict[int, list[Payload]] = field(default_factory=dict)  # of composite types
    quote: Quote = field(default_factory=Quote)
    indexes: Indexes = field(init=False)
    definitions: Alike = field(default_factory=lambda: Alike(CONSTRAINT_DEFINITIONS))
    ids: dict[tuple[int, int], ObjectId] = field(default_factory=dict)
    constraints: dict[int, ObjectId] = field(default_factory=dict)
    orphans: list[Row] = field(default_factory=list)  # comments on what no group has claimed
    unmodelled: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.indexes = Indexes(INDEX_DEFINITIONS, quote=self.quote)

    def add(self, id: ObjectId, payload: Payload, *, of: int = 0, oid: int = 0) -> None:
        """Record a fact; `of` and `oid` (its catalog, its row) let comments find it."""
        self.facts[id] = payload
        if of:
            self.ids[of, oid] = id

    def column(self, oid: int, number: int) -> ObjectId | None:
        """The column of a relation, None when it has none of that number."""
        found = self.columns.get(oid, ())
        id = found[number] if number is not None and 0 < number < len(found) else NO_COLUMN
        return None if id is NO_COLUMN else id

    def find(self, of: int, oid: int, number: int) -> ObjectId | None:
        """The object that a comment's three numbers point at."""
        if of == CLASS:
            relation = self.relations.get(oid)
            if relation is None or number == 0:
                return relation
            return self.column(oid, number)
        if of == CONSTRAINT and oid in self.constraints:
            return self.constraints[oid]
        return self.ids.get((of, oid))


@dataclass(frozen=True, slots=True)
class Group:
    """A query for one group of kinds, and how its rows become facts."""

    sql: str
    read: Callable[[Sequence[Row], Collector], None]


def present(**fields: Any) -> Payload:
    """The fields that say something; what has its default value is left out of a payload."""
    return {key: value for key, value in fields.items() if value is not None}


# The schemas that a snapshot covers. Temporary and toast schemas are nobody's schema.
COVERED_SCHEMAS = """
    SELECT n.oid FROM pg_catalog.pg_namespace n
    WHERE n.nspname <> ALL (%(excluded)s) AND n.nspname <> 'information_schema'
      AND NOT pg_catalog.starts_with(n.nspname::text, 'pg_')"""


def member(of: int) -> str:
    """A query for the rows of a catalog that are members of extensions; by index, so it is fast."""
    return f"""SELECT e.objid FROM pg_catalog.pg_depend e
        WHERE e.refclassid = {EXTENSION} AND e.classid = {of} AND e.deptype = 'e'"""


def own(catalog: str, oid: str) -> str:
    """A condition: a user's object, not a member of an extension, not the inside of another."""
    return f"""{oid} >= {FIRST_USER_OID} AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend own
        WHERE own.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass
          AND own.objid = {oid} AND own.deptype IN ('e', 'i'))"""
