"""reading the rows of a range into a DataFrame, with the version of each"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql
from psycopg.types.numeric import Int8BinaryLoader

from qb_engine.backfill.frames.columns import Column
from qb_engine.backfill.walk import statements

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec
    from qb_engine.backfill.walk.statements import Key

Version = tuple[int, bytes, bytes]
"""Table, place and transaction of a row, as the server sends them: another for each change."""

EPOCH_US = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970
ENDLESS = 2**63 - 1 - EPOCH_US  # infinity, and the few years that do not fit


class Unreadable(ValueError):
    """A value of a row that Python has no value for."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a range, and their versions in the same order."""

    frame: pd.DataFrame
    versions: list[Version]

    def but(self, known: Set[Version]) -> Rows:
        """Those rows whose version is not known."""
        keep = [i for i, version in enumerate(self.versions) if version not in known]
        frame = self.frame.iloc[keep].reset_index(drop=True)
        return Rows(frame, [self.versions[i] for i in keep])


def read(
    conn: psycopg.Connection[Any],
    spec: Spec,
    lo: Key,
    hi: Key,
    columns: Sequence[Column],
    *,
    lock: bool = False,
) -> Rows:
    """Read the rows of a range that need it, in the order of the key; `lock` holds them.

    Raise Unreadable for a value that Python cannot hold.
    """
    with conn.cursor(binary=True) as cursor:
        for name in ("timestamp", "timestamptz"):  # both are microseconds since 2000
            cursor.adapters.register_loader(name, Int8BinaryLoader)
        try:
            found = cursor.execute(query(spec, lo, hi, columns, lock=lock)).fetchall()
        except psycopg.DataError as error:
            if error.sqlstate is not None:
                raise
            raise Unreadable(str(error)) from None
    data = {c.name: _series(c, [row[i] for row in found]) for i, c in enumerate(columns, 3)}
    return Rows(pd.DataFrame(data), [row[:3] for row in found])


def query(
    spec: Spec, lo: Key, hi: Key, columns: Sequence[Column], *, lock: bool = False
) -> sql.Composed:
    """The SELECT of a range: what says the version of a row, and the columns."""
    text = sql.SQL("SELECT tableoid, ctid, xmin, {} FROM {} WHERE {}{} ORDER BY {}{}").format(
        sql.SQL(", ").join(column.read for column in columns),
        statements.named(spec),
        statements.within(spec, lo, hi),
        sql.SQL(" AND ") + statements.expression(spec.where) if spec.where else sql.SQL(""),
        statements.key_order(spec),
        sql.SQL(" FOR NO KEY UPDATE" if lock else ""),
    )
    return text


def _series(column: Column, values: list[Any]) -> pd.Series[Any]:
    form = column.form
    if form in ("int2", "int4", "int8", "bool"):
        if column.filled and None not in values:  # NOT VALID lets older rows have none
            return pd.Series(np.array(values, dtype=np.bool_ if form == "bool" else np.int64))
        missing = _missing(values)
        given = [value or 0 for value in values] if missing.any() else values
        if form == "bool":
            return pd.Series(pd.arrays.BooleanArray(np.array(given, dtype=np.bool_), missing))
        return pd.Series(pd.arrays.IntegerArray(np.array(given, dtype=np.int64), missing))
    if form in ("float4", "float8"):
        return pd.Series(np.array(values, dtype=np.float64))  # None becomes NaN
    if form in ("timestamp", "timestamptz"):
        return _moments(column, values)
    return pd.Series(values, dtype=object)


def _missing(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if None not in values:
        return np.zeros(len(values), dtype=bool)
    return np.fromiter((value is None for value in values), dtype=bool, count=len(values))


def _moments(column: Column, values: Sequence[Any]) -> pd.Series[Any]:
    missing = _missing(values)
    micros = np.array([v or 0 for v in values] if missing.any() else values, dtype=np.int64)
    if np.any(micros > ENDLESS) or np.any(micros == -(2**63)):
        raise Unreadable(f"{column.name} has a row with a time that pandas has no value for")
    moments = (micros + EPOCH_US).astype("datetime64[us]")
    moments[missing] = np.datetime64("NaT")
    found = pd.Series(moments)
    return found.dt.tz_localize("UTC") if column.form == "timestamptz" else found
