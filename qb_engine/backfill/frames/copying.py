"""rows in the binary form of COPY, made a column at a time: some ten times as fast as by rows"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from qb_engine.backfill.frames.columns import Column
from qb_engine.backfill.frames.reading import Version

CHUNK = 5_000  # rows that are made at once
HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
END = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"

# The server's binary form of types that have one length; of the others it is the bytes.
FIXED = {
    "bool": ">i1", "int2": ">i2", "int4": ">i4", "int8": ">i8", "float4": ">f4", "float8": ">f8",
    "date": ">i4", "time": ">i8", "timestamp": ">i8", "timestamptz": ">i8",
}  # fmt: skip


def binary(
    versions: Sequence[Version], columns: Sequence[Column], values: Sequence[Sequence[Any]]
) -> Iterator[bytes]:
    """The versions of rows and the values of columns, as COPY ... (FORMAT binary) reads them.

    Values are as `encoding.encoded` gives them.
    """
    yield HEADER
    for start in range(0, len(versions), CHUNK):
        part = slice(start, start + CHUNK)
        fields = [_versions(versions[part], len(columns))]
        fields += [_fields(column, each[part]) for column, each in zip(columns, values)]
        yield b"".join(chain.from_iterable(zip(*fields)))
    yield END


def _versions(versions: Sequence[Version], more: int) -> list[bytes]:
    """The beginning of each row: how many fields follow, its table, place and transaction."""
    form = [("n", ">i2"), ("a", ">i4"), ("table", ">u4"), ("b", ">i4"), ("place", "V6"),
            ("c", ">i4"), ("transaction", "V4")]  # fmt: skip
    made = np.empty(len(versions), dtype=form)
    made["n"], made["a"], made["b"], made["c"] = 3 + more, 4, 6, 4
    made["table"] = [version[0] for version in versions]
    made["place"] = np.frombuffer(b"".join([version[1] for version in versions]), dtype="V6")
    made["transaction"] = np.frombuffer(b"".join([version[2] for version in versions]), dtype="V4")
    return _cut(made)


def _fields(column: Column, values: Sequence[Any]) -> list[bytes]:
    missing = [place for place, value in enumerate(values) if value is None]
    if form := FIXED.get(column.carried):
        given = [0 if value is None else value for value in values] if missing else values
        made = np.empty(len(values), dtype=[("length", ">i4"), ("value", form)])
        made["length"] = np.dtype(form).itemsize
        made["value"] = given
        found = _cut(made)
    else:
        raw = [_raw(value) for value in values]
        lengths = _cut(np.fromiter(map(len, raw), dtype=">i4", count=len(raw)))
        found = [length + value for length, value in zip(lengths, raw)]
    for place in missing:
        found[place] = NULL
    return found


def _raw(value: Any) -> bytes:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else value


def _cut(made: np.ndarray[Any, Any]) -> list[bytes]:
    raw, step = made.tobytes(), made.dtype.itemsize
    return [raw[i : i + step] for i in range(0, len(raw), step)]
