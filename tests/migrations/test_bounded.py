"""a statement of a backfill is bounded by its batch, or refused with what is wrong"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import filling
from qb_engine.migrations.bounded import bounded
from qb_engine.migrations.declaration import Backfill
from qb_engine.migrations.python_file import load_backfill

# A statement, and the same over the rows of `R` in a partition s.p of the table t.
GOOD = {
    "UPDATE t SET a=1 WHERE {batch}": "UPDATE s.p AS t SET a=1 WHERE (R)",
    "UPDATE ONLY public.t AS x SET a='é{batch}' WHERE x.b AND (c AND {batch}) -- {batch}": (
        "UPDATE ONLY s.p AS x SET a='é{batch}' WHERE x.b AND (c AND (R)) -- {batch}"
    ),
    'UPDATE "public" . "t" SET a=1 WHERE {batch};': "UPDATE s.p AS t SET a=1 WHERE (R)",
    "DELETE FROM t USING s WHERE t.a=s.a AND {batch}": (
        "DELETE FROM s.p AS t USING s WHERE t.a=s.a AND (R)"
    ),
    "INSERT INTO u SELECT 1 FROM t q JOIN s ON true WHERE {batch} ON CONFLICT DO NOTHING": (
        "INSERT INTO u SELECT 1 FROM s.p q JOIN s ON true WHERE (R) ON CONFLICT DO NOTHING"
    ),
    "INSERT INTO t SELECT a+1 FROM t WHERE {batch}": (
        "INSERT INTO t SELECT a+1 FROM s.p AS t WHERE (R)"
    ),
    "WITH m AS (DELETE FROM t WHERE {batch} RETURNING *) INSERT INTO a SELECT * FROM m": (
        "WITH m AS (DELETE FROM s.p AS t WHERE (R) RETURNING *) INSERT INTO a SELECT * FROM m"
    ),
    "INSERT INTO a WITH m AS (SELECT * FROM t WHERE {batch}) SELECT * FROM m": (
        "INSERT INTO a WITH m AS (SELECT * FROM s.p AS t WHERE (R)) SELECT * FROM m"
    ),
    "WITH m AS (SELECT * FROM t WHERE {batch}), n AS (SELECT * FROM m)"
    " UPDATE u SET a=n.a FROM n WHERE n.id=u.id": (
        "WITH m AS (SELECT * FROM s.p AS t WHERE (R)), n AS (SELECT * FROM m)"
        " UPDATE u SET a=n.a FROM n WHERE n.id=u.id"
    ),
    "UPDATE u SET a=t.b FROM t WHERE t.id=u.id AND {batch}": (
        "UPDATE u SET a=t.b FROM s.p AS t WHERE t.id=u.id AND (R)"
    ),
    "UPDATE t SET a=o.a FROM t AS o WHERE o.id=t.id AND {batch}": (
        "UPDATE s.p AS t SET a=o.a FROM t AS o WHERE o.id=t.id AND (R)"
    ),
}

BAD = {
    "UPDATE t SET a=1": "it has no {batch}",
    "UPDATE t SET a='{batch}'": "in a text, a name or a comment",
    "UPDATE t SET a=1 -- WHERE {batch}": "in a text, a name or a comment",
    "UPDATE t SET a=1 WHERE x{batch}": "in a text, a name or a comment",
    "UPDATE t SET a=1 WHERE {batch} OR b": "under OR",
    "UPDATE t SET a=1 WHERE c AND ({batch} OR b)": "under OR",
    "UPDATE t SET a=1 WHERE NOT {batch}": "under NOT",
    "UPDATE t SET a=1 WHERE {batch} AND {batch}": "2 times",
    "UPDATE t SET a=1 WHERE id IN (SELECT id FROM s WHERE {batch})": "in a sub-select",
    "UPDATE t SET a=1 WHERE {batch}; DELETE FROM t": "one statement is expected",
    "UPDATE t SET a={batch}": "among the values",
    "UPDATE t SET a=1 WHERE {batch} IS TRUE": "inside an expression",
    "UPDATE t SET a=1 WHERE {batch}::bool": "inside an expression",
    "UPDATE t SET a=1 WHERE coalesce({batch}, true)": "bounds nothing",
    "UPDATE s SET a=1 WHERE {batch}": "it reads t nowhere",
    "UPDATE t SET a=1 WHERE {batch} RETURNING id": "RETURNING",
    "UPDATE t SET": "it has no {batch}",
    "UPDATE t SET WHERE {batch}": "syntax error",
    "INSERT INTO u VALUES ({batch})": "bounds nothing",
    "INSERT INTO u SELECT * FROM t WHERE {batch} LIMIT 3": "LIMIT",
    "INSERT INTO u SELECT * FROM t WHERE {batch} UNION ALL SELECT * FROM t": "of a UNION",
    "INSERT INTO u SELECT * FROM (SELECT * FROM t WHERE {batch}) q": "in a sub-select",
    "INSERT INTO u SELECT * FROM t JOIN s ON {batch}": "in the ON of a join",
    "INSERT INTO u SELECT * FROM t, t AS o WHERE {batch}": "it reads t more than once",
    "INSERT INTO u SELECT * FROM other.t WHERE {batch}": "it reads t nowhere",
    "WITH t AS (SELECT 1) INSERT INTO u SELECT * FROM t WHERE {batch}": "it reads t nowhere",
    "WITH d AS (DELETE FROM s RETURNING 1) UPDATE t SET a=1 WHERE {batch}": "the WITH query d",
    "WITH m AS (DELETE FROM t WHERE {batch} RETURNING *) DELETE FROM s": "the main statement",
    "WITH m AS (UPDATE t SET a=1 WHERE {batch} RETURNING 1) SELECT * FROM m": "it is a SELECT",
    "MERGE INTO t USING s ON t.id=s.id AND {batch} WHEN MATCHED THEN DELETE": "it is a MERGE",
    "SELECT * FROM t WHERE {batch}": "it is a SELECT",
    "CREATE TABLE x AS SELECT * FROM t WHERE {batch}": "it is a CREATE",
    "DROP TABLE t -- {batch}": "it is a DROP",
    "DO $$ {batch} $$": "it is a DO",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_bounded_statement_runs_over_a_range_of_a_table_or_partition(text: str) -> None:
    assert bounded(text, "public.t").filled("R", "s", "p") == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_bounded_is_refused_in_four_parts(text: str) -> None:
    with pytest.raises(InputError) as refused:
        bounded(text, "public.t", "backfill.py:7")
    assert BAD[text] in str(refused.value).replace("public.t", "t")
    assert refused.value.where == "backfill.py:7"
    assert refused.value.why
    assert refused.value.todo


def test_a_table_is_known_by_any_way_to_write_its_name() -> None:
    text = 'DELETE FROM "Order Items" WHERE {batch}'
    for name in ("Order Items", '"Order Items"', 'shop."Order Items"', "shop.Order Items"):
        assert bounded(text, name).walked == "Order Items"
    with pytest.raises(InputError, match="nowhere"):
        bounded(text, "order items")


def test_only_the_named_table_is_meant_when_its_heirs_are_walked_by_themselves() -> None:
    found = bounded("UPDATE t SET a=1 WHERE {batch}", "t")
    assert found.filled("R", "s", "t", only=True) == "UPDATE ONLY s.t SET a=1 WHERE (R)"
    own = bounded("UPDATE ONLY t SET a=1 WHERE {batch}", "t")
    assert own.filled("R", "s", "t", only=True) == "UPDATE ONLY s.t SET a=1 WHERE (R)"


def test_a_backfill_amounts_to_a_statement_over_the_whole_table() -> None:
    class Own(Backfill):
        table = "t"
        sql = "DELETE FROM t WHERE {batch} AND b"
        where = "a > 1 -- old"

    class Set(Backfill):
        table = "shop.Order"
        set = {"a": "1", "B": "2 -- two"}
        where = "a IS NULL"

    class Python(Backfill):
        table = "t"
        columns = ("a", "B")

        def transform(self, rows: object) -> object:
            return rows

    assert filling.amounts_to(Own()) == "DELETE FROM t WHERE (a > 1 -- old\n) AND b"
    assert filling.amounts_to(Set()) == (
        'UPDATE shop."Order" SET a = (1), "B" = (2 -- two\n) WHERE (a IS NULL)'
    )
    assert filling.amounts_to(Python()) == 'SELECT a, "B" FROM t'


WHOLE = """\
from qb_engine.migrations import Backfill

RATE = 1


class Fill(Backfill):
    table = "t"
    batch_size = 10
    window = (
        "22:00-06:00"
    )

    def transform(self, rows):
        return helped(rows)


def helped(rows):
    return rows * RATE
"""


def test_the_checksum_of_a_transform_is_of_its_file_but_not_of_its_pace(tmp_path: Path) -> None:
    path = tmp_path / "backfill.py"

    def checksum(old: str = "", new: str = "") -> str:
        path.write_text(WHOLE.replace(old, new) if old else WHOLE, encoding="utf-8")
        return filling.checksum(load_backfill(path)[0])

    for old, new in (("10", "20"), ("22:00", "23:00"), ("def helped", "# why\n\ndef helped")):
        assert checksum(old, new) == checksum()
    for old, new in (("RATE = 1", "RATE = 2"), ("* RATE", "+ RATE"), ('"t"', '"u"')):
        assert checksum(old, new) != checksum()
