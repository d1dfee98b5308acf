"""what a statement changed in the catalog: tables before and after it, compared by oid"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# the tables that this session's transaction has locked so that it may have changed them
TOUCHED = """
SELECT DISTINCT coalesce(i.indrelid, l.relation)::bigint
  FROM pg_catalog.pg_locks l
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = l.relation
 WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted
   AND l.relation >= 16384
   AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
"""

# the tables of these names, of the indexes of these names, and the partitions below them
NAMED = """
SELECT DISTINCT coalesce(p.relid, i.indrelid, c.oid)::bigint
  FROM pg_catalog.unnest(%s::text[]) AS named(name)
  JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(named.name)
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
  LEFT JOIN LATERAL pg_catalog.pg_partition_tree(coalesce(i.indrelid, c.oid)) p ON true
"""

# a condition that is one IS NOT NULL and nothing more, which every lookup of a value implies
GIVEN = r"'^\(?\{NULLTEST :arg \{VAR [^{}]*\} :nulltesttype 1 [^{}]*\}\)?$'"

# Each of these tables as one JSON value. Expressions are compared by their trees: writing them out
# would wait for the lock of a session that changes the table.
STATES = f"""
SELECT c.oid::bigint, pg_catalog.json_build_object(
    'namespace', n.oid::bigint, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
    'partition', c.relispartition,
    'rls', c.relrowsecurity, 'file', c.relfilenode::bigint,
    'parent', (SELECT pn.nspname || '.' || p.relname FROM pg_catalog.pg_inherits h
                 JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
                 JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
                WHERE h.inhrelid = c.oid AND c.relispartition),
    'above', (SELECT pn.nspname || '.' || p.relname FROM pg_catalog.pg_inherits h
                 JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
                 JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
                WHERE h.inhrelid = c.oid AND h.inhseqno = 1),
    'default_partition', (SELECT dn.nspname || '.' || d.relname
                 FROM pg_catalog.pg_partitioned_table pt
                 JOIN pg_catalog.pg_class d ON d.oid = pt.partdefid
                 JOIN pg_catalog.pg_namespace dn ON dn.oid = d.relnamespace
                WHERE pt.partrelid = c.oid),
    'policies', (SELECT count(*) FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid),
    'columns', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
            'number', a.attnum, 'name', a.attname,
            'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull, 'default', pg_catalog.md5(coalesce(d.adbin::text,
                (SELECT t.typdefaultbin::text FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
                    AND t.typtype = 'd'))),
            'collation', a.attcollation::bigint,
            'missing', a.atthasmissing, 'identity', a.attidentity, 'generated', a.attgenerated)
            ORDER BY a.attnum), '[]')
          FROM pg_catalog.pg_attribute a
          LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'constraints', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
            'oid', k.oid::bigint, 'name', k.conname, 'kind', k.contype, 'valid', k.convalidated,
            'numbers', coalesce(k.conkey, '{{}}'), 'index', k.conindid::bigint,
            'references', (SELECT rn.nspname || '.' || r.relname FROM pg_catalog.pg_class r
                             JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
                            WHERE r.oid = k.confrelid),
            'referenced_types', (SELECT pg_catalog.json_agg(
                                   pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY u.at)
                             FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u(number, at)
                             JOIN pg_catalog.pg_attribute a
                               ON a.attrelid = k.confrelid AND a.attnum = u.number))
            ORDER BY k.oid), '[]')
          FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 't'),
    'indexes', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
            'oid', x.oid::bigint, 'schema', xn.nspname, 'name', x.relname,
            'file', x.relfilenode::bigint, 'unique', i.indisunique,
            'primary', i.indisprimary, 'exclusion', i.indisexclusion,
            'valid', i.indisvalid, 'numbers', i.indkey::int2[], 'keys', i.indnkeyatts,
            'partial', i.indpred IS NOT NULL AND i.indpred::text !~ {GIVEN},
            'expression', pg_catalog.md5(i.indexprs::text))
            ORDER BY x.oid), '[]')
          FROM pg_catalog.pg_index i
          JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
          JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
         WHERE i.indrelid = c.oid))
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY (%s::pg_catalog.oid[]) AND c.relkind IN ('r', 'p', 'm', 'v', 'f', 'S')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'qb')
"""

# the tables that this session's transaction has locked, and these, each as it is now if it is there
AFTER = f"""
WITH touched(oid) AS MATERIALIZED ({TOUCHED} UNION SELECT pg_catalog.unnest($1::int8[]))
SELECT t.oid, NULL FROM touched t
 UNION ALL
{STATES.replace("%s", "ARRAY(SELECT t.oid FROM touched t)")}
"""
PREPARE_AFTER = f"PREPARE qb_after (int8[]) AS {AFTER}"

# what is asked of STATES, prepared: the tables of these oids
PREPARE_STATES = f"""PREPARE qb_states (pg_catalog.oid[]) AS
{STATES.replace("%s", "ARRAY(SELECT pg_catalog.unnest($1))")}"""

# What is no table but is known to others by its name: schemas, values of enums, rules of domains.
OTHERS = """
SELECT 'schema', n.oid::bigint, '', n.nspname::text
  FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_(toast|temp)'
 UNION ALL
SELECT 'value', e.oid::bigint, tn.nspname || '.' || t.typname, e.enumlabel::text
  FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
 UNION ALL
SELECT 'domain', k.oid::bigint, tn.nspname || '.' || t.typname, k.convalidated::text
  FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_type t ON t.oid = k.contypid
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
 UNION ALL
SELECT 'not null', t.oid::bigint, tn.nspname || '.' || t.typname, t.typnotnull::text
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
 WHERE t.typtype = 'd' AND tn.nspname NOT IN ('pg_catalog', 'information_schema')
"""

State = Mapping[str, Any]
"""A table as STATES gives it."""

Others = Mapping[tuple[str, int], tuple[str, str]]
"""What OTHERS gives: by kind and oid its type and its name."""


@dataclass(frozen=True, slots=True)
class ColumnState:
    """A column of a table: `default` tells only whether there is one, and whether it changed."""

    table: str
    name: str
    type: str
    not_null: bool
    default: str | None = None
    identity: str = ""
    generated: str = ""
    collation: int = 0


@dataclass(frozen=True, slots=True)
class ConstraintState:
    """A constraint; `kind` is c(heck), f(oreign key), p(rimary key), u(nique), x(exclusion), n.

    `n` is NOT NULL, which is a constraint of its own from PostgreSQL 18 on. `types` are of its
    columns, `referenced_types` of those that they reference, in the same order.
    """

    table: str
    name: str
    kind: str
    valid: bool
    columns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    index: str = ""
    references: str = ""
    referenced_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index; `columns` are those of its key, empty names where it has expressions.

    `expression` tells expressions apart without saying what they are. One that leaves out nothing
    but NULL is not `partial`.
    """

    table: str
    name: str  # schema.name
    unique: bool = False
    primary: bool = False
    exclusion: bool = False
    valid: bool = True
    columns: tuple[str, ...] = ()
    partial: bool = False
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that is there before and after, but not the same."""

    before: Any
    after: Any


@dataclass(frozen=True)
class Changes:
    """What one statement changed; tables are `schema.name`, unquoted, as they are after it.

    `new` names the tables that the migration itself has made until then; what it does to them is
    in here, too.
    """

    created: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)  # relkind of each table in here
    renamed: tuple[Changed, ...] = ()  # names of tables
    added_columns: tuple[ColumnState, ...] = ()
    dropped_columns: tuple[ColumnState, ...] = ()
    renamed_columns: tuple[Changed, ...] = ()  # ColumnState
    retyped_columns: tuple[Changed, ...] = ()  # ColumnState
    set_not_null: tuple[ColumnState, ...] = ()
    added_constraints: tuple[ConstraintState, ...] = ()
    dropped_constraints: tuple[ConstraintState, ...] = ()
    validated: tuple[ConstraintState, ...] = ()
    added_indexes: tuple[IndexState, ...] = ()
    dropped_indexes: tuple[IndexState, ...] = ()
    rebuilt: tuple[IndexState, ...] = ()  # made anew under their names
    attached: tuple[Changed, ...] = ()  # before: partition, after: parent
    detached: tuple[Changed, ...] = ()  # before: parent, after: partition
    rls_enabled: tuple[str, ...] = ()
    policies: Mapping[str, int] = field(default_factory=dict)  # after, of each table in here
    default_partitions: Mapping[str, str] = field(default_factory=dict)  # by parent
    indexes: Mapping[str, tuple[IndexState, ...]] = field(default_factory=dict)  # after, by table
    new: frozenset[str] = frozenset()
    parents: Mapping[str, str] = field(
        default_factory=dict
    )  # by partition or heir, before or after
    emptied: tuple[str, ...] = ()  # by TRUNCATE
    renamed_schemas: tuple[Changed, ...] = ()  # names
    renamed_values: tuple[Changed, ...] = ()  # of enums: (type, value)
    ruled_domains: tuple[str, ...] = ()  # that were given a rule, or had one validated


T = TypeVar("T", ConstraintState, IndexState)


def states(conn: Connection, oids: Iterable[int], *, prepared: bool = False) -> dict[int, State]:
    """The tables of these oids as they are for this connection now.

    `prepared` says that the connection has executed PREPARE_STATES.
    """
    from qb_engine.database.message import ask, rows

    wanted = sorted(set(oids))
    if not wanted:
        return {}
    some = _array(wanted)
    asked = f"EXECUTE qb_states ({some})" if prepared else STATES.replace("%s", some)
    return {int(oid or 0): json.loads(state or "") for oid, state in rows(ask(conn, [asked])[0])}


def states_after(
    conn: Connection, oids: Iterable[int], *, prepared: bool = False
) -> tuple[set[int], dict[int, State]]:
    """The tables that this connection's transaction has touched, and these; and how they are now.

    `prepared` says that the connection has executed PREPARE_AFTER.
    """
    from qb_engine.database.message import ask, rows

    also = _array(sorted(oids))
    asked = f"EXECUTE qb_after ({also})" if prepared else AFTER.replace("$1", also)
    found = rows(ask(conn, [asked])[0])
    now = {int(oid or 0): json.loads(state) for oid, state in found if state is not None}
    return {int(oid or 0) for oid, _ in found}, now


def _array(oids: Iterable[int]) -> str:
    return "'{" + ",".join(map(str, oids)) + "}'"


def others(conn: Connection) -> Others:
    """Schemas, values of enums and rules of domains as they are for this connection now."""
    found = conn.execute(OTHERS).fetchall()
    return {(kind, int(oid)): (of, name) for kind, oid, of, name in found}


def with_others(found: Changes, before: Others, after: Others) -> Changes:
    """The same changes with those of what is no table; pure."""
    same = [(*key, before[key], after[key]) for key in after if key in before]
    ruled = [
        of
        for (kind, oid), (of, state) in after.items()
        if (kind == "domain" and state == "true" and before.get((kind, oid)) != (of, state))
        or (kind == "not null" and state == "true" and before.get((kind, oid)) == (of, "false"))
    ]
    return replace(
        found,
        renamed_schemas=tuple(
            Changed(b[1], a[1]) for kind, _, b, a in same if kind == "schema" and a[1] != b[1]
        ),
        renamed_values=tuple(
            Changed(b, a) for kind, _, b, a in same if kind == "value" and a[1] != b[1]
        ),
        ruled_domains=tuple(dict.fromkeys(ruled)),
    )


def name_of(state: State) -> str:
    """`schema.name`, unquoted."""
    return f"{state['schema']}.{state['name']}"


def changes(before: Mapping[int, State], after: Mapping[int, State]) -> Changes:
    """Compare tables by oid, their columns by number, constraints and indexes by oid; pure."""
    both = [(before[oid], after[oid]) for oid in after if oid in before]
    fresh = [after[oid] for oid in after if oid not in before]
    gone = [before[oid] for oid in before if oid not in after]
    tables = [(_Table(b), _Table(a)) for b, a in both]
    tables += [(_Table(_nothing(s)), _Table(s)) for s in fresh]
    old_columns = [(b.columns, a.columns) for b, a in tables]
    kept = [(b[n], a[n]) for b, a in old_columns for n in a if n in b]
    old_constraints = [_by_name(b.constraints, a.constraints) for b, a in tables]
    old_indexes = [_by_name(b.indexes, a.indexes) for b, a in tables]
    return Changes(
        created=tuple(name_of(s) for s in fresh),
        dropped=tuple(name_of(s) for s in gone),
        kinds={name_of(s): s["kind"] for s in (*after.values(), *gone)},
        renamed=tuple(
            Changed(name_of(b), name_of(a))
            for b, a in both
            if (b["name"], b["namespace"]) != (a["name"], a["namespace"])
        ),
        added_columns=tuple(a[n] for b, a in old_columns for n in a if n not in b),
        dropped_columns=tuple(b[n] for b, a in old_columns for n in b if n not in a),
        renamed_columns=tuple(Changed(b, a) for b, a in kept if b.name != a.name),
        retyped_columns=tuple(
            Changed(b, a) for b, a in kept if (b.type, b.collation) != (a.type, a.collation)
        ),
        set_not_null=tuple(a for b, a in kept if a.not_null and not b.not_null),
        added_constraints=tuple(a[n] for b, a in old_constraints for n in a if n not in b),
        dropped_constraints=tuple(b[n] for b, a in old_constraints for n in b if n not in a),
        validated=tuple(
            a[n] for b, a in old_constraints for n in a if n in b and a[n].valid and not b[n].valid
        ),
        added_indexes=tuple(a[n] for b, a in old_indexes for n in a if n not in b),
        dropped_indexes=tuple(b[n] for b, a in old_indexes for n in b if n not in a)
        + tuple(index for s in gone for index in _Table(s).indexes.values()),
        rebuilt=tuple(i for b, a in tables for n, i in a.indexes.items() if _anew(i, n, b, a)),
        attached=tuple(
            Changed(name_of(a), a["parent"]) for b, a in both if a["parent"] and not b["parent"]
        ),
        detached=tuple(
            Changed(b["parent"], name_of(a)) for b, a in both if b["parent"] and not a["parent"]
        ),
        rls_enabled=tuple(name_of(a) for b, a in both if a["rls"] and not b["rls"]),
        policies={name_of(s): int(s["policies"]) for s in after.values()},
        default_partitions={
            name_of(s): s["default_partition"] for s in after.values() if s["default_partition"]
        },
        indexes={a.name: tuple(a.indexes.values()) for _, a in tables},
        parents={name_of(s): s["above"] for s in (*before.values(), *after.values()) if s["above"]},
    )


def _by_name(before: dict[int, T], after: dict[int, T]) -> tuple[dict[int, T], dict[int, T]]:
    """Give what was made anew under its old name the oid that it has now.

    A change of a column's type makes indexes and constraints anew.
    """
    now = {each.name: oid for oid, each in after.items() if oid not in before}
    old = {
        now.get(each.name, oid) if oid not in after else oid: each for oid, each in before.items()
    }
    return old, after


def _anew(index: IndexState, oid: int, before: _Table, after: _Table) -> bool:
    """True for an index under a new oid that does not go on with the file of the old one."""
    old = before.indexes
    if oid in old:
        return False
    files = {int(i["oid"]): i["file"] for t in (before, after) for i in t.state["indexes"]}
    return any(e.name == index.name and files[oid] != files[n] for n, e in old.items())


def _nothing(state: State) -> State:
    """A table with nothing in it, to compare a new one with."""
    return {**state, "columns": [], "constraints": [], "indexes": [], "rls": False}


class _Table:
    """A table with what it is made of, each read once: columns by number, the rest by oid."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.name = name_of(state)

    @cached_property
    def columns(self) -> dict[int, ColumnState]:
        if self.state["kind"] == "S":
            return {}  # a sequence's own, which nobody chose
        return {
            c["number"]: ColumnState(
                self.name,
                c["name"],
                c["type"],
                c["not_null"],
                c["default"],
                c["identity"],
                c["generated"],
                c["collation"],
            )
            for c in self.state["columns"]
        }

    @cached_property
    def constraints(self) -> dict[int, ConstraintState]:
        found = {}
        for k in self.state["constraints"]:
            own = [self.columns[n] for n in k["numbers"] if n in self.columns]
            index = self.indexes.get(k["index"]) if k["kind"] in "pux" else None
            found[int(k["oid"])] = ConstraintState(
                self.name,
                k["name"],
                k["kind"],
                k["valid"],
                tuple(c.name for c in own),
                tuple(c.type for c in own),
                index.name if index else "",
                k["references"] or "",
                tuple(k["referenced_types"] or ()),
            )
        return found

    @cached_property
    def indexes(self) -> dict[int, IndexState]:
        return {int(i["oid"]): self._index(i) for i in self.state["indexes"]}

    def _index(self, i: Mapping[str, Any]) -> IndexState:
        keys: Iterator[int] = iter(i["numbers"][: i["keys"]])
        return IndexState(
            self.name,
            f"{i['schema']}.{i['name']}",
            i["unique"],
            i["primary"],
            i["exclusion"],
            i["valid"],
            tuple(self.columns[n].name if n in self.columns else "" for n in keys),
            i["partial"],
            i["expression"],
        )
