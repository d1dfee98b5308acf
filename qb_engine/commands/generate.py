"""`qb generate`: write a migration file with inferred constraints and a way back"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands.draft import read_text
from qb_engine.errors import nearby
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.drafting import Generated


@dataclass(frozen=True)
class GenerateReport(Report):
    """The files that were written, with what was inferred."""

    name: ClassVar[str] = "generate"
    generated: Generated

    def headline(self) -> str:
        return nearby(f"wrote {self.generated.paths[0]}")

    def tables(self) -> Sequence[Table]:
        columns = (Column("file"), Column("text", "code"))
        files = tuple(
            (path.name, path.read_text(encoding="utf-8").rstrip()) for path in self._files()
        )
        return (Table("files", columns, files),)

    def notes(self) -> Sequence[str]:
        found = ["read the constraints, trim them, keep them"] if self.generated.constraints else []
        if self.generated.irreversible:
            found.append(f"no way back: {self.generated.irreversible}")
        found += list(self.generated.notes)
        return [*found, "next: qb verify, qb plan, qb dryrun"]

    def as_dict(self) -> dict[str, Any]:
        g = self.generated
        return {
            "migration": g.id,
            "paths": [str(path) for path in g.paths],
            "constraints": g.constraints,
            "down": list(g.down),
            "irreversible": g.irreversible,
            "notes": list(g.notes),
        }

    def _files(self) -> list[Any]:
        return [path for path in self.generated.paths if path.is_file()]


@qb_command("generate", short_help="Write a migration file from a draft, SQL, or models.")
@click.argument("name", required=False)
@click.option("--sql", "file", metavar="FILE", help="SQL from a file (- for stdin).")
@click.option("--models", metavar="MODULE:BASE", help="The difference to SQLAlchemy metadata.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["python", "sql", "typeorm"]),
    default="python",
    help="The kind of file to write (default: python). typeorm: a TypeScript class that TypeORM "
    "runs, too. Folders of other tools get files as these have them.",
)
def command(
    session: Session, name: str | None, file: str | None, models: str | None, kind: str
) -> Report:
    """Write migrations/<stamp>_NAME from draft NAME (default: the last one), SQL, or models.

    In a TypeORM project it becomes <milliseconds>-Name.ts beside the others (a folder when it has
    more parts than one), later than every class there and every row of TypeORM's history.
    """
    from qb_engine import drafting
    from qb_engine.database.connect import server_errors
    from qb_engine.migrations import load

    with (
        session.connect(application_name="qb generate") as conn,
        server_errors("reading the target", session.target),
    ):
        (session.project.root / session.project.config.migrations).mkdir(
            parents=True, exist_ok=True
        )
        load(session.project.migrations, format=session.project.config.format)
        later_than = latest_stamp(session, conn, kind)
        with scratch_of(session) as scratch:
            if models:
                return GenerateReport(
                    drafting.from_models(
                        session.project, session.target, name, models, conn=conn,
                        scratch=scratch, kind=kind, later_than=later_than,
                    )
                )  # fmt: skip
            return GenerateReport(
                drafting.generate(
                    session.project, name, sql=read_text(file), conn=conn, scratch=scratch,
                    kind=kind, later_than=later_than,
                )
            )  # fmt: skip


def latest_stamp(session: Session, conn: Connection, kind: str) -> int:
    """The latest stamp in TypeORM's history; 0 where nothing of TypeORM's is to be written."""
    from qb_engine.drafting.foreign import format_of
    from qb_engine.drafting.typescript_files import NAME
    from qb_engine.ledger import typeorm
    from qb_engine.migrations.stamps import LAST_MS

    format = format_of(session.project, kind)
    if kind != NAME and (format is None or format.name != NAME):
        return 0
    history = typeorm.history_of(conn, session.project.config.typeorm)
    named = (row.name[-13:] for row in typeorm.rows(conn, history))
    # as TypeORM orders what is in the source: not by what the row says
    found = [int(digits) for digits in named if len(digits) == 13 and digits.isdecimal()]
    return max((ms for ms in found if ms < LAST_MS), default=0)


@contextmanager
def scratch_of(session: Session) -> Iterator[Connection]:
    """A connection to a throw-away database with the target's schema."""
    from qb_engine.analysis.plan import STATEMENT_S
    from qb_engine.shadow import like, scratch

    with like(scratch(session.project, opened=session.watch), session.target) as shadow:
        conn = shadow.connect()
        # on an empty database nothing honest takes longer
        conn.execute(f"SET statement_timeout = '{STATEMENT_S}s'".encode())
        try:
            yield conn
        finally:
            conn.close()
