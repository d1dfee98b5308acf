"""`keep_in_sync`: a trigger that writes the same into rows that are written meanwhile

What it does not do matters as much: it leaves a value that the writer gave (H1), does nothing when
no column that the expressions read has changed (H2), and is there before the highest key is fixed,
so that no insert is missed (H4). CREATE TRIGGER waits for those who write to the table, which is
the barrier. The row is the application's: where an expression fails on it, the write goes through,
and the row is left to the backfill.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from qb_engine.backfill import expressions
from qb_engine.backfill.limits import limit
from qb_engine.backfill.walk.statements import expression
from qb_engine.errors import InputError, RefusedError
from qb_engine.ledger import in_sync
from qb_engine.sql import ident

if TYPE_CHECKING:
    from qb_engine.backfill.expressions import Read
    from qb_engine.backfill.spec import Spec

Connection = psycopg.Connection[Any]

LOCK_MS = 1_000  # writers queue behind us for no longer; then it is tried again
LONGEST_S = 5.0  # between two tries
LAST = "~"  # sorts after any letter: a trigger of the user's must not run after ours

COLUMNS = """
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
    a.attgenerated <> '', pg_catalog.pg_get_expr(d.adbin, d.adrelid)
FROM pg_catalog.pg_attribute AS a
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""

RIGHTS = """
SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE'), pg_catalog.pg_get_userbyid(c.relowner)::text,
    pg_catalog.has_schema_privilege('qb', 'CREATE'),
    c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid),
    EXISTS (SELECT FROM pg_catalog.pg_subscription_rel WHERE srrelid = c.oid)
FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass(%s)
"""

# BEFORE triggers for each row on INSERT or UPDATE: bits 1, 2, and 4 or 16.
BEFORE = """
SELECT tgname::text FROM pg_catalog.pg_trigger
WHERE tgrelid = pg_catalog.to_regclass(%s) AND NOT tgisinternal
    AND tgtype & 1 = 1 AND tgtype & 2 = 2 AND tgtype & 20 <> 0
"""

# {moved}: a column that is read has changed. {given}: the writer gave the columns, one each.
BODY = """#variable_conflict use_column
DECLARE
    moved boolean := true;
    given boolean[];
    needed boolean;
    bare record;
    got record;
BEGIN
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            moved := {moved};
            given := ARRAY[{changed}];
            IF NOT moved AND NOT true = ANY (given) THEN RETURN NEW; END IF;
        ELSE
            given := ARRAY[{filled}];
        END IF;
        IF NOT false = ANY (given) THEN RETURN NEW; END IF;
        bare := NEW;
        {blank}
        IF moved THEN
            SELECT coalesce({where}, false) INTO needed FROM (SELECT (bare).*) AS {name};
        ELSE
            SELECT coalesce({where}, false) INTO needed FROM (SELECT (OLD).*) AS {name};
        END IF;
        IF NOT needed THEN RETURN NEW; END IF;
        SELECT {values} INTO got FROM (SELECT (bare).*) AS {name};
        {set}
    EXCEPTION
        WHEN data_exception THEN
            {unset}
        WHEN undefined_column THEN
            NULL;
    END;
    RETURN NEW;
END
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A column that is written: its type and default as SQL, and whether it takes no NULL."""

    name: str
    type: str
    sql: str
    default: str
    not_null: bool


@dataclass(frozen=True, slots=True)
class Sync:
    """What the trigger of a backfill needs to know.

    `reads` are the columns it watches. With `always` it fires for rows of a subscription, too.
    """

    trigger: str
    function: str
    targets: tuple[Target, ...]
    reads: tuple[str, ...]
    where: str
    always: bool = False


def settle(conn: Connection, spec: Spec) -> Sync:
    """What the trigger of a backfill will be.

    Raise InputError or RefusedError with the reason where it cannot be kept in sync.
    """
    if spec.kind != "set":
        what = "`transform` is Python, and a trigger is SQL" if spec.kind == "transform" else (
            "what a statement of its own writes cannot be told row by row"
        )  # fmt: skip
        raise _cannot(spec, what, "have the application write the new form, or use `set`")
    table = sql.Identifier(spec.schema, spec.table).as_string(conn)
    owns, owner, makes, heirs, subscribed = conn.execute(RIGHTS, [table]).fetchall()[0]
    if not (owns and makes):
        raise RefusedError(
            f"this role may not make a trigger on {spec.schema}.{spec.table}",
            where="keep_in_sync in backfill.py",
            why=f"the table is {owner}'s" if not owns else "it may make nothing in schema qb",
            todo="connect as the owner of both, or leave keep_in_sync out",
            code="missing-privilege",
        )
    if heirs:
        raise _cannot(spec, "tables inherit from it, and each has triggers of its own", "fill each")
    texts = {column.name: column.sql for column in spec.set}
    try:
        read = expressions.read(conn, spec.schema, spec.table, {**texts, "": spec.where or "true"})
    except (psycopg.errors.SyntaxError, psycopg.errors.FeatureNotSupported) as error:
        said = error.diag.message_primary or str(error)
        raise _cannot(spec, said, "write expressions over the row alone") from None
    columns = {row[0]: row[1:] for row in conn.execute(COLUMNS, [table]).fetchall()}
    _judge(spec, read, columns)
    _judge_defaults(conn, spec, columns)
    if len(spec.set) > 1:
        _judge_together(conn, spec, columns)
    targets = tuple(
        Target(c.name, c.type, c.sql, columns[c.name][3] or "NULL", bool(columns[c.name][1]))
        for c in spec.set
    )
    reads = {name for each in read.values() for name in each.columns} - set(texts)
    digest = hashlib.sha256(f"{spec.id} {table}".encode()).hexdigest()[:12]
    trigger = _after(
        in_sync.TRIGGER + digest, [name for (name,) in conn.execute(BEFORE, [table]).fetchall()]
    )
    return Sync(
        trigger,
        in_sync.FUNCTION + digest,
        targets,
        tuple(name for name in columns if name in reads),
        spec.where or "true",
        subscribed,
    )


def install(
    conn: Connection,
    spec: Spec,
    *,
    tell: Callable[[str], None],
    go_on: Callable[[], bool],
) -> bool:
    """Make the trigger and write it down, in one transaction; False when `go_on` says to stop.

    It waits for those who write to the table, never long at a time: others queue behind it.
    """
    tries = 0
    while go_on():
        try:
            _install(conn, spec)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            tries += 1
            tell(
                f"waiting for transactions that write to {spec.schema}.{spec.table}, to make its "
                f"trigger ({tries} {'try' if tries == 1 else 'tries'} so far)"
            )
            time.sleep(random.uniform(0.5, 1.0) * min(LONGEST_S, 0.1 * 2.0**tries))
        else:
            if tries:
                tell("")
            return True
    return False


def function(sync: Sync, name: str, path: sql.Composable) -> sql.Composed:
    """The trigger's function, for a table of that bare name."""
    old, new = sql.SQL("OLD.{}"), sql.SQL("NEW.{}")
    every = [(place, sql.Identifier(each.name), each) for place, each in enumerate(sync.targets, 1)]
    body = sql.SQL(BODY).format(
        moved=sql.SQL("ROW({})::record *<> ROW({})::record").format(
            _each(old, sync.reads), _each(new, sync.reads)
        ),
        changed=_commas(
            sql.SQL("ROW(OLD.{0})::record *<> ROW(NEW.{0})::record").format(c) for _, c, _ in every
        ),
        filled=_commas(
            sql.SQL("ROW(NEW.{})::record *<> ROW({}::{})::record").format(
                c, expression(each.default), sql.SQL(each.type)
            )
            for _, c, each in every
        ),
        blank=_lines(
            sql.SQL("bare.{} := {};").format(c, expression(each.default)) for _, c, each in every
        ),
        where=expression(sync.where),
        values=_commas(
            sql.SQL("{}::{} AS {}").format(
                expression(each.sql), sql.SQL(each.type), sql.Identifier(f"v{place}")
            )
            for place, _, each in every
        ),
        set=_lines(
            sql.SQL("IF NOT given[{0}]{1} THEN NEW.{2} := got.{3}; END IF;").format(
                sql.Literal(place),
                sql.SQL(" AND got.{} IS NOT NULL").format(sql.Identifier(f"v{place}"))
                if each.not_null
                else sql.SQL(""),
                c,
                sql.Identifier(f"v{place}"),
            )
            for place, c, each in every
        ),
        unset=_lines(
            [
                *(
                    sql.SQL("IF moved AND NOT given[{0}] THEN NEW.{1} := {2}; END IF;").format(
                        sql.Literal(place), c, expression(each.default)
                    )
                    for place, c, each in every
                    if not (each.not_null and each.default == "NULL")
                ),
                sql.SQL("NULL;"),
            ]
        ),
        name=sql.Identifier(name),
    )
    return sql.SQL(
        "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql SET search_path = {}"
        " AS {}"
    ).format(sql.Identifier("qb", sync.function), path, sql.Literal(body.as_string(None)))


# -- parts -------------------------------------------------------------------------------------


def _install(conn: Connection, spec: Spec) -> None:
    sync = settle(conn, spec)
    with conn.transaction():
        limit(conn, LOCK_MS)
        schemas = conn.execute("SELECT pg_catalog.current_schemas(false)::text[]").fetchall()[0][0]
        path = _commas(map(sql.Identifier, (*schemas, "pg_temp")))
        conn.execute(function(sync, spec.table, path))
        # our own batches write what they write: they need no help, and no time lost
        conn.execute(
            sql.SQL(
                "CREATE OR REPLACE TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW"
                " WHEN (pg_catalog.current_setting('application_name') !~ '^qb (backfill|worker)')"
                " EXECUTE FUNCTION {}()"
            ).format(
                sql.Identifier(sync.trigger),
                sql.Identifier(spec.schema, spec.table),
                sql.Identifier("qb", sync.function),
            )
        )
        if sync.always:
            conn.execute(
                sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(
                    sql.Identifier(spec.schema, spec.table), sql.Identifier(sync.trigger)
                )
            )
        conn.execute(
            "UPDATE qb.backfill SET in_sync = %s WHERE id = %s",
            [sync.trigger, spec.id],
        )


def _judge(spec: Spec, read: Mapping[str, Read], columns: Mapping[str, Any]) -> None:
    """Refuse what a trigger cannot do right, with the reason."""
    targets = {column.name for column in spec.set}
    if not targets & set(read[""].columns):
        raise _cannot(
            spec,
            "`where` does not read a column that is written, so a value that the application has "
            "written itself would be written over by a batch",
            f'let `where` say which rows are not filled yet: where = "{spec.set[0].name} IS NULL"',
        )
    for name, each in read.items():
        of = f"the expression of {name}" if name else "`where`"
        if each.elsewhere:
            raise _cannot(
                spec,
                f"{of} reads other rows, and a change of these would not be seen; nor need those "
                "who write have the right to read them",
                "write it over the columns of the row alone",
            )
        if each.whole or each.system:
            raise _cannot(
                spec, f"{of} reads the row as a whole, or a system column", "name columns"
            )
        if name and (both := targets & set(each.columns)):
            raise _cannot(
                spec,
                f"{of} reads {min(both)}, which is written, too: it would be applied to its own "
                "result",
                "read other columns than those that are written",
            )
        for column in each.columns:
            if columns[column][2]:
                raise _cannot(
                    spec,
                    f"{of} reads {column}, which is generated: a trigger sees it too late",
                    "write what it is generated from",
                )


def _judge_defaults(conn: Connection, spec: Spec, columns: Mapping[str, Any]) -> None:
    defaults = {c.name: columns[c.name][3] for c in spec.set if columns[c.name][3]}
    for name, each in expressions.read(conn, spec.schema, spec.table, defaults).items():
        if not each.settled:
            raise _cannot(
                spec,
                f"the default of {name} is not always the same ({defaults[name]}), so a value that "
                "the application gave cannot be told from it",
                "drop the default while the backfill runs",
            )


def _judge_together(conn: Connection, spec: Spec, columns: Mapping[str, Any]) -> None:
    """Refuse a `where` under which a value that was given to one of several columns is lost.

    Whether it can hold for a row that has a value is for the planner to disprove.
    """
    for column in spec.set:
        name, default = sql.Identifier(column.name), columns[column.name][3]
        has = sql.SQL("{} IS NOT NULL").format(name)
        if default:
            has = sql.SQL("{} <> {}::{}").format(name, expression(default), sql.SQL(column.type))
        asked = sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM {} WHERE {} AND {}").format(
            sql.Identifier(spec.schema, spec.table), expression(spec.where), has
        )
        with conn.transaction():
            limit(conn, LOCK_MS)
            conn.execute("SET LOCAL constraint_exclusion = on")
            plan = conn.execute(asked).fetchall()[0][0][0]["Plan"]
        if plan.get("One-Time Filter") != "false":
            empty = [
                f"{ident(c.name)} {f'= {columns[c.name][3]}' if columns[c.name][3] else 'IS NULL'}"
                for c in spec.set
            ]
            raise _cannot(
                spec,
                f"`where` may hold for a row in which {column.name} has a value: one that the "
                "application has given it would be written over by a batch",
                f'let `where` ask for all that are written: where = "{" AND ".join(empty)}"',
            )


def _after(name: str, others: list[str]) -> str:
    """The name, such that the trigger runs after the others: they run in the order of names."""
    while any(other.encode() > name.encode() for other in others) and len(name) < 40:
        name = LAST + name
    return name


def _cannot(spec: Spec, why: str, todo: str) -> InputError:
    return InputError(
        f"the backfill of {spec.id} cannot keep its rows in sync",
        where="keep_in_sync in backfill.py",
        why=why,
        todo=f"{todo}; or leave keep_in_sync out",
        code="bad-backfill",
    )


def _each(form: sql.SQL, names: tuple[str, ...]) -> sql.Composed:
    return _commas(form.format(sql.Identifier(name)) for name in names)


def _commas(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _lines(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL("\n        ").join(parts)
