"""`qb typeorm adopt`: what TypeORM has applied counts as applied for qb, too"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._adoption import AdoptionReport
from qb_engine.errors import InputError, QbError, RefusedError, nearby
from qb_engine.report import Column, Report, Table, plain

if TYPE_CHECKING:
    from qb_engine.execution.place import Place
    from qb_engine.runner.adopt import Proof
    from qb_engine.typeorm.adopting import Found, Remark
    from qb_engine.typeorm.traps import Finding

# of `qb typeorm check`: what decides how TypeORM itself goes on
TRAPS = (
    *("barrel-file", "exported-function", "exported-helper-class", "exported-object"),
    *("exported-twice", "missing-await", "static-transaction", "transaction-forbidden"),
    *("duplicate-names", "transaction-control"),
)


@dataclass(frozen=True)
class TypeOrmAdoption(AdoptionReport):
    """What is taken over from TypeORM, and how its history and the files stand to each other."""

    name: ClassVar[str] = "typeorm adopt"
    table: str = ""
    history: tuple[Remark, ...] = ()
    traps: tuple[Finding, ...] = ()
    reverted: tuple[str, ...] = ()
    guard: str = ""  # "", "would be added", "added", "is there"

    def headline(self) -> str:
        if not self.rows and self.reverted:
            word = "followed" if self.recorded else "would be followed; nothing was recorded"
            return f"{len(self.reverted)} reverted by TypeORM on {self.target}: {word}"
        return super().headline()

    def tables(self) -> Sequence[Table]:
        found = list(super().tables())
        three = (Column("migration"), Column("what"), Column("it means"))
        odd = tuple((r.migration, r.kind, r.said) for r in self.history if r.kind != "pending")
        if odd:
            found.append(Table(f"{self.table} against the files", three, odd))
        if self.traps:
            columns = (Column("where"), Column("trap"), Column("what happens"))
            rows = tuple((f"{nearby(t.file)}:{t.line}", t.trap, t.message) for t in self.traps)
            found.append(Table("for as long as TypeORM runs them, too", columns, rows))
        return found

    def notes(self) -> Sequence[str]:
        found = [note for note in super().notes() if not note.startswith("record it")]
        if not self.rows and not self.proof:
            found = [note for note in found if not note.startswith("it was not tried")]
        if not self.rows and not self.reverted:
            found = [note for note in found if not note.startswith("the schema as it stands")]
        pending = [r.migration for r in self.history if r.kind in ("pending", "out of order")]
        if pending:
            some = ", ".join(pending[:5]) + (", ..." if len(pending) > 5 else "")
            found.append(f"{len(pending)} stay pending: {some}")
        if self.guard:
            found.append(f"the guard UNIQUE (name) on {self.table} {self.guard}")
        if not self.recorded and (self.rows or self.reverted or self.guard.startswith("would")):
            found.append("record it: repeat the command with --yes")
        if self.recorded:
            found.append(
                f"the rows of {self.table} are as they were; qb run adds to it as TypeORM does."
                " Undo: qb typeorm release"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            **super().as_dict(),
            "table": self.table,
            "history": [
                {"migration": r.migration, "what": r.kind, "said": r.said} for r in self.history
            ],
            "traps": [t.as_dict() for t in self.traps],
            "reverted": list(self.reverted),
            "guard": self.guard,
        }


@qb_command("adopt", short_help="Take over what TypeORM has applied.")
@click.option("--yes", is_flag=True, help="Record it without asking.")
@click.option(
    "--accept-differences",
    is_flag=True,
    help="Go on although rows have no file, or the proof fails.",
)
@click.option("--prove", is_flag=True, help="Replay what is taken over, and compare the schema.")
@click.option(
    "--guard",
    is_flag=True,
    help="Add UNIQUE (name) to TypeORM's table, so that no migration can be applied twice.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why, for the ledger.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
@click.option("--scratch", metavar="URL", help="A server to replay on, instead of the embedded.")
def part(
    session: Session,
    yes: bool,
    accept_differences: bool,
    prove: bool,
    guard: bool,
    reason: str,
    confirm: str | None,
    scratch: str | None,
) -> Report:
    """Say how TypeORM's history and the files stand to each other, and record what TypeORM has
    applied as applied in qb's ledger. Nothing runs, and TypeORM's own table stays as it is.

    It can be repeated: what TypeORM has applied or reverted since is then taken over.
    """
    from qb_engine.commands._place import place_of
    from qb_engine.typeorm import adopting

    migrations = session.migrations()
    place = place_of(session, migrations, scratch=scratch)
    found, guarded, nothing = _found(session, place)
    if found is None:
        return TypeOrmAdoption(session.target.name, "typeorm", (), remarks=(nothing,))
    history = found.besides.history
    if not accept_differences:
        _refuse_without_file(found)
    if guard and not guarded:
        _refuse_twice(found)
    proof = _proof(place, found, accept_differences) if prove and found.new else None
    report = TypeOrmAdoption(
        session.target.name,
        "typeorm",
        adopting.rows_of(place, found),
        proof,
        already=found.already,
        remarks=migrations.notes,
        table=str(history),
        history=found.remarks,
        traps=_traps(session),
        reverted=found.besides.gone,
        guard="" if not guard else "is there" if guarded else "would be added",
    )
    guard = guard and not guarded
    if not (report.rows or report.reverted or guard):
        return report
    if not yes:
        if not session.face.interactive:
            return report
        session.face.say(plain(report))
        if session.face.ask("record it? type yes: ") != "yes":
            return report
    session.guard_production("taking a history over", confirm)
    adopting.take(place, found, report.rows, proof=proof, guard=guard, reason=reason)
    return replace(report, recorded=True, guard="was added" if guard else report.guard)


def _found(session: Session, place: Place) -> tuple[Found | None, bool, str]:
    """What there is to take over, and whether a guard is there; or why there is nothing."""
    from qb_engine import ledger
    from qb_engine.database.connect import server_errors
    from qb_engine.ledger import typeorm
    from qb_engine.runner import beside
    from qb_engine.typeorm import adopting

    migrations = place.migrations
    if not beside.scripts_of(migrations):
        raise InputError(
            "there is no migration of TypeORM here",
            where=str(migrations.folder),
            why="no script in it holds a class that TypeORM would run",
            todo="say where they are first: qb typeorm import",
            code="no-such-migration",
        )
    with session.connect() as conn, server_errors("reading the history", session.target):
        known = ledger.standing(conn) if ledger.exists(conn) else {}
        found = beside.compare(conn, migrations, known)
        if found is None:
            history = typeorm.history_of(conn, place.project.config.typeorm)
            return None, False, (
                f"TypeORM has applied nothing here: there is no table {history}; another one is "
                "named in qb.toml: [typeorm] table, schema"
            )  # fmt: skip
        guarded = typeorm.once(conn, found.history)
    return adopting.compared(migrations, found, known), guarded, ""


def _proof(place: Place, found: Found, accept_differences: bool) -> Proof:
    """Replay all that is applied in TypeORM's order, and compare."""
    from qb_engine.runner import adopt
    from qb_engine.typeorm import recording

    order = {row.name: row.id for row in found.besides.rows}
    new = {entry.id for entry in found.new}
    applied = [
        entry for entry in place.migrations.entries if entry.id in new or entry.id in found.already
    ]
    names = place.migrations.names_in_history
    applied.sort(key=lambda e: max((order.get(n, 0) for n in names(e).values()), default=0))
    proof = adopt.prove(
        place,
        applied,
        (str(found.besides.history), f"{found.besides.history.schema}.typeorm_metadata"),
        before=recording.found_there(
            [each.text for each in place.migrations.all], place.project.config.typeorm.in_schema
        ),
    )
    if not accept_differences:
        adopt.refuse_unproven(place, proof)
    return proof


def _traps(session: Session) -> tuple[Finding, ...]:
    """What of the traps in the files bears on both running migrations."""
    from qb_engine.typeorm.traps import judge
    from qb_engine.typeorm.traps.gather import project_of

    try:
        project, _ = project_of(session.project)
    except QbError:
        return ()  # qb typeorm check says it; adopting does not depend on it
    return tuple(finding for finding in judge(project) if finding.trap in TRAPS)


def _refuse_without_file(found: Found) -> None:
    gone = found.of("no file")
    if gone:
        raise RefusedError(
            "TypeORM has applied what no file has",
            where=str(found.besides.history),
            why="\n".join(f"{each.migration}: {each.said}" for each in gone[:20]),
            todo="bring the files back; or go on all the same with --accept-differences",
            code="foreign-history",
        )


def _refuse_twice(found: Found) -> None:
    twice = found.of("twice")
    if twice:
        raise RefusedError(
            "the guard cannot be added: migrations stand in the history more than once",
            where=str(found.besides.history),
            why="\n".join(f"{each.migration}: {each.said}" for each in twice[:20]),
            todo="see what they did twice, delete all rows but the first of each, then repeat it; "
            "or adopt without --guard",
            code="typeorm-history",
        )
