"""what `baseline` and `import-history` share: show what will be recorded, then ask"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from qb_engine.commands import Session
from qb_engine.report import Column, Report, Table, plain

if TYPE_CHECKING:
    from qb_engine.ledger.adopt import Adoption
    from qb_engine.runner.adopt import Proof


@dataclass(frozen=True)
class AdoptionReport(Report):
    """The migrations that count as applied from now on, or would; and whether that was proven."""

    name: ClassVar[str] = "adoption"
    target: str
    source: str  # the tool that they were imported from; empty when they were adopted by hand
    rows: tuple[Adoption, ...]
    proof: Proof | None = None
    recorded: bool = False
    already: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def headline(self) -> str:
        word = "migration" if len(self.rows) == 1 else "migrations"
        if not self.rows:
            return f"nothing is left to adopt on {self.target}"
        if self.recorded:
            return f"{len(self.rows)} {word} adopted on {self.target}"
        return f"{len(self.rows)} {word} would be adopted on {self.target}; nothing was recorded"

    def tables(self) -> Sequence[Table]:
        columns = (Column("migration"), Column("applied", "time"), Column("by"), Column("note"))
        rows = tuple((r.migration, r.at, r.who or None, r.note or None) for r in self.rows)
        found = [Table("adopted, without being run", columns, rows, empty="nothing")]
        if self.proof is not None and self.proof.differences:
            said = tuple((d.change, d.id.kind, d.sentence()) for d in self.proof.differences)
            three = (Column("change"), Column("kind"), Column("what"))
            found.append(Table("the schema differs from what they make", three, said))
        return found

    def notes(self) -> Sequence[str]:
        found = list(self.remarks)
        if self.already:
            stand = "stands" if len(self.already) == 1 else "stand"
            found.append(f"{len(self.already)} {stand} in qb's ledger already")
        if self.proof is None:
            found.append("it was not tried whether they make the schema that is here")
        elif self.proof.failure:
            found.append(f"they could not be replayed: {self.proof.failure}")
        elif not self.proof.differences:
            found.append(
                f"proven: replayed from nothing, all {self.proof.replayed} make this schema"
            )
        for text in self.proof.missing if self.proof else ():
            found.append(f"the scratch database lacks: {text}")
        if self.recorded:
            found.append("the schema as it stands is the baseline of qb validate; next: qb status")
        elif self.rows:
            found.append("record it: repeat the command with --yes")
        return found

    def as_dict(self) -> dict[str, Any]:
        proof = self.proof
        return {
            "target": self.target,
            "source": self.source,
            "recorded": self.recorded,
            "migrations": [r.migration for r in self.rows],
            "already": list(self.already),
            "remarks": list(self.remarks),
            "proof": None
            if proof is None
            else {
                "replayed": proof.replayed,
                "failure": proof.failure,
                "differences": [d.sentence() for d in proof.differences],
                "missing": list(proof.missing),
            },
        }


def settled(
    session: Session,
    report: AdoptionReport,
    record: Callable[[], object],
    *,
    yes: bool,
    confirm: str | None,
    doing: str,
) -> AdoptionReport:
    """Record what a report shows, once somebody agreed; without an answer only show it."""
    if not report.rows:
        return report
    if not yes:
        if not session.face.interactive:
            return report
        session.face.say(plain(report))
        if session.face.ask("record it? type yes: ") != "yes":
            return report
    session.guard_production(doing, confirm)
    record()
    return replace(report, recorded=True)
