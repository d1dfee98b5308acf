"""constraints added so that nobody waits while they are proved, kind by kind"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qb_engine.operations import chosen, partitions
from qb_engine.operations.create_index import CreateIndex, concurrent
from qb_engine.operations.safely import Safely, Seen, Step, Uncovered
from qb_engine.operations.set_not_null import not_null
from qb_engine.operations.validate_constraint import ValidateConstraint
from qb_engine.schema import Table
from qb_engine.sql import ident, qualified, tree
from qb_engine.sql.tree import pb

if TYPE_CHECKING:
    from qb_engine.operations.add_constraint import AddConstraint
    from qb_engine.operations.operation import Schema

PARTITIONED_FK_SINCE = 180000  # the version from which a partitioned table's may be NOT VALID


def safely(
    add: AddConstraint, name: str, schema: Schema, seen: Seen, node: Any
) -> Safely | Uncovered | None:
    """The safe way to a constraint of that name; `node` is the parse tree of its definition."""
    if node.contype == pb.CONSTR_EXCLUSION:
        return Uncovered(
            f"{name} is an exclusion constraint: PostgreSQL builds its index under a lock that "
            "keeps writers waiting, and takes no index that is there already",
            "make a new table with it, copy the rows in batches, and swap the two",
        )
    if node.contype in (pb.CONSTR_CHECK, pb.CONSTR_NOTNULL):
        return _proved_later(add, name)
    if node.contype == pb.CONSTR_FOREIGN:
        return _foreign_key(add, name, schema, seen, node)
    if node.contype in (pb.CONSTR_UNIQUE, pb.CONSTR_PRIMARY):
        return _key(add, name, schema, seen, node)
    return None


def _proved_later(add: AddConstraint, name: str) -> Safely:
    """Add it NOT VALID, and validate it in another transaction."""
    why = f"new rows must satisfy {name}; those that are there are not read yet"
    new = replace(add, name=name, definition=f"{add.definition} NOT VALID")
    validate = ValidateConstraint(add.table, name, only=add.only, schema=add.schema)
    later = Step(validate, "read the rows, while others read and write", apart=True, down=())
    return Safely(expand=(Step(new, why),), contract=(later,))


def _foreign_key(
    add: AddConstraint, name: str, schema: Schema, seen: Seen, node: Any
) -> Safely | Uncovered | None:
    table = schema.table(add.table, add.schema or "public")
    partitioned = table is not None and table.kind == "partitioned"
    if partitioned and not node.skip_validation and seen.version < PARTITIONED_FK_SINCE:
        return Uncovered(
            f"{name} cannot be added NOT VALID: PostgreSQL before 18 does not allow it for a "
            "partitioned table",
            "add it to each partition, NOT VALID, validate it there, then to the whole",
        )
    proved = _proved_later(add, name)
    if node.skip_validation:
        proved = Safely(expand=(Step(add, "the foreign key itself"),))
    columns = tree.strings(node.fk_attrs)
    if table is None or _indexed(table, columns):
        return None if node.skip_validation else proved
    create = CreateIndex(add.table, columns, schema=add.schema)
    index = concurrent(create, schema)
    made = str(index[0].run.name)  # type: ignore[union-attr]
    return replace(
        proved,
        expand=(*index, *proved.expand),
        adds={
            made: f"an index on {', '.join(columns)}, which had none: without one, every "
            "delete in the table that is referenced reads this one whole"
        },
    )


def _indexed(table: Table, columns: tuple[str, ...]) -> bool:
    """True when an index of all rows begins with these columns, in whatever order."""
    return any(
        set(index.columns[: len(columns)]) == set(columns) and index.predicate is None
        for index in table.indexes.values()
    )


def _key(
    add: AddConstraint, name: str, schema: Schema, seen: Seen, node: Any
) -> Safely | Uncovered:
    table = schema.table(add.table, add.schema or "public")
    columns = tree.strings(node.keys)
    if node.indexname and table is not None and node.indexname in table.indexes:
        columns = table.indexes[node.indexname].columns
    steps: list[Step] = []
    before: list[Step] = []
    if node.contype == pb.CONSTR_PRIMARY and table is not None:
        for column in columns:
            if column in table.columns and table.columns[column].nullable:
                first, *others = not_null(add, column, schema, seen.version)
                before.append(first)
                steps += others
    if node.indexname:
        if not before:
            return Safely(contract=(Step(add, f"the index becomes {name}"),))
        last = Step(add, f"the index becomes {name}", apart=True)
        return Safely(expand=tuple(before), contract=(*steps, last))
    if table is not None and table.kind == "partitioned":
        if before:
            return Uncovered(
                f"{name} is a primary key over columns that may be NULL, of a partitioned table",
                "have its columns NOT NULL first, in a migration of their own",
            )
        return Safely(contract=tuple(_of_parts(add, name, schema, table, node)))
    index = index_of(add.table, add.schema, name, node)
    steps.append(Step(index, f"make its index, {name}, while others read and write"))
    steps.append(Step(_using(add, name, node), "the index becomes the constraint", apart=True))
    # taking the constraint back takes its index along
    steps[-2] = Step(steps[-2].run, steps[-2].why, down=())
    steps[-1] = Step(
        steps[-1].run,
        steps[-1].why,
        apart=True,
        down=(f"{add.alter} DROP CONSTRAINT IF EXISTS {ident(name)}",),
    )
    return Safely(expand=tuple(before), contract=tuple(steps))


def index_of(table: str, schema: str | None, name: str, node: Any) -> CreateIndex:
    """The index of a key, made while others write; `node` is the key's definition."""
    return CreateIndex(
        table,
        tree.strings(node.keys),
        name,
        schema=schema,
        unique=True,
        concurrently=True,
        include=tree.strings(node.including),
        nulls_not_distinct=node.nulls_not_distinct,
        options=_options(node),
        tablespace=node.indexspace,
    )


def _options(node: Any) -> str:
    """Storage parameters as they stand in WITH (...)."""
    if not node.options:
        return ""
    bare = pb.Constraint(contype=node.contype, initially_valid=True)
    bare.keys.extend(node.keys)
    bare.options.extend(node.options)
    return tree.clause_of(bare).partition(" WITH (")[2].removesuffix(")")


def _using(add: AddConstraint, name: str, node: Any) -> AddConstraint:
    kind = "PRIMARY KEY" if node.contype == pb.CONSTR_PRIMARY else "UNIQUE"
    text = f"{kind} USING INDEX {ident(name)}{deferred(node)}"
    return replace(add, name=name, definition=text)


def deferred(node: Any) -> str:
    """When a constraint is checked, as it stands behind it."""
    text = " DEFERRABLE" if node.deferrable else ""
    return text + (" INITIALLY DEFERRED" if node.initdeferred else "")


def _of_parts(
    add: AddConstraint, name: str, schema: Schema, table: Table, node: Any
) -> Iterator[Step]:
    """A key of the whole without its parts, then of each, hung up in that of the whole."""
    at = qualified(add.schema, add.table)
    yield Step(
        f"ALTER TABLE ONLY {at} ADD CONSTRAINT {ident(name)} {add.definition}",
        f"{name} of the whole, invalid until each partition has its own",
        apart=True,
        down=(f"ALTER TABLE {at} DROP CONSTRAINT IF EXISTS {ident(name)}",),
    )
    for part in partitions.parts(schema, table):
        space = None if part.schema == "public" else part.schema
        mine = replace(add, table=part.name, schema=space, name=None)
        own = chosen.constraint(schema, part.name, space, node)
        if part.kind == "partitioned":
            yield from _of_parts(mine, own, schema, part, node)
        else:
            index = index_of(mine.table, mine.schema, own, node)
            yield Step(index, f"make it on {part.name}, while others read and write", down=())
            yield Step(_using(mine, own, node), "it becomes a constraint", apart=True, down=())
        yield Step(
            f"ALTER INDEX {qualified(add.schema, name)} ATTACH PARTITION {qualified(space, own)}",
            f"that of {part.name} becomes a part of it",
            apart=True,
            down=(),
        )
