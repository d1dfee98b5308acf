"""what every operation is: a value that reads, writes, inverts and states its needs"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, dataclass_transform

from qb_engine.schema import ObjectId, Table

if TYPE_CHECKING:
    from qb_engine.operations.safely import Safely, Seen, Uncovered

T = TypeVar("T")


class Schema(Protocol):
    """What an operation asks about the schema before it: a snapshot answers."""

    @property
    def facts(self) -> Mapping[ObjectId, Mapping[str, Any]]: ...

    def table(self, name: str, schema: str = "public") -> Table | None: ...

    def find(self, kind: str, schema: str, name: str, sub: str = "") -> Any: ...


class Sql(str):
    """A piece of SQL where a plain string would be a name: an index over `Sql("lower(email)")`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Sql({str(self)!r})"


@dataclass(frozen=True)
class Requirement:
    """What must hold before an operation: a table, or one column or index of it."""

    table: str
    schema: str | None = None
    column: str | None = None
    index: str | None = None
    must_exist: bool = True
    type: str | None = None
    nullable: bool | None = None


@dataclass(frozen=True)
class Inverse:
    """The way back: operations or SQL in the order to run, and what they cannot bring back."""

    steps: tuple[Operation | str, ...]
    loses: str = ""


@dataclass(frozen=True)
class Irreversible:
    """There is no way back; `reason` completes "irreversible because ..."."""

    reason: str


class Operation(ABC):
    """What one command of a statement does to one object.

    Five methods, always these, always in this order; the last is left out where nothing is needed.
    """

    @classmethod
    @abstractmethod
    def read(cls, node: Any) -> Iterator[Self]:
        """The operations of this kind in a statement with one command."""

    @abstractmethod
    def write(self) -> str:
        """One SQL statement, every name quoted where needed."""

    @abstractmethod
    def inverse(self, schema: Schema) -> Inverse | Irreversible:
        """The way back; `schema` is the one before the operation."""

    @abstractmethod
    def requires(self, schema: Schema) -> Iterable[Requirement]:
        """What must and must not be there before it."""

    def safely(self, schema: Schema, seen: Seen) -> Safely | Uncovered | None:
        """The steps that do the same and block nobody for long; None where it does so itself.

        `schema` is the one before the operation, `seen` what it was seen to do.
        """
        return None

    def __repr__(self) -> str:
        """Python that makes this value, arguments at their defaults left out."""
        shown, named = [], []
        for each in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if each.default is dataclasses.MISSING:
                shown.append(repr(value))
            elif value != each.default:
                named.append(f"{each.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown + named)})"


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def operation(cls: type[T]) -> type[T]:
    """Make a class a frozen value; its `repr` is the Python that makes it."""
    return dataclass(frozen=True, repr=False)(cls)


def normalise(value: Any, name: str, by: Callable[[Any], Any]) -> None:
    """Rewrite a field of a frozen value as the grammar prints it; None stays None."""
    given = getattr(value, name)
    if given is not None:
        object.__setattr__(value, name, by(given))


def names(given: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given)
