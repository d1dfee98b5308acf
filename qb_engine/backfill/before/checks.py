"""what is seen to before a backfill starts or goes on: nothing is written when it cannot"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from qb_engine.backfill import kinds, records, sync
from qb_engine.backfill.batches import failures
from qb_engine.backfill.limits import limit
from qb_engine.backfill.records import Row
from qb_engine.backfill.spec import Spec, checksum
from qb_engine.backfill.walk import statements
from qb_engine.database.connect import server_error
from qb_engine.errors import InputError, RefusedError
from qb_engine.sql import qualified

if TYPE_CHECKING:
    from qb_engine.migrations import LoadedMigration

LOCK_MS = 2_000  # EXPLAIN takes the lock of the statement for a moment

RIGHTS = """
SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY'),
    pg_catalog.has_any_column_privilege(%s::text, 'UPDATE'),
    pg_catalog.quote_ident(pg_catalog.current_database()), pg_catalog.quote_ident(current_user)
"""

Connection = psycopg.Connection[Any]


def expanded(db: Connection, migration: LoadedMigration) -> None:
    """Refuse a backfill whose migration has not made its columns yet."""
    from qb_engine import ledger

    if migration.backfill is None:
        return  # describe says so better
    standing = ledger.standing(db).get(migration.id) if records.there(db) else None
    if standing is None or standing.status not in ("expanded", "applied"):
        raise RefusedError(
            f"{migration.id} is not applied up to its backfill",
            where=str(migration.path),
            why="the backfill fills what the migration makes; its history here says "
            + (standing.status if standing else "nothing of it"),
            todo=f"qb run {migration.name}",
            code="backfill-state",
        )


def writable(db: Connection, spec: Spec) -> None:
    """See before anything is written that the batches can run: names, types, privileges."""
    if db.execute("SHOW transaction_read_only").fetchall()[0][0] == "on":
        raise RefusedError(
            "this connection may only read",
            why="the server is a standby, or the role has default_transaction_read_only = on",
            todo="connect to the primary as a role that may write",
            code="read-only",
        )
    sound(db, spec)  # first: what cannot be planned is said best there
    if spec.kind == "transform":
        sendable(db, spec)
    if spec.options.keep_in_sync:
        sync.settle(db, spec)


def sendable(db: Connection, spec: Spec) -> None:
    """Refuse a transform whose results have no way into the database."""
    table = qualified(spec.schema, spec.table)
    allowed, writes, database, role = db.execute(RIGHTS, [table]).fetchall()[0]
    if not writes:
        raise RefusedError(
            f"this role may not update {table}",
            where=f"transform of the backfill of {spec.id}",
            why="what transform returns is written into its rows",
            todo=f"GRANT UPDATE ON {table} TO {role};",
            code="missing-privilege",
        )
    if not allowed:
        raise RefusedError(
            f"this role may not make a temporary table in database {database}",
            where=f"transform of the backfill of {spec.id}",
            why="what transform returns is sent into one, and written into the rows from there",
            todo=f"GRANT TEMPORARY ON DATABASE {database} TO {role};",
            code="missing-privilege",
        )


def sound(db: Connection, spec: Spec) -> None:
    """See that PostgreSQL can plan every part of the declaration, which reads nothing."""
    checks = kinds.of(spec).queries(spec)
    if spec.validate:
        checks.append(("validate", statements.unmet(spec)))
    for part, query in checks:
        try:
            with db.transaction():
                limit(db, LOCK_MS)
                db.execute(sql.SQL("EXPLAIN ") + query)
        except psycopg.errors.InsufficientPrivilege as error:
            raise server_error(f"checking the backfill of {spec.id}", error) from None
        except psycopg.Error as error:
            if not failures.final(error):
                raise
            said = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
            raise InputError(
                f"the SQL of the backfill of {spec.id} cannot run",
                where=f"{part} in backfill.py",
                why="\n".join(filter(None, said)) or str(error),
                todo="mend it in backfill.py",
                code="bad-backfill",
            ) from None


def unedited(row: Row, migration: LoadedMigration) -> None:
    """Refuse to go on with a declaration that is not the one it was started with."""
    if migration.backfill and checksum(migration.backfill) != row.spec.checksum:
        raise RefusedError(
            f"backfill.py of {migration.id} was edited after rows were written",
            where=str(migration.path / "backfill.py"),
            why="rows before the cursor have the old form, those after it would get the new one",
            todo="put the old form back; or have the rest written in the new form: "
            f"qb backfill retry {migration.name} --edited-ok REASON; or begin again at the first "
            f"row: qb backfill cancel {migration.name}, then qb backfill start {migration.name} "
            "--restart",
            code="edited-migration",
        )
