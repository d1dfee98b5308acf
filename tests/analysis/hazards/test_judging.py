"""what is a hazard, and what only looks like one: statements on one schema, and what is found"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.analysis.hazards.conftest import Lint

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN plain AS text;
CREATE DOMAIN given AS text DEFAULT 'x';
CREATE FUNCTION two() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2';
CREATE FUNCTION inlined() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 2';
CREATE FUNCTION opaque() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 2; END';
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, name varchar(50), age int,
    city text CHECK (city IS NOT NULL AND length(city) > 0), street text CHECK (length(street) > 0),
    created_at timestamp, seen_at timestamp, at_time time(3), span interval, address cidr, bits
    varbit(8), amount numeric(10, 2), code int, mood mood, note plain);
CREATE INDEX users_age ON users (age);
CREATE INDEX users_lower ON users (lower(name));
CREATE INDEX users_created ON users (created_at);
CREATE INDEX users_email ON users (email);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL, status text,
    total numeric(10, 2), note varchar(20), ref text, small_user int, placed_at timestamptz,
    CONSTRAINT noted CHECK (length(note) > 0));
CREATE INDEX orders_user_id ON orders (user_id);
CREATE UNIQUE INDEX orders_ref ON orders (ref);
CREATE INDEX orders_small_user ON orders (small_user);
CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint NOT NULL, sku varchar(10));
ALTER TABLE items ADD CONSTRAINT items_order FOREIGN KEY (order_id) REFERENCES orders;
ALTER TABLE items ADD CONSTRAINT sku_given CHECK (sku <> '') NOT VALID;
CREATE VIEW skus AS SELECT id, sku FROM items;
CREATE MATERIALIZED VIEW totals AS SELECT user_id, sum(total) FROM orders GROUP BY user_id;
CREATE MATERIALIZED VIEW keyed AS SELECT user_id, sum(total) FROM orders GROUP BY user_id;
CREATE UNIQUE INDEX keyed_user ON keyed (user_id);
CREATE TABLE events (id bigint NOT NULL, at date NOT NULL, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2023 (id bigint NOT NULL, at date NOT NULL, kind text);
CREATE TABLE events_2022 (id bigint NOT NULL, at date NOT NULL, kind text,
    CHECK (at >= '2022-01-01' AND at < '2023-01-01'));
CREATE TABLE logs (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE logs_2024 PARTITION OF logs FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE logs_rest PARTITION OF logs DEFAULT;
CREATE TABLE logs_2023 (id bigint NOT NULL, at date NOT NULL,
    CHECK (at >= '2023-01-01' AND at < '2024-01-01'));
CREATE TABLE parts (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (9);
CREATE TABLE old_logs (id bigint);
CREATE TABLE older_logs () INHERITS (old_logs);
CREATE TABLE gen (a int, b int GENERATED ALWAYS AS (a) STORED);
CREATE SCHEMA shop;
CREATE TABLE shop.users (id bigint PRIMARY KEY, email text);
CREATE TABLE "Odd. ""Name"" of" ("a b" int, "c.d" text);
"""

# what takes no time, and breaks nobody
SAFE = """
ALTER TABLE users ADD COLUMN c int
ALTER TABLE users ADD COLUMN c int DEFAULT 5
ALTER TABLE users ADD COLUMN c int NOT NULL DEFAULT -1
ALTER TABLE users ADD COLUMN c timestamptz DEFAULT now()
ALTER TABLE users ADD COLUMN c timestamptz NOT NULL DEFAULT pg_catalog.now()
ALTER TABLE users ADD COLUMN c date DEFAULT current_date
ALTER TABLE users ADD COLUMN c text[] DEFAULT ('{}'::text[])
ALTER TABLE users ADD COLUMN c text DEFAULT lower('X')
ALTER TABLE users ADD COLUMN c jsonb NOT NULL DEFAULT '{}'
ALTER TABLE users ADD COLUMN c int DEFAULT two()
ALTER TABLE users ADD COLUMN c int DEFAULT inlined()
ALTER TABLE users ADD COLUMN c plain
ALTER TABLE users ADD COLUMN c given NOT NULL
ALTER TABLE users ADD COLUMN c int GENERATED ALWAYS AS (age * 2) VIRTUAL
ALTER TABLE users ADD COLUMN IF NOT EXISTS age int
ALTER TABLE users ADD COLUMN c bigint; ALTER TABLE users ALTER c SET DEFAULT opaque()
ALTER TABLE users ALTER age SET DEFAULT 3
ALTER TABLE users ALTER age DROP DEFAULT
ALTER TABLE users ALTER id DROP IDENTITY
ALTER TABLE orders ALTER user_id DROP NOT NULL
ALTER TABLE orders ALTER user_id SET NOT NULL
ALTER TABLE users ALTER city SET NOT NULL
ALTER TABLE users ALTER email TYPE varchar
ALTER TABLE orders ALTER ref TYPE text
ALTER TABLE items ADD COLUMN c varchar(10); ALTER TABLE items ALTER c TYPE varchar(20)
ALTER TABLE users ALTER at_time TYPE time(6)
ALTER TABLE users ALTER span TYPE interval(6)
ALTER TABLE users ALTER address TYPE inet
ALTER TABLE users ALTER bits TYPE varbit(16)
ALTER TABLE users ALTER amount TYPE numeric(12, 2)
ALTER TABLE users ALTER code TYPE oid
ALTER TABLE users ALTER seen_at TYPE timestamp(6)
SET LOCAL timezone = 'UTC'; ALTER TABLE users ALTER seen_at TYPE timestamptz
ALTER TABLE users ALTER email SET STATISTICS 500
ALTER TABLE users ALTER email SET STORAGE EXTERNAL
ALTER TABLE users SET (fillfactor = 80)
ALTER TABLE users REPLICA IDENTITY FULL
ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID
ALTER TABLE users ADD CONSTRAINT c NOT NULL email NOT VALID
ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT ENFORCED
ALTER TABLE users DROP CONSTRAINT users_street_check
ALTER TABLE items VALIDATE CONSTRAINT sku_given
ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (user_id) REFERENCES users NOT VALID
ALTER TABLE orders ADD CONSTRAINT c UNIQUE USING INDEX orders_ref
ALTER TABLE users RENAME CONSTRAINT users_street_check TO street_given
ALTER TABLE users DISABLE TRIGGER USER
ALTER INDEX users_age RENAME TO users_by_age
ALTER INDEX users_age SET (fillfactor = 80)
CREATE INDEX CONCURRENTLY users_city ON users (city)
CREATE UNIQUE INDEX CONCURRENTLY users_email_key ON users (email)
CREATE INDEX IF NOT EXISTS users_age ON users (age)
CREATE INDEX events_kind ON ONLY events (kind)
DROP INDEX CONCURRENTLY users_age
DROP INDEX IF EXISTS never_there
REINDEX INDEX CONCURRENTLY users_age
REINDEX TABLE CONCURRENTLY users
REFRESH MATERIALIZED VIEW CONCURRENTLY keyed
VACUUM users
VACUUM (ANALYZE) users
ANALYZE users
ALTER TABLE events DETACH PARTITION events_2024 CONCURRENTLY
ALTER TABLE events ATTACH PARTITION events_2022 FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')
CREATE TABLE notes (id bigint PRIMARY KEY, body text)
CREATE TABLE notes AS SELECT 1 AS id
CREATE TABLE notes (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users)
CREATE TABLE copy (LIKE users INCLUDING ALL)
CREATE TABLE pairs (a int, b int, PRIMARY KEY (a, b))
CREATE TABLE kinds (id smallint PRIMARY KEY, name text)
CREATE TEMP TABLE staged (id bigint, body text); DROP TABLE staged
CREATE VIEW ages AS SELECT id, age FROM users
CREATE OR REPLACE VIEW skus AS SELECT id, sku, order_id FROM items
DROP VIEW skus; CREATE VIEW skus AS SELECT id, sku, order_id FROM items
DROP TABLE IF EXISTS never_there
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()
CREATE SEQUENCE numbers
COMMENT ON TABLE users IS 'people'
GRANT SELECT ON users TO PUBLIC
CREATE POLICY everybody ON users USING (true); ALTER TABLE users ENABLE ROW LEVEL SECURITY
ALTER TYPE mood ADD VALUE 'fine'
ALTER TYPE mood RENAME TO moods
ALTER DOMAIN plain ADD CONSTRAINT short CHECK (length(VALUE) < 9) NOT VALID
ALTER DOMAIN plain DROP NOT NULL
ALTER DOMAIN positive ADD CHECK (VALUE < 99)
LOCK TABLE users IN SHARE UPDATE EXCLUSIVE MODE
LOCK TABLE users IN ACCESS SHARE MODE
SELECT count(*) FROM users
INSERT INTO users (email, city) VALUES ('a@example.com', 'x')
INSERT INTO items (id, order_id) VALUES (1, 1)
UPDATE users SET age = 3 WHERE id = 7
UPDATE users SET age = 3 WHERE id IN (1, 2, 3)
UPDATE users SET age = 3 WHERE id BETWEEN 1 AND 1000
UPDATE users SET age = 3 WHERE id IN (SELECT id FROM users WHERE age IS NULL LIMIT 1000)
DELETE FROM users WHERE email = 'a@example.com'
DELETE FROM users WHERE id = (SELECT 5)
UPDATE users SET age = 3 WHERE id >= 1 AND id < 1000 AND street IS NULL
WITH b AS (SELECT id FROM users WHERE age IS NULL LIMIT 500) UPDATE users u SET age = 1 FROM b WHERE b.id = u.id
DO $$ BEGIN PERFORM 1; END $$
DO $$ BEGIN ALTER TABLE users ADD COLUMN c int DEFAULT 5; END $$
DO $$ BEGIN UPDATE users SET age = 3 WHERE id = 7; END $$
DO $$ BEGIN CREATE TABLE notes (id bigint PRIMARY KEY); CREATE INDEX ON notes (id); END $$
"""  # noqa: E501

# what takes time under a lock, is refused, loses or breaks; with all that is found, and no more
HAZARDOUS = """
DROP VIEW skus -> drop-view
ALTER TABLE users ADD COLUMN c uuid DEFAULT gen_random_uuid() -> add-column-rewrite
ALTER TABLE users ADD COLUMN c timestamptz DEFAULT clock_timestamp() -> add-column-rewrite
ALTER TABLE users ADD COLUMN c int DEFAULT opaque() -> add-column-rewrite
ALTER TABLE users ADD COLUMN c serial -> add-column-rewrite
ALTER TABLE users ADD COLUMN c bigint GENERATED BY DEFAULT AS IDENTITY -> add-column-rewrite
ALTER TABLE users ADD COLUMN c int GENERATED ALWAYS AS (age * 2) STORED -> add-column-rewrite
ALTER TABLE users ADD COLUMN c positive -> add-column-rewrite
ALTER TABLE users ADD COLUMN c uuid DEFAULT gen_random_uuid(), ADD COLUMN d int -> add-column-rewrite
ALTER TABLE events ADD COLUMN c uuid DEFAULT gen_random_uuid() -> add-column-rewrite
ALTER TABLE users ADD COLUMN c int CHECK (c > 0) -> check-scan
ALTER TABLE users ADD COLUMN c text UNIQUE -> unique-index-build
ALTER TABLE users ADD COLUMN c int NOT NULL -> add-not-null-no-default
ALTER TABLE users ADD COLUMN c json -> json-column
ALTER TABLE users ADD COLUMN c bigint REFERENCES users -> fk-missing-index
ALTER TABLE orders ADD COLUMN c bigint, ADD FOREIGN KEY (c) REFERENCES users -> fk-scan fk-missing-index
ALTER TABLE users ALTER email SET NOT NULL -> not-null-scan
ALTER TABLE users ALTER street SET NOT NULL -> not-null-scan
ALTER TABLE events ALTER kind SET NOT NULL -> not-null-scan
ALTER TABLE events_2024 ALTER kind SET NOT NULL -> not-null-scan
ALTER TABLE users ADD CONSTRAINT c NOT NULL email -> not-null-scan
ALTER TABLE users ALTER age TYPE bigint -> type-change-rewrite
ALTER TABLE users ALTER email TYPE varchar(100) -> type-change-rewrite
ALTER TABLE users ALTER amount TYPE numeric(10, 3) -> type-change-rewrite
ALTER TABLE users ALTER seen_at TYPE date -> type-change-rewrite
ALTER TABLE users ALTER age TYPE int USING age + 1 -> type-change-rewrite
ALTER TABLE users ADD COLUMN c int, ALTER age TYPE bigint -> type-change-rewrite
ALTER TABLE users ALTER at_time TYPE time(0) -> type-change-rewrite
SET LOCAL timezone = 'Europe/Paris'; ALTER TABLE users ALTER seen_at TYPE timestamptz -> type-change-rewrite
ALTER TABLE events ALTER kind TYPE varchar(3) -> type-change-rewrite
ALTER TABLE orders ALTER id TYPE int -> type-change-rewrite multi-table-access-exclusive
ALTER TABLE users ALTER name TYPE text -> type-change-index-rebuild
SET LOCAL timezone = 'UTC'; ALTER TABLE users ALTER created_at TYPE timestamptz -> type-change-index-rebuild
ALTER TABLE users ALTER email TYPE text COLLATE "C" -> type-change-index-rebuild
ALTER TABLE orders ALTER note TYPE text -> type-change-revalidates-check
ALTER TABLE items ALTER sku TYPE varchar(20) -> dependent-view
ALTER TABLE users ALTER age TYPE mood -> statement-fails
ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) -> check-scan
ALTER TABLE events ADD CONSTRAINT c CHECK (kind <> '') -> check-scan
ALTER TABLE users ADD CONSTRAINT c UNIQUE (email) -> unique-index-build
ALTER TABLE users ADD CONSTRAINT c EXCLUDE (age WITH =) -> exclusion-constraint-build
ALTER TABLE events_2023 ADD PRIMARY KEY (id) -> pk-index-build
ALTER TABLE events_2023 ADD PRIMARY KEY (kind) -> pk-index-build pk-nullable-columns-scan
ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (user_id) REFERENCES users -> fk-scan
ALTER TABLE events ADD CONSTRAINT c FOREIGN KEY (id) REFERENCES users -> fk-scan fk-missing-index
ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (small_user) REFERENCES users NOT VALID -> fk-type-mismatch
CREATE TABLE notes (id bigint PRIMARY KEY, user_id int REFERENCES users) -> fk-type-mismatch
ALTER TABLE items ADD CONSTRAINT c FOREIGN KEY (order_id) REFERENCES orders NOT VALID -> fk-missing-index
ALTER TABLE items DROP CONSTRAINT items_order -> multi-table-access-exclusive
CREATE INDEX ON users (city) -> index-build-blocks-writes
CREATE UNIQUE INDEX ON users (city) -> index-build-blocks-writes
CREATE INDEX ON events (kind) -> index-build-blocks-writes
CREATE INDEX ON events_2024 (kind) -> index-build-blocks-writes
CREATE INDEX ON totals (user_id) -> index-build-blocks-writes
CREATE INDEX CONCURRENTLY ON events (kind) -> concurrently-on-partitioned
DROP INDEX users_age -> index-drop-blocks
REINDEX INDEX users_age -> reindex-blocks
REINDEX TABLE users -> reindex-blocks
REINDEX TABLE parts -> reindex-blocks
REFRESH MATERIALIZED VIEW totals -> matview-refresh-blocks
REFRESH MATERIALIZED VIEW CONCURRENTLY totals -> matview-no-unique-index
VACUUM FULL users -> storage-rewrite
VACUUM (FULL, ANALYZE) users -> storage-rewrite
CLUSTER users USING users_age -> storage-rewrite
ALTER TABLE events_2023 SET UNLOGGED -> storage-rewrite
ALTER TABLE events ATTACH PARTITION events_2023 FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') -> partition-attach-scan
ALTER TABLE logs ATTACH PARTITION logs_2023 FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') -> partition-default-scan
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') -> partition-create-blocks
CREATE TABLE logs_2026 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') -> partition-create-blocks partition-default-scan
ALTER TABLE events DETACH PARTITION events_2024 -> partition-detach-blocks
ALTER TABLE logs DETACH PARTITION logs_2024 CONCURRENTLY -> unsupported-with-default-partition
ALTER TABLE users DROP COLUMN email -> drop-column
ALTER TABLE events DROP COLUMN kind -> drop-column
ALTER TABLE items DROP COLUMN sku -> dependent-view
ALTER TABLE items DROP COLUMN sku CASCADE -> drop-column dependent-view
DROP TABLE users -> drop-table
DROP TABLE events -> drop-table
DROP TABLE events_2024 -> drop-table
DROP TABLE items -> dependent-view
DROP TABLE orders CASCADE -> drop-table dependent-view multi-table-access-exclusive
DROP TABLE users, events_2023 -> drop-table drop-table multi-table-access-exclusive
DROP SCHEMA shop CASCADE -> drop-table
ALTER TABLE users RENAME COLUMN email TO mail -> rename-column
ALTER VIEW skus RENAME COLUMN sku TO article -> rename-column
ALTER TABLE events RENAME COLUMN kind TO sort -> rename-column
ALTER TABLE users RENAME TO people -> rename-table
ALTER VIEW skus RENAME TO articles -> rename-table
ALTER TABLE users SET SCHEMA shop -> statement-fails
ALTER TABLE orders SET SCHEMA shop -> rename-table
ALTER SCHEMA shop RENAME TO store -> rename-schema
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue' -> rename-enum-value
ALTER TYPE mood ADD VALUE 'fine'; UPDATE users SET mood = 'fine' WHERE id = 1 -> enum-value-used-in-same-tx
ALTER DOMAIN plain ADD CHECK (VALUE <> '') -> domain-constraint-scan
ALTER DOMAIN plain SET NOT NULL -> domain-constraint-scan
TRUNCATE users -> truncate
TRUNCATE orders CASCADE -> truncate truncate-cascade
TRUNCATE events -> truncate
LOCK TABLE users -> explicit-lock-table
LOCK TABLE users IN SHARE MODE -> explicit-lock-table
LOCK TABLE events -> explicit-lock-table
ALTER TABLE users ENABLE ROW LEVEL SECURITY -> rls-default-deny
CREATE TABLE notes (id serial PRIMARY KEY) -> int-primary-key
CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY) -> int-primary-key
CREATE TABLE notes (id bigint PRIMARY KEY, body json) -> json-column
UPDATE users SET age = 3 -> bulk-dml
UPDATE users SET age = 3 WHERE street IS NULL -> bulk-dml
UPDATE users SET city = 'x' WHERE age IS NULL -> bulk-dml
UPDATE users SET city = 'x' WHERE created_at < now() -> bulk-dml
DELETE FROM users WHERE id IN (SELECT user_id FROM orders) -> bulk-dml
UPDATE events SET kind = 'x' WHERE kind IS NULL -> bulk-dml
DELETE FROM users -> bulk-dml
DELETE FROM orders USING users WHERE users.id = orders.user_id AND users.street IS NULL -> bulk-dml
WITH gone AS (DELETE FROM users RETURNING id) SELECT count(*) FROM gone -> bulk-dml
MERGE INTO users u USING orders o ON u.id = o.user_id WHEN MATCHED THEN UPDATE SET age = 1 -> bulk-dml
DO $$ BEGIN UPDATE users SET age = 3; END $$ -> bulk-dml
DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM users LOOP UPDATE users SET age = 1 WHERE id = r.id; END LOOP; END $$ -> bulk-dml
DO $$ BEGIN ALTER TABLE users ALTER email SET NOT NULL; END $$ -> not-null-scan
DO $$ BEGIN EXECUTE 'CREATE INDEX ON users (city)'; END $$ -> index-build-blocks-writes
DO $$ BEGIN ALTER TABLE users ADD COLUMN c int; UPDATE users SET c = 1; END $$ -> bulk-dml work-after-access-exclusive
DO $$ BEGIN TRUNCATE users; END $$ -> truncate
DO $$ BEGIN DROP TABLE users; END $$ -> drop-table
DO $$ BEGIN ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'; END $$ -> rename-enum-value
DO $$ BEGIN LOCK TABLE users; END $$ -> explicit-lock-table
DO $$ BEGIN REFRESH MATERIALIZED VIEW totals; END $$ -> matview-refresh-blocks
DO $$ BEGIN CREATE INDEX CONCURRENTLY ON users (city); END $$ -> concurrently-in-transaction
"""  # noqa: E501


def _lines(text: str) -> list[str]:
    return [line for line in text.strip().splitlines() if line]


@pytest.mark.parametrize("sql", _lines(SAFE))
def test_what_only_looks_like_a_hazard_is_none(
    sql: str, lint: Lint, knows: Callable[[str], None]
) -> None:
    knows(sql)
    assert [(f.hazard, f.relation, f.message) for f in lint(sql, SCHEMA)] == []


@pytest.mark.parametrize("line", _lines(HAZARDOUS))
def test_a_hazard_is_found_and_nothing_besides(
    line: str, lint: Lint, knows: Callable[[str], None]
) -> None:
    sql, _, ids = line.partition(" -> ")
    knows(sql)
    found = lint(sql, SCHEMA)
    assert sorted(f.hazard for f in found) == sorted(ids.split())


BATCHES = """DO $$ DECLARE n int; BEGIN LOOP
    UPDATE users SET city = 'q' WHERE id IN (SELECT id FROM users WHERE city <> 'q' LIMIT 1000);
    GET DIAGNOSTICS n = ROW_COUNT; {} EXIT WHEN n = 0;
END LOOP; END $$"""


def test_batches_in_one_transaction_are_one_change_of_the_whole_table(lint: Lint) -> None:
    found = lint(BATCHES.format(""), given=SCHEMA)
    assert [(f.hazard, f.relation) for f in found] == [("bulk-dml", "public.users")]
    assert lint(BATCHES.format("COMMIT;"), given=SCHEMA, tx="none") == ()
    made = BATCHES.format("").replace("DO", "CREATE PROCEDURE p() LANGUAGE plpgsql AS")
    assert [f.hazard for f in lint(f"{made}; CALL p()", given=SCHEMA)] == ["bulk-dml"]


@pytest.mark.parametrize(
    "branch",
    [
        "IF (SELECT count(*) FROM users) > 10 THEN {}; END IF",
        "IF NOT EXISTS (SELECT FROM users) THEN RETURN; END IF; {}",
        "FOR r IN SELECT id FROM users LOOP {}; END LOOP",
        "IF current_database() = 'shop' THEN {}; END IF",
    ],
)
@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE orders ALTER status TYPE int USING 1",
        "DROP TABLE orders",
        "DELETE FROM orders",
        "EXECUTE format('TRUNCATE %I', r)",
    ],
)
def test_what_a_block_does_not_come_to_without_rows_is_said(
    lint: Lint, branch: str, sql: str
) -> None:
    body = branch.format(sql)
    found = lint(f"DO $$ DECLARE r record; BEGIN {body}; END $$", given=SCHEMA)
    (unseen,) = [f for f in found if f.hazard == "not-reached"]
    assert sql in unseen.message
    assert unseen.provenance == "static"


@pytest.mark.parametrize(
    "body",
    [
        "IF (SELECT count(*) FROM users) = 0 THEN ALTER TABLE orders ADD c int; END IF",
        "IF NOT EXISTS (SELECT FROM pg_class WHERE relname = 'users') THEN"
        " CREATE TABLE users (id int); END IF",
        "IF to_regclass('users') IS NULL THEN CREATE TABLE users (id int); END IF",
        "FOR r IN SELECT id FROM users LOOP RAISE NOTICE '%', r; END LOOP",
        "BEGIN ALTER TABLE orders ADD c int; EXCEPTION WHEN duplicate_column THEN NULL; END",
    ],
)
def test_what_a_block_did_or_rightly_left_out_is_not_called_unseen(lint: Lint, body: str) -> None:
    found = lint(f"DO $$ DECLARE r record; BEGIN {body}; END $$", given=SCHEMA)
    assert "not-reached" not in {f.hazard for f in found}


def test_what_a_function_does_not_come_to_without_rows_is_said(lint: Lint) -> None:
    made = (
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN"
        " IF EXISTS (SELECT FROM users) THEN UPDATE orders SET note = ''; END IF; END $$"
    )
    assert [f.hazard for f in lint(f"{made}; SELECT f()", given=SCHEMA)] == ["not-reached"]


def test_what_a_block_did_under_a_lock_that_was_held_before_is_seen(lint: Lint) -> None:
    before = "ALTER TABLE orders ADD COLUMN c int"
    block = (
        "DO $$ BEGIN IF (SELECT count(*) FROM users) {} 0 THEN"
        " ALTER TABLE orders ADD COLUMN d int; END IF; END $$"
    )
    did = lint(f"{before}; {block.format('=')}", given=SCHEMA, tx="wrapped")
    left = lint(f"{before}; {block.format('>')}", given=SCHEMA, tx="wrapped")
    assert "not-reached" not in {f.hazard for f in did}
    assert "not-reached" in {f.hazard for f in left}
