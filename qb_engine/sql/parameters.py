"""parameters written into the text that has their places: what a driver would send beside it"""

from __future__ import annotations

from collections.abc import Sequence

import postgast
from postgast import pg_query_pb2 as pb

from qb_engine.sql.statement import Source, SqlError
from qb_engine.sql.tree import only, type_name_of, walk


def placed(text: str, values: Sequence[str], source: Source | None = None) -> str:
    """A text with SQL in the places `$1`, `$2`, ..., where the grammar sees such places.

    Raise SqlError for a place without a value, and for a text that cannot be scanned.
    """
    raw = text.encode()
    try:
        tokens = postgast.scan(text).tokens
    except postgast.PgQueryError as error:
        raise SqlError(
            f"the SQL cannot be read: {error.message}", where=str(source or Source())
        ) from None
    found: list[bytes] = []
    at = 0
    for token in tokens:
        if token.token != pb.PARAM:
            continue
        number = int(raw[token.start + 1 : token.end])
        if not 1 <= number <= len(values):
            given = f"{len(values)} {'value is' if len(values) == 1 else 'values are'} given"
            raise SqlError(
                f"there is no value for ${number}",
                where=str(source or Source()),
                why=f"{given} with this statement",
                todo="give as many values as the statement has places",
            )
        found += [raw[at : token.start], values[number - 1].encode()]
        at = token.end
    return b"".join([*found, raw[at:]]).decode()


def unlike(text: str) -> dict[int, tuple[str, ...]]:
    """The places that stand more than once with casts of their own: each use as it is written.

    The server gives such a place one type, and converts its value from that to the others:
    with `'01'` for `$1`, `$1::int, concat($1)` is 1 and '1', while the text written out twice is 1
    and '01'. Nothing for a text that does not parse.
    """
    try:
        tree = postgast.parse(text)
    except postgast.PgQueryError:
        return {}
    casts: dict[int, str] = {}
    uses: dict[int, list[str]] = {}
    places: list[tuple[int, int]] = []
    for node in (found for each in tree.stmts for found in walk(each.stmt)):
        if isinstance(node, pb.TypeCast) and isinstance(only(node.arg), pb.ParamRef):
            casts[only(node.arg).location] = type_name_of(node.type_name)
        elif isinstance(node, pb.ParamRef):
            places.append((node.location, node.number))
    for location, number in sorted(places):
        cast = casts.get(location)
        uses.setdefault(number, []).append(f"${number}" + (f"::{cast}" if cast else ""))
    return {number: tuple(dict.fromkeys(said)) for number, said in uses.items()
            if len(set(said)) > 1}  # fmt: skip
