"""one table or view with all that belongs to it, gathered from the facts"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from qb_engine.schema.definitions import split_index
from qb_engine.schema.ids import PARTS, RELATIONS, ObjectId

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column: `type` as format_type writes it; `default` and `generated` as SQL.

    `identity` is '', 'a' (ALWAYS) or 'd' (BY DEFAULT); `generated` is '', 's' or 'v'; the
    expression of a generated column is its `default`. `position` counts from 1, without gaps.
    """

    name: str
    type: str
    nullable: bool
    default: str | None = None
    identity: str = ""
    generated: str = ""
    collation: str | None = None
    position: int = 0
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class ConstraintInfo:
    """A constraint: `definition` as pg_get_constraintdef writes it."""

    name: str
    kind: str
    definition: str
    columns: tuple[str, ...] = ()
    valid: bool = True
    references: str | None = None
    deferrable: bool = False
    deferred: bool = False
    inherited: bool = False
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """An index. One that a constraint made has that `constraint`, and its definition."""

    name: str
    definition: str
    columns: tuple[str, ...] = ()
    unique: bool = False
    primary: bool = False
    valid: bool = True
    predicate: str | None = None
    constraint: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class TriggerInfo:
    """A trigger; `enabled` is 'origin' (the usual), 'disabled', 'replica' or 'always'."""

    name: str
    definition: str
    enabled: str = "origin"
    comment: str | None = None


@dataclass(frozen=True)
class Table:
    """A table or view with its parts. `kind` is table, partitioned, foreign, view or matview."""

    schema: str
    name: str
    kind: str
    owner: str
    columns: Mapping[str, ColumnInfo] = field(default_factory=dict)
    constraints: Mapping[str, ConstraintInfo] = field(default_factory=dict)
    indexes: Mapping[str, IndexInfo] = field(default_factory=dict)
    triggers: Mapping[str, TriggerInfo] = field(default_factory=dict)
    partition_of: str | None = None
    partition_key: str | None = None
    definition: str | None = None
    comment: str | None = None

    @property
    def qualified(self) -> str:
        """`schema.name`, unquoted."""
        return f"{self.schema}.{self.name}"

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key; none when there is no primary key."""
        for constraint in self.constraints.values():
            if constraint.kind == "primary key":
                return constraint.columns
        return ()


class Tables(Mapping[str, Table]):
    """Tables by `schema.name`, each built when it is first asked for."""

    def __init__(self, facts: Mapping[ObjectId, Payload]) -> None:
        self._facts = facts
        self._parts: dict[tuple[str, str], list[ObjectId]] = defaultdict(list)
        self._built: dict[tuple[str, str], Table] = {}
        self._heads: dict[tuple[str, str], ObjectId] = {}
        for id in sorted(facts):
            if id.kind in RELATIONS:
                self._heads[id.schema, id.name] = id
            elif id.kind in PARTS:
                self._parts[id.schema, id.name].append(id)
        self._names = {f"{schema}.{name}": (schema, name) for schema, name in self._heads}

    def at(self, schema: str, name: str) -> Table | None:
        """The table of that schema and name, or None."""
        key = schema, name
        if key in self._heads and key not in self._built:
            parts = {id: self._facts[id] for id in self._parts[key]}
            self._built[key] = _build(self._facts, self._heads[key], parts)
        return self._built.get(key)

    def __getitem__(self, name: str) -> Table:
        table = self.at(*self._names[name])
        assert table is not None
        return table

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<{len(self)} tables>"


def _build(
    facts: Mapping[ObjectId, Payload], head: ObjectId, parts: Mapping[ObjectId, Payload]
) -> Table:
    whole = facts[head]

    def comment(id: ObjectId) -> str | None:
        said = facts.get(id.remark("comment"))
        return None if said is None else str(said["text"])

    def of(kind: str) -> Iterator[tuple[str, Payload, str | None]]:
        return ((id.sub, p, comment(id)) for id, p in parts.items() if id.kind == kind)

    found = {name: (payload, said) for name, payload, said in of("column")}
    order = whole.get("columns", ())
    columns = {
        name: ColumnInfo(
            name=name,
            type=found[name][0]["type"],
            nullable=found[name][0]["nullable"],
            default=found[name][0].get("default"),
            identity=found[name][0].get("identity", ""),
            generated=found[name][0].get("generated", ""),
            collation=found[name][0].get("collation"),
            position=position,
            comment=found[name][1],
        )
        for position, name in enumerate(order, 1)
        if name in found
    }
    constraints = {
        name: ConstraintInfo(
            name=name,
            kind=payload["kind"],
            definition=payload["definition"],
            columns=tuple(payload["columns"]),
            valid=payload.get("valid", True),
            references=".".join(payload["references"]) if "references" in payload else None,
            deferrable=payload.get("deferrable", False),
            deferred=payload.get("deferred", False),
            inherited=payload.get("inherited", False),
            comment=said,
        )
        for name, payload, said in of("constraint")
    }
    indexes = {name: _index(name, payload, said) for name, payload, said in of("index")}
    for name, constraint in constraints.items():
        if constraint.kind in ("primary key", "unique", "exclusion"):
            payload = parts[ObjectId("constraint", head.schema, head.name, name)]
            indexes[name] = IndexInfo(
                name=name,
                definition=constraint.definition,
                columns=constraint.columns,
                unique=constraint.kind != "exclusion",
                primary=constraint.kind == "primary key",
                valid=payload.get("index_valid", True),
                constraint=name,
            )
    partition_of = whole.get("partition_of")
    return Table(
        schema=head.schema,
        name=head.name,
        kind=whole.get("kind", head.kind),
        owner=whole["owner"],
        columns=MappingProxyType(columns),
        constraints=MappingProxyType(constraints),
        indexes=MappingProxyType(dict(sorted(indexes.items()))),
        triggers=MappingProxyType(
            {
                name: TriggerInfo(
                    name, payload["definition"], payload.get("enabled", "origin"), said
                )
                for name, payload, said in of("trigger")
            }
        ),
        partition_of=".".join(partition_of) if partition_of else None,
        partition_key=whole.get("partition_key"),
        definition=whole.get("definition"),
        comment=comment(head),
    )


def _index(name: str, payload: Payload, comment: str | None) -> IndexInfo:
    columns, predicate = split_index(payload["definition"])
    return IndexInfo(
        name=name,
        definition=payload["definition"],
        columns=columns,
        unique=payload["definition"].startswith("CREATE UNIQUE"),
        valid=payload.get("valid", True),
        predicate=predicate,
        comment=comment,
    )
