"""the SQL of a backfill, composed from its spec"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from qb_engine.backfill.spec import SetColumn, Spec

Key = Sequence[str] | None
"""Key values as the server's text, in the order of the key's columns; None is an open end."""

# Dates and times as ISO, whatever DateStyle a session has: a cursor outlives sessions.
TIMES = ("timestamp", "date", "time")


def table(spec: Spec) -> sql.Composed:
    return sql.Composed([sql.Identifier(spec.schema, spec.table)])


def key_text(spec: Spec) -> sql.Composed:
    """The key of a row as a text array."""
    parts = []
    for column in spec.key:
        name = sql.Identifier(column.name)
        if column.type.startswith(TIMES):
            parts.append(sql.SQL("to_jsonb({}) #>> '{{}}'").format(name))
        else:
            parts.append(sql.SQL("{}::text").format(name))
    return sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(parts))


def key_order(spec: Spec, *, descending: bool = False, of: str = "") -> sql.Composed:
    """The columns of the key; `of` is what the table is called where others stand beside it."""
    step = sql.SQL("{} DESC") if descending else sql.SQL("{}")
    names = (sql.Identifier(of, c.name) if of else sql.Identifier(c.name) for c in spec.key)
    return sql.SQL(", ").join(map(step.format, names))


def within(spec: Spec, lo: Key, hi: Key, *, of: str = "") -> sql.Composed:
    """`(key) > lo AND (key) <= hi`, compared by the server; an open end leaves its half out."""
    key = key_order(spec, of=of)
    ends = []
    for bound, sign in ((lo, sql.SQL(">")), (hi, sql.SQL("<="))):
        if bound is not None:
            ends.append(sql.SQL("({}) {} ({})").format(key, sign, _values(spec, bound)))
    for keys, among in ((spec.only, sql.SQL("IN")), (spec.without, sql.SQL("NOT IN"))):
        if keys:
            rows = sql.SQL(", ").join(sql.SQL("({})").format(_values(spec, key)) for key in keys)
            ends.append(sql.SQL("({}) {} ({})").format(key, among, rows))
    return sql.SQL(" AND ").join(ends) if ends else sql.Composed([sql.SQL("true")])


def boundary(spec: Spec, lo: Key, hi: Key, size: int) -> sql.Composed:
    """The key of the `size`th row after `lo`; no row when there are fewer. An index-only scan."""
    return sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} OFFSET {} LIMIT 1").format(
        key_text(spec),
        table(spec),
        within(spec, lo, hi),
        key_order(spec),
        sql.Literal(size - 1),
    )


def count(spec: Spec, lo: Key, hi: Key) -> sql.Composed:
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table(spec), within(spec, lo, hi))


def highest(spec: Spec) -> sql.Composed:
    return sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT 1").format(
        key_text(spec), table(spec), key_order(spec, descending=True)
    )


def write(spec: Spec, lo: Key, hi: Key, *, late: bool = False) -> sql.Composed:
    """Write the rows of a range that need it. `late` leaves out rows that it would not change.

    Without `where` it is a plain UPDATE. With one, it returns how many rows were written, and how
    many of these would be written again: these cannot be told from rows that came late.
    """
    update = sql.SQL("UPDATE {} SET {} WHERE {}").format(
        table(spec), sql.SQL(", ").join(map(_assignment, spec.set)), within(spec, lo, hi)
    )
    if not spec.where:
        return update
    update += sql.SQL(" AND ") + expression(spec.where)
    if late:
        update += sql.SQL(" AND ") + _changes(spec)
    return sql.SQL(
        "WITH written AS ({} RETURNING CASE WHEN {} THEN {} ELSE false END AS again)"
        " SELECT count(*), count(*) FILTER (WHERE again) FROM written"
    ).format(update, expression(spec.where), _changes(spec))


def needing(spec: Spec) -> sql.Composed:
    """How many rows need it."""
    counted = sql.SQL("SELECT count(*) FROM {}").format(table(spec))
    return counted + sql.SQL(" WHERE ") + expression(spec.where) if spec.where else counted


def unmet(spec: Spec) -> sql.Composed:
    """Whether `validate` returns a row."""
    return sql.SQL("SELECT EXISTS ({})").format(_verbatim(spec.validate))


def expression(text: str) -> sql.Composed:
    """The user's SQL in parentheses; the line break ends a comment at its end."""
    return sql.SQL("({})").format(_verbatim(text))


def _verbatim(text: str) -> sql.Composed:
    # nothing here is executed with parameters, so a percent sign means itself
    return sql.Composed([sql.SQL(text + "\n" if "--" in text else text)])


def _assignment(column: SetColumn) -> sql.Composed:
    return sql.SQL("{} = {}").format(sql.Identifier(column.name), expression(column.sql))


def _changes(spec: Spec) -> sql.Composed:
    """Whether writing the row would change it. As text: json and xml know no equality."""
    parts = [
        sql.SQL("{}::text IS DISTINCT FROM {}::{}::text").format(
            sql.Identifier(column.name),
            expression(column.sql),
            sql.SQL(column.type),
        )
        for column in spec.set
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts))


def _values(spec: Spec, key: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(column.type))
        for value, column in zip(key, spec.key, strict=True)
    )
