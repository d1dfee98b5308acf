"""plans on the statistics twin against plans on the demo shop, before and after a migration

QB_BENCH_TWIN_ROWS sets the number of users (2,000,000 by default).
"""

from __future__ import annotations

import os
import secrets
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from qb_engine.analysis.explain import explain, on, plans
from qb_engine.analysis.workload import Plan
from qb_engine.commands.demo_data import create_shop
from qb_engine.database import Target
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.migrations.model import LoadedMigration, Part
from qb_engine.shadow import Scratch
from qb_engine.shadow.twin import Facts, twin
from qb_engine.sql import Statement, read
from tests.benchmarks.ratio import Ratio

ROWS = int(os.environ.get("QB_BENCH_TWIN_ROWS", "2000000"))
LARGE = 1_000_000  # of a smaller shop, the catalog takes more than the data
ERROR_TARGET, DISK_TARGET = 0.02, 0.05

# What the shop has not by itself: an index on an expression, a range, an array.
EXTRA = """
CREATE INDEX users_lower_name_idx ON users (lower(name));
CREATE INDEX users_country_created_idx ON users (country, created_at);
CREATE INDEX orders_status_idx ON orders (status);
CREATE INDEX orders_placed_brin ON orders USING brin (placed_at);
CREATE INDEX products_name_hash ON products USING hash (name);
"""
MIGRATION = """
CREATE INDEX orders_total_idx ON orders (total);
CREATE INDEX orders_refunded_idx ON orders (placed_at, user_id) WHERE status = 'refunded';
CREATE INDEX addresses_city_idx ON addresses (city);
CREATE INDEX events_path_idx ON events (path);
ALTER TABLE users ADD COLUMN tier text NOT NULL DEFAULT 'free';
ALTER TABLE order_items ALTER COLUMN quantity TYPE bigint;
DROP INDEX users_country_created_idx;
"""
QUERIES = """
SELECT * FROM users WHERE id = 4711;
SELECT * FROM users WHERE id IN (1, 2, 3, 500, 70000, 900001);
SELECT * FROM users WHERE lower(name) = 'ada garcia';
SELECT * FROM users WHERE country = 'DE' AND created_at > '2024-12-01';
SELECT * FROM users WHERE country = 'BR' ORDER BY created_at DESC LIMIT 20;
SELECT country, count(*) FROM users GROUP BY country ORDER BY 2 DESC;
SELECT DISTINCT last_name FROM users;
SELECT DISTINCT country, status FROM users;
SELECT * FROM users WHERE phone IS NULL AND status = 'suspended';
SELECT * FROM users WHERE name LIKE 'Ada%';
SELECT * FROM users WHERE last_seen_at BETWEEN '2024-03-01' AND '2024-03-02';
SELECT * FROM users WHERE status <> 'active' ORDER BY name;
SELECT u.*, r.name FROM users u JOIN users r ON r.id = u.referred_by WHERE u.id < 5000;
SELECT count(*) FROM users WHERE referred_by IS NOT NULL;
SELECT * FROM orders WHERE user_id = 1234 ORDER BY placed_at DESC LIMIT 10;
SELECT * FROM orders WHERE status = 'pending' AND placed_at > '2024-12-30';
SELECT * FROM orders WHERE status = 'refunded';
SELECT * FROM orders WHERE status = 'pending' ORDER BY placed_at LIMIT 100;
SELECT status, sum(total), avg(total) FROM orders GROUP BY status;
SELECT date_trunc('month', placed_at), sum(total) FROM orders GROUP BY 1 ORDER BY 1;
SELECT * FROM orders WHERE total > 900;
SELECT * FROM orders WHERE coupon = 'SPRING24' AND total > 100;
SELECT * FROM orders WHERE placed_at BETWEEN '2024-06-01' AND '2024-06-02';
SELECT id, total FROM orders ORDER BY total DESC LIMIT 50;
SELECT max(id), min(placed_at) FROM orders;
SELECT count(*) FROM orders WHERE user_id < 100;
SELECT o.id, u.name FROM orders o JOIN users u ON u.id = o.user_id WHERE o.status = 'pending';
SELECT u.country, sum(o.total) FROM orders o JOIN users u ON u.id = o.user_id GROUP BY 1;
SELECT o.*, i.* FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.id = 77;
SELECT o.*, i.* FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.user_id = 9;
SELECT p.name, sum(i.quantity) FROM order_items i JOIN products p ON p.id = i.product_id GROUP BY 1;
SELECT * FROM order_items WHERE product_id = 17;
SELECT * FROM order_items WHERE quantity = 9;
SELECT product_id, count(*) FROM order_items GROUP BY product_id HAVING count(*) > 1000;
SELECT * FROM users u WHERE NOT EXISTS (SELECT FROM orders o WHERE o.user_id = u.id) LIMIT 100;
SELECT * FROM users u
    WHERE EXISTS (SELECT FROM addresses a WHERE a.user_id = u.id AND a.city = 'Newport');
SELECT * FROM addresses WHERE user_id = 99 AND is_default;
SELECT * FROM addresses WHERE city = 'Riverton' AND country = 'DE';
SELECT * FROM products WHERE sku = 'SKU-000042';
SELECT * FROM products WHERE name = 'Blue Mug' AND price < 50;
SELECT * FROM products WHERE category IS NULL ORDER BY price;
SELECT * FROM events WHERE happened_at BETWEEN '2024-05-05' AND '2024-05-06';
SELECT * FROM events WHERE user_id = 321;
SELECT kind, count(*) FROM events GROUP BY kind;
SELECT * FROM events WHERE path = '/p/17' AND happened_at > '2024-11-15';
SELECT user_id, count(*) FROM events WHERE kind = 'checkout'
    GROUP BY user_id ORDER BY 2 DESC LIMIT 10;
SELECT * FROM customer_orders WHERE user_id = 42;
SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY placed_at)
    FROM orders WHERE user_id < 500;
SELECT user_id, total, sum(total) OVER (PARTITION BY user_id) FROM orders WHERE status = 'paid';
WITH best AS (SELECT user_id, sum(total) AS spent FROM orders GROUP BY 1 ORDER BY 2 DESC LIMIT 10)
    SELECT u.name, b.spent FROM best b JOIN users u ON u.id = b.user_id;
WITH RECURSIVE chain AS (SELECT id, referred_by FROM users WHERE id = 700000
    UNION ALL SELECT u.id, u.referred_by FROM users u JOIN chain c ON u.id = c.referred_by)
    SELECT count(*) FROM chain;
SELECT id FROM users WHERE id = 5 UNION SELECT user_id FROM orders WHERE id = 5;
SELECT id FROM users EXCEPT SELECT user_id FROM orders;
SELECT * FROM orders WHERE user_id = $1 AND placed_at > $2;
SELECT * FROM users WHERE country = $1;
UPDATE users SET phone = NULL WHERE status = 'suspended';
UPDATE orders SET total = total + 1 WHERE user_id = 55;
UPDATE orders o SET coupon = u.country FROM users u WHERE u.id = o.user_id AND u.id < 1000;
DELETE FROM orders WHERE placed_at < '2024-01-03';
DELETE FROM events WHERE happened_at < '2024-02-01' AND kind = 'login';
INSERT INTO addresses (id, user_id, kind, street, city, country)
    SELECT id, id, 'billing', '-', '-', country FROM users WHERE status = 'invited';
"""


def run(conninfo: str | None = None) -> list[Ratio]:
    """Make the shop on a server, or on one of its own, and compare plans."""
    if conninfo is None:
        with tempfile.TemporaryDirectory(prefix="qb-bench-") as folder:
            Path(folder).chmod(0o711)  # as root, the server is another user
            server = EmbeddedPostgres(Path(folder))
            try:
                return run(server.ensure())
            finally:
                server.purge()
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            return measure(Target("embedded", conninfo, origin="embedded"), name)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def measure(server: Target, dbname: str) -> list[Ratio]:
    """Plans of the same queries on both, at rest and after the migration."""
    scratch = Scratch(server)
    target = Target("shop", make_conninfo(server.conninfo, dbname=dbname))
    queries = read(QUERIES)
    with psycopg.connect(target.conninfo, autocommit=True) as conn:
        create_shop(conn, ROWS)
        conn.execute(EXTRA.encode())
        conn.execute("VACUUM ANALYZE")
        true = plans(conn, queries)
        migration = LoadedMigration(
            *("bench", "", "bench", Path("bench.sql"), "sql"),
            (Part("migration", "bench.sql", read(MIGRATION)),),
        )
        with twin(scratch, target, conn) as made:
            found = compared("at rest", queries, true, on(made, queries))
            seen = explain(made, migration, queries)
            afterwards = {change.after.statement: change.after for change in seen.changes}
            held = made.facts
        conn.execute(MIGRATION.encode())
        conn.execute("ANALYZE users (tier), order_items (quantity)")  # else chance counts, too
        true = plans(conn, queries)
        found += compared(
            "after a migration", queries, true, [afterwards[query] for query in queries]
        )
    if ROWS >= LARGE:
        found.append(disk(held))
    return found


def disk(held: Facts) -> Ratio:
    """What the twin takes, of what it pretends."""
    return Ratio(
        "bytes of the twin's two databases / bytes pretended",
        held.on_disk / held.pretended,
        DISK_TARGET,
        "at most",
        f"{held.on_disk / 1e6:.0f} MB / {held.pretended / 1e6:.0f} MB",
    )


def compared(
    when: str, queries: Sequence[Statement], true: Sequence[Plan], ours: Sequence[Plan]
) -> list[Ratio]:
    """How many plans have the target's shape, and how far their costs are from its costs."""
    same, errors, others = 0, [], []
    for query, wanted, found in zip(queries, true, ours, strict=True):
        assert not wanted.error, (query.sql, wanted.error)
        assert not found.error, (query.sql, found.error)
        errors.append(abs(found.cost - wanted.cost) / wanted.cost)
        if wanted.nodes == found.nodes:
            same += 1
        else:
            others.append(query.first_line[:60])
    if os.environ.get("QB_BENCH_TWIN_SHOW"):
        for query, wanted, found, error in zip(queries, true, ours, errors):
            if error > 0.01 or wanted.nodes != found.nodes:
                print(f"{when}: {error:.3f} {query.first_line}\n  {wanted}\n  {found}")
    count = len(queries)
    return [
        Ratio(
            f"plans of the target's shape, {when} / queries",
            same / count,
            1.0,
            "at least",
            f"{same} of {count}" + (f"; other: {'; '.join(others)}" if others else ""),
        ),
        Ratio(
            f"median error of the cost, {when}",
            statistics.median(errors),
            ERROR_TARGET,
            "at most",
            f"worst {max(errors):.3f}, {ROWS:,} users",
        ),
    ]


if __name__ == "__main__":
    for ratio in run():
        print(f"{ratio.name}: {ratio.value:.4f} ({ratio.better} {ratio.target:g}), {ratio.detail}")
