"""keep_in_sync: rows that are written while a backfill runs, by the old form and by the new one"""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from qb_engine.backfill import sync
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import segment
from qb_engine.backfill.spec import describe
from qb_engine.database.connect import connect
from qb_engine.errors import QbError
from qb_engine.ledger import in_sync
from qb_engine.migrations import LoadedMigration
from qb_engine.schema import snapshot
from qb_engine.shadow.dump import dump
from tests.backfill.conftest import ID, Case


def fruits(case: Case, rows: int = 40, batch: int = 10) -> LoadedMigration:
    """A table whose `loud` is to be the upper case of `name`, and its backfill."""
    case.sql("CREATE TABLE f (id int PRIMARY KEY, name text, bio text, loud text)")
    case.sql(f"INSERT INTO f SELECT i, 'fruit ' || i FROM generate_series(1, {rows}) i")
    case.ledger()
    return case.declare(
        table="f",
        set={"loud": "upper(name)"},
        where="loud IS NULL",
        keep_in_sync=True,
        batch_size=batch,
    )


def begun(case: Case, migration: LoadedMigration) -> None:
    """The backfill with its trigger and its segments, and no row written."""
    case.written_down(migration)
    step = advance(case.conn, ID, lambda: True)
    assert step is not None
    assert step.lanes, case.progress().error


def filled(case: Case, migration: LoadedMigration) -> None:
    while (step := advance(case.conn, ID, lambda: True)) and step.lanes:
        for lane in range(step.lanes):
            segment.run_lane(case.conn, ID, lane, case.means(migration))
    assert case.progress().state == "completed", case.progress().error


def test_what_the_application_writes_meanwhile_is_right(case: Case) -> None:
    """H1, H2, H4: nothing lost, nothing written over, whoever writes it and before or after."""
    migration = fruits(case)
    begun(case, migration)
    trigger = in_sync.standing(case.conn, ID)
    assert trigger.startswith("qb_in_sync_")

    case.sql("INSERT INTO f (id, name) VALUES (-1, 'old below'), (99, 'old above')")
    case.sql("INSERT INTO f (id, name, loud) VALUES (98, 'new', 'by the new one')")
    case.sql("UPDATE f SET loud = 'by the new one' WHERE id = 5")  # not filled yet
    case.sql("UPDATE f SET name = 'renamed' WHERE id = 6")
    case.sql("UPDATE f SET name = 'both', loud = 'by the new one' WHERE id = 7")
    case.sql("UPDATE f SET bio = 'unrelated' WHERE id = 5")
    filled(case, migration)
    case.sql("UPDATE f SET bio = 'later' WHERE id IN (5, 98)")
    case.sql("UPDATE f SET name = 'renamed later' WHERE id = 8")

    changed = dict(case.sql("SELECT id, loud FROM f WHERE id IN (-1, 5, 6, 7, 8, 9, 98, 99)"))
    new = "by the new one"
    assert changed == {
        -1: "OLD BELOW", 5: new, 6: "RENAMED", 7: new, 8: "RENAMED LATER", 9: "FRUIT 9",
        98: new, 99: "OLD ABOVE",
    }  # fmt: skip
    assert case.one("SELECT count(*) FROM f WHERE loud IS NULL") == 0
    assert in_sync.standing(case.conn, ID) == trigger  # old writers may still be there
    assert in_sync.drop(case.conn, ID) == trigger
    assert case.one("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%qb%'") == 0


def test_several_columns_are_written_together_and_a_given_one_is_left(case: Case) -> None:
    case.sql("CREATE TABLE f (id int PRIMARY KEY, name text, a text, b text NOT NULL DEFAULT '')")
    case.sql("INSERT INTO f SELECT i, 'x y' FROM generate_series(1, 3) i")
    case.ledger()
    given = {"a": "split_part(name, ' ', 1)", "b": "split_part(name, ' ', 2)"}
    halves = case.declare(table="f", set=given, where="a IS NULL AND b = ''", keep_in_sync=True)
    begun(case, halves)
    case.sql("UPDATE f SET a = 'mine' WHERE id = 1")  # no batch will come by: `where` is met
    case.sql("UPDATE f SET b = 'mine' WHERE id = 2")
    case.sql("INSERT INTO f (id, name, b) VALUES (4, 'p q', 'mine')")
    case.sql("INSERT INTO f (id, name) VALUES (5, NULL)")
    assert case.sql("SELECT id, a, b FROM f WHERE id <> 3 ORDER BY 1") == [
        (1, "mine", "y"), (2, "x", "mine"), (4, "p", "mine"), (5, None, ""),
    ]  # fmt: skip
    case.sql("UPDATE f SET b = 'mine' WHERE id = 5")  # whose `a` stays NULL
    filled(case, halves)
    assert case.sql("SELECT a, b FROM f WHERE id = 5") == [(None, "mine")]


def test_a_row_on_which_the_expression_fails_is_written_all_the_same(case: Case) -> None:
    case.sql("CREATE TABLE f (id int PRIMARY KEY, said text, n int)")
    case.ledger()
    case.sql("INSERT INTO f VALUES (1, '1')")
    given = {"set": {"n": "said::int"}, "where": "n IS NULL", "keep_in_sync": True}
    begun(case, case.declare(table="f", **given))
    case.sql("INSERT INTO f (id, said) VALUES (2, 'two'), (3, '3')")
    case.sql("UPDATE f SET said = 'three' WHERE id = 3")
    assert case.sql("SELECT id, n FROM f ORDER BY 1") == [(1, None), (2, None), (3, None)]
    case.sql("ALTER TABLE f DROP COLUMN said")  # as what comes after a backfill may do
    case.sql("INSERT INTO f (id) VALUES (4)")


def test_writers_at_once_lose_nothing(case: Case) -> None:
    """The trigger waits for an open insert, and what is written on the way is right in the end."""
    migration = fruits(case, 2_000, batch=200)
    case.written_down(migration)
    ended, failures = threading.Event(), list[psycopg.Error]()
    early = connect(case.target)
    early.autocommit = False
    early.execute("INSERT INTO f (id, name) VALUES (-5, 'in flight')")

    def write(new: bool, first: int) -> None:
        """Inserts and updates: of the old form, or with a value that only the new one gives."""
        try:
            with connect(case.target) as conn:
                for at in range(first, first + 1_000_000, 2):
                    given = "new" if new else None
                    row: tuple[Any, ...] = (at, f"n {at}", given)
                    conn.execute("INSERT INTO f (id, name, loud) VALUES (%s, %s, %s)", row)
                    if new:
                        conn.execute("UPDATE f SET loud = 'new' WHERE id = %s", [at % 2_000])
                    else:
                        conn.execute("UPDATE f SET name = name || '.' WHERE id = %s", [at % 1_999])
                    if ended.is_set():
                        return
        except psycopg.Error as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(n == 1, 10_000 + n)) for n in (0, 1)]
    release = threading.Timer(0.3, early.commit)
    for thread in (*writers, release):
        thread.start()
    try:
        filled(case, migration)
    finally:
        ended.set()
        for thread in (*writers, release):
            thread.join()
        early.close()
    assert not failures
    assert case.sql("SELECT id, name, loud FROM f WHERE loud IS NULL") == []
    wrong = "SELECT id, name, loud FROM f WHERE loud NOT IN (upper(name), 'new')"
    assert case.sql(wrong) == []
    assert case.one("SELECT count(*) FROM f WHERE loud = 'new' AND id > 2000") > 0
    lost = "SELECT id FROM f WHERE id > 2000 AND id % 2 = 1 AND loud <> 'new'"
    assert case.sql(lost) == []


def test_a_trigger_that_is_asked_for_on_the_way_is_made(case: Case) -> None:
    fruits(case)
    given = {"table": "f", "set": {"loud": "upper(name)"}, "where": "loud IS NULL"}
    begun(case, case.declare(**given))
    assert not in_sync.standing(case.conn, ID)
    case.sql("UPDATE qb.backfill SET options = options || '{\"keep_in_sync\": true}'")
    step = advance(case.conn, ID, lambda: True)
    assert step is not None
    assert step.lanes
    assert in_sync.standing(case.conn, ID)


def test_the_trigger_is_no_part_of_the_schema(case: Case) -> None:
    migration = fruits(case)
    before = snapshot(case.conn).fingerprint
    begun(case, migration)
    assert case.one("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'qb%'") == 1
    case.sql(f"ALTER TABLE f ENABLE ALWAYS TRIGGER {in_sync.standing(case.conn, ID)}")
    assert snapshot(case.conn).fingerprint == before
    assert "qb_in_sync" not in dump(case.target).sql.replace("-- Name: f qb_in_sync", "")


def test_it_comes_after_the_users_own_triggers_and_stays_in_partitions(case: Case) -> None:
    case.sql("CREATE TABLE f (id int PRIMARY KEY, name text, loud text) PARTITION BY RANGE (id)")
    case.sql("CREATE TABLE f1 (name text, loud text, id int NOT NULL)")
    case.sql("ALTER TABLE f ATTACH PARTITION f1 FOR VALUES FROM (0) TO (100)")
    case.sql("INSERT INTO f VALUES (1, 'a')")
    case.sql(
        "CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.name := trim(NEW.name); RETURN NEW; END$$"
    )
    case.sql("CREATE TRIGGER tidy BEFORE INSERT ON f FOR EACH ROW EXECUTE FUNCTION tidy()")
    case.ledger()
    begun(
        case,
        case.declare(
            table="f", set={"loud": "upper(f.name)"}, where="loud IS NULL", keep_in_sync=True
        ),
    )
    case.sql("INSERT INTO f (id, name) VALUES (2, '  b ')")
    assert case.one("SELECT loud FROM f WHERE id = 2") == "B"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"set": {"loud": "upper(name)"}}, "does not read a column that is written"),
        ({"set": {"loud": "loud || '!'"}, "where": "loud <> ''"}, "its own result"),
        ({"set": {"loud": "(SELECT 'x')"}, "where": "loud IS NULL"}, "reads other rows"),
        (
            {"set": {"loud": "upper(name)", "bio": "lower(name)"}, "where": "loud IS NULL"},
            "a row in which bio has a value",
        ),
        ({"sql": "UPDATE f SET loud = name WHERE {batch}"}, "row by row"),
    ],
)
def test_what_a_trigger_cannot_do_is_refused(case: Case, given: dict[str, Any], why: str) -> None:
    fruits(case)
    spec = describe(case.conn, case.declare(table="f", keep_in_sync=True, **given))
    with pytest.raises(QbError, match="cannot keep") as refused:
        sync.settle(case.conn, spec)
    assert why in refused.value.why
    assert "bio" not in why or "loud IS NULL AND bio IS NULL" in refused.value.todo


def test_who_does_not_own_the_table_is_told(case: Case) -> None:
    spec = describe(case.conn, fruits(case))
    case.sql("CREATE ROLE someone; GRANT USAGE, CREATE ON SCHEMA qb TO someone")
    try:
        case.sql("SET ROLE someone")
        with pytest.raises(QbError, match="may not make a trigger"):
            sync.settle(case.conn, spec)
    finally:
        case.sql("RESET ROLE; DROP OWNED BY someone; DROP ROLE someone")
