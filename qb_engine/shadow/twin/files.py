"""relation files made as long as the target's without writing anything: sparse, 1 GiB a segment"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qb_engine.shadow.twin import btree
from qb_engine.shadow.twin.btree import PAGE

SEGMENT_PAGES = 131_072  # RELSEG_SIZE: 1 GiB of pages


@dataclass(frozen=True, slots=True)
class Length:
    """A relation's file below the data directory, and how many pages it is to have.

    `levels` is the height of a B-tree; None for what is none.
    """

    path: str
    pages: int
    levels: int | None = None


def extend(data: Path, lengths: Iterable[Length], *, checksums: bool) -> int:
    """Make every file as long as said, and its B-tree as high; return the bytes on disk.

    Nobody may be connected to the database, nor have been since it was copied: the server would
    not see what changes below it. Files that are longer already are left alone.
    """
    return sum(_extend(data / each.path, each, checksums) for each in lengths)


def _extend(first: Path, length: Length, checksums: bool) -> int:
    there = os.stat(first)
    if length.levels and there.st_size == PAGE:
        _raise(first, length.levels, checksums)
    used, left, number = 0, length.pages, 0
    while left > 0:
        file = first if number == 0 else first.with_name(f"{first.name}.{number}")
        _stretch(file, min(left, SEGMENT_PAGES) * PAGE, there)
        used += os.stat(file).st_blocks * 512
        left, number = left - SEGMENT_PAGES, number + 1
    return used


def _raise(file: Path, levels: int, checksums: bool) -> None:
    """Make an empty B-tree so high."""
    with file.open("r+b") as opened:
        pages = btree.tree(opened.read(PAGE), levels, checksums=checksums)
        opened.seek(0)
        opened.write(b"".join(pages))


def _stretch(file: Path, size: int, like: os.stat_result) -> None:
    """Lengthen a file to a size; what is new belongs to whom the first segment belongs to."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(handle)
        if found.st_size < size:
            os.ftruncate(handle, size)
        if found.st_uid != like.st_uid:
            os.fchown(handle, like.st_uid, like.st_gid)
    finally:
        os.close(handle)
