"""making the ledger, with the schema that stood before it"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from qb_engine.database.connect import server_error
from qb_engine.errors import ServerError

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target

VERSION = 3
FILES = ("schema.sql", "backfill.sql")
LOCK = 0x71_62_5F_6C  # "qb_l": one maker of the ledger at a time


@dataclass(frozen=True, slots=True)
class Baseline:
    """The schema before the first migration: as SQL, and as a snapshot in JSON."""

    sql: str
    snapshot: str


def exists(conn: Connection) -> bool:
    """True when this database has a ledger. Raise ServerError when another qb made it."""
    row = conn.execute("SELECT pg_catalog.to_regclass('qb.meta') IS NOT NULL").fetchone()
    if not row or not row[0]:
        return False
    found = conn.execute("SELECT version FROM qb.meta").fetchone()
    version = int(found[0]) if found else VERSION
    if version > VERSION:
        raise ServerError(
            f"the ledger of this database has version {version}",
            where="schema qb",
            why=f"this qb knows versions up to {VERSION}: a newer qb has been here",
            todo="upgrade qb",
            code="ledger-too-new",
        )
    if version < VERSION:
        raise ServerError(
            f"the ledger of this database has version {version}",
            where="schema qb",
            why=f"a qb from before the first release made it; this one writes version {VERSION}",
            todo="note what qb history said, DROP SCHEMA qb CASCADE, then qb baseline the last one",
            code="ledger-too-old",
        )
    return True


def ensure(conn: Connection, target: Target, ddl: Callable[[], str] | None = None) -> None:
    """Make the ledger if this database has none, keeping the schema as it stands as the baseline.

    `ddl` gives that schema as SQL, where somebody has begun to read it. Needs CREATE on the
    database. Raise ServerError when that is missing.
    """
    from qb_engine.schema import snapshot

    if exists(conn):
        return
    before = snapshot(conn)
    text = ddl() if ddl is not None else as_sql(conn, target)
    try:
        with conn.transaction():
            conn.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [LOCK])
            row = conn.execute("SELECT pg_catalog.to_regclass('qb.meta') IS NOT NULL").fetchone()
            if row and row[0]:
                return  # somebody was faster
            for file in FILES:
                conn.execute((Path(__file__).parent / file).read_bytes())
            conn.execute(
                "INSERT INTO qb.meta (version, baseline_sql, baseline_snapshot)"
                " VALUES (%s, %s, %s)",
                [VERSION, text, before.to_json()],
            )
    except psycopg.errors.InsufficientPrivilege as error:
        raise ServerError(
            "qb cannot make its ledger in this database",
            where=target.display,
            why=f"{error.diag.message_primary}; the role {conn.info.user} may not create a schema",
            todo=f"GRANT CREATE ON DATABASE {conn.info.dbname} TO {conn.info.user}, "
            "or connect as the owner",
            code="missing-privilege",
        ) from None
    except psycopg.Error as error:
        raise server_error("making the ledger", error, where=target.display) from None


def as_sql(conn: Connection, target: Target) -> str:
    """The schema as it stands, to be made again elsewhere; of what the role may not read a stub."""
    return reading(conn, target)()


def reading(conn: Connection, target: Target) -> Callable[[], str]:
    """The same, to be read later and by anybody: what `conn` is needed for is asked at once."""
    from qb_engine.shadow.dump import closed_to, dump

    closed = closed_to(conn)
    stubs = [f"{text};\n" for each in closed for text in each.stub]
    return lambda: "".join(stubs) + dump(target, closed=closed).sql


def baseline(conn: Connection) -> Baseline:
    """What stood here before the first migration."""
    row = conn.execute("SELECT baseline_sql, baseline_snapshot FROM qb.meta").fetchone()
    assert row is not None, "a ledger has its single meta row"
    return Baseline(row[0], row[1])
