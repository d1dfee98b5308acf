"""rows through the user's Python: every type, every key, and nothing that is stale"""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

import psycopg
import pytest

from qb_engine.backfill import code
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import segment
from qb_engine.backfill.batches.batch import Limits
from qb_engine.backfill.before import checks
from qb_engine.backfill.before.preview import preview
from qb_engine.backfill.kinds.transform import KIND, TransformFailed, idempotency_key
from qb_engine.backfill.spec import Spec, describe
from qb_engine.errors import RefusedError
from qb_engine.migrations import LoadedMigration, load_one
from tests.backfill.conftest import ID, Case

HEAD = """\
import asyncio, datetime, decimal, uuid
import pandas as pd
from qb_engine.migrations import Backfill

seen = []


class Fill(Backfill):
"""


def coded(case: Case, body: str) -> LoadedMigration:
    """A migration whose backfill is written as text."""
    folder = case.project.migrations / ID
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "migration.sql").write_text("-- qb:up\nSELECT 1;\n")
    lines = "\n".join(f"    {line}" if line else "" for line in body.strip("\n").split("\n"))
    (folder / "backfill.py").write_text(HEAD + lines + "\n")
    return load_one(folder)


TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TABLE "Odd ""T" (
    a int, "b B" text, PRIMARY KEY ("b B", a),
    i2 int2, i8 int8, dom small, b bool, f4 real, f8 float8, n numeric(10,2), vc varchar(5),
    u uuid, j json, jb jsonb, d date, t time, ts timestamp, tz timestamptz, by bytea,
    ai int[], at text[], am mood[], m mood, iv interval, ip inet,
    g int GENERATED ALWAYS AS (a + 1) STORED
);
INSERT INTO "Odd ""T" (a, "b B") VALUES (1, 'null');
INSERT INTO "Odd ""T" VALUES (2, 'x%y', 3, 4, 5, true, 1.5, 2.5, 3.25, 'é',
    '9a1b2c3d-0000-4000-8000-000000000001', '{"a": [1, null]}', '{"b": "ü"}', '2024-02-29',
    '12:34:56.789', '1999-12-31 23:59:59.123456', '2024-01-01 00:00:00.5+02', '\\xdeadbeef',
    '{1,NULL,3}', '{"a","b,c",NULL,"q\\"uote"}', '{sad,glad}', 'glad', '1 mon 2 days', '10.0.0.1/8')
"""
COPIED = """
table = 'Odd "T'

def transform(self, rows):
    out = rows[["a", "b B"]].copy()
    for name in rows.columns:
        if name not in ("a", "b B", "g"):
            out[name] = rows[name].iloc[::-1].to_list()  # each row gets what the other one has
            if str(rows[name].dtype) not in ("object",):
                out[name] = rows[name].iloc[::-1].reset_index(drop=True)
    return out
"""


def test_every_type_comes_back_as_it_was_read(case: Case) -> None:
    case.conn.execute(TYPES.encode())
    case.ledger()
    what = "i2, i8, dom, b, f4, f8, n, vc, u, j::text, jb, d, t, ts, tz, by, ai, at, am, m, iv, ip"
    before = case.sql(f'SELECT {what} FROM "Odd ""T" ORDER BY a')
    assert case.driven_here(coded(case, COPIED)).state == "completed", case.progress().error
    after = case.sql(f'SELECT {what} FROM "Odd ""T" ORDER BY a')
    assert after == before[::-1]
    assert case.one('SELECT g FROM "Odd ""T" WHERE a = 2') == 3


ASYNC = """
table = "t"
columns = ["v"]
batch_size = 10

async def transform(self, rows):
    await asyncio.sleep(0)
    seen.append((rows.attrs["idempotency_key"], len(rows), list(rows.columns)))
    return pd.DataFrame({"v": "v" + rows["id"].astype(str), "id": rows["id"]})
"""


def test_a_transform_may_be_async_and_reads_the_columns_that_it_names(case: Case) -> None:
    case.counted(25)
    migration = coded(case, ASYNC)
    assert case.driven_here(migration).rows_done == 25
    assert case.one("SELECT count(*) FROM t WHERE v = 'v' || id") == 25
    seen = type(migration.backfill).transform.__globals__["seen"]
    assert [rows for _, rows, _ in seen] == [10, 10, 5]
    assert len({key for key, _, _ in seen}) == 3
    assert seen[0][2] == ["id", "v"]


def test_the_key_of_a_range_is_the_same_however_often_it_is_tried() -> None:
    spec = Spec("m", "sum", "public", "t", (), ())
    assert idempotency_key(spec, ["1"], ["2"]) == idempotency_key(spec, ("1",), ("2",))
    assert idempotency_key(spec, ["1"], ["2"]) != idempotency_key(spec, ["1"], ["3"])
    assert idempotency_key(spec, ["1"], None) != idempotency_key(spec, None, ["1"])


WRONG = {
    "return rows['id']": ("returned no DataFrame", "code"),
    "return rows[['v']]": ("returned no id", "code"),
    "return rows.assign(w=1)": ("returned w, which public.t does not have", "code"),
    "return rows.assign(id=rows['id'] + 5)": ("returned a row id = 11, which it was not", "code"),
    "return pd.concat([rows.assign(v='a'), rows.iloc[:1]])": ("row id = 1 more than once", "code"),
    "return rows.assign(g=7)": ("another g, which public.t generates", "code"),
    "return rows.assign(v=7)": ("a value for row id = 1 that cannot be written", "data"),
    "return rows.assign(writes='x')": ("a value for row id = 1 that cannot be written", "data"),
    "return rows.assign(writes=1.5)": ("a value for row id = 1 that cannot be written", "data"),
    "return rows.assign(v='\\ud800')": ("a value for row id = 1 that cannot be written", "data"),
    "return rows.assign(writes=2**40)": ("a value for row id = 1 that cannot be written", "data"),
    "raise KeyError('nobody')": ("transform raised KeyError", "data"),
    "raise asyncio.CancelledError": ("transform raised CancelledError", "data"),
    "raise ConnectionResetError('gone')": ("transform raised ConnectionResetError", "transient"),
}


def test_what_cannot_be_written_is_refused_with_its_place(case: Case) -> None:
    case.counted(10)
    case.sql("ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (id) STORED")
    for line, (what, fault) in WRONG.items():
        body = f'table = "t"\n\ndef transform(self, rows):\n    {line}\n'
        migration = coded(case, body)
        spec = describe(case.conn, migration)
        with pytest.raises(TransformFailed, match=what) as failed:
            KIND.prepare(case.conn, spec, ["0"], ["10"], migration.backfill)
        assert failed.value.fault == fault
        assert "backfill.py:1" in failed.value.where
        assert "rows of public.t after 0 up to 10" in failed.value.where
        assert (failed.value.cause is not None) == line.startswith("raise")


def test_a_role_that_may_not_write_what_it_gets_is_told_before_anything_starts(case: Case) -> None:
    case.counted(3)
    coded(case, 'table = "t"\n\ndef transform(self, rows):\n    return rows')
    spec = describe(case.conn, load_one(case.project.migrations / ID))
    role, database = f"filler_{os.getpid()}", case.one("SELECT current_database()")
    case.sql(f"CREATE ROLE {role}; GRANT SELECT ON t TO {role};"
             f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC')  # fmt: skip
    try:
        case.sql(f"SET ROLE {role}")
        with pytest.raises(RefusedError, match="may not update") as refused:
            checks.writable(case.conn, spec)
        case.sql("RESET ROLE")
        case.sql(refused.value.todo)
        case.sql(f"SET ROLE {role}")
        with pytest.raises(RefusedError, match="may not make a temporary table") as refused:
            checks.writable(case.conn, spec)
        assert refused.value.code == "missing-privilege"
        case.sql("RESET ROLE")
        case.sql(refused.value.todo)
        case.sql(f"SET ROLE {role}")
        checks.writable(case.conn, spec)
    finally:
        case.sql(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


STALE = """
table = "t"
columns = ["v"]
batch_size = 10

def transform(self, rows):
    seen.append(list(rows["id"]))
    self.meanwhile(rows)
    return rows.assign(v=[f"{v}!" for v in rows["v"]])
"""


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_row_that_changed_meanwhile_is_transformed_again(case: Case, times: int) -> None:
    case.counted(5)
    case.sql("UPDATE t SET v = 'old'")
    migration = coded(case, STALE)
    fill: Any = migration.backfill
    seen = type(fill).transform.__globals__["seen"]
    with closing(psycopg.connect(case.target.conninfo, autocommit=True)) as app:

        def meanwhile(rows: Any) -> None:
            if len(seen) <= times:
                app.execute(f"UPDATE t SET v = 'new{len(seen)}' WHERE id = 2".encode())
            if len(seen) == 1:
                app.execute("DELETE FROM t WHERE id = 4")

        fill.meanwhile = meanwhile
        assert case.driven_here(migration).state == "completed", case.progress().error
    assert seen == [[1, 2, 3, 4, 5], *[[2]] * times]
    assert case.sql("SELECT id, v FROM t ORDER BY id") == [
        (1, "old!"), (2, f"new{times}!"), (3, "old!"), (5, "old!"),
    ]  # fmt: skip


def test_a_row_that_changes_all_the_time_is_locked_at_last(case: Case) -> None:
    case.counted(3)
    migration = coded(case, STALE)
    fill: Any = migration.backfill
    refused: list[str] = []
    open_then: list[bool] = []
    with closing(psycopg.connect(case.target.conninfo, autocommit=True)) as app:
        app.execute("SET lock_timeout = '50ms'")

        def meanwhile(rows: Any) -> None:
            status = case.conn.info.transaction_status
            open_then.append(status is not psycopg.pq.TransactionStatus.IDLE)
            try:
                app.execute("UPDATE t SET v = coalesce(v, '') || 'x' WHERE id = 2")
            except psycopg.errors.LockNotAvailable as error:
                refused.append(str(error))

        fill.meanwhile = meanwhile
        assert case.driven_here(migration).state == "completed", case.progress().error
    assert len(refused) == 1
    assert open_then == [False, False, False, True]  # nothing waits for a call but the last
    assert case.one("SELECT v FROM t WHERE id = 2") == "xxx!"


def test_a_slow_transform_is_not_called_while_others_wait_for_its_rows(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qb_engine.backfill.kinds.transform.LOCKED_S", 0.0)
    case.counted(3)
    migration = coded(case, STALE)
    fill: Any = migration.backfill
    with closing(psycopg.connect(case.target.conninfo, autocommit=True)) as app:

        def meanwhile(rows: Any) -> None:
            app.execute("UPDATE t SET v = coalesce(v, '') || 'x' WHERE id = 2")

        fill.meanwhile = meanwhile
        with pytest.raises(segment.Stopped, match="changed each of the 3 times"):
            case.driven_here(migration)
    assert case.sql("SELECT id, v FROM t WHERE v LIKE '%!'") == [(1, "None!")]  # fewer at a time


def test_a_row_that_somebody_is_changing_is_waited_for_and_not_overwritten(case: Case) -> None:
    case.counted(3)
    case.sql("UPDATE t SET v = 'old'")
    migration = coded(case, STALE)
    fill: Any = migration.backfill
    case.written_down(migration)
    assert advance(case.conn, ID, lambda: True)
    waited: list[float] = []
    with closing(psycopg.connect(case.target.conninfo)) as app:

        def meanwhile(rows: Any) -> None:
            if not waited:
                app.execute("UPDATE t SET v = 'new' WHERE id = 2")

        fill.meanwhile = meanwhile

        def wait(seconds: float) -> bool:
            if seconds:
                waited.append(seconds)
                app.commit()
            return True

        means = case.means(migration, limits=Limits(lock_ms=100), wait=wait)
        assert segment.run_lane(case.conn, ID, 0, means) == "done"
    assert case.sql("SELECT v FROM t ORDER BY id") == [("old!",), ("new!",), ("old!",)]


LEFT_OUT = """
table = "t"
where = "v IS NULL"

def transform(self, rows):
    rows["v"] = ["even" if i % 2 == 0 else None for i in rows["id"]]
    return rows[["id", "v"]].sort_values("id", ascending=False).iloc[:-2]
"""


def test_rows_that_are_left_out_stay_and_missing_values_are_null(case: Case) -> None:
    case.counted(10)
    assert case.driven_here(coded(case, LEFT_OUT)).state == "completed"
    assert case.one("SELECT array_agg(id ORDER BY id) FROM t WHERE v = 'even'") == [4, 6, 8, 10]
    assert case.one("SELECT count(*) FROM t WHERE v IS NULL") == 6


def test_a_worker_takes_no_other_python_than_what_was_started(case: Case) -> None:
    case.counted(1)
    body = ASYNC.replace("await asyncio.sleep(0)", "other(rows)")
    migration = coded(case, body)
    spec = describe(case.conn, migration)
    assert code.load(case.project, spec).transform is not None
    path = migration.path / "backfill.py"
    text = path.read_text()
    path.write_text(text.replace("batch_size = 10", "batch_size = 20  # faster"))
    assert code.load(case.project, spec).batch_size == 20
    path.write_text(text.replace("seen = []", "seen = []\n\ndef other(rows):\n    pass\n"))
    with pytest.raises(RefusedError, match="not the one that was started"):
        code.load(case.project, spec)
    path.unlink()
    with pytest.raises(RefusedError, match="not here"):
        code.load(case.project, spec)


def test_a_preview_of_a_transform_writes_and_takes_it_back(case: Case) -> None:
    case.counted(30)
    seen = preview(case.conn, coded(case, ASYNC), 2)
    assert [(c.key, c.before["v"], c.after["v"]) for c in seen.changes if c.before and c.after] == [
        (("1",), None, "v1"),
        (("2",), None, "v2"),
    ]
    assert seen.shown == ("v",)
    assert case.one("SELECT count(v) FROM t") == 0


PICKY = """
table = "t"
columns = []
on_error = "quarantine"

def transform(self, rows):
    made = [{13: {}, 17: {13: 17}}.get(i, {13: "fine"})[13] for i in rows["id"].tolist()]
    return rows[["id"]].assign(v=pd.Series(made, dtype=object))
"""


def test_rows_that_a_transform_fails_on_are_found_and_set_aside(case: Case) -> None:
    case.counted(40)
    case.driven_here(coded(case, PICKY))
    assert case.one("SELECT count(v) FROM t") == 38
    aside = case.sql("SELECT key[1], error FROM qb.quarantine ORDER BY 1")
    assert [key for key, _ in aside] == ["13", "17"]
    assert "KeyError" in aside[0][1]
    assert "v is text" in aside[1][1]


SAYS_ANYTHING = """
table = "t"
on_error = "quarantine"

def transform(self, rows):
    raise ValueError("\\x00 \\ud800 " + "x" * 1_000_000)
"""


def test_the_ledger_keeps_whatever_a_transform_says(case: Case) -> None:
    """A NUL, half of a surrogate pair, or the whole answer of a service."""
    case.counted(1)
    case.driven_here(coded(case, SAYS_ANYTHING))
    said = case.one("SELECT error FROM qb.quarantine")
    assert "\\x00 \\ud800 xxx" in said
    assert len(said) < 5_000


def test_what_is_to_be_done_about_the_code_of_a_transform_is_said(case: Case) -> None:
    case.counted(1)
    migration = coded(case, 'table = "t"\n\ndef transform(self, rows):\n    return None')
    case.written_down(migration)
    assert advance(case.conn, ID, lambda: True)
    with pytest.raises(segment.Stopped, match="; return a DataFrame with id and the columns"):
        segment.run_lane(case.conn, ID, 0, case.means(migration))


def test_a_worker_runs_a_transform_of_the_project(driven: Case) -> None:
    driven.counted(200)
    driven.start(coded(driven, ASYNC.replace("batch_size = 10", "batch_size = 50")))
    assert driven.ended().state == "completed", driven.progress().error
    assert driven.one("SELECT count(*) FROM t WHERE v = 'v' || id") == 200


EXACT = """
table = "t"

def transform(self, rows):
    rows["doc"] = [{"new": 1} if i == 2 else doc for i, doc in zip(rows["id"], rows["doc"])]
    rows.loc[rows["id"] == 2, "f"] = 1.0
    for doc in rows["other"]:
        if doc and "change" in doc:
            doc["change"] = "d"
    return rows
"""


def test_what_is_as_it_was_read_is_not_written(case: Case) -> None:
    """A NaN, the spaces of a json and rows without anything new stay, though all is returned."""
    case.sql("CREATE TABLE t (id int PRIMARY KEY, doc json, f float8, other json)")
    case.sql("""INSERT INTO t VALUES (1, '{"a":  1.00}', 'NaN', NULL), (2, NULL, 'NaN', NULL),
        (3, '{"b":   2}', 3, '{"change":  "e"}'), (4, NULL, NULL, NULL)""")
    case.ledger()
    assert case.driven_here(coded(case, EXACT)).rows_done == 2
    assert case.sql("SELECT id, doc::text, f::text, other::text FROM t ORDER BY id") == [
        (1, '{"a":  1.00}', "NaN", None),
        (2, '{"new": 1}', "1", None),
        (3, '{"b":   2}', "3", '{"change": "d"}'),
        (4, None, None, None),
    ]


PARTED = """
table = "p"
where = "p.v IS NULL"

def transform(self, rows):
    return rows.assign(v=rows["k"] + rows["id"].astype(str))
"""


def test_partitions_are_transformed_one_by_one(case: Case) -> None:
    case.sql("CREATE TABLE p (k text, id int, v text, PRIMARY KEY (k, id)) PARTITION BY LIST (k)")
    for name in "ab":
        case.sql(f"CREATE TABLE p_{name} PARTITION OF p FOR VALUES IN ('{name}')")
    case.sql("INSERT INTO p SELECT k, g, CASE WHEN g = 3 THEN 'x' END"
             " FROM generate_series(1, 5) g, unnest(ARRAY['a', 'b']) k")  # fmt: skip
    case.ledger()
    migration = coded(case, PARTED)
    seen = preview(case.conn, migration)
    assert sum(c.after is not None and c.after["v"] == "".join(c.key) for c in seen.changes) == 8
    done = case.driven_here(migration)
    assert (done.state, done.rows_done) == ("completed", 8)
    assert case.one("SELECT count(*) FROM p WHERE v = k || id") == 8
    assert preview(case.conn, migration).tried == 0
