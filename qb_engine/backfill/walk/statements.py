"""the SQL of a backfill, composed from its spec"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from qb_engine.backfill.spec import SetColumn, Spec
from qb_engine.sql import qualified

Key = Sequence[str] | None
"""Key values as the server's text, in the order of the key's columns; None is an open end."""

# Dates and times as ISO, whatever DateStyle a session has: a cursor outlives sessions.
TIMES = ("timestamp", "date", "time")


# A row's number in its block goes up to 65535, so this one ends a block.
LAST = 65_535
ROWS_PER_BLOCK = 60.0  # where nobody has counted


def table(spec: Spec) -> sql.Composed:
    only = sql.SQL("ONLY ") if spec.alone else sql.SQL("")
    return sql.Composed([only, sql.Identifier(spec.schema, spec.table)])


def named(spec: Spec) -> sql.Composed:
    """The table, a part of it by the name of the whole: the user's SQL may say that."""
    if spec.whole is None or spec.whole[1] == spec.table:
        return table(spec)
    return sql.SQL("{} AS {}").format(table(spec), sql.Identifier(spec.whole[1]))


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


def key_columns(spec: Spec) -> list[sql.Composed]:
    """The columns of the key as they are compared, in the collation of the index."""
    return [
        sql.Composed([sql.Identifier(*filter(None, (spec.called, column.name)))])
        + (sql.SQL(f" COLLATE {column.collation}") if column.collation else sql.SQL(""))
        for column in spec.key
    ]


def key_order(spec: Spec, *, descending: bool = False) -> sql.Composed:
    """For ORDER BY, so that the index gives it: NULLS FIRST though there is none."""
    parts = []
    for column, compared in zip(spec.key, key_columns(spec)):
        first = column.nulls_first != descending
        step = " DESC" if descending else ""
        if first != descending:  # what the direction alone would not say
            step += " NULLS FIRST" if first else " NULLS LAST"
        parts.append(compared + sql.SQL(step))
    return sql.SQL(", ").join(parts)


def within(spec: Spec, lo: Key, hi: Key) -> sql.Composed:
    """`(key) > lo AND (key) <= hi`, compared by the server; an open end leaves its half out.

    A key of several columns is compared in steps as well, which says nothing new, but to the
    planner: of a comparison of rows it knows the first column only, and would read the whole table
    for one batch where many rows have the same value there.
    """
    return _and([*_steps(spec, lo, hi), *_chosen(spec)])


def _between(spec: Spec, lo: Key, hi: Key) -> sql.Composed:
    """The same as a comparison of rows, which is one condition of the index."""
    return _and([_rows(spec, 0, lo, hi), *_chosen(spec)])


def below(spec: Spec, key: Sequence[str]) -> sql.Composed:
    """The key is lower than this one."""
    columns = sql.SQL(", ").join(key_columns(spec))
    return sql.SQL("({}) < ({})").format(columns, _values(spec, key))


def _chosen(spec: Spec) -> list[sql.Composed]:
    """Just the rows of some keys, or not these."""
    found = []
    for keys, among in ((spec.only, sql.SQL("IN")), (spec.without, sql.SQL("NOT IN"))):
        if keys:
            rows = sql.SQL(", ").join(sql.SQL("({})").format(_values(spec, key)) for key in keys)
            columns = sql.SQL(", ").join(key_columns(spec))
            found.append(sql.SQL("({}) {} ({})").format(columns, among, rows))
    return found


def _and(parts: Sequence[sql.Composed | None]) -> sql.Composed:
    given = [part for part in parts if part is not None]
    return sql.SQL(" AND ").join(given) if given else sql.Composed([sql.SQL("true")])


def _rows(spec: Spec, first: int, lo: Key, hi: Key) -> sql.Composed | None:
    """The comparison of rows, of the columns from `first` on."""
    columns = sql.SQL(", ").join(key_columns(spec)[first:])
    ends = [
        sql.SQL("({}) {} ({})").format(columns, sign, _values(spec, bound, first))
        for bound, sign in ((lo, sql.SQL(">")), (hi, sql.SQL("<=")))
        if bound is not None
    ]
    return _and(ends) if ends else None


def _steps(spec: Spec, lo: Key, hi: Key) -> list[sql.Composed | None]:
    last = len(spec.key) - 1
    same = 0  # leading columns with one value in the whole range
    while lo is not None and hi is not None and same < last and lo[same] == hi[same]:
        same += 1
    fixed = [_compare(spec, place, "=", lo) for place in range(same) if lo is not None]
    rows = _rows(spec, same, lo, hi)
    if same == last or rows is None:
        return [*fixed, rows]
    inside = [
        _compare(spec, same, sign, bound)
        for sign, bound in ((">", lo), ("<", hi))
        if bound is not None
    ]
    ways = [_and(inside)]
    if lo is not None:
        ways.append(_and([_compare(spec, same, "=", lo), _rows(spec, same + 1, lo, None)]))
    if hi is not None:
        ways.append(_and([_compare(spec, same, "=", hi), _rows(spec, same + 1, None, hi)]))
    either = sql.SQL(" OR ").join(sql.SQL("({})").format(way) for way in ways)
    return [*fixed, rows, sql.SQL("({})").format(either)]


def _compare(spec: Spec, place: int, sign: LiteralString, bound: Sequence[str]) -> sql.Composed:
    return sql.SQL("{} {} {}").format(
        key_columns(spec)[place],
        sql.SQL(sign),
        _value(spec, place, bound),
    )


def boundary(spec: Spec, lo: Key, hi: Key, size: int) -> sql.Composed:
    """The key of the `size`th row after `lo`; no row when there are fewer. An index-only scan."""
    if spec.by_place:
        return _block(spec, lo, hi, size)
    return sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} OFFSET {} LIMIT 1").format(
        key_text(spec),
        table(spec),
        _between(spec, lo, hi),
        key_order(spec),
        sql.Literal(size - 1),
    )


def _block(spec: Spec, lo: Key, hi: Key, size: int) -> sql.Composed:
    """The end of the block up to which about `size` rows are, by how many rows a block has.

    Fewer rows than a block has are counted off in the next block; no row when it is the last one.
    """
    return sql.SQL(
        "SELECT ARRAY[edge::text] FROM ("
        "SELECT CASE WHEN {size} >= dense THEN whole ELSE coalesce((SELECT ctid FROM {table}"
        " WHERE ctid > {lo} AND ctid <= next ORDER BY ctid OFFSET {size} - 1 LIMIT 1), next) END"
        " AS edge, last FROM (SELECT dense, last,"
        " format('(%s,{end})', block + greatest(1, floor({size} / dense))::bigint)::tid AS whole,"
        " format('(%s,{end})', CASE WHEN place < {end} THEN block ELSE block + 1 END)::tid AS next"
        " FROM (SELECT ({lo}::text::point)[0]::bigint AS block,"
        " ({lo}::text::point)[1]::bigint AS place, {hi} AS last,"
        " (SELECT CASE WHEN reltuples > 0 AND relpages > 0 THEN reltuples / relpages"
        " ELSE {guess} END FROM pg_class WHERE oid = {name}::regclass) AS dense) AS blocks"
        ") AS ends) AS edges WHERE edge < last"
    ).format(
        size=sql.Literal(size),
        table=table(spec),
        lo=sql.SQL("{}::tid").format(sql.Literal(lo[0] if lo else "(0,0)")),
        hi=sql.SQL("{}::tid").format(sql.Literal(hi[0]))
        if hi
        else sql.SQL(
            "format('(%s,{})', greatest(0, pg_relation_size({}::regclass)"
            " / current_setting('block_size')::bigint - 1))::tid"
        ).format(sql.Literal(LAST), _regclass(spec)),
        end=sql.Literal(LAST),
        guess=sql.Literal(ROWS_PER_BLOCK),
        name=_regclass(spec),
    )


def _regclass(spec: Spec) -> sql.Literal:
    return sql.Literal(qualified(spec.schema, spec.table))


def count(spec: Spec, lo: Key, hi: Key) -> sql.Composed:
    return sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table(spec), within(spec, lo, hi))


def highest(spec: Spec) -> sql.Composed:
    """The last key there is; by place, the end of the last block."""
    if spec.by_place:
        return sql.SQL(
            "SELECT ARRAY[format('(%s,{})', blocks - 1)] FROM (SELECT pg_relation_size"
            "({}::regclass) / current_setting('block_size')::bigint AS blocks) AS size"
            " WHERE blocks > 0"
        ).format(sql.Literal(LAST), _regclass(spec))
    return sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT 1").format(
        key_text(spec), table(spec), key_order(spec, descending=True)
    )


def write(spec: Spec, lo: Key, hi: Key, *, late: bool = False) -> sql.Composed:
    """Write the rows of a range that need it. `late` leaves out rows that it would not change.

    Without `where` it is a plain UPDATE. With one, it returns how many rows were written, and how
    many of these would be written again: these cannot be told from rows that came late.
    """
    update = sql.SQL("UPDATE {} SET {} WHERE {}").format(
        named(spec), sql.SQL(", ").join(map(_assignment, spec.set)), within(spec, lo, hi)
    )
    if not spec.where:
        return update
    update += sql.SQL(" AND ") + expression(spec.where)
    if late:
        update += sql.SQL(" AND ") + changes(spec)
    return sql.SQL(
        "WITH written AS ({} RETURNING CASE WHEN {} THEN {} ELSE false END AS again)"
        " SELECT count(*), count(*) FILTER (WHERE again) FROM written"
    ).format(update, expression(spec.where), changes(spec))


def needing(spec: Spec) -> sql.Composed:
    """How many rows need it."""
    counted = sql.SQL("SELECT count(*) FROM {}").format(named(spec))
    return counted + sql.SQL(" WHERE ") + expression(spec.where) if spec.where else counted


def unwritten(spec: Spec) -> sql.Composed | None:
    """Whether any row needs it and would be changed by it; None where that cannot be asked."""
    if spec.kind != "set" or not spec.where:
        return None
    return sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} AND {})").format(
        named(spec), expression(spec.where), changes(spec)
    )


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


def changes(spec: Spec) -> sql.Composed:
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


def _values(spec: Spec, key: Sequence[str], first: int = 0) -> sql.Composed:
    return sql.SQL(", ").join(_value(spec, place, key) for place in range(first, len(spec.key)))


def _value(spec: Spec, place: int, key: Sequence[str]) -> sql.Composed:
    return sql.SQL("{}::{}").format(sql.Literal(key[place]), sql.SQL(spec.key[place].type))
