"""ranges and batches: every row in exactly one, of about as many rows, found by the index"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, LiteralString

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from qb_engine.backfill.spec import SetColumn, Spec
from qb_engine.backfill.walk import split, statements
from qb_engine.backfill.walk.keys import KeyColumn
from qb_engine.backfill.walk.statements import Key
from qb_engine.database import Target

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(shared_database: Target) -> Iterator[Connection]:
    """An autocommit connection to a database where nobody else has a table `t`."""
    with psycopg.connect(shared_database.conninfo, autocommit=True) as conn:
        yield conn
        conn.execute("DROP TABLE t")


def spec_of(*key: KeyColumn, **given: Any) -> Spec:
    written = (SetColumn("v", "text", "'x'"),)
    return Spec("m", "", "public", "t", key, written, **{"batch_size": 1, **given})


# -- arithmetic, against the server ------------------------------------------------------------

ODD = [
    "",
    " ",
    "'",
    '"',
    "\\",
    "%s",
    "{}",
    "\\'--",
    "é",
    "e\u0301",
    "😀",
    "a b",
    "a,b",
    "NULL",
    "\t\n",
]
TEXT = st.sampled_from(ODD) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
)
FEW = st.integers(-2, 2).map(str)
WIDE = st.integers(-(2**31), 2**31 - 1).map(str)
MOMENT = st.sampled_from(
    ["infinity", "-infinity", "0044-03-15 BC", "2024-03-31 02:30:00.000001+01"]
)
NUMBER = st.sampled_from(["NaN", "Infinity", "-Infinity", "0", "-0.10", "1e-7"]) | WIDE
UUID = st.uuids().map(str)

SHAPES: dict[str, tuple[list[KeyColumn], list[Any]]] = {
    "a prefix of few values": ([KeyColumn("a", "integer"), KeyColumn("b", "bigint")], [FEW, WIDE]),
    "text of another collation": (
        [KeyColumn("a", "text", 'pg_catalog."C"'), KeyColumn("b", "integer", "")], [TEXT, FEW],
    ),
    "text in a language's order": (
        [KeyColumn("a", "text", "of a language"), KeyColumn("b", "text")], [TEXT, TEXT],
    ),
    "moments": (
        [KeyColumn("a", "integer"), KeyColumn("b", "timestamp with time zone")], [FEW, MOMENT],
    ),
    "numbers that are none": ([KeyColumn("a", "numeric"), KeyColumn("b", "double precision")],
                              [NUMBER, NUMBER]),
    "three columns": (
        [KeyColumn("a", "date"), KeyColumn("b", "uuid"), KeyColumn("c", "integer")],
        [MOMENT, UUID, FEW],
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_row_is_in_exactly_one_range_and_one_batch(
    connection: Connection, shape: str
) -> None:
    """Contiguous ranges in order, and batches that cover each; whatever the key's values are."""
    columns, values = SHAPES[shape]
    columns = [spoken(connection, column) for column in columns]
    spec = spec_of(*columns, parallel=3)
    made = ", ".join(f"{column.name} {column.type} NOT NULL" for column in columns)
    order = statements.key_order(spec)
    connection.execute(f"CREATE TABLE t ({made}, v text)".encode())
    connection.execute(sql.SQL("CREATE UNIQUE INDEX ON t ({})").format(order))
    fill = sql.SQL("TRUNCATE t; INSERT INTO t VALUES {} ON CONFLICT DO NOTHING")

    @settings(
        max_examples=25, deadline=None, database=None, derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    @given(st.lists(st.tuples(*values), min_size=1, max_size=24), st.integers(1, 4))
    def holds(rows: list[tuple[str, ...]], size: int) -> None:
        given = [sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row))) for row in rows]
        connection.execute(fill.format(sql.SQL(", ").join(given)))
        ranges = split.ranges(connection, spec, len(rows))
        assert ranges[0].lo is None
        assert [each.lo for each in ranges[1:]] == [each.hi for each in ranges[:-1]]
        batches = [edge for each in ranges for edge in walked(connection, spec, each, size)]
        for bounds in ([(each.lo, each.hi) for each in ranges], batches):
            counts, rising = covered(connection, spec, bounds)
            assert counts == {1}
            assert rising

    holds()


def spoken(conn: Connection, column: KeyColumn) -> KeyColumn:
    """A column with a collation that is there: not every PostgreSQL comes with ICU."""
    if column.collation != "of a language":
        return column
    found = conn.execute(
        "SELECT collname FROM pg_collation WHERE collname IN ('en-x-icu', 'ucs_basic')"
        " ORDER BY collname LIMIT 1"
    ).fetchall()
    return replace(column, collation=f'pg_catalog."{found[0][0]}"')


def walked(conn: Connection, spec: Spec, each: split.Range, size: int) -> list[tuple[Key, Key]]:
    """The batches of a range, as a lane finds them."""
    found: list[tuple[Key, Key]] = []
    at = each.lo
    while edge := conn.execute(statements.boundary(spec, at, each.hi, size)).fetchone():
        found.append((at, edge[0]))
        at = edge[0]
    return [*found, (at, each.hi)]


def covered(conn: Connection, spec: Spec, bounds: list[tuple[Key, Key]]) -> tuple[set[int], bool]:
    """In how many of the ranges rows are; and whether the ends rise, by the server's comparison."""
    once = sql.SQL(" + ").join(
        sql.SQL("({})::int").format(statements.within(spec, lo, hi)) for lo, hi in bounds
    )
    key = sql.SQL(", ").join(statements.key_columns(spec))
    rising = [
        sql.SQL("(SELECT ({}) > ({}) FROM (SELECT {}) AS k ({}))").format(
            key, statements._values(spec, lo or ()), statements._values(spec, hi or ()),
            sql.SQL(", ").join(sql.Identifier(column.name) for column in spec.key),
        )
        for lo, hi in bounds
        if lo is not None and lo != hi
    ]  # fmt: skip
    found = conn.execute(
        sql.SQL("SELECT array_agg(DISTINCT {}), {} FROM t").format(
            once, sql.SQL(" AND ").join(rising or [sql.SQL("true")])
        )
    ).fetchall()
    return set(found[0][0]), bool(found[0][1])


# -- equal rows --------------------------------------------------------------------------------

SKEWED: dict[str, LiteralString] = {
    "one tenant has nine rows of ten": "CASE WHEN n % 10 < 9 THEN 5 ELSE n % 50 END, n",
    "tenants were loaded one after the other": "floor(sqrt(n)) / 20, n",
    "few tenants, random ids": "n % 3, hashint4(n)",
    "one tenant only": "7, n",
    "tenants in the power of two": "floor(log(2, n)), hashint4(n)",
}


@pytest.mark.parametrize("skew", SKEWED)
def test_ranges_have_about_as_many_rows(connection: Connection, skew: str) -> None:
    """The largest of 16 has less than 1.3 times the rows of the mean, however skewed the key.

    Nobody has analyzed the table: its rows are looked at, not its statistics.
    """
    connection.execute(
        "CREATE TABLE t (a int, b int, v text, PRIMARY KEY (a, b))"
        " WITH (autovacuum_enabled = false, fillfactor = 10)"  # more blocks than are read
    )
    connection.execute(
        "INSERT INTO t SELECT " + SKEWED[skew] + " FROM generate_series(1, 40000) AS n"
    )
    spec = spec_of(KeyColumn("a", "integer"), KeyColumn("b", "integer"), parallel=4)
    ranges = split.ranges(connection, spec, 40_000)
    counts = [
        connection.execute(statements.count(spec, each.lo, each.hi)).fetchall()[0][0]
        for each in ranges
    ]
    assert (len(counts), sum(counts)) == (16, 40_000)
    assert max(counts) / (sum(counts) / len(counts)) < 1.3


def test_keys_that_come_in_the_period_of_the_sample_are_split_evenly(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every hundredth part of the table begins with the same keys, and as many blocks are read."""
    monkeypatch.setattr(split, "SAMPLE_ROWS", 0)
    monkeypatch.setattr(split, "SAMPLE_BLOCKS", 100)
    connection.execute("CREATE TABLE t (a int, b int, v text, PRIMARY KEY (a, b))")
    connection.execute("INSERT INTO t SELECT n % 400, n FROM generate_series(1, 40000) AS n")
    spec = spec_of(KeyColumn("a", "integer"), KeyColumn("b", "integer"), parallel=2)
    ranges = split.ranges(connection, spec, 40_000)
    counts = [
        connection.execute(statements.count(spec, each.lo, each.hi)).fetchall()[0][0]
        for each in ranges
    ]
    assert max(counts) / (sum(counts) / len(counts)) < 1.3
    assert len(ranges) == 8


def test_a_table_of_any_size_is_split_by_as_few_of_its_blocks() -> None:
    """What a sample reads does not grow with the table: every nth block."""
    spec = spec_of(KeyColumn("a", "integer"))
    text = split._sample(spec, sql.SQL("a").format(), 10**9, 10**6).as_string(None)
    assert "generate_series(0, 999)" in text


@pytest.mark.parametrize(
    ("key", "parallel", "count"), [("n / 10000", 4, 2), ("5", 4, 1), ("n / 1000", 2, 8)]
)
def test_rows_of_one_key_are_in_one_range(
    connection: Connection, key: LiteralString, parallel: int, count: int
) -> None:
    """A key that is not unique, with a named index: there are as many ranges as keys at most."""
    connection.execute("CREATE TABLE t (a int NOT NULL, v text)")
    connection.execute("INSERT INTO t SELECT " + key + " FROM generate_series(0, 19999) AS n")
    connection.execute("CREATE INDEX ON t (a)")
    spec = spec_of(KeyColumn("a", "integer"), parallel=parallel)
    ranges = split.ranges(connection, spec, 20_000)
    assert len(ranges) == count
    assert covered(connection, spec, [(each.lo, each.hi) for each in ranges])[0] == {1}


# -- how the server goes about it --------------------------------------------------------------


def plan(conn: Connection, query: sql.Composed) -> str:
    return "\n".join(line for (line,) in conn.execute(sql.SQL("EXPLAIN (COSTS off) ") + query))


BIG = (
    "INSERT INTO t (a, b)"
    " SELECT (CASE WHEN n % 10 < 9 THEN 5 ELSE n % 50 END)::text::{}, n::text::{}"
    " FROM generate_series(1, 60000) AS n"
)


@pytest.mark.parametrize("types", [("integer", "bigint"), ("integer", "text"), ("text", "integer")])
@pytest.mark.parametrize("order", ["", "DESC", "DESC NULLS LAST"])
def test_boundaries_come_from_the_index_alone_and_batches_go_by_it(
    connection: Connection, types: tuple[str, str], order: str
) -> None:
    """Also where a batch goes from a tenant with few rows into the one with nine of ten."""
    connection.execute(
        f"CREATE TABLE t (a {types[0]} NOT NULL, b {types[1]} NOT NULL, v text)".encode()
    )
    connection.execute(f"CREATE UNIQUE INDEX ON t (a {order}, b {order})".encode())
    connection.execute(BIG.format(*types).encode())
    connection.execute("VACUUM ANALYZE t")
    last = order == "DESC NULLS LAST"
    spec = spec_of(*(KeyColumn(name, kind, "", last) for name, kind in zip("ab", types)))
    low = ["48", "48"]
    heavy: Key = connection.execute(
        statements.boundary(spec, ["5", "30000"], None, 300)
    ).fetchall()[0][0]
    into: Key = connection.execute(statements.boundary(spec, ["49", "1"], None, 300)).fetchall()[0][
        0
    ]
    for lo, hi in (
        (None, ["5", "10000"]),
        (low, None),
        (["5", "30000"], heavy),
        (["4", "9"], ["5", "11"]),
    ):
        assert "Index Only Scan" in plan(connection, statements.boundary(spec, lo, hi, 500))
    assert "Index Only Scan" in plan(connection, statements.highest(spec))
    for lo, hi in ((["5", "30000"], heavy), (["49", "1"], into), (["4", "9"], ["5", "11"])):
        shown = plan(connection, statements.write(spec, lo, hi))
        assert "Seq Scan" not in shown
        assert "Index Cond" in shown
