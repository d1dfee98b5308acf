"""columns added so that the table is not written anew while nobody can touch it"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qb_engine.operations import chosen
from qb_engine.operations.safely import Fill, Safely, Seen, Step, Uncovered, place
from qb_engine.operations.set_not_null import not_null
from qb_engine.sql import ident, literal, qualified, tree
from qb_engine.sql.tree import element_nodes, only, pb

if TYPE_CHECKING:
    from qb_engine.operations.add_column import AddColumn
    from qb_engine.operations.operation import Schema

SERIAL = {
    "serial": "integer", "serial4": "integer", "bigserial": "bigint", "serial8": "bigint",
    "smallserial": "smallint", "serial2": "smallint",
}  # fmt: skip
SORTED = {pb.CONSTR_CHECK, pb.CONSTR_UNIQUE, pb.CONSTR_PRIMARY, pb.CONSTR_FOREIGN}


def is_serial(add: AddColumn) -> bool:
    """True for a column whose type brings a sequence and its default."""
    return add.type in SERIAL


def safely(add: AddColumn, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
    """Add the column bare; give rows their values in batches; prove its constraints later."""
    apart, kept = _sorted(add)
    for node in apart:
        if node.contype == pb.CONSTR_GENERATED:
            return Uncovered(
                f"{add.column} is generated and stored: PostgreSQL computes it for all rows while "
                "nobody can touch the table",
                "have it VIRTUAL (from PostgreSQL 18 on), or a plain column that a trigger and a "
                "backfill fill",
            )
    bare = replace(add, nullable=True, constraints=kept)
    at = place(add.schema, add.table)
    written = at in seen.rewrites
    identity = next((node for node in apart if node.contype == pb.CONSTR_IDENTITY), None)
    if identity is not None:
        return _identity(add, identity, schema, seen)
    if is_serial(add):
        found = _serial(add, schema, seen)
    elif written and add.default is None:
        return Uncovered(
            f"the type {add.type} of {add.column} has a constraint of its own: PostgreSQL writes "
            "the table anew to check it, whatever the column holds",
            "give the column the type that the domain is based on, and a CHECK",
        )
    elif written or (not add.nullable and add.default is None):
        found = _filled(add, bare, schema, seen)
    else:
        found = Safely(expand=(Step(replace(add, constraints=kept), "the column itself"),))
    return _constrained(add, [n for n in apart if n.contype in SORTED], found, schema, seen)


def _sorted(add: AddColumn) -> tuple[list[Any], tuple[str, ...]]:
    """Its column constraints that are work as nodes, and those that are none as SQL."""
    apart, kept = [], []
    for text in add.constraints:
        nodes = [only(each) for each in element_nodes(f"c int {text}")[0].constraints]
        if any(n.contype in SORTED | {pb.CONSTR_IDENTITY, pb.CONSTR_GENERATED} for n in nodes):
            apart += nodes
        else:
            kept.append(text)
    return apart, tuple(kept)


def _filled(add: AddColumn, bare: AddColumn, schema: Schema, seen: Seen) -> Safely:
    """Without its default; new rows have it at once, and old ones in batches."""
    value = add.default
    expand: list[Step] = []
    notes: list[str] = []
    if add.default is None:
        value = seen.values.get(f"{add.table}.{add.column}", seen.values.get(add.column))
        expand.append(Step(bare, "the column may be NULL until every row has a value"))
        if value is None:
            notes.append(
                f"which value rows have in {add.table}.{add.column} that are there already, only "
                "you know: say it by --default, or write it into backfill.py, which is refused "
                "until then"
            )
        notes.append(
            f"{add.column} has no default: rows that the application writes without it from now on "
            "have NULL, and the last part waits for them to be mended"
        )
    else:
        expand.append(
            Step(
                replace(bare, default=None),
                "without the default, so that no row is written: the table stays as it is",
            )
        )
        expand.append(default(add, add.default))
    return Safely(
        expand=tuple(expand),
        fill=_fill(add, value),
        contract=_not_null(add, schema, seen),
        notes=tuple(notes),
    )


def default(add: AddColumn, value: str) -> Step:
    """The default of a new column, for new rows; it goes with the column."""
    sql = (
        f"ALTER TABLE {qualified(add.schema, add.table)}"
        f" ALTER COLUMN {ident(add.column)} SET DEFAULT {value}"
    )
    return Step(sql, "rows written from now on have it", down=())


def _fill(add: AddColumn, value: str | None) -> Fill:
    column = ident(add.column)
    missing = f"SELECT 1 FROM {qualified(add.schema, add.table)} WHERE {column} IS NULL LIMIT 1"
    return Fill(
        add.table,
        {add.column: value},
        f"{column} IS NULL",
        f"give rows their value in {add.column}, a batch at a time",
        add.schema,
        missing if not add.nullable or is_serial(add) else "",
    )


def _not_null(add: AddColumn, schema: Schema, seen: Seen) -> tuple[Step, ...]:
    if add.nullable and not is_serial(add):
        return ()
    return not_null(add, add.column, schema, seen.version, new=True)


def _serial(add: AddColumn, schema: Schema, seen: Seen) -> Safely:
    """The column and its sequence, step by step; what is left is as serial would have it."""
    kind = SERIAL[add.type]
    name = chosen.made(add.table, add.column, "seq")
    sequence = qualified(add.schema, name)
    bare = replace(add, type=kind, nullable=True, default=None, constraints=())
    value = f"nextval({literal(sequence)}::regclass)"
    owner = f"{qualified(add.schema, add.table)}.{ident(add.column)}"
    return Safely(
        expand=(
            Step(bare, "the column may be NULL until every row has a number"),
            Step(
                f"CREATE SEQUENCE {sequence} AS {kind} OWNED BY {owner}",
                "its sequence, which goes with it",
                down=(),
            ),
            default(add, value),
        ),
        fill=_fill(add, value),
        contract=not_null(add, add.column, schema, seen.version, new=True),
    )


def _identity(add: AddColumn, node: Any, schema: Schema, seen: Seen) -> Safely:
    """Numbered by a sequence that helps, until the column is NOT NULL and may be an identity."""
    helper = qualified(add.schema, named_sequence(add))
    table, column = qualified(add.schema, add.table), ident(add.column)
    bare = replace(add, nullable=True, constraints=())
    value = f"nextval({literal(helper)}::regclass)"
    made = qualified(add.schema, chosen.made(add.table, add.column, "seq"))
    clause = tree.column_clause_of(node)
    return Safely(
        expand=(
            Step(bare, "the column may be NULL until every row has a number"),
            Step(
                f"CREATE SEQUENCE {helper} OWNED BY {table}.{column}",
                "numbers the rows until the column is an identity",
                down=(),
            ),
            default(add, value),
        ),
        fill=_fill(add, value),
        contract=(
            *not_null(add, add.column, schema, seen.version, new=True),
            Step(
                f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT",
                "in one moment the identity takes over",
                together=helper,
                down=(),
            ),
            Step(
                f"ALTER TABLE {table} ALTER COLUMN {column} ADD {clause}",
                "",
                together=helper,
                down=(),
            ),
            Step(
                f"SELECT setval({literal(made)}::regclass, nextval({literal(helper)}::regclass))",
                "it goes on where the sequence that helped has stopped",
                together=helper,
                down=(),
            ),
            Step(f"DROP SEQUENCE {helper}", "which has done its work", together=helper, down=()),
        ),
    )


def named_sequence(add: AddColumn) -> str:
    """The name of the sequence that helps."""
    from qb_engine.operations.safely import named

    return named("seq", add.table, add.column)


def _constrained(
    add: AddColumn, nodes: Iterable[Any], found: Safely, schema: Schema, seen: Seen
) -> Safely | Uncovered:
    """The same with the column's constraints added afterwards, each in its own safe way."""
    from qb_engine.operations import constraining
    from qb_engine.operations.add_constraint import AddConstraint

    for node in nodes:
        whole = pb.Constraint()
        whole.CopyFrom(node)
        key = tree.pb.Node()
        key.string.sval = add.column
        if node.contype in (pb.CONSTR_UNIQUE, pb.CONSTR_PRIMARY):
            whole.keys.append(key)
        elif node.contype == pb.CONSTR_FOREIGN:
            whole.fk_attrs.append(key)
        name = node.conname or chosen.constraint(schema, add.table, add.schema, whole)
        given = AddConstraint(add.table, tree.clause_of(whole), name, schema=add.schema)
        more = constraining.safely(given, name, schema, seen, whole)
        if isinstance(more, Uncovered):
            return more
        if more is None:
            continue
        # a constraint on what has no values yet must wait for them
        late = (*more.expand, *more.contract)
        gone = tuple(replace(step, down=()) for step in late)  # all of it goes with the column
        found = replace(
            found, contract=(*found.contract, *gone), adds={**found.adds, **more.adds},
            notes=(*found.notes, *more.notes),
        )  # fmt: skip
    return found
