"""a target's extensions on a shadow: the real ones, our stand-ins, or what the catalog tells"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from qb_engine.shadow.lacking import VERSION, Lacking
from qb_engine.shadow.server import LACKING, OUTSIDE, extension_path, reads_standins
from qb_engine.sql import ident, literal

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

INSTALLED = """
SELECT e.extname::text, n.nspname::text
  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname <> 'plpgsql' ORDER BY e.oid
"""
KNOWN = "SELECT name::text FROM pg_catalog.pg_available_extensions"
CLASSES = (
    "pg_type", "pg_proc", "pg_class", "pg_operator", "pg_opclass", "pg_foreign_data_wrapper",
)  # fmt: skip
# what a fresh database has had added to it, by class
MADE = "\n UNION ALL\n".join(
    f"SELECT 'pg_catalog.{each}'::regclass::pg_catalog.oid::pg_catalog.int8,"
    f" oid::pg_catalog.int8 FROM pg_catalog.{each} WHERE oid >= 16384"
    for each in CLASSES
)


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension that a schema uses, and the schema that its objects are in.

    `stubs` are statements for what the target's catalog tells of it, for a server that lacks it.
    """

    name: str
    schema: str
    stubs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Added:
    """An extension that was made: what it lacks, and the objects (class, oid) of a mere script."""

    lacking: Lacking | None = None
    members: frozenset[tuple[int, int]] = frozenset()


def installed(conn: Connection) -> tuple[Extension, ...]:
    """The extensions of a database, in the order they were made."""
    return tuple(Extension(name, schema) for name, schema in conn.execute(INSTALLED).fetchall())


def schema_made_before(extension: Extension) -> tuple[str, str]:
    """How pg_dump makes an extension's schema, and how it is said when that is there already."""
    name = ident(extension.schema)
    return f"\nCREATE SCHEMA {name};\n", f"\nCREATE SCHEMA IF NOT EXISTS {name};\n"


def known(admin: Connection) -> frozenset[str]:
    """The extensions that a server can make: its own and, where it finds them, our stand-ins."""
    if reads_standins(admin):
        admin.execute(f"SET extension_control_path = {literal(extension_path())}".encode())
    found = {name for (name,) in admin.execute(KNOWN).fetchall()}
    return frozenset(found | set(_scripts()))


def add(acting: Connection, admin: Connection, extension: Extension) -> Added:
    """Make an extension in a fresh database.

    As the ordinary role where that may do it, so that it owns the extension as it would elsewhere.
    """
    name = extension.name
    schema = ident(extension.schema)
    if extension.schema not in ("pg_catalog", "public"):
        acting.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
    if reads_standins(admin):
        admin.execute(f"SET extension_control_path = {literal(extension_path())}".encode())
    elif path := _scripts().get(name):
        outside = path.parent.parent == OUTSIDE
        if outside or not _has(admin, name):
            return _by_script(admin, extension, path.read_text(encoding="utf-8"))
    why = ""
    for conn in (acting, admin):
        try:
            conn.execute(
                f"CREATE EXTENSION IF NOT EXISTS {ident(name)} WITH SCHEMA {schema}"
                " CASCADE".encode()
            )
            break
        except psycopg.Error as error:
            if conn.closed:
                raise
            why = error.diag.message_primary or str(error)
    else:
        if extension.stubs:
            return _by_stubs(admin, extension)
        return Added(Lacking(name, "extension", why=why))
    row = admin.execute(
        "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = %s", [name]
    ).fetchone()
    standing_in = bool(row and row[0] == VERSION)
    return Added(Lacking(name, "extension", stubbed=True) if standing_in else None)


def _scripts() -> dict[str, Path]:
    """Our stand-ins by the extension's name."""
    return {
        path.name.partition("--")[0]: path
        for folder in (OUTSIDE, LACKING)
        for path in sorted((folder / "extension").glob("*.sql"))
    }


def _has(admin: Connection, name: str) -> bool:
    row = admin.execute(f"SELECT %s IN ({KNOWN})", [name]).fetchone()
    return bool(row and row[0])


def _by_script(admin: Connection, extension: Extension, script: str) -> Added:
    """What stands in for an extension on a server that does not look where we tell it."""
    before = _made(admin)
    with admin.transaction():
        admin.execute(f"SET LOCAL search_path = {ident(extension.schema)}".encode())
        admin.execute(script.encode())
    return Added(Lacking(extension.name, "extension", stubbed=True), _made(admin) - before)


def _by_stubs(admin: Connection, extension: Extension) -> Added:
    """Make what the target's catalog told, as far as it goes."""
    before = _made(admin)
    for statement in extension.stubs:
        try:
            admin.execute(statement.encode())
        except psycopg.Error:  # one function less; what needs it will be named
            if admin.closed:
                raise
    return Added(Lacking(extension.name, "extension", stubbed=True), _made(admin) - before)


def _made(admin: Connection) -> frozenset[tuple[int, int]]:
    return frozenset((class_, id) for class_, id in admin.execute(MADE).fetchall())
