"""after a backfill: what was written is looked at, before anybody relies on it"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from qb_engine.backfill import orders, records, validate
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import segment
from qb_engine.backfill.reporting.measure import Progress
from qb_engine.migrations import LoadedMigration, load_one
from tests.backfill.conftest import ID, Case


def table(case: Case, **given: Any) -> LoadedMigration:
    case.sql("CREATE TABLE t (id int PRIMARY KEY, name text, v text, at timestamptz)")
    case.sql("INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 3000) i")
    case.ledger()
    declared = {"table": "t", "set": {"v": "upper(name)"}, "where": "v IS NULL", **given}
    return case.declare(**{"batch_size": 500, **declared})


def driven(case: Case, migration: LoadedMigration) -> Progress:
    def code(_: object) -> Any:
        return migration.backfill

    while (step := advance(case.conn, ID, lambda: True, code=code)) and step.lanes:
        for lane in range(step.lanes):
            segment.run_lane(case.conn, ID, lane, case.means(migration))
    return case.progress()


def test_a_sample_is_computed_again(case: Case) -> None:
    migration = table(case, set={"v": "upper(name)", "at": "now()"})
    case.written_down(migration)
    assert driven(case, migration).state == "completed"
    (checked,) = case.sql("SELECT checked FROM qb.backfill")[0]
    assert checked["ok"]
    assert 1_000 <= checked["sample"]["compared"] < 1_100
    assert checked["sample"]["wrong"] == 0
    assert checked["sample"]["left_out"] == ["at: now may give something else each time"]
    assert "sampled rows were computed again: all are as" in " ".join(validate.told(checked))


def test_what_the_application_wrote_since_is_its_own(case: Case) -> None:
    migration = table(case)
    case.driven_here(migration)
    case.sql("UPDATE t SET v = 'mine' WHERE id <= 500")
    row = records.read(case.conn, ID)
    assert row is not None
    found = validate.sample(case.conn, row.spec, 3_000)
    assert (found.compared, found.since, found.wrong) == (2_500, 500, 0)


def test_rows_that_needed_nothing_are_nobodys(case: Case) -> None:
    migration = table(case)
    case.sql("UPDATE t SET v = 'mine' WHERE id % 2 = 0")
    case.driven_here(migration)
    row = records.read(case.conn, ID)
    assert row is not None
    found = validate.sample(case.conn, row.spec, 3_000)
    assert (found.compared, found.since) == (1_500, 0)


def test_rows_that_are_not_what_their_expression_gives_are_found(case: Case) -> None:
    """Whatever made them so; where a trigger of the user's may have, it is named and said only."""
    migration = table(case)
    case.sql(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.v := NEW.v || '?'; RETURN NEW; END$$;"
        " CREATE TRIGGER spoil BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.id = 700)"
        " EXECUTE FUNCTION spoil()"
    )
    assert case.driven_here(migration).state == "completed"
    row = records.read(case.conn, ID)
    assert row is not None
    found = validate.sample(case.conn, row.spec, 3_000)
    assert (found.wrong, found.keys, found.triggers) == (1, ("700",), ("spoil",))
    case.sql("DROP TRIGGER spoil ON t")  # then nobody may have done it
    assert validate.sample(case.conn, row.spec, 3_000).triggers == ()


KEEPS = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER archived BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.id % 1000 = 7)
EXECUTE FUNCTION keep()
"""


def test_rows_that_a_trigger_keeps_out_are_named(case: Case) -> None:
    migration = table(case)
    case.sql(KEEPS)
    assert case.driven_here(migration).state == "completed"
    case.sql("UPDATE t SET v = NULL WHERE id = 1")  # somebody's own row is none of them
    (checked,) = case.sql("SELECT checked FROM qb.backfill")[0]
    assert checked["notes"] == [
        "3 rows were never written and still fulfil `where` (7, 1007, 2007):"
        " the trigger archived may have kept them"
    ]
    row = records.read(case.conn, ID)
    assert row is not None
    assert validate.validate(case.conn, row).notes == tuple(checked["notes"])
    case.sql("DROP TRIGGER archived ON t")
    assert validate.validate(case.conn, row).notes == ()


def test_rows_that_a_trigger_keeps_out_are_counted_without_where(case: Case) -> None:
    migration = table(case, where="")
    case.sql(KEEPS)
    progress = case.driven_here(migration)
    assert (progress.state, progress.rows_done) == ("completed", 2_997)
    (checked,) = case.sql("SELECT checked FROM qb.backfill")[0]
    assert checked["notes"] == [
        "3 rows were passed and not written: the trigger archived may have kept them"
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return q.rows('SELECT count(*) FROM t WHERE v IS NULL')[0][0] == 0", ""),
        ("assert not q.rows('SELECT 1'), 'there is one'", "raised AssertionError: there is one"),
        ("raise SystemExit('\\x00')", r"raised SystemExit: \x00"),
        ("return 3", "`validate` returned 3: None, a bool or texts are meant"),
        ("return ['first', 'second']", "`validate`: first; `validate`: second"),
        ("q.rows('DELETE FROM t')", "read-only transaction"),
    ],
)
def test_validate_in_python_reads_and_says(case: Case, body: str, problem: str) -> None:
    migration = table(case)
    file = migration.path / "backfill.py"
    file.write_text(f"{file.read_text()}\n    def validate(self, q):\n        {body}\n")
    migration = load_one(migration.path)
    case.written_down(migration)
    ended = driven(case, migration)
    assert ended.state == ("failed" if problem else "completed"), ended.error
    assert problem in ended.error
    assert case.one("SELECT count(*) FROM t") == 3000


def test_one_that_is_cancelled_while_it_is_verified_ends_as_cancelled(case: Case) -> None:
    migration = table(case)
    file = migration.path / "backfill.py"
    file.write_text(f"{file.read_text()}\n    def validate(self, q):\n        return self.look()\n")
    migration = load_one(migration.path)
    fill: Any = migration.backfill
    with closing(psycopg.connect(case.target.conninfo, autocommit=True)) as operator:

        def look() -> list[str]:
            assert orders.halt(operator, ID, "cancel")
            return ["it is not right"]

        fill.look = look
        case.written_down(migration)
        ended = driven(case, migration)
    assert (ended.state, ended.error) == ("cancelled", "")
    records.fail(case.conn, ID, "a lane that heard of it late", "22012")
    assert case.progress().state == "cancelled"


def test_rows_in_quarantine_are_not_verified(case: Case) -> None:
    migration = table(case)
    case.written_down(migration)
    case.sql(
        "INSERT INTO qb.quarantine (backfill, key, table_schema, table_name,"
        " sqlstate, error, segment)"
        f" VALUES ('{ID}', '{{7}}', 'public', 't', '22000', 'no', 0)"
    )
    ended = driven(case, migration)
    assert ended.state == "failed"
    assert "quarantine" in ended.error
