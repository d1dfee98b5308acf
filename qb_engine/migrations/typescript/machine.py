"""what runs through a tree: the limits, the queries sent so far, what waits for an await"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from tree_sitter import Node

from qb_engine.migrations.typescript.grammar import Source, line_of
from qb_engine.migrations.typescript.operators import NotTold
from qb_engine.migrations.typescript.refusal import Fails, Refused
from qb_engine.migrations.typescript.scope import Scope
from qb_engine.migrations.typescript.things import (
    Class,
    Instance,
    Late,
    Promise,
    Unknown,
)
from qb_engine.migrations.typescript.values import Cause

DEPTH = 150  # three frames of Python each: well below its limit of 1000
TURNS = 20_000  # iterations and calls of one method, together
LENGTH = 50_000_000  # characters of one string
ITEMS = 1_000_000  # of one array
STEPS = 2_000_000  # expressions of one method: some ten seconds
WORK = 50_000_000  # characters that one method makes and sends, all together
ITEM = 50  # an item of an array costs as much as so many of them

# What makes a new string or a new array each time.
_MAKING = frozenset(("binary_expression", "template_string", "call_expression", "array"))

Expression = Callable[["Machine", Node, Scope], Any]
Statement = Callable[["Machine", Node, Scope], Any]
EXPRESSIONS: dict[str, Expression] = {}
STATEMENTS: dict[str, Statement] = {}

WHY: dict[Cause, str] = {
    "rows": "is known only from rows that it reads",
    "schema": "is known only from the schema of the database",
    "manager": "comes from the entity manager",
    "code": "comes from code that stands elsewhere",
    "environment": "is known only when it runs",
    "swallowed": "depends on what fails",
    "value": "cannot be told from the text",
}


def expression(*kinds: str) -> Callable[[Expression], Expression]:
    """Name the nodes whose value a function tells."""

    def named(function: Expression) -> Expression:
        EXPRESSIONS.update(dict.fromkeys(kinds, function))
        return function

    return named


def statement(*kinds: str) -> Callable[[Statement], Statement]:
    """Name the nodes that a function carries out; it returns None, or what ends the block."""

    def named(function: Statement) -> Statement:
        STATEMENTS.update(dict.fromkeys(kinds, function))
        return function

    return named


class Frame:
    """An asynchronous function that runs."""

    __slots__ = ("late", "own", "suspended")

    def __init__(self) -> None:
        self.suspended = False  # it has awaited something
        self.late = Late.NOTHING  # what it did after that
        self.own: Scope | None = None  # its names


class Sent:
    """A call of query, while the method is being read."""

    __slots__ = ("awaited", "called", "file", "line", "parameters", "sql")

    def __init__(
        self, sql: str, parameters: tuple[Any, ...] | None, line: int, file: str, called: int
    ) -> None:
        self.sql = sql
        self.parameters = parameters
        self.line = line
        self.file = file
        self.called = called
        self.awaited = False


class Machine:
    """Tells values of expressions and carries out statements, as far as the text tells them.

    Raise Refused for everything else. One machine reads one method: what it changes in constants
    of the file is gone with it.
    """

    def __init__(self, source: Source, helpers: Mapping[str, str], root: Path | None) -> None:
        self.source = source
        self.helpers = helpers
        self.root = root
        self.sent: list[Sent] = []
        self.rung = 1
        self.module = Scope(whole=True)  # the names of the file
        self.loaded = False  # it is carried out when a name is looked up that no function has
        self.harmless: Node | None = None  # a call at the top of the file that changes nothing
        self.stirred: dict[str, Refused] = {}  # names of the file that unclear code may change
        self.frames = [Frame()]
        self.loose: list[Promise] = []  # not awaited, and late
        self.classes: dict[int, Class] = {}  # of the file, by their nodes
        self.variables: dict[int, list[str]] = {}  # of `var`, by the blocks of functions
        self.broken: Refused | None = None  # why nothing of the file can be told
        self.frozen: dict[int, Any] = {}  # by their ids: held, so that these stay theirs
        self.method = ""  # of a string or an array, that is being called
        self._depth = 0
        self._turns = 0
        self._steps = 0
        self._work = 0

    # -- going down ------------------------------------------------------------------------------

    def value(self, node: Node, scope: Scope) -> Any:
        """The value of an expression."""
        told = EXPRESSIONS.get(node.type)
        if told is None:
            self.refuse("value", f"`{self.source.brief(node)}` is not understood", node)
        self._steps += 1
        if self._steps > STEPS:
            self.refuse("value", f"it has more than {STEPS:,} steps", node)
        self._depth += 1
        if self._depth > DEPTH:
            self._depth -= 1
            self.refuse("value", "the text is nested too deeply", node)
        try:
            value = told(self, node, scope)
            if node.type in _MAKING and isinstance(value, (str, list)):
                self.spend(len(value) if isinstance(value, str) else ITEM * len(value), node)
            return value
        except NotTold:
            self.refuse("value", f"`{self.source.brief(node)}` cannot be told from the text", node)
        finally:
            self._depth -= 1

    def run(self, node: Node, scope: Scope) -> Any:
        """Carry out a statement; None, or what ends the block: see statements.py."""
        done = STATEMENTS.get(node.type)
        if done is None:
            self.refuse("value", f"`{self.source.brief(node)}` is not understood", node)
        self._depth += 1
        if self._depth > DEPTH:
            self._depth -= 1
            self.refuse("value", "the text is nested too deeply", node)
        try:
            return done(self, node, scope)
        finally:
            self._depth -= 1

    def turn(self, node: Node) -> None:
        """Count an iteration or a call."""
        self._turns += 1
        if self._turns > TURNS:
            self.refuse("value", f"it goes round more than {TURNS:,} times", node)

    def spend(self, work: int, node: Node) -> None:
        """Count what is made anew, in characters."""
        self._work += work
        if self._work > WORK:
            self.refuse("value", f"`{self.source.brief(node)}` makes too much", node)

    def climb(self, rung: int) -> None:
        """Note how much had to be understood."""
        if rung > self.rung:
            self.rung = rung

    def bounded(self, size: float, limit: int, node: Node) -> None:
        """Refuse what would fill the memory."""
        if size > limit:
            self.refuse("value", f"`{self.source.brief(node)}` grows too big", node)

    # -- saying no -------------------------------------------------------------------------------

    def refuse(self, cause: Cause, reason: str, node: Node) -> NoReturn:
        """Raise Refused with the line of a node."""
        raise Refused(cause, reason, line_of(node))

    def refuse_unknown(self, unknown: Unknown, effect: str) -> NoReturn:
        """Raise Refused for a value that is not known; `effect` is what it would do."""
        why = unknown.reason or WHY[unknown.cause]
        raise Refused(unknown.cause, f"`{unknown.text}` {why}, and {effect}", unknown.line)

    def unknown(self, cause: Cause, node: Node, reason: str = "") -> Unknown:
        """A value that is not known because of an expression."""
        return Unknown(cause, self.source.brief(node), line_of(node), reason)

    # -- asynchronous functions ------------------------------------------------------------------

    @contextmanager
    def framed(self) -> Iterator[Frame]:
        """Run what is inside as an asynchronous function."""
        frame = Frame()
        self.frames.append(frame)
        try:
            yield frame
        finally:
            self.frames.pop()

    def _later(self, what: Late, node: Node, disturbed: Late) -> None:
        """Note what is done after an await, and refuse it where others may do so meanwhile."""
        if self.loose and any(promise.late & disturbed for promise in self.loose):
            self.refuse("value", "things are done at the same time, in no certain order", node)
        for frame in self.frames:
            if frame.suspended:
                frame.late |= what

    def affect(self, node: Node, *changed: Any) -> None:
        """Note that something is changed. Refuse what is frozen."""
        self._later(Late.CHANGES, node, Late.CHANGES | Late.LOOKS)
        if any(id(one) in self.frozen for one in changed):
            raise Fails("value", "what is frozen cannot be changed", line_of(node))

    def freeze(self, value: Any) -> None:
        """Note that something can no longer be changed."""
        self.frozen[id(value)] = value

    def look(self, node: Node, value: Any, scope: Scope | None = None) -> None:
        """Note that something is looked at that may change; `scope` is the one that has it."""
        frame = self.frames[-1]
        if self.loose:
            self._later(Late.NOTHING, node, Late.CHANGES)
        if not frame.suspended:
            return
        if scope is not None and not isinstance(value, (list, dict, Instance, Class)):
            inside: Scope | None = scope
            while inside is not None and inside is not frame.own:
                inside = inside.outer
            if inside is not None and frame.own is not None:
                return  # a variable of its own
        self._later(Late.LOOKS, node, Late.CHANGES)

    def send(self, sent: Sent, node: Node) -> Promise:
        """Note a query, and give what its call gives."""
        if any(promise.late & Late.SENDS for promise in self.loose):
            self.refuse("value", "statements are sent at the same time, in no certain order", node)
        self._later(Late.SENDS, node, Late.NOTHING)
        self.spend(len(sent.sql) + ITEM * len(sent.parameters or ()), node)
        self.sent.append(sent)
        rows = self.unknown("rows", node)
        return Promise(rows, (len(self.sent) - 1,))

    def wait(self, value: Any, node: Node) -> Any:
        """What `await` makes of a value."""
        frame = self.frames[-1]
        if isinstance(value, Promise):
            for index in value.queries:
                self.sent[index].awaited = True
            frame.late |= value.late
            self.loose = [other for other in self.loose if other is not value]
            if value.thrown is not None:
                raise value.thrown
            value = value.value
        self.settled(value, node)
        frame.suspended = True
        return value

    def settled(self, value: Any, node: Node) -> None:
        """Refuse what a promise would call."""
        if isinstance(value, dict) and "then" in value:
            self.refuse("value", "an object with `then` is called by `await`", node)
        if isinstance(value, Instance):
            of: Any = value.of
            while isinstance(of, Class):
                if "then" in value.fields or {"then"} & (of.methods.keys() | of.getters.keys()):
                    self.refuse("value", "an object with `then` is called by `await`", node)
                of = of.parent
