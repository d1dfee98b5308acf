"""the demo shop: made in the server, the same for everybody"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, LiteralString

from qb_engine.errors import InputError, RefusedError

if TYPE_CHECKING:
    import psycopg

Progress = Callable[[str, float], None]

TABLES = ("users", "addresses", "products", "orders", "order_items", "events")
MIN_ROWS = 100  # fewer leave some of the values out
MAX_ROWS = 50_000_000  # more than a demo on one machine can want

# Every object of the shop has a comment that begins so; nothing without it is ever dropped.
MARK = "qb demo shop"

# What stands in the current schema under a name of the shop's, with its comment.
FIND = """
    SELECT relname AS name, obj_description(oid, 'pg_class') AS comment
    FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace
        AND relname IN ('users', 'addresses', 'products', 'orders', 'order_items', 'events',
                        'customer_orders')
    UNION ALL
    SELECT typname, obj_description(oid, 'pg_type')
    FROM pg_type
    WHERE typnamespace = current_schema()::regnamespace
        AND typname IN ('user_status', 'address_kind', 'order_status', 'event_kind')
    UNION ALL
    SELECT proname || '()', obj_description(oid, 'pg_proc')
    FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proname = 'orders_touch'
    ORDER BY name
"""

# The columns of the shop's tables as one value; any change of a column changes it.
SHAPE = """
    SELECT md5(string_agg(
        concat_ws(' ', relname, attnum, attname, attisdropped,
                  format_type(atttypid, atttypmod), attnotnull),
        E'\\n' ORDER BY relname COLLATE "C", attnum))
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (%s) AND attnum > 0
"""

# How many rows each table has, without a name that is put together.
COUNT = """
    SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM addresses),
        (SELECT count(*) FROM products), (SELECT count(*) FROM orders),
        (SELECT count(*) FROM order_items), (SELECT count(*) FROM events)
"""

DROP = """
    DROP VIEW IF EXISTS customer_orders;
    DROP TABLE IF EXISTS events, order_items, orders, products, addresses, users;
    DROP FUNCTION IF EXISTS orders_touch();
    DROP TYPE IF EXISTS event_kind, order_status, address_kind, user_status;
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of making the shop: its share of the whole time (0 to 1), its name, its SQL."""

    share: float
    name: str
    sql: str


def create_shop(
    conn: psycopg.Connection[Any],
    rows: int,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> tuple[tuple[str, int], ...]:
    """Make the shop in the connection's current schema; return its tables and their row counts.

    `rows` is the number of users. There are as many orders and events, about 1.6 times as many
    order items, 0.7 times as many addresses, and a product per 200 users (20 at least).

    All in one transaction: the shop is there as a whole or not at all. A shop of the same size
    whose columns nobody changed is left as it is. `replace` makes it anew where there is a shop
    already; tables that are not the shop's are never replaced. `progress` is called with the name
    of the step that begins and the share that is done (0 to 1), at the end with `done` and 1.

    Raise InputError for a size out of range, RefusedError when a name is taken.
    """
    if not MIN_ROWS <= rows <= MAX_ROWS:
        raise InputError(
            f"a demo shop of {rows:,} users cannot be made",
            where="--rows",
            why=f"the number of users is between {MIN_ROWS:,} and {MAX_ROWS:,}",
            todo="choose a number in that range; 200_000 takes a few seconds",
            code="bad-option",
        )
    tell = progress or (lambda step, done: None)
    with conn.transaction():
        standing = _standing(conn)
        if standing and not replace and standing.get("users") == _seal(conn, rows):
            counts = _counts(conn)
        else:
            _refuse_foreign(standing)
            if standing and not replace:
                raise RefusedError(
                    "the demo shop is not made over what is there",
                    where=", ".join(standing),
                    why="this shop has another size, or was changed since it was made",
                    todo="make it anew with --replace, or choose another database",
                    code="demo-refused",
                )
            drop_shop(conn)
            counts = _make(conn, rows, tell)
    tell("done", 1.0)
    return counts


def drop_shop(conn: psycopg.Connection[Any]) -> None:
    """Drop the demo shop, and nothing else.

    Raise RefusedError when a table of that name is not the shop's, or something else needs it.
    """
    from psycopg.errors import DependentObjectsStillExist

    with conn.transaction():
        _refuse_foreign(_standing(conn))
        try:
            conn.execute(DROP)
        except DependentObjectsStillExist as error:
            raise RefusedError(
                "the demo shop is not dropped",
                why=error.diag.message_detail or str(error),
                todo="drop what depends on it first, or choose another database",
                code="demo-refused",
            ) from error


def steps() -> tuple[Step, ...]:
    """The parts of shop.sql, in order."""
    text = files(__package__).joinpath("shop.sql").read_text(encoding="utf-8")
    found = []
    for part in text.split("-- step: ")[1:]:
        heading, _, sql = part.partition("\n")
        percent, _, name = heading.partition(" ")
        found.append(Step(int(percent) / 100, name, sql))
    return tuple(found)


def _make(conn: psycopg.Connection[Any], rows: int, tell: Progress) -> tuple[tuple[str, int], ...]:
    """Run every step, then seal the shop with its size and shape."""
    from psycopg import sql

    conn.execute("SELECT set_config('shop.rows', %s, true)", [str(rows)])
    done = 0.0
    for step in steps():
        tell(step.name, done)
        conn.execute(step.sql.encode())
        done += step.share
    conn.execute(sql.SQL("COMMENT ON TABLE users IS {}").format(_seal(conn, rows)))
    return _counts(conn)


def _standing(conn: psycopg.Connection[Any]) -> dict[str, str]:
    """The comment of each object that has a name of the shop's."""
    return {name: comment or "" for name, comment in _rows(conn, FIND)}


def _refuse_foreign(standing: dict[str, str]) -> None:
    """Raise RefusedError when something has a name of the shop's and is not the shop's."""
    foreign = [name for name, comment in standing.items() if not comment.startswith(MARK)]
    if foreign:
        raise RefusedError(
            "the names that the demo shop needs are taken",
            where=", ".join(foreign),
            why=f"what is not the shop's (no comment that begins with {MARK!r}) is never dropped",
            todo="choose another database for the demo shop",
            code="demo-refused",
        )


def _seal(conn: psycopg.Connection[Any], rows: int) -> str:
    """The comment on `users`: the number of users and the shape of all tables."""
    ((shape,),) = _rows(conn, SHAPE, [list(TABLES)])
    return f"{MARK}: {rows} users, shape {shape}"


def _counts(conn: psycopg.Connection[Any]) -> tuple[tuple[str, int], ...]:
    """The tables and their row counts."""
    (found,) = _rows(conn, COUNT)
    return tuple(zip(TABLES, found))


def _rows(
    conn: psycopg.Connection[Any], query: LiteralString, values: list[Any] | None = None
) -> list[tuple[Any, ...]]:
    """The rows of a query as tuples, whatever the connection makes of rows."""
    from psycopg.rows import tuple_row

    return conn.cursor(row_factory=tuple_row).execute(query, values).fetchall()
