"""what a statement does to this target: locks, work, changes, sizes; each with where it is from"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from qb_engine.analysis.changes import Changes
from qb_engine.execution.observation import Lock, strength

if TYPE_CHECKING:
    from qb_engine.analysis.witnesses.claim import Claim
    from qb_engine.sql import Statement


class Provenance(StrEnum):
    """Where a fact is from, most certain first."""

    OBSERVED = "observed"  # seen while the statement ran on a shadow
    CATALOG = "catalog"  # read on the target
    STATIC = "static"  # guessed from the text, because nobody could be asked


class WorkKind(StrEnum):
    """What the server does besides changing its catalog; its time grows with the relation."""

    REWRITE = "rewrites"  # the table is written anew, its indexes with it
    VERIFY = "verifies"  # every row is checked against constraints
    SCAN = "scans"  # every row is read
    BUILD = "builds"  # an index is made from all rows
    REBUILD = "rebuilds"  # an index is made anew under its name
    FOREIGN_KEY = "looks up"  # every row is looked up in the table that it references
    PROVED = "proves"  # no work: what is there already proves what was asked


@dataclass(frozen=True, slots=True)
class Work:
    """Work on a relation that existed before the migration; `schema.name`, unquoted.

    `index` is the index that is built, `constraint` the constraint that is validated, `column` the
    column that was proved to have no NULL; each empty where it does not apply.
    """

    kind: WorkKind
    relation: str
    index: str = ""
    constraint: str = ""
    column: str = ""

    def __str__(self) -> str:
        what = f" {self.index} of" if self.index else ""
        return f"{self.kind}{what} {self.relation}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What the target says of a relation; None where it does not say.

    `rows` is the planner's estimate, `bytes` the whole size with indexes and TOAST, `table_bytes`
    the rows alone. Partitions are added up. `writes` and `reads` are rows changed and scans
    started, per second, since the counters began.
    """

    kind: str = "table"
    rows: float | None = None
    bytes: int | None = None
    table_bytes: int | None = None
    partitions: int = 0
    writes: float | None = None
    reads: float | None = None


@dataclass(frozen=True)
class Facts:
    """What one statement does.

    `locks` are those that it takes or strengthens on relations that existed before the migration,
    tables and indexes; `figures` are of every relation in `locks` and `work`, where a target was
    asked. `rows` is how many rows the target's planner expects a data change to touch; `seconds`
    an estimate as (low, high); both None where nobody could be asked. `error` is what the server
    said when it refused the statement on the shadow, with its SQLSTATE and detail.
    `lacking` says what the shadow lacks that the statement touches. `claims` are what it requires
    of the rows that are there, where that was asked for. `bodies` define the functions of PL/pgSQL
    that it calls.
    """

    locks: tuple[Lock, ...] = ()
    work: tuple[Work, ...] = ()
    changes: Changes = field(default_factory=Changes)
    refuses_transaction: str = ""
    messages: tuple[str, ...] = ()
    error: str = ""
    sqlstate: str = ""
    detail: str = ""
    figures: Mapping[str, Figures] = field(default_factory=dict)
    rows: float | None = None
    seconds: tuple[float, float] | None = None
    lacking: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    bodies: tuple[str, ...] = ()
    provenance: Provenance = Provenance.OBSERVED

    def mode(self, relation: str) -> str:
        """The strongest lock that this statement takes on a relation; empty when it takes none."""
        found = [lock.mode for lock in self.locks if lock.relation == relation]
        return max(found, key=strength, default="")

    def works(self, *kinds: WorkKind) -> tuple[Work, ...]:
        """The work of these kinds."""
        return tuple(work for work in self.work if work.kind in kinds)

    @property
    def rewrites(self) -> tuple[str, ...]:
        """The tables that are written anew."""
        return tuple(dict.fromkeys(w.relation for w in self.works(WorkKind.REWRITE)))

    @property
    def scans(self) -> tuple[str, ...]:
        """The tables whose rows are all read, for whatever reason but a rewrite."""
        kinds = (WorkKind.SCAN, WorkKind.VERIFY, WorkKind.BUILD, WorkKind.FOREIGN_KEY)
        return tuple(dict.fromkeys(w.relation for w in self.works(*kinds)))

    @property
    def builds(self) -> tuple[str, ...]:
        """The indexes that are made, or made anew."""
        kinds = (WorkKind.BUILD, WorkKind.REBUILD)
        return tuple(dict.fromkeys(w.index for w in self.works(*kinds)))


@dataclass(frozen=True)
class Examined:
    """A step of a plan with its facts.

    `transaction` is the number of the transaction that it runs in, None when it runs in none.
    """

    number: int
    statement: Statement
    part: str
    transaction: int | None
    facts: Facts

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        facts = self.facts
        touched = {lock.relation for lock in facts.locks} | {w.relation for w in facts.work}
        figures = [of for name, of in facts.figures.items() if name in touched]
        rows = [f.rows for f in figures if f.rows is not None and f.kind != "index"]
        sizes = [f.bytes for f in figures if f.bytes is not None and f.kind != "index"]
        return {
            "number": self.number,
            "sql": self.statement.sql,
            "place": str(self.statement.source),
            "part": self.part,
            "transaction": self.transaction,
            "locks": {lock.relation: lock.mode for lock in facts.locks if not lock.index},
            "index_locks": {lock.relation: lock.mode for lock in facts.locks if lock.index},
            "rewrites": list(facts.rewrites),
            "scans": list(facts.scans),
            "index_builds": list(facts.builds),
            "proved": [
                ".".join(filter(None, (w.relation, w.column))) for w in facts.works(WorkKind.PROVED)
            ],
            "created": list(facts.changes.created),
            "rows": facts.rows if facts.rows is not None else max(rows, default=None),
            "bytes": max(sizes, default=None),
            "seconds": list(facts.seconds) if facts.seconds else None,
            "relations": {
                name: {
                    "rows": of.rows,
                    "bytes": of.bytes,
                    "partitions": of.partitions,
                    "writes_per_s": of.writes,
                    "reads_per_s": of.reads,
                }
                for name, of in sorted(facts.figures.items())
                if name in touched and of.kind != "index"
            },
            "messages": list(facts.messages),
            "error": facts.error,
            "provenance": str(facts.provenance),
        }
