"""`qb roundtrip`: up, down and up again on a shadow; does every way back lead back?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.runner.roundtrip import Finding, RoundTrips

PASSED = {"exact": True, "inexact": False}


@dataclass(frozen=True)
class RoundtripReport(Report):
    """What up, down and up again left otherwise, each migration alone and all of them together."""

    name: ClassVar[str] = "roundtrip"
    target: str
    found: RoundTrips

    @property
    def ok(self) -> bool:
        return all(trip.ok for trip in self.found.trips) and not self.lost

    @property
    def lost(self) -> tuple[str, ...]:
        """The migrations that could not be tried, because one before them cannot be applied."""
        return tuple(t.migration for t in self.found.trips if t.single == "not reached")

    def findings(self) -> Iterator[Finding]:
        """Everything that was found, in the order of the migrations."""
        for trip in self.found.trips:
            yield from trip.findings
        for chain in self.found.chains:
            yield from chain.findings

    def headline(self) -> str:
        trips = [t for t in self.found.trips if t.single not in ("not asked", "adopted")]
        if not trips:
            return "there is no migration to try"
        count = Counter[str](t.single for t in trips)
        one = len(trips) == 1
        text = f"{count['exact']} of {len(trips)} migration{'' if one else 's'} came back exactly"
        others = [
            f"{count[word]} {said}"
            for word, said in (
                ("inexact", "did not"),
                ("down fails", "cannot go down"),
                ("up fails", "cannot go up"),
                ("irreversible", "without a way back"),
                ("not reached", "not reached"),
            )
            if count[word]
        ]
        if all(chain.outcome == "exact" for chain in self.found.chains):
            return ", ".join([text, *others])
        return ", ".join([text, *others, "and not all of them together"])

    def tables(self) -> Sequence[Table]:
        columns = (
            Column("migration"),
            Column("single step", "check"),
            Column("whole chain", "check"),
            Column("differences", "count"),
        )
        several = Counter(f.migration for f in self.findings())
        rows = tuple(
            (t.migration, _shown(t.single), _shown(t.chain), several[t.migration])
            for t in self.found.trips
            if t.single != "not asked"
        )
        found = [Table("round trips", columns, rows, empty="no migration")]
        wrong = tuple(
            (f.migration, f.test, f.when, _with_place(f.what, f.where)) for f in self.findings()
        )
        if wrong:
            heads = ("migration", "test", "after", "what is not as it was")
            found.append(Table("differences", tuple(map(Column, heads)), wrong))
        return found

    def notes(self) -> Sequence[str]:
        found = [
            f"{t.migration} is irreversible: {t.why}"
            for t in self.found.trips
            if t.single == "irreversible"
        ]
        if adopted := [t.migration for t in self.found.trips if t.single == "adopted"]:
            found.append(
                f"{len(adopted)} adopted: what they made is in the start already, up to "
                f"{adopted[-1]}; --empty tries them, too"
            )
        found += [note for t in self.found.trips for note in t.notes]
        found += [f"the shadow lacks: {text}" for text in self.found.missing]
        found.append(f"started from {self.found.start}; tried on a shadow without rows")
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "start": self.found.start,
            "migrations": [
                {
                    "migration": t.migration,
                    "single_step": t.single,
                    "whole_chain": t.chain,
                    "irreversible": t.why,
                    "notes": list(t.notes),
                }
                for t in self.found.trips
            ],
            "chains": [
                {"migrations": list(c.migrations), "outcome": c.outcome} for c in self.found.chains
            ],
            "findings": [
                {
                    "migration": f.migration,
                    "test": f.test,
                    "after": f.when,
                    "what": f.what,
                    "where": f.where,
                    "kind": f.id.kind if f.id else "",
                    "object": f.id.path if f.id else "",
                }
                for f in self.findings()
            ],
            "missing": list(self.found.missing),
        }


def _shown(outcome: str) -> bool | str:
    return PASSED.get(outcome, outcome)


def _with_place(what: str, where: str) -> str:
    return f"{where}\n{what}" if where else what


@qb_command("roundtrip", short_help="Up, down, up again on a shadow: is every down right?")
@click.argument("migrations", metavar="[MIGRATION]...", nargs=-1)
@click.option("--empty", is_flag=True, help="Start from an empty database, whatever the target.")
@click.option("--scratch", metavar="URL", help="A server to try on, instead of the embedded.")
def command(
    session: Session, migrations: tuple[str, ...], empty: bool, scratch: str | None
) -> Report:
    """Take each MIGRATION (default: all) up, down and up again, alone and then all together.

    The schema is compared after each turn, object by object. This happens on a throw-away database
    that starts from what stood in the target before its first migration. Exit code 1 when a way
    back is wrong. Changes nothing.
    """  # fmt: skip
    from qb_engine.commands._place import place_of
    from qb_engine.runner.roundtrip import roundtrip

    there = session.migrations()
    wanted = {there.find(name).id for name in migrations} if migrations else None
    place = place_of(session, there, scratch=scratch)
    with session.face.progress("round trips") as bar:
        found = roundtrip(
            place,
            wanted,
            empty=empty,
            hear=lambda done, total, name: bar.update(done, total, name),
        )
    return RoundtripReport(session.target.name, found)
