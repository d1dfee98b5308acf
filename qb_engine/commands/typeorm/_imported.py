"""what `qb typeorm import` says: each migration, and how qb knows what it does"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from qb_engine.report import Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.typeorm.survey import Standing

COLUMNS = (
    Column("migration"),
    Column("file"),
    Column("how"),
    Column("up", "count"),
    Column("down", "count"),
    Column("applied"),
    Column("note"),
)


@dataclass(frozen=True)
class ImportReport(Report):
    """The migrations of a TypeORM project: how each is known, and what qb.toml says of them."""

    name: ClassVar[str] = "typeorm import"
    folder: str
    migrations: tuple[Standing, ...]
    added: tuple[str, ...] = ()  # to qb.toml, or what would be
    wrote: bool = False
    recorded: tuple[str, ...] = ()  # in this call
    remarks: tuple[str, ...] = ()
    root: str = ""

    @property
    def ok(self) -> bool:
        return not any(each.how == "broken" for each in self.migrations)

    def count(self, how: str) -> int:
        return sum(each.how == how for each in self.migrations)

    def headline(self) -> str:
        if not self.migrations:
            return f"no migration is in {self.folder} yet"
        said = f"{self.count('read')} of {len(self.migrations)} migrations read"
        for how in ("recorded", "opaque", "broken"):
            if count := self.count(how):
                said += f", {count} {how}"
        return said

    def tables(self) -> Sequence[Table]:
        words = {None: "-", True: "yes", False: "no"}
        rows = tuple(
            (
                each.name,
                self._file(each.path),
                each.how,
                None if each.how in ("opaque", "broken") else each.up,
                None if each.how in ("opaque", "broken") else each.down,
                words[each.applied],
                _note(each) or None,
            )
            for each in self.migrations
        )
        return (Table(f"migrations in {self.folder}", COLUMNS, rows, empty="none"),)

    def notes(self) -> Sequence[str]:
        found = list(self.remarks)
        if self.added:
            keys = ", ".join(self.added)
            found.append(f"qb.toml {'now says' if self.wrote else 'would say'}: {keys}")
        waiting = [each.name for each in self.migrations if each.record and not each.tried]
        if waiting:
            some = ", ".join(waiting[:3]) + (", ..." if len(waiting) > 3 else "")
            found.append(
                f"{len(waiting)} can be recorded on a scratch database, which runs the project's "
                f"code ({some}): qb typeorm import --allow-execution --yes"
            )
        if any(
            each.how == "opaque" and each.tried and not each.applied for each in self.migrations
        ):
            found.append(
                "what stays opaque and is pending: let TypeORM run it, then take it over with qb "
                "typeorm adopt; or write it as SQL, with a backfill for what goes over rows"
            )
        if self.added and not self.wrote:
            found.append("nothing was written: repeat the command with --yes")
        elif self.migrations:
            found.append(
                "next: qb typeorm check, then qb typeorm adopt -c TARGET; see also qb lint"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "folder": self.folder,
            "counts": {how: self.count(how) for how in ("read", "recorded", "opaque", "broken")},
            "migrations": [
                {
                    "name": each.name,
                    "file": self._file(each.path),
                    "how": each.how,
                    "up": each.up,
                    "down": each.down,
                    "applied": each.applied,
                    "reason": each.reason,
                    "line": each.line or None,
                    "recording": each.notes,
                }
                for each in self.migrations
            ],
            "settings": list(self.added),
            "wrote": self.wrote,
            "recorded": list(self.recorded),
            "remarks": list(self.remarks),
        }

    def _file(self, path: Path) -> str:
        try:
            return path.resolve().relative_to(Path(self.root).resolve()).as_posix()
        except ValueError:
            return str(path)


def _note(each: Standing) -> str:
    where = f" (line {each.line})" if each.line else ""
    return "\n".join(filter(None, [each.notes, f"{each.reason}{where}" if each.reason else ""]))
