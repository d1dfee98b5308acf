"""the key that is walked by: any unique one without NULL, in its index's order; the best one"""

from __future__ import annotations

from dataclasses import replace
from typing import LiteralString

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qb_engine.backfill.spec import Spec, describe
from qb_engine.backfill.walk.keys import CTID, Index, KeyColumn, choose
from qb_engine.errors import InputError
from tests.backfill.conftest import Case

ID = KeyColumn("id", "integer")
U = KeyColumn("u", "text")
PRIMARY = Index("p", True, True, (ID,), True, True)
OTHER = Index("u", False, True, (U,), True, True, kind=2, width=40)


def described(case: Case, **given: object) -> Spec:
    return describe(case.conn, case.declare(**{"table": "t", "set": {"v": "'x'"}, **given}))


# -- which one ---------------------------------------------------------------------------------


def test_the_primary_key_is_walked_by_where_nothing_else_is_known() -> None:
    assert choose([OTHER, PRIMARY], None, table="t").columns == (ID,)
    assert choose([PRIMARY, OTHER], "u", table="t").columns == (U,)


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        ({"correlation": 0.99, "kind": 2}, {"correlation": 0.1}, "rows on disk (correlation 0.99)"),
        ({"correlation": -0.95}, {"correlation": None}, "rows on disk (correlation -0.95)"),
        ({"correlation": None}, {"correlation": 0.5}, "rows on disk (correlation not known)"),
        ({"kind": 0, "width": 8}, {"kind": 1, "width": 2}, "quickest to compare"),
        ({"columns": (U,)}, {"columns": (ID, U), "primary": True}, "fewest columns"),
        ({"primary": True, "width": 8}, {"width": 4}, "the primary key goes before"),
        ({"width": 2}, {"width": 8}, "narrowest"),
        ({"name": "a"}, {"name": "b"}, "the first by name"),
    ],
)
def test_the_best_key_is_chosen_and_said(
    better: dict[str, object], worse: dict[str, object], why: str
) -> None:
    plain = Index("i", False, True, (ID,), True, True, correlation=1.0)
    good, bad = replace(plain, **better), replace(plain, **worse)  # type: ignore[arg-type]
    for found in ([good, bad], [bad, good]):
        choice = choose(found, None, table="t")
        assert choice.columns == good.columns
        assert why in choice.said


INDEX = st.builds(
    Index, st.sampled_from("abc"), st.booleans(), st.booleans(), st.just((ID,)), st.booleans(),
    st.booleans(), kind=st.integers(0, 2), width=st.integers(1, 50),
    correlation=st.none() | st.floats(-1, 1),
)  # fmt: skip


@given(st.lists(INDEX, max_size=5, unique_by=lambda index: index.name))
def test_what_is_chosen_is_always_a_key(found: list[Index]) -> None:
    try:
        choice = choose(found, None, table="t")
    except InputError:
        assert not any(index.usable for index in found)
    else:
        assert any(index.usable and index.columns == choice.columns for index in found)


@pytest.mark.parametrize(
    "index",
    [
        Index("nullable", False, True, (ID,), False, True),
        Index("not unique", False, False, (ID,), True, True),
        Index("in another order", False, True, (ID,), True, False),
    ],
)
def test_no_other_index_is_walked_by_on_its_own(index: Index) -> None:
    with pytest.raises(InputError, match="no key to walk by") as raised:
        choose([index], None, table="t")
    assert "add a primary key" in raised.value.todo
    assert "where" in raised.value.todo
    assert choose([index], None, table="t", not_by_place="").columns == (CTID,)


def test_a_key_in_the_order_of_the_rows_is_taken_before_a_primary_key_in_none(case: Case) -> None:
    case.sql("CREATE TABLE t (id uuid PRIMARY KEY, n bigint NOT NULL UNIQUE, v text)")
    case.sql("INSERT INTO t SELECT md5(n::text)::uuid, n FROM generate_series(1, 1000) AS n")
    assert [column.name for column in described(case).key] == ["n"]  # quicker to compare
    case.sql("ANALYZE t")
    spec = described(case)
    assert [column.name for column in spec.key] == ["n"]
    assert spec.key_said == (
        "walked by n (bigint), the unique index t_n_key, the best of 2 keys: its order is the most "
        "like that of the rows on disk (correlation 1.00)"
    )


# -- what can be one ---------------------------------------------------------------------------

WALKED: dict[str, tuple[LiteralString, LiteralString, LiteralString]] = {
    "descending": ("k int", "UNIQUE (k DESC)", "n"),
    "descending, nulls last": ("k int", "UNIQUE (k DESC NULLS LAST)", "n"),
    "nulls first": ("k int", "UNIQUE (k NULLS FIRST)", "n"),
    "two columns descending": ("j int, k text", "UNIQUE (j DESC, k DESC)", "n % 3, n::text"),
    "two columns, nulls at the other end": (
        "j int, k int", "UNIQUE (j DESC NULLS LAST, k DESC NULLS LAST)", "n % 3, n",
    ),
    "another collation": ("k text", 'UNIQUE (k COLLATE "C")', "chr(64 + n % 60) || n"),
    "included columns": ("k int", "UNIQUE (k) INCLUDE (v)", "n"),
    "an enum": ("k mood, j int", "UNIQUE (k, j)", "('{sad,ok,\"it''s\"}'::mood[])[n % 3 + 1], n"),
    "a domain": ("k code", "UNIQUE (k)", "'c' || n"),
    "a domain of moments": (
        "k moment", "UNIQUE (k)", "'2024-03-31'::timestamptz + n * interval '1h'",
    ),
    "times, infinity among them": (
        "k timestamp", "UNIQUE (k)",
        "CASE n WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' ELSE '2024-01-01'::timestamp - n"
        " * interval '9 years' END",
    ),
    "numbers, NaN among them": (
        "k numeric", "UNIQUE (k)", "CASE n WHEN 1 THEN 'NaN' ELSE n / 7.0 END",
    ),
    "floats, NaN among them": (
        "k float8", "UNIQUE (k)", "CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN '-inf' ELSE -sqrt(n) END",
    ),
    "deferred": ("k int", "CONSTRAINT", "n"),
    "a composite type": ("k pair", "UNIQUE (k)", "ROW(n % 3, 'x, \"' || n)::pair"),
    "a range": ("k int4range", "UNIQUE (k)", "int4range(n, n + 5)"),
}  # fmt: skip


def test_any_unique_key_without_null_is_walked(case: Case) -> None:
    case.sql(
        "CREATE TYPE mood AS ENUM ('sad', 'it''s', 'ok'); CREATE TYPE pair AS (a int, b text);"
        "CREATE DOMAIN code AS text CHECK (VALUE LIKE 'c%');"
        "CREATE DOMAIN moment AS timestamptz"
    )
    case.ledger()
    for what, (columns, index, made) in WALKED.items():
        case.sql("DROP TABLE IF EXISTS t; DELETE FROM qb.backfill; SET datestyle = 'SQL, DMY'")
        names = ", ".join(column.split()[0] for column in columns.split(", "))
        not_null = ", ".join(f"{column} NOT NULL" for column in columns.split(", "))
        case.sql(f"CREATE TABLE t ({not_null}, v text, writes int NOT NULL DEFAULT 0)")
        if index == "CONSTRAINT":
            case.sql("ALTER TABLE t ADD UNIQUE (k) DEFERRABLE INITIALLY DEFERRED")
        else:
            case.sql(f"CREATE {index.replace('UNIQUE', 'UNIQUE INDEX ON t')}")
        case.sql(f"INSERT INTO t ({names}) SELECT {made} FROM generate_series(1, 120) AS n")
        ended = case.driven_here(
            case.filling(batch_size=20, parallel=2, set={"writes": "writes + 1"})
        )
        assert (what, ended.state, ended.error) == (what, "completed", "")
        assert (what, case.writes()) == (what, {1: 120})
        assert (what, len(ended.segments)) == (what, 4)


def test_a_collation_in_which_different_texts_are_equal_is_walked(case: Case) -> None:
    """Compared by the server, in the collation of the index: equal texts are in one batch."""
    try:
        case.sql(
            "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2',"
            " deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported as error:
        pytest.skip(f"this PostgreSQL comes without ICU: {error}")
    case.sql(
        "CREATE TABLE t (j text COLLATE nocase NOT NULL, k text COLLATE nocase NOT NULL, v text,"
        " writes int NOT NULL DEFAULT 0, UNIQUE (j, k))"
    )
    case.sql(
        "INSERT INTO t SELECT CASE n % 4 WHEN 0 THEN 'A' WHEN 1 THEN 'a' WHEN 2 THEN 'B' ELSE 'b'"
        " END, 'K' || n FROM generate_series(1, 300) AS n"
    )
    case.ledger()
    ended = case.driven_here(case.filling(batch_size=7, parallel=3, set={"writes": "writes + 1"}))
    assert ended.state == "completed"
    assert case.writes() == {1: 300}


def test_citext_is_walked_without_regard_to_case(case: Case) -> None:
    case.sql("CREATE EXTENSION citext")
    case.sql(
        "CREATE TABLE t (j citext, k citext, v text, writes int NOT NULL DEFAULT 0,"
        " PRIMARY KEY (j, k))"
    )
    case.sql(
        "INSERT INTO t SELECT ('{A,a,B,b}'::text[])[n % 4 + 1], 'K' || n"
        " FROM generate_series(1, 300) AS n"
    )
    case.ledger()
    ended = case.driven_here(case.filling(batch_size=7, parallel=3, set={"writes": "writes + 1"}))
    assert ended.state == "completed"
    assert case.writes() == {1: 300}


REFUSED = {
    "(k DESC, j)": "its columns are in different orders",
    "(k text_pattern_ops)": "its order is not that of >",
    "(lower(k))": "it is on an expression",
    "(k) WHERE j > 0": "it leaves rows out",
    "(n)": "its columns may be NULL",
}


def test_an_index_that_is_no_key_is_refused_with_its_reason(case: Case) -> None:
    case.sql("CREATE TABLE t (k text NOT NULL, j int NOT NULL, n int, v text)")
    for index, why in REFUSED.items():
        case.sql(f"CREATE UNIQUE INDEX one ON t {index}")
        with pytest.raises(InputError, match="no key to walk by") as raised:
            described(case)
        assert f"one is none: {why}" in raised.value.why
        assert "a written row cannot be told from one that is not" in raised.value.why
        case.sql("DROP INDEX one")


def test_numbers_that_the_session_rounds_are_no_key(case: Case) -> None:
    case.sql("CREATE TABLE t (k float8 PRIMARY KEY, v text)")
    assert described(case).key == (KeyColumn("k", "double precision"),)
    case.sql("SET extra_float_digits = 0")
    with pytest.raises(InputError, match="no key to walk by") as raised:
        described(case)
    assert "t_pkey is none: its numbers are rounded" in raised.value.why


def test_not_null_that_nobody_has_checked_is_no_promise(case: Case) -> None:
    if case.conn.info.server_version < 180000:
        pytest.skip("NOT NULL NOT VALID came with PostgreSQL 18")
    case.sql("CREATE TABLE t (k int UNIQUE, v text); INSERT INTO t VALUES (NULL, NULL)")
    case.sql("ALTER TABLE t ADD CONSTRAINT filled NOT NULL k NOT VALID")
    with pytest.raises(InputError, match="no key to walk by"):
        described(case)
    with pytest.raises(InputError, match="may be NULL"):
        described(case, key="k")


def test_an_index_that_is_named_and_cannot_be_walked_says_why(case: Case) -> None:
    case.sql("CREATE TABLE t (k text PRIMARY KEY, j int NOT NULL, v text)")
    case.sql("CREATE INDEX ON t (j) WHERE j > 0")
    with pytest.raises(InputError, match="cannot be walked by j") as raised:
        described(case, key="j")
    assert "t_j_idx cannot be used: it leaves rows out" in raised.value.why


def test_what_is_said_of_the_key_stays_with_the_backfill(case: Case) -> None:
    case.counted(3)
    case.driven_here(case.filling(key="id"))
    said = "walked by id (integer), as declared, with the index t_pkey"
    assert case.one("SELECT key_said FROM qb.backfill") == said


def test_rows_that_come_later_and_that_nothing_would_find_are_spoken_of(case: Case) -> None:
    case.counted(3)
    assert "may be left out" in described(case).unseen
    assert described(case, where="v IS NULL").unseen == ""
    assert described(case, keep_in_sync=True).unseen == ""
