"""the demo shop: made in the server, the same for everybody"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qb_engine.errors import InputError

if TYPE_CHECKING:
    import psycopg

Progress = Callable[[str, float], None]

TABLES = ("users", "addresses", "products", "orders", "order_items", "events")
PARTITIONS = (*(f"events_2024_{month:02}" for month in range(1, 13)), "events_default")
VIEW = "customer_orders"
TYPES = ("user_status", "address_kind", "order_status", "event_kind")
FUNCTION = "orders_touch"

MIN_ROWS = 100  # fewer leave some of the values out
MAX_ROWS = 50_000_000  # more than a demo can want on one machine

# The sign that an object is the shop's; without it nothing of that name is ever dropped.
MARK = "qb demo shop"

# Every object in the current schema that has one of the shop's names, with its comment.
FIND = """
    SELECT relname AS name, coalesce(obj_description(oid, 'pg_class'), '') AS comment
    FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (%(relations)s)
    UNION ALL
    SELECT typname, coalesce(obj_description(oid, 'pg_type'), '')
    FROM pg_type
    WHERE typnamespace = current_schema()::regnamespace AND typname = ANY (%(types)s)
    UNION ALL
    SELECT proname, coalesce(obj_description(oid, 'pg_proc'), '')
    FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proname = %(function)s
    ORDER BY name
"""

# The shape of the tables as one value: it changes with any change of a column.
SHAPE = """
    SELECT md5(string_agg(
        concat_ws(' ', relname, attnum, attname, attisdropped,
                  format_type(atttypid, atttypmod), attnotnull),
        E'\\n' ORDER BY relname COLLATE "C", attnum))
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (%(relations)s)
        AND attnum > 0
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

    All in one transaction: the shop is there as a whole or not at all. An untouched shop of the
    same size is left as it is. `replace` makes it anew where there is a shop already; tables that
    are not the shop's are never replaced. `progress` is called with the name of the step that
    begins and the share done (0 to 1), at the end with `done` and 1.

    Raise InputError for a size out of range, RefusedError when a name is taken.
    """
    if not MIN_ROWS <= rows <= MAX_ROWS:
        raise InputError(
            f"a demo shop of {rows:,} users cannot be made",
            where="--rows",
            why=f"the number of users is between {MIN_ROWS:,} and {MAX_ROWS:,}",
            todo="choose a number in that range; 200_000 takes a few seconds",
        )
    tell = progress or (lambda step, done: None)
    with conn.transaction():
        if _standing(conn) == (rows, _shape(conn)) and not replace:
            tell("done", 1.0)
            return _counts(conn)
        _make_room(conn, replace=replace)
        conn.execute("SELECT set_config('shop.rows', %s, true)", [str(rows)])
        done = 0.0
        for step in steps():
            tell(step.name, done)
            conn.execute(step.sql.encode())
            done += step.share
        _mark(conn, rows)
        counts = _counts(conn)
    tell("done", 1.0)
    return counts
