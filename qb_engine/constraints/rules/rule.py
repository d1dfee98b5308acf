"""what a rule is: what it describes, how it is asked, and what it answers"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from qb_engine.constraints.verify import Check

if TYPE_CHECKING:
    from qb_engine.constraints.rules.reading import Reader
    from qb_engine.sql import Source

When = Literal["before", "after", "both"]
WHENS: tuple[When, ...] = ("before", "after", "both")


class Held(Protocol):
    """A lock that a step held: `relation` is `schema.name`, `mode` as pg_locks writes it."""

    @property
    def relation(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def index(self) -> bool: ...


class Observed(Protocol):
    """What a rule may know of a step that ran (an Observation of the executor is one).

    `transaction` is a number per transaction, None for a statement that ran outside one.
    """

    @property
    def number(self) -> int: ...
    @property
    def sql(self) -> str: ...
    @property
    def transaction(self) -> int | None: ...
    @property
    def seconds(self) -> float: ...
    @property
    def skipped(self) -> str: ...
    @property
    def locks(self) -> Sequence[Held]: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's answer: is it met, what was expected, what was observed, what mends it.

    `rows` are a few of the rows that break it, as text. `missing` says that what the rule speaks of
    is not there, so that it could not be asked.
    """

    ok: bool
    observed: str
    expected: str = ""
    fix: str = ""
    rows: tuple[str, ...] = ()
    missing: bool = False


class Rule(Protocol):
    """Something that can be asked of a database; rules of your own look like this, too.

    `check` reads through `read` (a query, optionally with parameters, gives its rows; it cannot
    write) and answers with a Verdict. A rule that compares with what was before also has a method
    `before(read)`, whose value is the `memo` that `check` gets; else that is None. `seen` holds one
    observation per step that ran; before the migration it is empty.

    Two more attributes are optional: `when`, the moment where the declaration names none (left out:
    after), and `momentary`, why `qb validate --data` cannot ask it later.
    """

    def describe(self) -> str:
        """What has to be true, on one line."""
        ...

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        """Whether it is."""
        ...


class Described:
    """The attributes of a rule that are optional."""

    when: ClassVar[When] = "after"
    momentary: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class DeclaredRule:
    """A rule of a migration: `what` has to be true, where it stands, when it is asked."""

    rule: Rule
    what: str
    source: Source
    when: When = "after"
    later: bool = True

    @property
    def before(self) -> bool:
        return self.when in ("before", "both")

    @property
    def after(self) -> bool:
        return self.when in ("after", "both")

    @property
    def momentary(self) -> str:
        """Why it makes no sense to ask it later; empty when it does."""
        if not self.later:
            return "its declaration says later: False"
        if not self.after:
            return "it speaks of what was before the migration"
        return str(getattr(self.rule, "momentary", ""))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A rule and its verdict; None when it was not asked, and then why."""

    rule: DeclaredRule
    verdict: Verdict | None
    skipped: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict is None or self.verdict.ok

    @property
    def expected(self) -> str:
        return self.verdict.expected if self.verdict else ""

    @property
    def found(self) -> str:
        """What was observed, with the rows that were shown."""
        if self.verdict is None:
            return self.skipped
        return "\n".join([self.verdict.observed, *self.verdict.rows])

    @property
    def check(self) -> Check:
        """As constraints show it."""
        where = str(self.rule.source)
        return Check(self.rule.what, self.expected, self.found, self.ok, where)
