"""the statistics twin: what the target's planner knows, and not one of its rows"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.errors import RefusedError
from qb_engine.project import Project
from qb_engine.shadow import Scratch
from qb_engine.shadow.twin import Twin, btree, drop, files
from qb_engine.shadow.twin import twin as make
from qb_engine.shadow.twin.copies import copied
from qb_engine.shadow.twin.twin import BASE, TWIN, identity, sweep
from tests.twinned import scratches, twin_home, twin_of, twinned

Connection = psycopg.Connection[tuple[Any, ...]]

__all__ = ["scratches", "twin_home", "twinned"]

# A little of everything that statistics can be about.
SCHEMA = """
CREATE SCHEMA "od.d one";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy, "really"');
CREATE DOMAIN percent AS integer CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE pair AS (a integer, b text);
CREATE TABLE "od.d one"."T a.b""c" (
    "Id x" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mood mood, share percent, tags text[], span tstzrange, spans int4multirange, two pair,
    at timestamptz, day date, took interval, price numeric(10, 2), ratio float8, raw bytea,
    doc jsonb, words tsvector, host inet, flag boolean, gone integer, "wi""de" text, key uuid
);
INSERT INTO "od.d one"."T a.b""c" (mood, share, tags, span, spans, two, at, day, took, price,
       ratio, raw, doc, words, host, flag, "wi""de", key)
SELECT (enum_range(NULL::mood))[1 + n % 3], n % 101, ARRAY['a' || n % 7, 'b, "c" ' || n % 3],
       tstzrange('2024-01-01'::timestamptz + n * interval '1 hour', '2025-01-01'),
       int4multirange(int4range(n, n + 5)), ROW(n % 4, 'x')::pair,
       '2024-01-01'::timestamptz + n * interval '1 hour', '2020-01-01'::date + n % 500,
       n * interval '1 minute', n / 7.0, n / 3.0, decode(lpad(to_hex(n % 90), 4, '0'), 'hex'),
       jsonb_build_object('n', n % 5), to_tsvector('simple', 'word' || n % 20),
       ('10.0.' || n % 100 || '.1')::inet, n % 2 = 0,
       CASE WHEN n % 50 = 0 THEN (SELECT string_agg(md5((n * k)::text), '')
                                    FROM generate_series(1, 200) k) ELSE repeat('w', 100) END,
       md5(n::text)::uuid
  FROM generate_series(1, 3000) n;
ALTER TABLE "od.d one"."T a.b""c" DROP COLUMN gone;
CREATE INDEX "Low.er idx" ON "od.d one"."T a.b""c" (lower(left("wi""de", 50)), (share / 10));
CREATE INDEX part ON "od.d one"."T a.b""c" (at) WHERE flag;
CREATE INDEX gin ON "od.d one"."T a.b""c" USING gin (tags);
CREATE INDEX gist ON "od.d one"."T a.b""c" USING gist (span);
CREATE UNLOGGED TABLE quick (id bigint PRIMARY KEY, v text);
INSERT INTO quick SELECT n, 'v' || n % 10 FROM generate_series(1, 5000) n;
CREATE MATERIALIZED VIEW daily AS SELECT day, count(*) AS n FROM "od.d one"."T a.b""c" GROUP BY 1;
CREATE INDEX ON daily (day);
CREATE TABLE split (id integer, at date NOT NULL, kind text) PARTITION BY RANGE (at);
CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM ('2024-01-01') TO ('2024-07-01');
CREATE TABLE split_2 PARTITION OF split FOR VALUES FROM ('2024-07-01') TO ('2025-01-01');
INSERT INTO split SELECT n, '2024-01-01'::date + n % 366, 'k' || n % 4
  FROM generate_series(1, 20000) n WHERE n % 366 < 366;
CREATE INDEX ON split (id);
CREATE TABLE big (id integer PRIMARY KEY, other integer, name text);
INSERT INTO big SELECT n, n % 1000, 'name ' || n FROM generate_series(1, 60000) n;
CREATE INDEX ON big (other);
CREATE INDEX ON big (name text_pattern_ops);
CREATE TABLE empty (id integer PRIMARY KEY);
"""
LATER = """
CREATE TABLE unseen (id integer PRIMARY KEY, v text);
ALTER TABLE unseen SET (autovacuum_enabled = off);
INSERT INTO unseen SELECT n, 'v' FROM generate_series(1, 5000) n;
"""
QUERIES = """
SELECT * FROM big WHERE id = 5
SELECT * FROM big WHERE id BETWEEN 20005 AND 20500
SELECT * FROM big WHERE other = 7
SELECT * FROM big WHERE other IN (1, 2, 3)
SELECT * FROM big WHERE name LIKE 'name 12%'
SELECT count(*) FROM big b JOIN big c ON c.id = b.other
SELECT DISTINCT other FROM big
SELECT *, rank() OVER (PARTITION BY other ORDER BY id) FROM big
SELECT * FROM quick WHERE v = 'v3' ORDER BY id DESC LIMIT 5
SELECT * FROM daily WHERE day = '2020-03-01'
SELECT kind, count(*) FROM split GROUP BY kind
SELECT * FROM split WHERE at = '2024-02-02' AND id < 300
SELECT * FROM split WHERE id = 7
SELECT * FROM "od.d one"."T a.b""c" WHERE at > '2024-04-01' AND flag
SELECT * FROM "od.d one"."T a.b""c" WHERE lower(left("wi""de", 50)) = 'x'
SELECT * FROM "od.d one"."T a.b""c" WHERE share / 10 = 3 AND mood = 'sad'
SELECT * FROM "od.d one"."T a.b""c" WHERE mood = 'ok' AND share < 10
SELECT * FROM "od.d one"."T a.b""c" WHERE span @> '2024-03-01'::timestamptz
SELECT * FROM empty
SELECT * FROM unseen WHERE id = 3
SELECT count(*) FROM unseen
WITH b AS (SELECT other, count(*) AS n FROM big GROUP BY 1) SELECT * FROM b WHERE n > 3
UPDATE big SET name = 'x' WHERE other = 5
DELETE FROM big WHERE id > 40000
INSERT INTO empty SELECT id FROM big WHERE other < 10
"""

RELATIONS = """
SELECT c.oid::regclass::text, c.relkind::text, c.relpages, c.reltuples, c.relallvisible,
       CASE WHEN c.relkind IN ('r', 'm', 'i') THEN pg_relation_size(c.oid) END
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 'i', 'p') AND n.nspname IN ('public', 'od.d one') ORDER BY 1
"""
STATISTICS = """
SELECT schemaname, tablename, attname, inherited, null_frac, avg_width, n_distinct,
       most_common_vals::text, most_common_freqs, histogram_bounds::text, correlation,
       most_common_elems::text, most_common_elem_freqs, elem_count_histogram
  FROM pg_stats WHERE schemaname IN ('public', 'od.d one') ORDER BY 1, 2, 3, 4
"""


@contextmanager
def inside(made: Twin, dbname: str | None = None) -> Iterator[Connection]:
    conn = made.server.connect(dbname or made.dbname)
    try:
        yield conn
    finally:
        conn.close()


def rows(conn: Connection, query: str) -> list[tuple[Any, ...]]:
    return conn.execute(query.encode()).fetchall()


def explained(conn: Connection, query: str) -> list[str]:
    return [line for (line,) in rows(conn, f"EXPLAIN {query}")]


@pytest.fixture(scope="module")
def everything(shared_database: Target) -> Target:
    """A target with all kinds of relations, analysed but for one; no test changes it."""
    with psycopg.connect(shared_database.conninfo, autocommit=True) as conn:
        conn.execute(SCHEMA.encode())
        conn.execute("VACUUM ANALYZE")
        conn.execute(LATER.encode())
    return shared_database


@pytest.fixture
def whole(everything: Target) -> Iterator[Connection]:
    """A connection to it."""
    with psycopg.connect(everything.conninfo, autocommit=True) as conn:
        yield conn


def test_a_twin_has_the_targets_statistics_and_sizes_and_none_of_its_rows(
    scratches: Scratch, everything: Target, whole: Connection
) -> None:
    with twin_of(scratches, everything) as made, inside(made) as conn:
        assert rows(conn, RELATIONS) == rows(whole, RELATIONS)
        assert rows(conn, STATISTICS) == rows(whole, STATISTICS)
        assert len(rows(conn, STATISTICS)) > 30
        assert rows(conn, "SELECT count(*) FROM big") == [(0,)]
        assert made.facts.rows > 80_000
        gaps = {gap.name for gap in made.facts.gaps}
        expected = {"GIN indexes (1)"}
        if (version := whole.info.server_version) < 180_000:
            expected |= {"planner"} | ({"range statistics"} if version < 170_000 else set())
    assert gaps == expected


def test_every_plan_is_the_targets_to_the_last_digit(
    scratches: Scratch, everything: Target, whole: Connection
) -> None:
    with twin_of(scratches, everything) as made, inside(made) as conn:
        same = conn.info.server_version // 10_000 == whole.info.server_version // 10_000
        for query in QUERIES.strip().splitlines():
            found, wanted = explained(conn, query), explained(whole, query)
            assert found == wanted or not same, query  # another version may plan otherwise


def test_the_trees_that_are_written_are_sound(
    scratches: Scratch, database: Target, connection: Connection
) -> None:
    connection.execute(
        "CREATE TABLE t AS SELECT n AS id, md5(n::text) AS v FROM generate_series(1, 120000) n;"
        "CREATE INDEX i ON t (id); CREATE INDEX v ON t (v);"
        "CREATE INDEX s ON t (id) WHERE id < 50000; CREATE INDEX e ON t (id) WHERE id < 0;"
        "ANALYZE t"
    )
    with twin_of(scratches, database) as made, inside(made) as conn:
        conn.execute("CREATE EXTENSION amcheck")
        names = ["i", "v", "s", "e"]
        conn.execute("SELECT bt_index_parent_check(i::regclass) FROM unnest(%s::text[]) i", [names])
        levels = (
            "SELECT index, bt_metap.fastlevel FROM unnest(%s::text[]) AS index, bt_metap(index)"
        )
        for each in (conn, connection):
            each.execute("CREATE EXTENSION pageinspect")
        found = conn.execute(levels, [names]).fetchall()
        assert found == connection.execute(levels, [names]).fetchall()
        assert {level for _, level in found} == {0, 1, 2}
        conn.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")  # and they can be written to
        conn.execute("SET enable_seqscan = off")
        assert rows(conn, "SELECT v FROM t WHERE id = 2") == [("y",)]


def test_between_equal_costs_the_twin_chooses_as_the_target_does(
    scratches: Scratch, database: Target, connection: Connection
) -> None:
    connection.execute(
        "CREATE TABLE t AS SELECT n AS a, n AS b, n % 2 = 0 AS c FROM generate_series(1, 9000) n;"
        "CREATE INDEX z ON t (a) WHERE c; CREATE INDEX m ON t (a); CREATE INDEX b ON t (a) WHERE c;"
        "ANALYZE t"
    )
    with twin_of(scratches, database) as made, inside(made) as conn:
        for query in ("SELECT * FROM t WHERE a = 6 AND c", "SELECT * FROM t WHERE a = 7"):
            assert explained(conn, query) == explained(connection, query)
        names = "SELECT relname::text FROM pg_class WHERE relname IN ('z', 'm', 'b') ORDER BY oid"
        assert rows(conn, names) == [("z",), ("m",), ("b",)]


def test_a_file_is_lengthened_in_segments_and_takes_no_space(tmp_path: Path) -> None:
    (tmp_path / "16384").write_bytes(b"")
    pages = 2 * files.SEGMENT_PAGES + 10
    used = files.extend(tmp_path, [files.Length("16384", pages)], checksums=True)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"16384": 1 << 30, "16384.1": 1 << 30, "16384.2": 10 * btree.PAGE}
    assert used < 1 << 20


def test_a_target_without_tables_has_a_twin(scratches: Scratch, database: Target) -> None:
    with twin_of(scratches, database) as made:
        assert (made.facts.tables, made.facts.rows, made.facts.pretended) == (0, 0, 0)


def test_the_planners_settings_come_along(
    scratches: Scratch, database: Target, connection: Connection
) -> None:
    name = connection.info.dbname
    for setting in (
        *("random_page_cost = 1.25", "work_mem = '77MB'", "enable_hashjoin = off", "jit = off"),
        *('search_path = "a b", public', "effective_cache_size = '9GB'"),
    ):
        connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
    connection.execute('CREATE SCHEMA "a b"; CREATE TABLE "a b".t (id integer)')
    with twin_of(scratches, database) as made, inside(made) as conn:
        assert dict(made.facts.settings)["random_page_cost"] == "1.25"
        for setting, value in (
            *(("random_page_cost", "1.25"), ("work_mem", "77MB"), ("enable_hashjoin", "off")),
            *(("search_path", '"a b", public'), ("effective_cache_size", "9GB")),
        ):
            assert rows(conn, f"SHOW {setting}") == [(value,)]
        assert explained(conn, "SELECT * FROM t")


def test_without_values_no_value_of_a_row_leaves_the_target(
    scratches: Scratch, everything: Target
) -> None:
    with twin_of(scratches, everything, values=False) as made:
        assert not made.facts.values
        for dbname in (made.dbname, made.base):
            with inside(made, dbname) as conn:
                held = rows(
                    conn,
                    "SELECT count(*) FILTER (WHERE coalesce(most_common_vals::text,"
                    " histogram_bounds::text, most_common_elems::text) IS NOT NULL),"
                    " count(*) FILTER (WHERE n_distinct <> 0), count(correlation) FROM pg_stats"
                    " WHERE schemaname IN ('public', 'od.d one')",
                )
                assert held[0][0] == 0
                assert min(held[0][1:]) > 20
                assert "name 1" not in str(rows(conn, "SELECT t::text FROM qb.twin_column t"))
    with twin_of(scratches, everything) as made:  # nobody asked for values: it stays as it was made
        assert not made.fresh
        assert not made.facts.values
    with twin_of(scratches, everything, values=True) as made:
        assert made.fresh


def test_a_twin_is_kept_until_the_schema_changes(
    scratches: Scratch, database: Target, connection: Connection
) -> None:
    connection.execute("CREATE TABLE t (id integer)")
    with twin_of(scratches, database) as made:
        assert made.fresh
    with twin_of(scratches, database) as made:
        assert not made.fresh
    connection.execute("ALTER TABLE t ADD v text")
    with twin_of(scratches, database) as made:
        assert made.fresh
    with twin_of(scratches, database, refresh=True) as made:
        assert made.fresh


def test_a_twin_is_dropped_when_asked(
    scratches: Scratch, database: Target, connection: Connection
) -> None:
    connection.execute("CREATE TABLE t (id integer)")
    with twin_of(scratches, database) as made:
        names = [made.dbname, made.base]
    there = "SELECT count(*) FROM pg_database WHERE datname = ANY (%s)"
    with connection as conn:
        assert drop(scratches, conn)
        assert not drop(scratches, conn)
    with scratches.connect("postgres") as admin:
        assert admin.execute(there, [names]).fetchone() == (0,)


def test_a_twin_that_was_never_finished_is_swept(scratches: Scratch) -> None:
    with scratches.connect("postgres") as admin:
        for prefix in (TWIN, BASE):
            admin.execute(f"CREATE DATABASE {prefix}0123456789abcdef".encode())
        sweep(admin)
        left = rows(admin, "SELECT datname::text FROM pg_database")
    assert not [name for (name,) in left if name.endswith("0123456789abcdef")]


def test_what_a_role_may_not_read_is_named(
    scratches: Scratch, database: Target, connection: Connection
) -> None:
    role = f"reader_{connection.info.dbname}"
    connection.execute(
        f"CREATE TABLE open (id integer, v text); CREATE TABLE hidden (id integer, secret text);"
        f"CREATE TABLE guarded (id integer); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;"
        f"INSERT INTO open SELECT n, 'v' FROM generate_series(1, 100) n;"
        f"INSERT INTO hidden SELECT n, 'word' FROM generate_series(1, 100) n;"
        f"INSERT INTO guarded SELECT generate_series(1, 100); ANALYZE;"
        f"CREATE ROLE {role} LOGIN; GRANT SELECT ON open, guarded TO {role};"
        f"GRANT SELECT (id) ON hidden TO {role}".encode()
    )
    low = Target("low", make_conninfo(database.conninfo, user=role))
    try:
        with (
            psycopg.connect(low.conninfo, autocommit=True) as conn,
            make(scratches, database, conn, refresh=True) as made,
            inside(made) as inner,
        ):
            gaps = {gap.name: gap.why for gap in made.facts.gaps}
            assert "1 of its columns" in gaps["public.hidden"]
            assert "policies" in gaps["public.guarded"]
            assert "public.open" not in gaps
            query = "SELECT attname::text FROM pg_stats WHERE tablename = 'hidden'"
            assert rows(inner, query) == [("id",)]
    finally:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_extended_statistics_are_given_or_named(
    scratches: Scratch, database: Target, connection: Connection
) -> None:
    connection.execute(
        "CREATE TABLE t (gone integer, a integer, b integer, c integer);"
        "INSERT INTO t SELECT 1, n % 100, n % 100, n % 200 FROM generate_series(1, 10000) n;"
        "ALTER TABLE t DROP COLUMN gone; CREATE STATISTICS pairs (ndistinct) ON a, b, c FROM t;"
        "CREATE STATISTICS follows (dependencies) ON a, b, (c / 2) FROM t;"
        "CREATE STATISTICS common (mcv) ON a, c FROM t; ANALYZE t"
    )
    with twin_of(scratches, database) as made, inside(made) as conn:
        gaps = {gap.name: gap.why for gap in made.facts.gaps}
        assert set(gaps) - {"planner"} == {"public.follows", "public.common"}
        assert "common combinations" in gaps["public.common"]
        assert gaps["public.follows"].startswith("statistics of expressions")
        for query in (
            *("SELECT a, b FROM t GROUP BY a, b", "SELECT a, b, c FROM t GROUP BY a, b, c"),
            "SELECT * FROM t WHERE a = 7 AND b = 7",
        ):
            assert explained(conn, query) == explained(connection, query)
        assert "rows=100 " in explained(conn, "SELECT * FROM t WHERE a = 7 AND b = 7")[0]


def test_nobody_vacuums_or_analyses_a_twin(scratches: Scratch, everything: Target) -> None:
    with twin_of(scratches, everything) as made, inside(made) as conn:
        query = (
            "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'm', 't') AND oid >= 16384"
            " AND NOT coalesce('autovacuum_enabled=false' = ANY (reloptions), false)"
            " AND relnamespace <> 'qb'::regnamespace"
        )
        assert rows(conn, query) == [(0,)]


def test_a_table_that_somebody_holds_does_not_keep_a_twin_waiting(
    scratches: Scratch, database: Target, connection: Connection
) -> None:
    connection.execute("CREATE TABLE t (id integer); INSERT INTO t VALUES (1); ANALYZE t")
    with twin_of(scratches, database):
        pass
    with psycopg.connect(connection.info.dsn, dbname=connection.info.dbname) as holder:
        holder.execute("LOCK TABLE t")
        with copied_base(scratches, connection) as gaps:
            assert any("locked" in gap for gap in gaps)


@contextmanager
def copied_base(server: Scratch, conn: Connection) -> Iterator[list[str]]:
    """Read the statistics anew into a copy of the twin's base."""
    from qb_engine.shadow.twin import statistics

    with copied(server, BASE + identity(conn)) as dbname:
        inner = server.connect(dbname)
        try:
            inner.execute("DROP SCHEMA qb CASCADE")
            yield [gap.why for gap in statistics.copy(conn, inner, values=True)]
        finally:
            inner.close()


def test_a_server_whose_files_are_not_ours_is_refused(
    project: Project, connection: Connection
) -> None:
    session = Session(root=project.root)  # its qb.toml names a server for shadows
    with pytest.raises(RefusedError, match="embedded") as refused:
        invoke(session, ["twin"])
    assert refused.value.code == "no-shadow"


def test_the_report_says_how_sensitive_a_twin_is(twinned: Session, connection: Connection) -> None:
    connection.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id; ANALYZE t")
    report = invoke(twinned, ["twin"])
    assert report is not None
    assert "treat it as you treat the target" in str(report)
    assert report.as_dict()["rows"] == 1000
    report = invoke(twinned, ["twin", "--no-values"])
    assert "treat it as you treat the target" not in str(report)
    assert "is dropped" in str(invoke(twinned, ["twin", "--drop"]))
    assert "there is no twin" in str(invoke(twinned, ["twin", "--drop"]))
