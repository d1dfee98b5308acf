"""the safe steps that an operation becomes: what they run, when, in which transaction, and why"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qb_engine.operations.chosen import LONGEST

if TYPE_CHECKING:
    from qb_engine.operations.operation import Operation, Schema


@dataclass(frozen=True)
class Seen:
    """What an operation was seen to do on a shadow, and where it will run.

    Tables are `schema.name`. `rewrites`, `scans` (constraints, keys and lookups checked for all
    rows) and `builds` (indexes made or made anew) name those that somebody would notice: tables
    that are neither new nor small. `big` says so of any table, `filled` whether it may hold rows,
    `many` whether a data change touches many of them. `version` is the target's server_version_num.
    `alone` is True for the only statement of a migration, `failed` where the migration as it stands
    is refused by the server. `values` are what the user wants in columns that have no default, by
    `table.column` or `column`. `bounds` are the constraints of partitions, by partition, where one
    is attached (as they are then) or detached (as they were). `after` is the schema that it leaves.
    """

    version: int = 180000
    rewrites: frozenset[str] = frozenset()
    scans: frozenset[str] = frozenset()
    builds: frozenset[str] = frozenset()
    alone: bool = False
    failed: bool = False
    values: Mapping[str, str] = field(default_factory=dict)
    bounds: Mapping[str, str] = field(default_factory=dict)
    after: Schema | None = None
    big: Callable[[str], bool] = lambda table: True
    filled: Callable[[str], bool] = lambda table: True
    many: Callable[[str], bool] = lambda table: True

    @property
    def works(self) -> frozenset[str]:
        """The tables on which work is done that somebody would notice."""
        return self.rewrites | self.scans | self.builds


@dataclass(frozen=True)
class Step:
    """One statement of the safe way, and what it is for.

    `apart` puts it into a transaction of its own, `together` into one with the others that say the
    same, which must not be torn apart. `down` is its way back, None where that is its operation's
    inverse; `irreversible` says why there is none. `accepts` says of hazards
    that it is known to have why they are none here.
    """

    run: str | Operation
    why: str
    apart: bool = False
    together: str = ""
    down: tuple[str, ...] | None = None
    irreversible: str = ""
    accepts: Mapping[str, str] = field(default_factory=dict)

    @property
    def sql(self) -> str:
        """The statement as SQL."""
        return self.run if isinstance(self.run, str) else self.run.write()


@dataclass(frozen=True)
class Fill:
    """Rows to be written in batches: columns and expressions, of rows for which `where` holds.

    A value of None is one that only the user knows. `proof` is a query that must return no row.
    """

    table: str
    set: Mapping[str, str | None]
    where: str
    why: str
    schema: str | None = None
    proof: str = ""


@dataclass(frozen=True)
class Safely:
    """The safe way: `expand` before rows are written, `contract` afterwards.

    `adds` names what it leaves behind that the operation would not have made, by sentence: an index
    that a foreign key wants, say. `moves` says why columns stand in another order afterwards.
    """

    expand: tuple[Step, ...] = ()
    fill: Fill | None = None
    contract: tuple[Step, ...] = ()
    adds: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    moves: str = ""


@dataclass(frozen=True)
class Uncovered:
    """There is no safe way that qb knows; `reason` is a sentence, `todo` what could be done."""

    reason: str
    todo: str = ""


def named(label: str, *parts: str) -> str:
    """A name for something that only helps: always the same, and never longer than 63 bytes.

    >>> named("not_null", "users", "email")
    'qb_users_email_not_null'
    """
    name = "_".join(("qb", *parts, label))
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    tail = f"_{digest}_{label}"
    kept = "_".join(("qb", *parts)).encode()[: LONGEST - len(tail.encode())]
    return kept.decode(errors="ignore") + tail


def place(schema: str | None, table: str) -> str:
    """A table as facts name it: `schema.name`, unquoted."""
    return f"{schema or 'public'}.{table}"
