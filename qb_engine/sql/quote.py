"""names and values as SQL text, quoted where PostgreSQL's grammar needs it"""

from __future__ import annotations

import functools


@functools.lru_cache(maxsize=4096)
def ident(name: str) -> str:
    """A name as SQL: bare when the grammar takes it back unchanged, else in double quotes."""
    if "\x00" in name or not name:
        raise ValueError("an identifier is not empty and holds no NUL")
    quoted = '"' + name.replace('"', '""') + '"'
    if not (name[0].isalpha() or name[0] == "_") or not name.isascii() or name != name.lower():
        return quoted
    from postgast import deparse, parse

    # the deparser is the grammar's own judge of reserved words
    return str(deparse(parse(f"SELECT 1 AS a FROM {quoted}")).rsplit(" FROM ", 1)[1])


def qualified(schema: str | None, name: str) -> str:
    """A name with its schema, each part quoted where needed."""
    return f"{ident(schema)}.{ident(name)}" if schema else ident(name)


def literal(value: str) -> str:
    """A string as an SQL literal that means the same under any setting."""
    text = value.replace("'", "''")
    return f"E'{text.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{text}'"
