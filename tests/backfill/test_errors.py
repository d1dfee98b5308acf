"""errors while a backfill runs: what time heals, what reconnects, what a row is to blame for"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from qb_engine.backfill import records
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches import poison, quarantine, segment
from qb_engine.backfill.batches.batch import Limits
from qb_engine.backfill.batches.segment import Stopped
from qb_engine.backfill.frames.failed import TransformFailed
from qb_engine.backfill.options import Options
from qb_engine.backfill.spec import Spec
from qb_engine.backfill.walk.keys import KeyColumn
from qb_engine.database import Target
from qb_engine.database.connect import connect
from qb_engine.errors import InputError
from qb_engine.migrations import Backfill, LoadedMigration, load_one
from tests.backfill.conftest import ID, Case, until

BUSY = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND wait_event = "
)


def begun(case: Case, rows: int = 100, **given: Any) -> LoadedMigration:
    case.counted(rows)
    migration = case.filling(**given)
    case.written_down(migration)
    return migration


def driven(case: Case, migration: LoadedMigration, **means: Any) -> str:
    """Drive it to its end as a worker does, without Temporal; the state that it ends in."""
    try:
        while (step := advance(case.conn, ID, lambda: True)) and step.lanes:
            for lane in range(step.lanes):
                segment.run_lane(case.conn, ID, lane, case.means(migration, **means))
    except Stopped as stopped:
        records.fail(case.conn, ID, str(stopped), stopped.sqlstate)
    return case.progress().state


def with_method(case: Case, text: str, **given: Any) -> LoadedMigration:
    """A declaration with a method."""
    path = case.filling(**given).path
    file = path / "backfill.py"
    file.write_text(file.read_text() + "\n" + text)
    return load_one(path)


def _stopped(conn: Any, means: segment.Means) -> str:
    with pytest.raises(Stopped) as raised:
        segment.run_lane(conn, ID, 0, means)
    return str(raised.value)


@contextmanager
def beside(work: Callable[[], Any]) -> Iterator[list[Any]]:
    """Do something in a thread meanwhile; what it gave, or raised, is there at the end."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except Exception as error:
            found.append(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        thread.join(60)
        assert not thread.is_alive()


def test_a_deadlock_with_the_application_is_tried_again_and_counted(case: Case) -> None:
    migration = begun(case, batch_size=100)
    name = sql.Identifier(str(conninfo_to_dict(case.target.conninfo)["dbname"]))
    case.conn.execute(sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '50ms'").format(name))
    with (
        closing(psycopg.connect(case.target.conninfo)) as app,
        closing(connect(case.target)) as mine,
    ):
        app.execute("SET deadlock_timeout = '60s'")  # so that the batch is the one that is chosen
        assert advance(mine, ID, lambda: True)
        app.execute("SELECT FROM t WHERE id = 50 FOR UPDATE")
        means = case.means(migration, limits=Limits(lock_ms=20_000))
        with beside(lambda: segment.run_lane(mine, ID, 0, means)) as ended:
            until("the batch waits", lambda: case.one(BUSY + "'transactionid'") == 1)
            app.execute("SELECT FROM t WHERE id = 1 FOR UPDATE")
            app.commit()
    assert ended == ["done"]
    assert case.writes() == {1: 100}
    assert case.one("SELECT sum(retries)::int FROM qb.segment") >= 1
    assert case.one("SELECT max(attempts) FROM qb.batch") >= 2


def test_a_serialization_failure_is_tried_again(case: Case) -> None:
    """A batch is READ COMMITTED whatever the default; what its triggers call may still fail so."""
    migration = begun(case, batch_size=100)
    case.sql(
        "CREATE SEQUENCE tries; CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF nextval('tries') = 1 THEN RAISE SQLSTATE '40001'; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER once BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION once()"
    )
    with closing(connect(case.target)) as mine:
        mine.execute("SET default_transaction_isolation = 'repeatable read'")
        assert advance(mine, ID, lambda: True)
        assert segment.run_lane(mine, ID, 0, case.means(migration)) == "done"
    assert case.writes() == {1: 100}
    assert case.one("SELECT sum(retries)::int FROM qb.segment") == 1


def test_a_strategy_of_three_attempts_ends_as_failed_with_its_words(case: Case) -> None:
    migration = begun(case, retry={"attempts": 3, "first": 0, "longest": 0})
    assert advance(case.conn, ID, lambda: True)
    with closing(psycopg.connect(case.target.conninfo)) as app:
        app.execute("SELECT FROM t WHERE id = 50 FOR UPDATE")
        assert driven(case, migration, limits=Limits(lock_ms=20)) == "failed"
    assert "after 3 tries" in case.progress().error
    assert case.one("SELECT error_code FROM qb.backfill") == "55P03"


def test_a_lane_that_ends_in_between_does_not_begin_to_count_anew(case: Case) -> None:
    migration = begun(case, retry={"attempts": 3, "first": 0, "longest": 0})
    assert advance(case.conn, ID, lambda: True)
    with closing(psycopg.connect(case.target.conninfo)) as app:
        app.execute("SELECT FROM t WHERE id = 50 FOR UPDATE")
        for _ in range(2):
            answers = iter((True, True, False))  # ends while it waits to try again
            limited = case.means(migration, limits=Limits(20), wait=lambda _, a=answers: next(a))  # type: ignore[misc]
            assert segment.run_lane(case.conn, ID, 0, limited) == "stopped"
        with pytest.raises(Stopped, match="after 3 tries"):
            segment.run_lane(case.conn, ID, 0, case.means(migration, limits=Limits(20)))
        records.want(case.conn, ID, "run")
        assert case.one("SELECT tries FROM qb.segment") == 0


def test_a_lane_whose_connection_is_killed_in_mid_batch_connects_again(case: Case) -> None:
    migration = begun(case, slow=0.01, batch_size=20)
    made: list[Any] = []

    def again() -> Any:
        made.append(connect(case.target))
        return made[-1]

    with closing(connect(case.target)) as mine:
        assert advance(mine, ID, lambda: True)
        epoch = case.one("SELECT epoch FROM qb.segment")
        means = case.means(migration, reconnect=again)
        with beside(lambda: segment.run_lane(mine, ID, 0, means)) as ended:
            for times in (1, 2):
                until("it writes", lambda: case.one(BUSY + "'PgSleep'") == 1)
                case.conn.execute(
                    "SELECT pg_terminate_backend(%s)", [[mine, *made][-1].info.backend_pid]
                )
                until("it connects again", lambda times=times: len(made) == times)
    assert ended == ["done"]
    assert len(made) == 2
    assert all(conn.closed for conn in made)
    assert case.writes() == {1: 100}
    assert case.one("SELECT sum(rows)::int FROM qb.batch") == 100
    assert case.one("SELECT sum(retries)::int FROM qb.segment") == 2
    assert case.one("SELECT epoch FROM qb.segment") == epoch + 3


def test_a_lane_that_was_replaced_while_it_was_away_leaves_the_segment(case: Case) -> None:
    migration = begun(case, slow=0.01, batch_size=20)

    def again() -> Any:
        assert records.claim(case.conn, ID, 0, "heir")
        return connect(case.target)

    with closing(connect(case.target)) as mine:
        assert advance(mine, ID, lambda: True)
        means = case.means(migration, reconnect=again)
        with beside(lambda: segment.run_lane(mine, ID, 0, means)) as ended:
            until("it writes", lambda: case.one(BUSY + "'PgSleep'") == 1)
            case.conn.execute("SELECT pg_terminate_backend(%s)", [mine.info.backend_pid])
    assert ended == ["fenced"]
    assert case.one("SELECT worker FROM qb.segment") == "heir"


def test_a_role_that_may_not_log_in_any_more_stops_it(case: Case) -> None:
    migration = begun(case, slow=0.01, batch_size=20)
    role = f"writer_{case.conn.info.backend_pid}"
    case.sql(f"CREATE ROLE {role} LOGIN SUPERUSER")
    target = Target(case.target.name, make_conninfo(case.target.conninfo, user=role))
    try:
        with closing(connect(target)) as mine:
            assert advance(mine, ID, lambda: True)
            means = case.means(migration, reconnect=lambda: connect(target))
            with beside(lambda: _stopped(mine, means)) as ended:
                until("it writes", lambda: case.one(BUSY + "'PgSleep'") == 1)
                case.sql(f"ALTER ROLE {role} NOLOGIN")
                case.conn.execute("SELECT pg_terminate_backend(%s)", [mine.info.backend_pid])
        assert "not permitted to log in" in ended[0]
    finally:
        case.sql(f"DROP ROLE {role}")


# -- rows that cannot be written ----------------------------------------------------------------

POISON = {
    "a check": "ALTER TABLE t ADD CONSTRAINT fine CHECK (writes = 0 OR id NOT IN {bad})",
    "a trigger": """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF new.id IN {bad} THEN RAISE 'not row %', new.id; END IF; RETURN new; END $$;
        CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()""",
    "at commit": """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF new.id IN {bad} THEN RAISE check_violation; END IF; RETURN new; END $$;
        CREATE CONSTRAINT TRIGGER f AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION f()""",
    "an overlap": """ALTER TABLE t ADD r int4range NOT NULL DEFAULT 'empty';
        UPDATE t SET r = int4range(id, id + 1) WHERE writes < 0;
        ALTER TABLE t ADD EXCLUDE USING gist ((CASE WHEN writes = 0 THEN 'empty'::int4range
        WHEN id IN {bad} THEN int4range(1000, 2000) ELSE r END) WITH &&);
        INSERT INTO t (id, r, writes) VALUES (999, int4range(1000, 1001), -1)""",
}
BAD = (3, 4, 37, 100)


@pytest.mark.parametrize("how", POISON)
def test_the_bad_rows_of_a_batch_are_set_aside_and_the_good_ones_written(
    case: Case, how: str
) -> None:
    where = "v IS NULL AND id < 900"
    migration = begun(case, batch_size=50, on_error="quarantine", where=where)
    case.sql(POISON[how].format(bad=BAD))
    assert driven(case, migration) == "failed"
    ended = case.progress()
    assert "4 rows are in quarantine" in ended.error
    assert f"qb backfill retry {ID} --quarantined" in ended.error
    assert case.sql("SELECT key FROM qb.quarantine ORDER BY key[1]::int") == [
        ([str(bad)],) for bad in BAD
    ]
    assert case.one("SELECT sum(quarantined)::int FROM qb.segment") == 4
    assert case.one("SELECT count(*) FROM t WHERE writes = 1 AND id < 900") == 96
    assert case.one("SELECT sum(rows)::int FROM qb.batch") == 96
    aside = quarantine.rows(case.conn, ID)[0]
    assert (aside.key, aside.schema, aside.table, aside.state) == (("3",), "public", "t", "open")
    assert aside.sqlstate[:2] in ("23", "P0")
    assert aside.row is not None
    assert aside.row["id"] == 3
    assert aside.row["v"] is None


def test_the_second_of_two_rows_that_become_equal_is_set_aside(case: Case) -> None:
    migration = begun(
        case, on_error="quarantine", set={"v": "'v' || least(id, 40)"}, where="v IS NULL"
    )
    case.sql("DELETE FROM t WHERE id > 41; CREATE UNIQUE INDEX ON t (v)")
    assert driven(case, migration) == "failed"
    assert [each.key for each in quarantine.rows(case.conn, ID)] == [("41",)]
    assert "already exists" in quarantine.rows(case.conn, ID)[0].error


def test_a_sweep_leaves_alone_what_is_in_quarantine(case: Case) -> None:
    migration = begun(case, on_error="quarantine", where="v IS NULL")
    case.sql(POISON["a check"].format(bad="(7, 8)"))
    heard: list[str] = []

    def wait(seconds: float) -> bool:
        heard.extend(note for (note,) in case.sql("SELECT note FROM qb.segment WHERE pass > 0"))
        return True

    assert driven(case, migration, wait=wait) == "failed"
    assert case.one("SELECT max(pass) FROM qb.segment") == 1
    assert not any(heard)
    assert case.one("SELECT sum(quarantined)::int FROM qb.segment") == 2


def test_when_every_row_fails_it_ends_at_max_errors_and_says_so(case: Case) -> None:
    migration = begun(case, 20_000, on_error="quarantine", max_errors=5)
    case.sql("ALTER TABLE t ADD CONSTRAINT fine CHECK (writes = 0)")
    assert driven(case, migration) == "failed"
    ended = case.progress()
    assert "as max_errors allows: 5" in ended.error
    assert "row id = 6 of public.t" in ended.error
    assert case.one("SELECT count(*) FROM qb.quarantine") == 5
    assert case.one("SELECT cursor[1] FROM qb.segment") == "5"
    assert case.one("SELECT error_code FROM qb.backfill") == "23514"


def test_on_error_stop_names_the_row_and_the_words_of_the_server(case: Case) -> None:
    migration = begun(case)
    case.sql(POISON["a trigger"].format(bad="(37, 38)"))
    assert driven(case, migration) == "failed"
    assert case.progress().error == "not row 37 [P0001], at row id = 37 of public.t"
    assert case.writes() == {0: 64, 1: 36}
    assert case.one("SELECT count(*) FROM qb.quarantine") == 0


def test_a_method_decides_row_by_row(case: Case) -> None:
    case.counted(100)
    migration = with_method(
        case,
        "    def on_error(self, error, key):\n"
        "        assert error.sqlstate == 'P0001'\n"
        "        return {'3': 'skip', '4': 'quarantine'}.get(key['id'], 'stop')\n",
        where="v IS NULL",
    )
    case.written_down(migration)
    case.sql(POISON["a trigger"].format(bad="(3, 4, 50)"))
    assert driven(case, migration) == "failed"
    assert "row id = 50" in case.progress().error
    states = "SELECT key[1], state FROM qb.quarantine ORDER BY 1"
    assert case.sql(states) == [("3", "skipped"), ("4", "open")]
    assert case.writes() == {0: 53, 1: 47}


def test_a_method_is_given_what_the_transform_raised() -> None:
    class Fill(Backfill):
        def on_error(self, error: BaseException, key: dict[str, str]) -> str:
            return "skip" if isinstance(error, KeyError) and key == {"id": "7"} else "stop"

    spec = Spec("m", "", "public", "t", (KeyColumn("id", "integer"),), ())
    spec = replace(spec, options=Options(on_error="call"))
    raised = TransformFailed("transform raised KeyError", cause=KeyError("x"))
    assert poison.answer(spec, Fill(), raised, ("7",)) == "skip"
    assert poison.answer(spec, Fill(), TransformFailed("it returned no frame"), ("7",)) == "stop"


def test_what_is_skipped_does_not_keep_it_from_its_end(case: Case) -> None:
    case.counted(100)
    migration = with_method(
        case, "    def on_error(self, error, key):\n        return 'skip'\n", where="v IS NULL"
    )
    case.written_down(migration)
    case.sql(POISON["a trigger"].format(bad="(3, 50)"))
    assert driven(case, migration) == "completed"
    assert case.writes() == {0: 2, 1: 98}


def test_a_row_that_the_transform_cannot_take_is_set_aside_and_mended(case: Case) -> None:
    case.counted(60)
    case.sql("ALTER TABLE t ADD given text; UPDATE t SET given = id; UPDATE t SET given = 'x' WHERE"
             " id IN (5, 41)")  # fmt: skip
    file = case.filling(on_error="quarantine", batch_size=25).path / "backfill.py"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("    set =")]
    file.write_text(
        "\n".join(kept) + "\n    columns = ['given', 'writes']\n\n"
        "    def transform(self, rows):\n"
        "        rows['v'] = [str(int(each) * 2) for each in rows['given']]\n"
        "        rows['writes'] += 1\n"
        "        return rows\n"
    )
    migration = load_one(file.parent)
    case.written_down(migration)
    assert driven(case, migration) == "failed"
    found = quarantine.rows(case.conn, ID)
    assert [each.key for each in found] == [("5",), ("41",)]
    assert "invalid literal for int()" in found[0].error
    assert case.writes() == {0: 2, 1: 58}
    case.sql("UPDATE t SET given = '7' WHERE id = 5")
    row = records.read(case.conn, ID)
    assert row is not None
    again = quarantine.write_again(case.conn, row.spec, Limits(), code=migration.backfill)
    assert (again.written, len(again.failing)) == (1, 1)
    assert case.one("SELECT v FROM t WHERE id = 5") == "14"


def test_rows_of_partitions_and_long_keys_are_set_aside_by_their_place(case: Case) -> None:
    case.sql(
        "CREATE TABLE t (region text, id int, v text, writes int NOT NULL DEFAULT 0,"
        " PRIMARY KEY (region, id)) PARTITION BY LIST (region);"
        "CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a');"
        "CREATE TABLE t_b PARTITION OF t FOR VALUES IN ('b');"
        "INSERT INTO t SELECT r, g FROM unnest('{a,b}'::text[]) r, generate_series(1, 40) g"
    )
    case.ledger()
    migration = case.filling(on_error="quarantine", where="v IS NULL", batch_size=10)
    case.written_down(migration)
    case.sql(POISON["a trigger"].format(bad="(17)"))
    assert driven(case, migration) == "failed"
    found = {(each.table, each.key) for each in quarantine.rows(case.conn, ID)}
    assert found == {("t_a", ("a", "17")), ("t_b", ("b", "17"))}
    assert case.writes() == {0: 2, 1: 78}
    case.sql("DROP TRIGGER f ON t")
    row = records.read(case.conn, ID)
    assert row is not None
    assert quarantine.write_again(case.conn, row.spec, Limits()).written == 2
    assert case.writes() == {1: 80}


def test_rows_that_cannot_be_deleted_are_set_aside_too(case: Case) -> None:
    case.counted(50)
    case.sql("CREATE TABLE c (id int REFERENCES t); INSERT INTO c VALUES (7), (33)")
    file = case.filling(on_error="quarantine", batch_size=20).path / "backfill.py"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("    set =")]
    file.write_text("\n".join([*kept, "    sql = 'DELETE FROM t WHERE {batch}'", ""]))
    migration = load_one(file.parent)
    case.written_down(migration)
    assert driven(case, migration) == "failed"
    assert [each.key for each in quarantine.rows(case.conn, ID)] == [("7",), ("33",)]
    assert case.one("SELECT count(*) FROM t") == 2
    case.sql("DELETE FROM c WHERE id = 7")
    row = records.read(case.conn, ID)
    assert row is not None
    again = quarantine.write_again(case.conn, row.spec, Limits())
    assert (again.written, len(again.failing)) == (1, 1)


def test_rows_without_a_key_are_set_aside_by_their_place(case: Case) -> None:
    case.sql("CREATE TABLE t (id int, v text, writes int NOT NULL DEFAULT 0);"
             "INSERT INTO t (id) SELECT generate_series(1, 300)")  # fmt: skip
    case.ledger()
    migration = case.filling(on_error="quarantine", where="v IS NULL")
    case.written_down(migration)
    case.sql(POISON["a trigger"].format(bad="(17, 290)"))
    assert driven(case, migration) == "failed"
    assert case.writes() == {0: 2, 1: 298}
    case.sql("DROP TRIGGER f ON t")
    row = records.read(case.conn, ID)
    assert row is not None
    assert quarantine.write_again(case.conn, row.spec, Limits()).written == 2
    assert case.writes() == {1: 300}


# -- quarantined rows, written again ------------------------------------------------------------


def test_mended_rows_are_written_once_and_the_rest_stays(case: Case) -> None:
    migration = begun(case, on_error="quarantine", where="v IS NULL")
    case.sql(POISON["a trigger"].format(bad="(3, 4, 50, 60)"))
    assert driven(case, migration) == "failed"
    case.sql("DELETE FROM t WHERE id = 4")
    case.sql("CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
             " IF new.id = 60 THEN RAISE 'still not 60'; END IF; RETURN new; END $$")  # fmt: skip
    row = records.read(case.conn, ID)
    assert row is not None
    again = quarantine.write_again(case.conn, row.spec, Limits())
    assert again.written == 2
    assert [each.key for each in again.gone] == [("4",)]
    assert [(each.key, each.error) for each in again.failing] == [(("60",), "still not 60 [P0001]")]
    assert case.writes() == {0: 1, 1: 98}
    assert case.one("SELECT sum(quarantined)::int FROM qb.segment") == 1
    assert case.one("SELECT sum(rows)::int FROM qb.batch") == 98
    assert case.progress().rows_done == 98
    assert quarantine.write_again(case.conn, row.spec, Limits()).written == 0
    assert (
        case.one("SELECT error FROM qb.quarantine WHERE state = 'open'") == "still not 60 [P0001]"
    )


def test_two_who_write_quarantined_rows_again_write_them_once(case: Case) -> None:
    migration = begun(case, on_error="quarantine")
    case.sql(POISON["a trigger"].format(bad=tuple(range(1, 21))))
    assert driven(case, migration) == "failed"
    case.sql("DROP TRIGGER f ON t")
    row = records.read(case.conn, ID)
    assert row is not None

    def write() -> int:
        assert row is not None
        with closing(connect(case.target)) as conn:
            return quarantine.write_again(conn, row.spec, Limits()).written

    with beside(write) as one, beside(write) as other:
        pass
    assert one[0] + other[0] == 20
    assert case.writes() == {1: 100}


def test_a_full_disk_stops_it_at_once(case: Case) -> None:
    """The server's own answer by its number; a disk is not filled for it."""
    migration = begun(case, batch_size=10)
    case.sql(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.id = 37 THEN"
        " RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END IF; RETURN new; END $$;"
        "CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )
    assert driven(case, migration) == "failed"
    assert case.progress().error == "could not extend file [53100]"
    assert case.one("SELECT sum(retries)::int FROM qb.segment") == 0
    assert case.writes() == {0: 70, 1: 30}


def test_a_limit_of_the_server_is_met_with_smaller_batches(case: Case) -> None:
    migration = begun(case, batch_size=100)
    case.sql(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT count(*) FROM n) > 20 THEN RAISE 'too much' USING ERRCODE = '53400'; END IF;"
        " RETURN NULL; END $$;"
        "CREATE TRIGGER f AFTER UPDATE ON t REFERENCING NEW TABLE AS n FOR EACH STATEMENT"
        " EXECUTE FUNCTION f()"
    )
    assert driven(case, migration) == "completed"
    assert case.writes() == {1: 100}
    assert case.one("SELECT max(rows) FROM qb.batch") <= 20


# -- what was there is gone ---------------------------------------------------------------------

GONE = {
    "42703": ("ALTER TABLE t RENAME v TO w", "ALTER TABLE t RENAME w TO v"),
    "42P01": ("ALTER TABLE t RENAME TO s", "ALTER TABLE s RENAME TO t"),
    "42501": ("REVOKE UPDATE ON t FROM {role}", "GRANT UPDATE ON t TO {role}"),
}


@pytest.mark.parametrize("state", GONE)
def test_what_is_taken_away_while_it_runs_ends_it_and_it_goes_on_when_it_is_back(
    case: Case, state: str
) -> None:
    migration = begun(case, batch_size=10)
    role = f"filler_{case.conn.info.backend_pid}"
    away, back = (text.format(role=role) for text in GONE[state])
    case.sql(f"CREATE ROLE {role} LOGIN; GRANT ALL ON t TO {role}")
    case.sql(f"GRANT USAGE ON SCHEMA qb TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA qb TO {role}")
    target = Target(case.target.name, make_conninfo(case.target.conninfo, user=role))
    answers = iter(range(1000))

    def wait(seconds: float) -> bool:
        if next(answers) == 8:
            case.sql(away)
        return True

    try:
        assert advance(case.conn, ID, lambda: True)
        with closing(connect(target)) as mine:
            with pytest.raises(Stopped) as raised:
                segment.run_lane(mine, ID, 0, case.means(migration, wait=wait))
            assert raised.value.sqlstate == state
            case.sql(back)
            assert segment.run_lane(mine, ID, 0, case.means(migration)) == "done"
        assert case.writes() == {1: 100}
    finally:
        case.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"retry": {"attempt": 3}},
        {"retry": {"attempts": 0}},
        {"retry": {"deadline": "soon"}},
        {"retry": {"classes": ["data"]}},
        {"on_error": "ignore"},
    ],
)
def test_a_policy_that_means_nothing_is_refused_with_its_line(
    case: Case, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="is expected") as raised:
        case.filling(**wrong)
    assert "backfill.py:" in raised.value.where
