"""the values of JavaScript that are not Python's own, and those that are not known

Strings are `str` (or `Text`, which knows where it stood), numbers `float`, null is None, arrays
are lists and objects are dicts.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qb_engine.migrations.typescript.values import Cause

if TYPE_CHECKING:
    from tree_sitter import Node

    from qb_engine.migrations.typescript.refusal import Thrown
    from qb_engine.migrations.typescript.scope import Scope


class Undefined:
    """The value of what was never given."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = Undefined()


class Later:
    """What a name stands for before its declaration is reached: looking at it is an error."""


LATER = Later()


class Text(str):
    """A string that knows where its text begins; `file` is empty when that is the script."""

    __slots__ = ("file", "line")
    line: int
    file: str

    @classmethod
    def at(cls, text: str, line: int, file: str = "") -> Text:
        """A string and its place."""
        made = cls(text)
        made.line, made.file = line, file
        return made


def placed(text: str, *origins: object) -> str:
    """A string made of others: it begins where the first that has a place does."""
    for origin in origins:
        if isinstance(origin, Text):
            return Text.at(text, origin.line, origin.file)
    return text


@dataclass(frozen=True, slots=True)
class BigInt:
    """An integer written with an n."""

    value: int


@dataclass(frozen=True, slots=True)
class Date:
    """A moment, in milliseconds since 1970."""

    ms: int


@dataclass(frozen=True, slots=True)
class Buffer:
    """The bytes of a file."""

    data: bytes
    file: str


@dataclass(eq=False, slots=True)
class Iterated:
    """What `entries()`, `keys()` or `values()` of an array gives: it is gone through once."""

    of: list[Any]
    part: Callable[[int], Any]
    used: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that the text does not tell. `text` is the expression that made it so."""

    cause: Cause
    text: str
    line: int
    reason: str = ""  # a sentence of its own, instead of the cause's


class Late(enum.Flag):
    """What an asynchronous function does after its first await, when others have their turn."""

    NOTHING = 0
    SENDS = enum.auto()
    CHANGES = enum.auto()  # something that others may look at
    LOOKS = enum.auto()  # at something that others may change


@dataclass(eq=False, slots=True)
class Promise:
    """What an asynchronous function gives: its value, and the queries that wait for an `await`."""

    value: Any
    queries: tuple[int, ...] = ()
    late: Late = Late.NOTHING
    line: int = 0  # of the call
    thrown: Thrown | None = None  # instead of a value


@dataclass(eq=False, slots=True)
class Function:
    """A function of the file, with what it sees."""

    node: Node
    scope: Scope
    this: Any
    name: str = ""
    is_async: bool = False
    is_arrow: bool = False
    home: Any = None  # the class whose method it is: for super


@dataclass(eq=False, slots=True)
class Builtin:
    """A function of JavaScript, of Node.js or of TypeORM that qb knows.

    `pure` ones give an unknown value for an unknown argument.
    """

    name: str
    run: Callable[..., Any]
    pure: bool = True


@dataclass(eq=False, slots=True)
class Class:
    """A class of the file."""

    name: str
    node: Node
    scope: Scope
    parent: Any = None  # a Class, an Unknown, or None
    methods: dict[str, Function] = field(default_factory=dict)
    getters: dict[str, Function] = field(default_factory=dict)
    statics: dict[str, Any] = field(default_factory=dict)
    static_getters: dict[str, Function] = field(default_factory=dict)
    setters: dict[str, Function] = field(default_factory=dict)
    static_setters: dict[str, Function] = field(default_factory=dict)
    fields: list[tuple[str, Node | None]] = field(default_factory=list)
    constructor: Function | None = None
    unclear: str = ""  # what may change it, unseen
    unmade: str = ""  # what its constructor does that is not understood


@dataclass(eq=False, slots=True)
class Instance:
    """An object made of a class of the file."""

    of: Class
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Runner:
    """The query runner that a method is given."""


@dataclass(frozen=True, slots=True)
class Connection:
    """`queryRunner.connection` and what is below it; `path` tells which."""

    path: str


@dataclass(frozen=True, slots=True)
class Namespace:
    """An object with known members, such as `path` or `Math`; others are of the given cause."""

    name: str
    members: Mapping[str, Any]
    cause: Cause = "value"
