"""what a transform returned, matched with the rows that it was given"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from qb_engine.backfill.frames.columns import Column
from qb_engine.backfill.frames.encoding import Unfit, encoded
from qb_engine.backfill.frames.failed import TransformFailed

MUTABLE = ("json", "array")  # a transform may change such a value in its place, unnoticed


@dataclass(frozen=True, slots=True)
class Result:
    """What is to be written: columns, a list of values each, and of which rows they are."""

    columns: tuple[Column, ...]
    values: tuple[list[Any], ...]
    places: list[int]  # in the rows that were read


def matched(
    returned: object,
    given: pd.DataFrame,
    key: Sequence[str],
    columns: Mapping[str, Column],
    table: str,
    where: Callable[[], str],
) -> Result:
    """Check what a transform returned, and match its rows by key with those it was given.

    Rows that are left out stay as they are, and so do columns that are as they were read. Raise
    TransformFailed: nothing of it is written then.
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
            f"its columns are {', '.join(name for name in columns if name not in given.columns)}"
            f", and those that were read: {', '.join(map(str, given.columns))}",
            "drop what is not to be written",
        )
    returned = returned.reset_index(drop=True)
    places = _places(returned, given, key, refused)
    before = given
    if places != list(range(len(given))):
        before = given.iloc[places].reset_index(drop=True)
    written = []
    for name in names:
        if name in key or _as_read(columns[name], returned, before):
            continue
        if columns[name].fixed:
            raise refused(
                f"transform returned another {name}, which {table} generates itself",
                "such a column cannot be set",
                "leave the column out of what is returned",
            )
        written.append(columns[name])
    return Result(tuple(written), tuple(_values(returned, written, key, where)), places)


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


def _as_read(column: Column, returned: pd.DataFrame, before: pd.DataFrame) -> bool:
    """Whether a column came back as it was read, so that there is nothing to write."""
    name = column.name
    if name not in before.columns or (column.form in MUTABLE and not column.fixed):
        return False
    old, new = before[name], returned[name]
    if old.dtype == new.dtype and old.dtype != object:
        return bool(old.equals(new))
    return _same(old.tolist(), new.tolist())


def _same(old: list[Any], new: list[Any]) -> bool:
    try:
        return bool(old == new)
    except (TypeError, ValueError):  # values that cannot be compared are not the same
        return False


def _values(
    returned: pd.DataFrame, written: Sequence[Column], key: Sequence[str], where: Callable[[], str]
) -> list[list[Any]]:
    found = []
    for column in written:
        try:
            found.append(encoded(column, returned[column.name]))
        except Unfit as unfit:
            row = [returned[name].iat[unfit.place] for name in key]
            raise TransformFailed(
                f"transform returned a value for row {_shown(key, row)} that cannot be written",
                where=where(),
                why=str(unfit),
                todo="return it in the type of its column, or None for NULL",
                fault="data",
            ) from None
    return found


def _hashable(row: Sequence[Any]) -> tuple[Hashable, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


def _shown(key: Sequence[str], row: Sequence[Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in zip(key, row))
