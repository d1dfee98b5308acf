"""parameters written into the text that has their places: what a driver would send beside it"""

from __future__ import annotations

from collections.abc import Sequence

import postgast
from postgast import pg_query_pb2 as pb

from qb_engine.sql.statement import Source, SqlError


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
