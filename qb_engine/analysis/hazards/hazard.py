"""what a hazard is, what it finds, and what it is asked about"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qb_engine.analysis.facts import Examined, Facts, Figures, Provenance
from qb_engine.execution.observation import Lock, strength

if TYPE_CHECKING:
    from qb_engine.analysis.changes import Changes
    from qb_engine.operations import Operation

EXCLUSIVE = "AccessExclusiveLock"
TABLES = ("r", "p", "m", "f")  # relkinds of what holds rows
LONG_S = 1.0  # that others wait for this long is felt, however small the table
BLOCKS_WRITES = strength("ShareLock")  # this and every stronger mode keep writers waiting


class Severity(StrEnum):
    """How bad it is: an `error` blocks or breaks, a `warning` may, a `notice` is worth knowing."""

    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 (notice) to 2 (error)."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Finding:
    """A hazard at a statement of a migration.

    `message` says what will happen, `why` whom it hurts, `fix` what to do instead (a sentence, or
    SQL). `lock` is the strongest mode on `relation`. `accepted` is the reason why somebody accepted
    it; empty when nobody did. `line` counts from 1 in `file`.
    """

    hazard: str
    severity: Severity
    number: int
    statement: str
    file: str
    line: int
    relation: str = ""
    lock: str = ""
    message: str = ""
    why: str = ""
    fix: str = ""
    provenance: Provenance = Provenance.OBSERVED
    accepted: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "hazard": self.hazard,
            "severity": str(self.severity),
            "file": self.file,
            "line": self.line,
            "number": self.number,
            "statement": self.statement,
            "relation": self.relation or None,
            "lock": self.lock or None,
            "message": self.message,
            "why": self.why,
            "fix": self.fix,
            "provenance": str(self.provenance),
            "accepted": self.accepted or None,
        }


@dataclass(frozen=True)
class Hazard:
    """The record of a hazard, from which its documentation and its tests are made.

    `title` is the message, with places for `{relation}`, `{lock}` and whatever `at` is given by
    name. `meaning` says in a few sentences what happens and whom it hurts. `bad` is SQL that has it
    on the schema that `given` makes (the usual one when empty), with big tables; `good` does the
    same without it, empty when there is no such way. `fix` is what to do instead. The examples run
    as `tx` says: `wrapped` in one transaction, `none`, `explicit`, or as qb's `runner` would, on a
    server of this `version` (None is the newest).
    """

    id: str
    severity: Severity
    title: str
    meaning: str
    bad: str
    good: str = ""
    fix: str = ""
    given: str = ""
    tx: str = "runner"
    version: int | None = None

    def at(
        self,
        at: Situation,
        relation: str = "",
        *,
        lock: str | None = None,
        fix: str = "",
        severity: Severity | None = None,
        provenance: Provenance | None = None,
        **words: Any,
    ) -> Finding:
        """The finding of this hazard in a situation; `words` fill the places of the title."""
        statement = at.step.statement
        if lock is None:
            lock = at.lock(relation) if relation else ""
        shown = {"relation": relation, "lock": Lock("", lock).sql_mode if lock else "", **words}
        return Finding(
            hazard=self.id,
            severity=severity or self.severity,
            number=at.step.number,
            statement=statement.sql,
            file=statement.source.file,
            line=statement.source.line,
            relation=relation,
            lock=lock,
            message=self.title.format(**shown),
            why=self.meaning,
            fix=fix or self.fix,
            provenance=provenance or at.facts.provenance,
        )


@dataclass(frozen=True)
class Circumstances:
    """What is known about where the migration will run; None and empty where nobody was asked.

    `version` is server_version_num of the target (150004), or the one that was named. A table is
    small below both `small_bytes` and `small_rows`. `wrapped` says that every statement is put into
    one transaction, those too that PostgreSQL refuses there (another tool's runner, or a BEGIN of
    the file's own). `figures` hold every relation of the migration, `invalid_indexes`
    (`schema.name`) are on the target. `unended` is the number of the statement after which an
    explicit transaction was left open.
    """

    version: int | None = None
    small_bytes: int = 10 * 1024 * 1024
    small_rows: int = 10_000
    wrapped: bool = False
    production: bool = False
    figures: Mapping[str, Figures] = field(default_factory=dict)
    invalid_indexes: frozenset[str] = frozenset()
    unended: int | None = None


@dataclass(frozen=True)
class Situation:
    """A statement as a hazard sees it: its facts, what its transaction holds, what is around it.

    `held` are the locks that earlier statements of the same transaction still hold, by relation,
    on what existed before the migration; `first_of` gives the number of the statement that took
    each of them. `made` names the tables that the migration has made until now, and `parents` tells
    of partitions whose they are.
    """

    step: Examined
    circumstances: Circumstances = field(default_factory=Circumstances)
    held: Mapping[str, str] = field(default_factory=dict)
    first_of: Mapping[str, int] = field(default_factory=dict)
    earlier: tuple[Examined, ...] = ()
    later: tuple[Examined, ...] = ()
    made: frozenset[str] = frozenset()
    parents: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        return self.step.facts

    @property
    def changes(self) -> Changes:
        return self.step.facts.changes

    @property
    def kind(self) -> str:
        """The kind of the statement: `alter_table`, `index`, `do`."""
        return self.step.statement.kind

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """What the statement does, command by command, as far as its text tells."""
        from qb_engine.operations import read

        return read(self.step.statement)

    @property
    def together(self) -> tuple[Examined, ...]:
        """The statements of the same transaction, this one among them, in order."""
        number = self.step.transaction
        if number is None:
            return (self.step,)
        whole = (*self.earlier, self.step, *self.later)
        return tuple(each for each in whole if each.transaction == number)

    def lock(self, relation: str) -> str:
        """The strongest mode on a relation while the statement works, whoever took it."""
        modes = (self.facts.mode(relation), self.held.get(relation, ""))
        return max(modes, key=strength)

    def blocks_writes(self, relation: str) -> bool:
        """True when nobody can write to the relation while the statement works."""
        return strength(self.lock(relation)) >= BLOCKS_WRITES

    def blocks_reads(self, relation: str) -> bool:
        """True when nobody can even read it."""
        return self.lock(relation) == EXCLUSIVE

    def is_new(self, relation: str) -> bool:
        """True for what the migration itself has made: nobody else sees it yet."""
        return relation in self.made or relation in self.changes.new

    def figures(self, relation: str) -> Figures | None:
        """What the target says of a relation; None when nobody could ask."""
        return self.facts.figures.get(relation) or self.circumstances.figures.get(relation)

    def is_big(self, relation: str) -> bool:
        """False for new, empty and small relations; what nobody knows the size of counts as big.

        So does what is small, where even the shortest estimate of the work on it is long.
        """
        if self.is_new(relation):
            return False
        known = self.figures(relation)
        if known is None or (known.bytes is None and known.rows is None):
            return True
        worked_on = any(work.relation == relation for work in self.facts.work)
        if worked_on and self.facts.seconds is not None and self.facts.seconds[0] >= LONG_S:
            return True
        wide = (known.bytes or 0) >= self.circumstances.small_bytes
        return wide or (known.rows or 0) >= self.circumstances.small_rows

    def is_empty(self, relation: str) -> bool:
        """True for new relations, and for those that are known to have no row."""
        if self.is_new(relation):
            return True
        known = self.figures(relation)
        return known is not None and known.rows == 0

    def big(self, relations: Iterable[str]) -> list[str]:
        """Those of relations that are big, each once."""
        return [name for name in dict.fromkeys(relations) if self.is_big(name)]

    # -- partitions ----------------------------------------------------------------------------

    def root(self, relation: str) -> str:
        """The table that a partition is a part of in the end; any other table itself."""
        seen = {relation}
        while (parent := self.parents.get(relation)) and parent not in seen:
            relation = parent
            seen.add(parent)
        return relation

    def within(self, relation: str, whole: str) -> bool:
        """True for a table itself and for its partitions, and for theirs."""
        seen: set[str] = set()
        while relation and relation not in seen:
            if relation == whole:
                return True
            seen.add(relation)
            relation = self.parents.get(relation, "")
        return False

    @property
    def partitions(self) -> bool:
        """True when the statement gives a table a new partition."""
        made = any(table in self.changes.parents for table in self.changes.created)
        return made or bool(self.changes.attached)

    def whole(self, relation: str) -> str:
        """The table that the statement works on as a whole, when this is one of its partitions.

        A parent that is locked less than its partition is not what the statement is about.
        """
        seen = {relation}
        while (parent := self.parents.get(relation)) and parent not in seen:
            if self.is_new(parent) or strength(self.lock(parent)) < strength(self.lock(relation)):
                break
            relation = parent
            seen.add(parent)
        return relation

    def wholes(self, relations: Iterable[str]) -> list[str]:
        """The big ones of these tables, partitions as the whole that they are part of, each once.

        New partitions are left out, whatever they are part of.
        """
        found: dict[str, None] = {}
        for relation in relations:
            whole = self.whole(relation)
            if not self.is_new(relation) and (self.is_big(whole) or self.is_big(relation)):
                found[whole] = None
        return list(found)

    def kind_of(self, relation: str) -> str:
        """The relkind of a relation as far as a statement has changed or strongly locked it."""
        for each in (self.step, *reversed(self.earlier)):
            if kind := each.facts.changes.kinds.get(relation):
                return kind
        return ""

    def is_table(self, relation: str) -> bool:
        """True for tables and materialized views that statements have touched."""
        return self.kind_of(relation) in TABLES

    @cached_property
    def named(self) -> str:
        """The first relation that the text names, as `schema.name`: of a statement that failed."""
        for schema, name in self.step.statement.relations:
            return f"{schema or 'public'}.{name}"
        return ""

    # -- what others rely on -------------------------------------------------------------------

    def in_use(self, relation: str) -> bool:
        """False where no application can rely on a table: the migration made it, or it is empty."""
        return not (self.is_empty(relation) or self.is_empty(self.root(relation)))

    def weighed(self, relation: str, severity: Severity) -> Severity:
        """The severity of what breaks applications: of a small table it is worth knowing only."""
        big = self.is_big(relation) or self.is_big(self.whole(relation))
        return severity if big else Severity.NOTICE

    @cached_property
    def made_columns(self) -> frozenset[tuple[str, str]]:
        """The columns, as (table, name), that earlier statements of the migration have made."""
        found: set[tuple[str, str]] = set()
        for each in self.earlier:
            changes = each.facts.changes
            found |= {(column.table, column.name) for column in changes.added_columns}
            for change in changes.renamed_columns:
                if (change.before.table, change.before.name) in found:
                    found.add((change.after.table, change.after.name))
        return frozenset(found)

    @cached_property
    def made_indexes(self) -> frozenset[str]:
        """The indexes that earlier statements of the migration have made."""
        return frozenset(
            index.name for each in self.earlier for index in each.facts.changes.added_indexes
        )
