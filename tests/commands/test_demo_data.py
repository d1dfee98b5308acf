"""the demo shop is the same for everybody, whole, and never in the way of anything else"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.commands.demo_data import TABLES, create_shop, drop_shop, steps
from qb_engine.errors import InputError, RefusedError

Connection = psycopg.Connection[tuple[Any, ...]]

# All rows of every table as one value each; rows as PostgreSQL writes them, in UTC.
CONTENT = """
    SELECT
        (SELECT md5(string_agg(t::text, E'\\n' ORDER BY id)) FROM users AS t),
        (SELECT md5(string_agg(t::text, E'\\n' ORDER BY id)) FROM addresses AS t),
        (SELECT md5(string_agg(t::text, E'\\n' ORDER BY id)) FROM products AS t),
        (SELECT md5(string_agg(t::text, E'\\n' ORDER BY id)) FROM orders AS t),
        (SELECT md5(string_agg(t::text, E'\\n' ORDER BY order_id, line_no)) FROM order_items AS t),
        (SELECT md5(string_agg(t::text, E'\\n' ORDER BY id)) FROM events AS t)
"""

# The 1,000 users that everybody has, as one value: the same on PostgreSQL 15 to 18.
USERS = "d9518eb91ee3c89eaad860c87f12e099"


def one(connection: Connection, query: Any) -> Any:
    """The only value of a query."""
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def content(connection: Connection) -> tuple[Any, ...]:
    """Every table's rows as one value each."""
    with connection.transaction():
        connection.execute("SET LOCAL timezone = 'UTC'")
        row = connection.execute(CONTENT).fetchone()
    assert row is not None
    return row


def names(connection: Connection) -> list[str]:
    """What stands in the schema: relations, types and functions."""
    query = """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
        UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        ORDER BY 1
    """
    return [name for (name,) in connection.execute(query)]


def test_the_shop_is_the_same_whenever_and_wherever_it_is_made(connection: Connection) -> None:
    """Not even the session's settings change a row."""
    counts = create_shop(connection, 1000)
    first = content(connection)
    connection.execute("SET timezone = 'America/New_York'")
    connection.execute("SET datestyle = 'German'")
    connection.execute("SET extra_float_digits = 0")
    assert create_shop(connection, 1000, replace=True) == counts
    connection.execute("RESET datestyle")
    connection.execute("RESET extra_float_digits")
    assert content(connection) == first
    assert first[0] == USERS


def test_the_counts_are_those_of_the_tables(connection: Connection) -> None:
    """What is returned is what is there; users are as many as asked for."""
    counts = dict(create_shop(connection, 2000))
    assert tuple(counts) == TABLES
    assert counts["users"] == counts["orders"] == counts["events"] == 2000
    for table, count in counts.items():
        query = psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table))
        assert one(connection, query) == count


def test_the_rows_have_skew_and_nulls(connection: Connection) -> None:
    """A third of the users live in one country, few place most orders, many lack a phone."""
    create_shop(connection, 5000)
    assert 0.3 < one(connection, "SELECT avg((country = 'US')::int)::float FROM users") < 0.4
    assert 0.3 < one(connection, "SELECT avg((phone IS NULL)::int)::float FROM users") < 0.5
    assert 0.3 < one(connection, "SELECT avg((user_id IS NULL)::int)::float FROM events") < 0.5
    assert one(connection, "SELECT count(DISTINCT country) FROM users") >= 8
    assert one(connection, "SELECT count(DISTINCT status) FROM orders") == 6
    busy = """
        SELECT sum(orders) FILTER (WHERE place <= 500) / sum(orders) FROM (
            SELECT count(*) AS orders, row_number() OVER (ORDER BY count(*) DESC) AS place
            FROM orders GROUP BY user_id
        ) AS ranked
    """
    assert one(connection, busy) > 0.4


def test_every_month_has_events_and_none_is_astray(connection: Connection) -> None:
    """The partitions cover the year; the default partition is empty."""
    create_shop(connection, 2000)
    assert one(connection, "SELECT count(DISTINCT tableoid) FROM events") == 12
    assert one(connection, "SELECT count(*) FROM events_default") == 0


def test_the_shop_works_like_a_real_one(connection: Connection) -> None:
    """New rows get ids, the trigger keeps updated_at, totals add up, references hold."""
    create_shop(connection, 500)
    inserted = """
        INSERT INTO users (name, first_name, last_name, country)
        VALUES ('Zoe Zett', 'Zoe', 'Zett', 'DE') RETURNING id
    """
    assert one(connection, inserted) == 501
    touched = "UPDATE orders SET status = 'paid' WHERE id = 1 RETURNING updated_at = now()"
    assert one(connection, touched) is True
    assert one(connection, "SELECT sum(spent) FROM customer_orders") > 0
    wrong = """
        SELECT count(*) FROM orders WHERE total <> (
            SELECT sum(quantity * unit_price) FROM order_items WHERE order_id = orders.id)
    """
    assert one(connection, wrong) == 0
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("INSERT INTO orders (user_id) VALUES (1000000)")


def test_the_quickstart_can_add_an_email(connection: Connection) -> None:
    """There is no email column yet, and names to make one from."""
    create_shop(connection, 500)
    connection.execute("ALTER TABLE users ADD COLUMN email text")
    connection.execute(
        "UPDATE users SET email = lower(first_name || '.' || last_name || id || '@example.com')"
    )
    assert one(connection, "SELECT count(DISTINCT email) FROM users") == 500


def test_an_untouched_shop_is_left_as_it_is(connection: Connection) -> None:
    """Making the same shop twice changes nothing."""
    counts = create_shop(connection, 500)
    file = one(connection, "SELECT pg_relation_filenode('users')")
    assert create_shop(connection, 500) == counts
    assert one(connection, "SELECT pg_relation_filenode('users')") == file


@pytest.mark.parametrize("change", ["ALTER TABLE users ADD COLUMN email text", "SELECT 1"])
def test_a_shop_that_differs_is_not_made_over(connection: Connection, change: str) -> None:
    """Another size or a changed column takes `replace`."""
    create_shop(connection, 500)
    connection.execute(change.encode())
    rows = 500 if "email" in change else 600
    with pytest.raises(RefusedError, match="not made over"):
        create_shop(connection, rows)
    assert dict(create_shop(connection, rows, replace=True))["users"] == rows


def test_tables_of_others_are_never_dropped(connection: Connection) -> None:
    """A table that only has a name of the shop's stays, whatever is asked."""
    connection.execute("CREATE TABLE orders AS SELECT 1 AS precious")
    for attempt in (
        lambda: create_shop(connection, 500),
        lambda: create_shop(connection, 500, replace=True),
        lambda: drop_shop(connection),
    ):
        with pytest.raises(RefusedError, match="taken") as refused:
            attempt()
        assert refused.value.where == "orders"
    assert one(connection, "SELECT precious FROM orders") == 1


def test_what_others_built_on_the_shop_is_not_dropped(connection: Connection) -> None:
    """A view of a user's on the shop's tables keeps the shop."""
    create_shop(connection, 500)
    connection.execute("CREATE VIEW mine AS SELECT id FROM users")
    with pytest.raises(RefusedError, match="not dropped") as refused:
        create_shop(connection, 500, replace=True)
    assert "mine" in refused.value.why
    assert one(connection, "SELECT count(*) FROM mine") == 500


def test_dropping_the_shop_leaves_nothing_of_it(connection: Connection) -> None:
    """No table, type, function or sequence stays."""
    create_shop(connection, 500)
    drop_shop(connection)
    assert names(connection) == []
    drop_shop(connection)


def test_a_shop_that_fails_halfway_is_not_there_at_all(connection: Connection) -> None:
    """Everything happens in one transaction."""

    class Stopped(Exception):
        pass

    def progress(step: str, done: float) -> None:
        if step == "keys and indexes":
            raise Stopped

    with pytest.raises(Stopped):
        create_shop(connection, 500, progress=progress)
    assert names(connection) == []


def test_progress_grows_to_one(connection: Connection) -> None:
    """Each step is told once, with the share that is done before it."""
    told: list[tuple[str, float]] = []
    create_shop(connection, 500, progress=lambda step, done: told.append((step, done)))
    assert [step for step, _ in told] == [*(step.name for step in steps()), "done"]
    shares = [done for _, done in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert sum(step.share for step in steps()) == pytest.approx(1.0)


@pytest.mark.parametrize("rows", [-1, 0, 99, 10**9])
def test_a_size_that_cannot_be_is_refused(connection: Connection, rows: int) -> None:
    """The message names the option and the range."""
    with pytest.raises(InputError, match="between 100 and") as raised:
        create_shop(connection, rows)
    assert raised.value.where == "--rows"
