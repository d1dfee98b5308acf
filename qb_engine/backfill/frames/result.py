"""what a transform returned, matched with the rows that it was given"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from qb_engine.backfill.frames.columns import Column
from qb_engine.backfill.frames.encoding import Unfit, encoded
from qb_engine.backfill.frames.failed import TransformFailed

MUTABLE = ("json", "array")  # a transform may change such a value in its place


@dataclass(frozen=True, slots=True)
class Field:
    """A column that is written: its values, and where they are as they were read.

    There nothing is written, so that what a DataFrame cannot hold exactly (a NaN, the spaces of a
    json) stays. `same` is None where no value does.
    """

    column: Column
    values: list[Any]
    same: list[bool] | None = None

    def of(self, places: Sequence[int]) -> Field:
        """The same, of some rows."""
        same = None if self.same is None else [self.same[i] for i in places]
        return Field(self.column, [self.values[i] for i in places], same)


@dataclass(frozen=True, slots=True)
class Result:
    """What is to be written, and of which rows."""

    fields: tuple[Field, ...]
    places: list[int]  # in the rows that were read

    def of(self, places: Sequence[int]) -> Result:
        """The same, of some of its rows."""
        fields = tuple(field.of(places) for field in self.fields)
        return Result(fields, [self.places[i] for i in places])


def marks(frame: pd.DataFrame, columns: Mapping[str, Column]) -> dict[str, list[str]]:
    """What values look like that a transform may change in their place."""
    return {
        name: [repr(value) for value in frame[name].tolist()]
        for name in frame.columns
        if columns[name].form in MUTABLE
    }


def matched(
    returned: object,
    given: pd.DataFrame,
    marked: Mapping[str, list[str]],
    key: Sequence[str],
    columns: Mapping[str, Column],
    table: str,
    where: Callable[[], str],
) -> Result:
    """Check what a transform returned, and match its rows by key with those it was given.

    `marked` are the `marks` of these, made before it was called. Rows that are left out stay as
    they are, and so do values that are as they were read. Raise TransformFailed: nothing of it is
    written then.
    """

    def refused(what: str, why: str, todo: str) -> TransformFailed:
        return TransformFailed(what, where=where(), why=why, todo=todo, fault="code")

    if not isinstance(returned, pd.DataFrame):
        raise refused(
            f"transform returned no DataFrame but {type(returned).__name__}",
            "its rows are matched by their key, and its columns written",
            f"return a DataFrame with {', '.join(key)} and the columns to write",
        )
    names = list(returned.columns)
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise refused(
            f"transform returned {', '.join(twice)} more than once",
            "it cannot be known which of them is meant",
            "return each column once",
        )
    if lost := [name for name in key if name not in names]:
        raise refused(
            f"transform returned no {', '.join(lost)}",
            f"its rows are matched by the key of {table}: {', '.join(key)}",
            "return the columns of the key, too (not as the index: reset_index())",
        )
    if unknown := [str(name) for name in names if name not in columns]:
        raise refused(
            f"transform returned {', '.join(unknown)}, which {table} does not have",
            f"its columns are {', '.join(name for name in columns if name != 'ctid')}",
            "drop what is not to be written",
        )
    returned = returned.reset_index(drop=True)
    places = _places(returned, given, key, refused)
    fields = []
    for name in names:
        column = columns[name]
        same = None
        if name in given.columns:
            same = _same(column, returned[name], given[name].iloc[places], marked, places)
        if name in key or (same and all(same)):
            continue
        if column.fixed:
            raise refused(
                f"transform returned another {name}, which {table} generates itself",
                "such a column cannot be set",
                "leave the column out of what is returned",
            )
        values = _values(returned, column, key, where)
        fields.append(Field(column, values, same if same and any(same) else None))
    found = Result(tuple(fields), places)
    if fields and all(field.same for field in fields):  # rows of which nothing is new
        new = [i for i in range(len(places)) if not all(f.same and f.same[i] for f in fields)]
        found = found.of(new)
    return found


def _places(
    returned: pd.DataFrame,
    given: pd.DataFrame,
    key: Sequence[str],
    refused: Callable[[str, str, str], TransformFailed],
) -> list[int]:
    """For each row that was returned, which one that was read it is."""
    there, now = ([frame[name].tolist() for name in key] for frame in (given, returned))
    if there == now:
        return list(range(len(given)))
    known = {_hashable(row): place for place, row in enumerate(zip(*there))}
    if len(known) < len(given):
        raise refused(
            "rows of one batch have the same key",
            f"{', '.join(key)} is not unique, so that results cannot be told apart",
            "walk by a unique key: key = ...",
        )
    rows = [_hashable(row) for row in zip(*now)]
    for row in rows:
        if row not in known:
            raise refused(
                f"transform returned a row {_shown(key, row)}, which it was not given",
                "only rows of the batch can be written in it",
                "return rows with the keys that they came with, in the types that they came in",
            )
    if len(set(rows)) < len(rows):
        row = next(row for row in rows if rows.count(row) > 1)
        raise refused(
            f"transform returned the row {_shown(key, row)} more than once",
            "it cannot be known which of them is meant",
            "return each row once at most",
        )
    return [known[row] for row in rows]


def _same(
    column: Column,
    new: pd.Series[Any],
    old: pd.Series[Any],
    marked: Mapping[str, list[str]],
    places: Sequence[int],
) -> list[bool]:
    """Which values of a column are as they were read."""
    if column.name in marked:
        before = marked[column.name]
        return [repr(value) == before[place] for value, place in zip(new.tolist(), places)]
    missing = (new.isna().to_numpy(dtype=bool) & old.isna().to_numpy(dtype=bool)).tolist()
    if new.dtype == old.dtype and new.dtype != object:
        equal = np.asarray(new.array == old.array, dtype=object).tolist()
        return [none or each is True for none, each in zip(missing, equal)]
    return [
        none or _alike(a, b) for none, a, b in zip(missing, new.tolist(), old.tolist(), strict=True)
    ]


def _alike(new: Any, old: Any) -> bool:
    if new is old:
        return True
    if type(new) is not type(old) and not (isinstance(new, int) and isinstance(old, int)):
        return False
    return str(new) == str(old) if isinstance(new, Decimal) else bool(new == old)


def _values(
    returned: pd.DataFrame, column: Column, key: Sequence[str], where: Callable[[], str]
) -> list[Any]:
    try:
        return encoded(column, returned[column.name])
    except Unfit as unfit:
        row = [returned[name].iat[unfit.place] for name in key]
        raise TransformFailed(
            f"transform returned a value for row {_shown(key, row)} that cannot be written",
            where=where(),
            why=str(unfit),
            todo="return it in the type of its column, or None for NULL",
            fault="data",
        ) from None


def _hashable(row: Sequence[Any]) -> tuple[Hashable, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


def _shown(key: Sequence[str], row: Sequence[Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in zip(key, row))
