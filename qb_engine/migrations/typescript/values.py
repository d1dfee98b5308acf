"""what a TypeScript or JavaScript file says, as values: its classes, and what their methods send"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Cause = Literal[
    "rows",  # it depends on rows that it reads
    "schema",  # TypeORM's schema API, or a look at the schema: TypeORM makes the SQL
    "manager",  # entity manager, repositories, query builder
    "code",  # it runs code that stands elsewhere
    "environment",  # process.env, the clock, randomness
    "swallowed",  # try/catch: what fails is not known before
    "value",  # a value, a condition or a loop that cannot be told from the text
]


@dataclass(frozen=True, slots=True)
class Query:
    """One call of `queryRunner.query`, as the driver gets it.

    `sql` is the string as JavaScript cooks it. `parameters` are JSON values; None when none were
    given. `line` is where the text of the SQL begins: in the file, or in `file` where the SQL
    stands in one of its own. `called` is the line of the call.
    """

    sql: str
    parameters: tuple[Any, ...] | None = None
    line: int = 1
    file: str = ""
    awaited: bool = True
    called: int = 1


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a method cannot be read without running it, and the line that makes it so."""

    cause: Cause
    reason: str
    line: int


@dataclass(frozen=True, slots=True)
class Method:
    """`up` or `down`: what it sends in order, or why that cannot be told.

    `rung` says how much had to be understood: 1 straight literals, 2 constants and parameters,
    3 loops, own methods and constant conditions, 4 the driver known to be postgres, 5 SQL files.
    With `unread` the queries are those that were read before it, and nobody may run them.
    `throws` is the message of a method that does nothing but throw one.
    """

    line: int
    queries: tuple[Query, ...] = ()
    unread: Unread | None = None
    rung: int = 1
    throws: str = ""
    asynchronous: bool = True
    returns: bool = False  # some value: a method that is not async has to return a promise

    @property
    def empty(self) -> bool:
        """True when it does nothing at all."""
        return not self.queries and not self.throws and self.unread is None


@dataclass(frozen=True, slots=True)
class MigrationClass:
    """A class with `up`, as TypeORM would find it.

    `name` is what history has: the `name` property, else the class's name; empty when it is
    computed, and `name_unread` says why. `transaction` is the instance property.
    `static_transaction` says that a static one stands there, which TypeORM ignores.
    """

    class_name: str
    name: str
    line: int
    end: int
    exported: bool
    default: bool = False
    own_name: bool = False  # it has a `name` property
    name_line: int = 0
    name_unread: str = ""
    transaction: bool | None = None
    transaction_line: int = 0
    transaction_unread: str = ""
    static_transaction: int = 0  # its line; 0: none
    constraints: Mapping[str, Any] = field(default_factory=dict)
    constraints_line: int = 0
    constraints_unread: str = ""
    has_down: bool = True

    @property
    def stamp(self) -> str:
        """The last 13 characters as TypeORM reads them; empty unless they are 13 digits."""
        last = self.name[-13:]
        return last if len(last) == 13 and last.isascii() and last.isdigit() else ""


Exported = Literal["class", "function", "object", "array", "constant", "type", "again"]


@dataclass(frozen=True, slots=True)
class Export:
    """Something that a file exports. `callable` says that TypeORM would take it for a migration.

    `again` is what another file exported first (a barrel file).
    """

    name: str
    kind: Exported
    line: int
    callable: bool


@dataclass(frozen=True, slots=True)
class Script:
    """A file, told without reading its methods."""

    path: Path
    classes: tuple[MigrationClass, ...]
    exports: tuple[Export, ...]
    errors: tuple[int, ...] = ()  # lines that do not parse
    constants: Mapping[str, Any] = field(default_factory=dict)  # exported, as JSON values


@dataclass(frozen=True, slots=True)
class Methods:
    """What the methods of a migration class do."""

    up: Method
    down: Method | None


@dataclass(frozen=True, slots=True)
class DataSourceOptions:
    """What a data source says about migrations, as far as its text tells.

    `migrations` are globs, relative to the folder of the nearest package.json where they lie below
    it. `unread` has the options that cannot be told: name, reason, line.
    """

    migrations: tuple[str, ...] = ()
    table: str | None = None
    schema: str | None = None
    transaction_mode: str | None = None
    type: str | None = None
    line: int = 1
    unread: tuple[tuple[str, str, int], ...] = ()
