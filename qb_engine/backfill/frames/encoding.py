"""the values of a result as they are sent: numbers, texts or bytes, checked against their column"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from qb_engine.backfill.frames.columns import Column

BITS = {"int2": 15, "int4": 31, "int8": 63}
EPOCH_US = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970
LARGEST_FLOAT4 = float(np.finfo(np.float32).max)
FIRST_DAY = dt.date(2000, 1, 1).toordinal()


class Unfit(ValueError):
    """A value that its column cannot take; `place` is its row in the result."""

    def __init__(self, place: int, why: str) -> None:
        super().__init__(why)
        self.place = place


def encoded(column: Column, series: pd.Series[Any]) -> list[Any]:
    """A column of a result as values to be sent; None for what is missing.

    Raise Unfit for the first value that the column cannot take.
    """
    missing = series.isna().to_numpy(dtype=bool)
    quick = _quick(column, series, missing)
    if quick is not None:
        return quick
    make = _MAKERS[column.form]
    found: list[Any] = []
    for place, (value, none) in enumerate(zip(series.tolist(), missing.tolist())):
        try:
            made = None if none else make(value, column)
            if isinstance(made, str):
                made.encode()  # which half of a surrogate pair cannot be
            found.append(made)
        except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
            raise Unfit(place, _why(column, value, error)) from None
    return found


def _quick(
    column: Column, series: pd.Series[Any], missing: np.ndarray[Any, Any]
) -> list[Any] | None:
    """Whole columns whose dtype says that every value fits; None where each must be looked at."""
    dtype, form = series.dtype, column.form
    if form in ("timestamp", "timestamptz") and isinstance(dtype, pd.DatetimeTZDtype | np.dtype):
        zoned = isinstance(dtype, pd.DatetimeTZDtype)
        if dtype.kind == "M" and zoned == (form == "timestamptz"):
            plain = series.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else series
            micros = plain.to_numpy().astype("datetime64[us]").astype(np.int64) - EPOCH_US
            return _masked(micros.tolist(), missing)
    if form in BITS and pd.api.types.is_integer_dtype(dtype):
        values = [0] if missing.all() else series[~missing].tolist()
        limit = 2 ** BITS[form]
        if -limit <= min(values) and max(values) < limit:
            return _masked(series.to_numpy(dtype=object).tolist(), missing)
    if form == "bool" and pd.api.types.is_bool_dtype(dtype):
        return _masked(series.to_numpy(dtype=object).tolist(), missing)
    if form == "float8" and pd.api.types.is_float_dtype(dtype):
        return _masked(series.to_numpy(dtype=np.float64, na_value=np.nan).tolist(), missing)
    if form == "text":
        values = series.tolist()
        given = [value for value, none in zip(values, missing) if not none]
        if set(map(type, given)) <= {str} and all(map(_sendable, given)):
            return _masked(values, missing)
    return None


def _sendable(text: str) -> bool:
    """False for a text with half of a surrogate pair, which no encoding has."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _masked(values: list[Any], missing: np.ndarray[Any, Any]) -> list[Any]:
    if not missing.any():
        return values
    return [None if none else value for value, none in zip(values, missing.tolist())]


def _why(column: Column, value: object, error: Exception) -> str:
    said = f" ({error})" if str(error) else ""
    return f"{column.name} is {column.type}, and {type(value).__name__} {value!r:.60} is none{said}"


# -- one value at a time ---------------------------------------------------------------------------


def _bool(value: Any, column: Column) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError


def _int(value: Any, column: Column) -> int:
    if isinstance(value, bool | np.bool_ | str | bytes) or int(value) != value:
        raise TypeError
    found = int(value)
    if not -(2 ** BITS[column.form]) <= found < 2 ** BITS[column.form]:
        raise OverflowError("out of its range")
    return found


def _float(value: Any, column: Column) -> float:
    if not isinstance(value, int | float | Decimal | np.number) or isinstance(value, bool):
        raise TypeError
    found = float(value)
    if column.form == "float4" and LARGEST_FLOAT4 < abs(found) < float("inf"):
        raise OverflowError("out of its range")
    return found


def _decimal(value: Any, column: Column) -> str:
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return repr(float(value))
    raise TypeError


def _text(value: Any, column: Column) -> str:
    if isinstance(value, str):
        return str(value)
    raise TypeError("make it a str")


def _uuid(value: Any, column: Column) -> bytes:
    return (value if isinstance(value, uuid.UUID) else uuid.UUID(_text(value, column))).bytes


def _bytes(value: Any, column: Column) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError


def _date(value: Any, column: Column) -> int:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None or value.time() != dt.time():
            raise TypeError("it has a time of day or a zone; take its date()")
        value = value.date()
    if isinstance(value, dt.date):
        return value.toordinal() - FIRST_DAY
    raise TypeError


def _time(value: Any, column: Column) -> int:
    if isinstance(value, dt.time) and value.tzinfo is None:
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        return seconds * 1_000_000 + value.microsecond
    raise TypeError


def _moment(value: Any, column: Column) -> int:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if not isinstance(value, dt.datetime):
        raise TypeError
    if (value.tzinfo is None) == (column.form == "timestamptz"):
        missing = value.tzinfo is None
        raise TypeError("it has no zone" if missing else "it has a zone, and the column has none")
    moment = pd.Timestamp(value)
    if moment.tzinfo is not None:
        moment = moment.tz_convert("UTC").tz_localize(None)
    return int(moment.to_datetime64().astype("datetime64[us]").astype(np.int64)) - EPOCH_US


def _json(value: Any, column: Column) -> str:
    return json.dumps(value, default=_simple, allow_nan=False, ensure_ascii=False)


def _simple(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def _array(value: Any, column: Column) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise TypeError("a list is expected")
    return "{" + ",".join(_element(each, column) for each in value) + "}"


def _element(value: Any, column: Column) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return _array(value, column)
    if value is None or value is pd.NA or value is pd.NaT:
        return "NULL"
    if isinstance(value, bool | np.bool_):
        return "t" if value else "f"
    if isinstance(value, bytes | bytearray | memoryview):
        value = "\\x" + bytes(value).hex()
    elif isinstance(value, dt.datetime | dt.date | dt.time):
        value = value.isoformat()
    elif not isinstance(value, str | int | float | Decimal | uuid.UUID | np.number):
        raise TypeError(f"it holds a {type(value).__name__}")
    text = str(value.item() if isinstance(value, np.generic) else value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _other(value: Any, column: Column) -> str:
    if isinstance(value, dt.timedelta | np.timedelta64) and column.bare == "interval":
        micros = pd.Timedelta(value) // pd.Timedelta(microseconds=1)
        return f"{micros} microseconds"
    return _text(value, column)


_MAKERS: dict[str, Callable[[Any, Column], Any]] = {
    "bool": _bool,
    "int2": _int,
    "int4": _int,
    "int8": _int,
    "float4": _float,
    "float8": _float,
    "numeric": _decimal,
    "text": _text,
    "uuid": _uuid,
    "bytea": _bytes,
    "date": _date,
    "time": _time,
    "timestamp": _moment,
    "timestamptz": _moment,
    "json": _json,
    "array": _array,
    "other": _other,
}
