"""an empty B-tree of a given height, page by page: the planner reads the height from its first page

The layout is that of PostgreSQL's nbtree (version 4), unchanged since 13. A scan of such a tree
goes down from the root to the one leaf, and finds nothing; an insertion goes into that leaf.
"""

from __future__ import annotations

import struct
from functools import lru_cache

PAGE = 8192
META = 0  # the block of the first page

_HEADER = 24
_SPECIAL = 16
_BODY = PAGE - _HEADER - _SPECIAL
_LINE_POINTER = 4
_TUPLE_HEADER = 8
_NONLEAF_FILL = 0.7  # BTREE_NONLEAF_FILLFACTOR
_LEAF, _ROOT = 1, 2  # flags of a page
_PIVOT = 0x2000  # INDEX_ALT_TID_MASK
_HIGHEST = 6  # fewer than 300 keys on a page, and still more rows than PostgreSQL can number


def height(pages: int, key_bytes: float) -> int:
    """How many levels stand above the leaves of an index of so many pages.

    `key_bytes` is the width of a key without its header. Inner pages are taken to be filled as a
    build leaves them.
    """
    entry = aligned(_TUPLE_HEADER + key_bytes) + _LINE_POINTER
    fanout = max(2, int(_BODY * _NONLEAF_FILL / entry))
    levels, wide = 0, pages - 1
    while wide > 1 and levels < _HIGHEST:
        levels, wide = levels + 1, -(-wide // fanout)
    return levels


def aligned(size: float) -> int:
    """A size rounded up as the server rounds tuples (MAXALIGN)."""
    return int(-(-size // 8) * 8)


def tree(meta: bytes, levels: int, *, checksums: bool) -> tuple[bytes, ...]:
    """The pages of an empty tree of that height, the first page included.

    `meta` is the first page of the index as the server made it: its version and the rest are kept.
    """
    pages = [_meta(meta, levels)]
    for level in range(levels + 1):
        pages.append(_page(level, root=level == levels))
    if not checksums:
        return tuple(pages)
    return tuple(_checked(page, block) for block, page in enumerate(pages))


def _meta(page: bytes, levels: int) -> bytes:
    root = levels + 1
    changed = bytearray(page)
    struct.pack_into("=QH", changed, 0, 0, 0)  # no LSN: equal pages have equal checksums
    struct.pack_into("=IIII", changed, _HEADER + 8, root, levels, root, levels)
    return bytes(changed)


def _page(level: int, *, root: bool) -> bytes:
    """A leaf without a tuple, or an inner page whose one tuple leads to the block below."""
    page = bytearray(PAGE)
    lower, upper = _HEADER, PAGE - _SPECIAL
    if level:
        lower, upper = lower + _LINE_POINTER, upper - _TUPLE_HEADER
        struct.pack_into("=I", page, _HEADER, upper | 1 << 15 | _TUPLE_HEADER << 17)
        struct.pack_into("=HHHH", page, upper, 0, level, 0, _PIVOT | _TUPLE_HEADER)
    struct.pack_into("=HHHH", page, 12, lower, upper, PAGE - _SPECIAL, PAGE | 4)
    flags = (_ROOT if root else 0) | (0 if level else _LEAF)
    struct.pack_into("=IIIHH", page, PAGE - _SPECIAL, 0, 0, level, flags, 0)
    return bytes(page)


def _checked(page: bytes, block: int) -> bytes:
    return page[:8] + struct.pack("=H", checksum(page, block)) + page[10:]


# The 32 lanes of PostgreSQL's checksum (storage/checksum_impl.h).
_LANES = (
    *(0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2),
    *(0x83E13D2C, 0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C),
    *(0xF718902A, 0x0B1C9CDB, 0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979),
    *(0xCCA6C0B2, 0x304A0979, 0x85AA43D4, 0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E),
    *(0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756),
)
_PRIME = 16777619
_WORD = 0xFFFFFFFF


@lru_cache(maxsize=256)
def checksum(page: bytes, block: int) -> int:
    """The checksum that the server expects on a page of its data files."""
    bare = page[:8] + b"\0\0" + page[10:]
    words = struct.unpack(f"={PAGE // 4}I", bare)
    sums = list(_LANES)
    for row in (*(words[i : i + 32] for i in range(0, len(words), 32)), (0,) * 32, (0,) * 32):
        for lane, word in enumerate(row):
            mixed = sums[lane] ^ word
            sums[lane] = (mixed * _PRIME & _WORD) ^ (mixed >> 17)
    whole = 0
    for each in sums:
        whole ^= each
    return (whole ^ block) % 65535 + 1
