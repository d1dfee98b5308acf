"""`qb connect`: choose the target and say what it is"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.errors import RefusedError
from qb_engine.report import Column, Report, Table

FACTS = """
SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_database()::text,
       current_user::text,
       pg_catalog.pg_database_size(pg_catalog.current_database()),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n
            ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'qb')),
       pg_catalog.pg_is_in_recovery(),
       EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n
           ON n.oid = c.relnamespace WHERE n.nspname = 'qb' AND c.relname = 'meta')
"""


@dataclass(frozen=True)
class ConnectReport(Report):
    """What the target is."""

    name: ClassVar[str] = "connect"
    target: str
    where: str
    chosen_by: str
    version: str
    database: str
    role: str
    size_bytes: int
    tables_count: int
    read_only: bool
    ledger: bool
    production: bool

    def headline(self) -> str:
        return f"connected to {self.target}: {self.where}, PostgreSQL {self.version.split()[0]}"

    def tables(self) -> Sequence[Table]:
        rows = (
            (
                self.database,
                self.role,
                self.tables_count,
                self.size_bytes,
                self.ledger,
                self.production,
            ),
        )
        columns = (
            Column("database"), Column("role"), Column("tables", "count"), Column("size", "bytes"),
            Column("has a ledger"), Column("production"),
        )  # fmt: skip
        return (Table("target", columns, rows),)

    def notes(self) -> Sequence[str]:
        how = f"by {self.chosen_by}" if self.chosen_by else "because nothing else was named"
        found = [f"chosen {how}"]
        if self.read_only:
            found.append("the server is a standby: it can be read, nothing can be run on it")
        if self.production:
            found.append(f"production: changes need --confirm {self.target}")
        return found


@qb_command("connect", short_help="Choose the target and say what it is.")
@click.argument("target", required=False)
def command(session: Session, target: str | None) -> Report:
    """Connect to TARGET and keep it for the calls that follow in this notebook.

    TARGET is an alias of qb.toml, a libpq service, a URL without a password, or embedded. Left
    out: qb.toml's default, QB_DATABASE_URL, DATABASE_URL, libpq's variables, then embedded.
    """
    from qb_engine.database.connect import server_errors
    from qb_engine.database.target import has_password

    if target:
        if getattr(session.face, "keeps_input", False) and has_password(target):
            raise RefusedError(
                "the connection string holds a password",
                why="cells are stored in the notebook, in IPython's history and in git",
                todo="leave it out: put it into ~/.pgpass, a service, or PGPASSWORD; "
                "or connect without one and type it when asked",
                code="password-shown",
            )
        session.option = target
    chosen = session.target
    with (
        closing(session.connect()) as conn,
        server_errors("reading what the target is", session.target),
    ):
        row = conn.execute(FACTS).fetchone()
        assert row is not None
    origin = chosen.origin
    if chosen.embedded:
        by_default = "the default of qb.toml" if session.project.config.default else ""
        origin = "its name" if session.option else by_default
    session.use(session.target)
    version, database, role, size, tables, standby, ledger = row
    return ConnectReport(
        chosen.name, chosen.display, origin, version, database, role, size, tables,
        standby, ledger, chosen.production,
    )  # fmt: skip
