"""what was applied before qb came is adopted: by hand with a proof, or from a tool's own record"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.commands import Face, Session, invoke
from qb_engine.errors import InputError, RefusedError

A = "CREATE TABLE a (id int PRIMARY KEY)"
B = "ALTER TABLE a ADD COLUMN b text"
C = "CREATE TABLE c ()"


@pytest.fixture
def three(write) -> None:
    write("20240101000000_a.sql", f"-- qb:up\n{A};\n-- qb:down\nDROP TABLE a")
    write("20240102000000_b.sql", f"-- qb:up\n{B};\n-- qb:down\nALTER TABLE a DROP COLUMN b")
    write("20240103000000_c.sql", C)


@pytest.fixture
def there(connection) -> None:
    """What the first two migrations make, made by somebody else."""
    connection.execute(f"{A}; {B}")


def states(qb) -> list[str]:
    return [s.state for s in qb("status").migrations]


def events(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT what, migration, reason FROM qb.event ORDER BY id").fetchall()


# -- baseline --------------------------------------------------------------------------------------


def test_a_baseline_is_shown_and_proven_before_it_is_recorded(qb, three, there, connection) -> None:
    report = qb("baseline", "b")
    assert [r.migration for r in report.rows] == ["20240101000000_a", "20240102000000_b"]
    assert report.proof.ok
    assert not report.recorded
    assert "--yes" in " ".join(report.notes())
    assert connection.execute("SELECT to_regclass('qb.meta')").fetchone() == (None,)


def test_what_was_adopted_is_applied_and_the_rest_runs(qb, three, there, connection) -> None:
    assert qb("baseline", "b", "--yes", "--reason", "was here").recorded
    assert states(qb) == ["applied", "applied", "pending"]
    assert events(connection)[1:] == [
        ("adopted", "20240101000000_a", "was here"),
        ("adopted", "20240102000000_b", "was here"),
    ]
    assert qb("validate").ok
    assert [r.migration for r in qb("run").ran] == ["20240103000000_c"]
    report = qb("validate")
    assert report.ok
    assert len(report.validation.applied) == 3


def test_an_adopted_migration_is_rolled_back_by_its_own_down(qb, three, there, tables) -> None:
    qb("baseline", "b", "--yes")
    qb("rollback")
    assert states(qb) == ["applied", "pending", "pending"]
    assert qb("validate").ok
    qb("run")
    assert qb("validate").ok
    assert tables() == ["a", "c"]


def test_a_schema_that_the_migrations_do_not_make_is_not_adopted(
    qb, three, there, connection
) -> None:
    connection.execute("ALTER TABLE a ADD COLUMN by_hand int")
    with pytest.raises(RefusedError, match="not what the migrations make") as caught:
        qb("baseline", "b", "--yes")
    assert "by_hand" in caught.value.why
    assert caught.value.exit_code == 4
    report = qb("baseline", "b", "--yes", "--accept-differences")
    assert report.recorded
    assert "by_hand" in str(report.as_dict()["proof"]["differences"])
    assert qb("validate").ok
    (detail,) = connection.execute(
        "SELECT detail FROM qb.event WHERE what = 'adopted' LIMIT 1"
    ).fetchone()
    assert not detail["proven"]
    assert "by_hand" in detail["differences"][0]


def test_a_chain_that_cannot_be_replayed_is_not_adopted(qb, write, there) -> None:
    write("20240101000000_a.sql", A + "; SELECT 1 / 0")
    with pytest.raises(RefusedError, match="cannot be replayed"):
        qb("baseline", "a", "--yes")
    assert qb("baseline", "a", "--yes", "--no-proof").recorded


def test_nothing_is_adopted_where_qb_has_applied_something(qb, three) -> None:
    qb("run")
    with pytest.raises(RefusedError, match="applied here by qb"):
        qb("baseline", "c", "--yes")


def test_a_ledger_in_which_nothing_stands_gets_a_new_baseline(qb, three, connection) -> None:
    qb("run", "a")
    qb("rollback")
    connection.execute(f"{A}; {B}")
    assert qb("baseline", "b", "--yes").recorded
    assert states(qb) == ["applied", "applied", "pending"]
    assert qb("validate").ok


def test_production_is_not_adopted_without_its_alias(qb, three, there, project) -> None:
    text = project.file.read_text()
    url = text.partition('test = "')[2].partition('"')[0]
    project.file.write_text(
        text.replace(f'"{url}"\n', f'{{ url = "{url}", production = true }}\n', 1)
        if f'"{url}"\n' in text
        else text
    )
    assert not qb("baseline", "b").recorded
    with pytest.raises(RefusedError, match="production target"):
        qb("baseline", "b", "--yes")
    assert qb("baseline", "b", "--yes", "--confirm", "test").recorded


def test_a_file_that_qb_cannot_read_may_be_adopted(qb, write, connection) -> None:
    write("1_a.up.sql", A + ";\nCOPY a FROM stdin;")
    write("2_b.up.sql", B)
    connection.execute(A)
    with pytest.raises(InputError, match="COPY FROM STDIN"):
        qb("run")
    assert qb("baseline", "1_a", "--yes", "--accept-differences").recorded
    assert states(qb) == ["applied", "pending"]
    assert [r.migration for r in qb("run").ran] == ["2_b"]
    assert qb("validate").ok
    write("1_a.up.sql", A + ";\nCOPY a FROM stdin; -- edited")
    assert states(qb) == ["broken", "applied"]


# -- import-history --------------------------------------------------------------------------------

FILES = {f"{n}_{name}.up.sql": sql for n, (name, sql) in enumerate(zip("abc", (A, B, C)), 1)}
GOLANG = (
    "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);"
    " INSERT INTO schema_migrations VALUES (2, {})"
)


def test_the_one_row_of_golang_migrate_stands_for_all_before_it(
    qb, write, there, connection
) -> None:
    for name, text in FILES.items():
        write(name, text)
    connection.execute(GOLANG.format("false"))
    report = qb("import-history")
    assert (report.source, report.recorded) == ("golang-migrate", False)
    assert [r.migration for r in report.rows] == ["1_a", "2_b"]
    assert qb("import-history", "--yes", "--prove").proof.ok
    assert states(qb) == ["applied", "applied", "pending"]
    qb("run")
    assert qb("validate").ok
    assert connection.execute("SELECT version FROM schema_migrations").fetchall() == [(2,)]


def test_a_dirty_version_is_refused(qb, write, there, connection) -> None:
    write("2_b.up.sql", B)
    connection.execute(GOLANG.format("true"))
    with pytest.raises(RefusedError, match="left version 2 dirty") as caught:
        qb("import-history", "--yes", "--accept-differences")
    assert "migrate force 2" in caught.value.todo


def test_versions_without_a_file_and_files_that_were_left_out_are_named(
    qb, write, there, connection
) -> None:
    for stamp, sql in {"20240101": A, "20240102": B, "20240103": C}.items():
        write(f"{stamp}_x.sql", f"-- migrate:up\n{sql};\n-- migrate:down\n")
    connection.execute("CREATE TABLE schema_migrations (version varchar PRIMARY KEY)")
    connection.execute("INSERT INTO schema_migrations VALUES ('20240101'), ('20240103'), ('1999')")
    with pytest.raises(RefusedError) as caught:
        qb("import-history", "--yes")
    assert "1999" in caught.value.why
    report = qb("import-history", "--yes", "--accept-differences")
    assert [r.migration for r in report.rows] == ["20240101_x", "20240103_x"]
    said = " ".join(report.notes())
    assert "1999 was applied by dbmate" in said
    assert "20240102_x; they stay pending" in said
    assert states(qb) == ["applied", "pending", "applied"]


def test_diesel_tells_when(qb, write, there, connection) -> None:
    write("2024-01-01-000000_a/up.sql", A)
    write("20240102000000_b/up.sql", B)
    connection.execute(
        "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY,"
        " run_on timestamp NOT NULL DEFAULT current_timestamp);"
        " INSERT INTO __diesel_schema_migrations VALUES ('20240101000000', '2024-01-05 10:00'),"
        " ('20240102000000', '2024-01-06 10:00')"
    )
    qb("import-history", "--yes")
    found = qb("status").migrations
    assert [s.state for s in found] == ["applied", "applied"]
    assert found[0].applied_at.strftime("%Y-%m-%d") == "2024-01-05"


def test_goose_s_last_word_counts(qb, write, there, connection) -> None:
    up = "-- +goose Up\n{};\n"
    write("1_a.sql", up.format(A))
    write("00002_b.go", "package main")
    write("3_c.sql", up.format(C))
    connection.execute(
        "CREATE TABLE goose_db_version (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,"
        " version_id bigint NOT NULL, is_applied boolean NOT NULL,"
        " tstamp timestamp NOT NULL DEFAULT now());"
        " INSERT INTO goose_db_version (version_id, is_applied)"
        " VALUES (0, true), (1, true), (2, true), (3, true), (3, false)"
    )
    report = qb("import-history", "--yes")
    assert [r.migration for r in report.rows] == ["1_a", "00002_b"]
    assert "program in Go" in report.rows[1].note
    assert states(qb) == ["applied", "applied", "pending"]
    qb("run")
    assert qb("validate").ok


FLYWAY = """
CREATE TABLE flyway_schema_history (installed_rank int PRIMARY KEY, version varchar(50),
  description varchar(200) NOT NULL, type varchar(20) NOT NULL, script varchar(1000) NOT NULL,
  checksum int, installed_by varchar(100) NOT NULL,
  installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success bool NOT NULL)
"""


def flyway(connection, *rows: tuple[Any, ...]) -> None:
    connection.execute(FLYWAY)
    for rank, row in enumerate(rows, 1):
        connection.execute(
            "INSERT INTO flyway_schema_history VALUES (%s, %s, %s, %s, %s, %s, 'ada',"
            " '2024-02-03 10:00', 1500, %s)",
            [rank, *row],
        )


def test_flyway_tells_who_how_long_and_what_has_changed_since(qb, write, there, connection) -> None:
    from qb_engine.runner.importing import flyway_checksum

    write("V1__a.sql", A)
    write("V1_1__b.sql", B)
    write("R__old.sql", "CREATE OR REPLACE VIEW old AS SELECT 1 AS a")
    write("R__view.sql", "CREATE OR REPLACE VIEW v AS SELECT 1 AS a")
    same = flyway_checksum(b"CREATE OR REPLACE VIEW old AS SELECT 1 AS a")
    flyway(
        connection,
        ("1", "a", "SQL", "V1__a.sql", flyway_checksum(A.encode()), True),
        ("1.1", "b", "SQL", "V1_1__b.sql", flyway_checksum(B.encode()), True),
        (None, "old", "SQL", "R__old.sql", same, True),
        (None, "view", "SQL", "R__view.sql", 12345, True),
    )
    report = qb("import-history", "--yes")
    assert [(r.migration, r.who, r.seconds) for r in report.rows] == [
        ("V1__a", "ada", 1.5), ("V1_1__b", "ada", 1.5), ("R__old", "ada", 1.5),
    ]  # fmt: skip
    assert states(qb) == ["applied", "applied", "applied", "pending"]
    assert [r.migration for r in qb("run").ran] == ["R__view"]


def test_a_file_that_was_edited_after_flyway_applied_it_is_refused(
    qb, write, there, connection
) -> None:
    write("V1__a.sql", A)
    flyway(connection, ("1", "a", "SQL", "V1__a.sql", 7, True))
    with pytest.raises(RefusedError, match="not what the folder holds") as caught:
        qb("import-history", "--yes")
    assert "edited after they were applied: V1__a" in caught.value.why


def test_flyway_baselines_undos_and_failures(qb, write, there, connection) -> None:
    for version in ("1", "2", "3"):
        write(f"V{version}__a.sql", "SELECT 1")
    flyway(
        connection,
        ("2", "<< Flyway Baseline >>", "BASELINE", "<< Flyway Baseline >>", None, True),
        ("3", "a", "SQL", "V3__a.sql", None, True),
        ("3", "a", "UNDO_SQL", "U3__a.sql", None, True),
    )
    assert [r.migration for r in qb("import-history").rows] == ["V1__a", "V2__a"]
    connection.execute("UPDATE flyway_schema_history SET success = false WHERE version = '2'")
    with pytest.raises(RefusedError, match="left version 2 dirty"):
        qb("import-history")


def test_alembic_s_heads_stand_for_what_they_follow(qb, write, there, connection) -> None:
    write("env.py", "raise SystemExit('not while importing')")
    write("../alembic.ini", "[alembic]\nscript_location = %(here)s/migrations\n")
    body = "def upgrade(): pass\ndef downgrade(): pass\n"
    write("versions/z1_a.py", f"revision = 'z1'\ndown_revision = None\n{body}")
    write("versions/m1_b.py", f"revision = 'm1'\ndown_revision = 'z1'\n{body}")
    write("versions/a1_c.py", f"revision = 'a1'\ndown_revision = 'm1'\n{body}")
    connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    connection.execute("INSERT INTO alembic_version VALUES ('m1')")
    report = qb("import-history", "--yes")
    assert [r.migration for r in report.rows] == ["z1_a", "m1_b"]
    assert [(s.migration, s.state) for s in qb("status").migrations][:2] == [
        ("z1_a", "applied"), ("m1_b", "applied"),
    ]  # fmt: skip


def test_sqitch_tells_a_reworked_change_from_its_first(qb, write, there, connection) -> None:
    mail = "M <m@example.com>"
    write(
        "sqitch.plan",
        f"v 2024-01-01T00:00:00Z {mail}\n@t 2024-01-02T00:00:00Z {mail}\n"
        f"v 2024-01-03T00:00:00Z {mail}\n",
    )
    write("deploy/v.sql", "CREATE OR REPLACE VIEW v AS SELECT 1 AS a")
    write("deploy/v@t.sql", "CREATE VIEW v AS SELECT 1 AS a")
    connection.execute(
        "CREATE SCHEMA sqitch; CREATE TABLE sqitch.changes (change_id text, script_hash text,"
        " change text, project text, note text, committed_at timestamptz, committer_name text,"
        " committer_email text, planned_at timestamptz, planner_name text, planner_email text);"
        " INSERT INTO sqitch.changes VALUES ('x', 'y', 'v', 'p', '', '2024-02-01 00:00Z', 'Ada',"
        " 'ada@example.com', '2024-01-01 00:00Z', 'M', 'm@example.com')"
    )
    report = qb("import-history", "--yes")
    assert [(r.migration, r.who) for r in report.rows] == [("v", "Ada <ada@example.com>")]
    assert [s.migration for s in qb("status").migrations if s.state == "pending"] == ["v#2"]


def test_typeorm_s_timestamps_are_those_of_qb_s_own_files(qb, write, there, connection) -> None:
    write("1704067200000_a.sql", A)
    write("20240102000000_b.sql", B)
    connection.execute(
        "CREATE TABLE typeorm_log (id serial PRIMARY KEY, timestamp bigint, name varchar);"
        " INSERT INTO typeorm_log (timestamp, name) VALUES (1704067200000, 'A1704067200000'),"
        " (1704153600000, 'B1704153600000')"
    )
    report = qb("import-history", "--from", "typeorm", "--table", "typeorm_log", "--yes")
    assert [r.migration for r in report.rows] == ["1704067200000_a", "20240102000000_b"]
    assert qb("import-history", "--from", "typeorm", "--table", "typeorm_log", "--prove").proof.ok


def test_what_was_imported_before_is_left_and_the_new_is_added(
    qb, write, there, connection
) -> None:
    for name, text in FILES.items():
        write(name, text)
    connection.execute(GOLANG.format("false"))
    qb("import-history", "--yes")
    connection.execute(C)
    connection.execute("UPDATE schema_migrations SET version = 3")
    report = qb("import-history", "--yes")
    assert [r.migration for r in report.rows] == ["3_c"]
    assert report.already == ("1_a", "2_b")
    assert states(qb) == ["applied"] * 3
    assert qb("validate").ok


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--from", "alembic"], "there is no table alembic_version"),
        (["--from", "dbmate"], "schema_migrations is not the table of dbmate"),
        (["--from", "rails"], "no tool whose history qb reads"),
        ([], "'qb' is no tool"),
    ],
)
def test_another_table_or_tool_is_told(qb, write, connection, args, said) -> None:
    write("20240101_a.sql", A)
    connection.execute(GOLANG.format("false"))
    with pytest.raises(InputError, match=said):
        qb("import-history", *args)


class Asked(Face):
    """Somebody at a terminal who answers one thing."""

    interactive = True

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.told: list[str] = []

    def say(self, text: str) -> None:
        self.told.append(text)

    def ask(self, prompt: str) -> str | None:
        return self.answer


@pytest.mark.parametrize(("answer", "recorded"), [("yes", True), ("y", False)])
def test_at_a_terminal_it_is_shown_and_asked(project, three, there, answer, recorded) -> None:
    face = Asked(answer)
    report = invoke(Session(face, root=project.root), ["baseline", "b"])
    assert report.recorded is recorded
    assert "20240102000000_b" in face.told[0]


WAITS = """
CREATE TABLE waited (what text, how text);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
  INSERT INTO waited VALUES (NEW.what, current_setting('synchronous_commit')); RETURN NEW; END $f$;
CREATE TRIGGER noted BEFORE INSERT ON qb.event FOR EACH ROW EXECUTE FUNCTION noted();
"""


def test_what_somebody_decided_is_on_disk_when_it_is_said(qb, write, connection) -> None:
    """The runner's connection does not wait for its commits; these are the user's word."""
    write("20240101_a.sql", "CREATE TABLE a (id int);")
    qb("run")
    connection.execute(WAITS)
    write("20240101_a.sql", "CREATE TABLE a (id bigint);")
    qb("checksum", "a", "--accept", "--reason", "done by hand")
    write("20240102_b.sql", "CREATE TABLE b ();\nVACUUM b;\nSELECT 1 / 0;")
    with pytest.raises(Exception, match="statement 3 failed"):
        qb("run")
    qb("repair", "--accept", "--reason", "as it is")
    rows = connection.execute("SELECT what, how FROM waited ORDER BY 1").fetchall()
    assert rows == [("accepted as it is", "on"), ("checksum accepted", "on")]
