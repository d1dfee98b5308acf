"""TypeORM's own history stays true while qb runs, and what TypeORM has applied is taken over"""

from __future__ import annotations

import threading
from typing import Any, cast

import psycopg
import pytest

from qb_engine.commands import Session, invoke
from qb_engine.errors import QbError, RefusedError
from qb_engine.ledger import Standing
from qb_engine.ledger.typeorm import GUARD, History, Row, guard, guarded, primary_key, rows, unguard
from qb_engine.runner.beside import compared
from qb_engine.runner.findings import findings

HEAD = 'import { MigrationInterface, QueryRunner } from "typeorm";\n'
ROWS = 'SELECT "timestamp", name FROM {} ORDER BY id'


def ts(name: str, up: str, down: str = "", more: str = "") -> str:
    """A migration of TypeORM; each line of `up` and `down` is one call."""
    ups, downs = (
        "\n".join(f"    await q.query(`{line}`);" for line in text.splitlines())
        for text in (up, down)
    )
    return (
        f"{HEAD}export class {name} implements MigrationInterface {{\n  {more}\n"
        f"  async up(q: QueryRunner): Promise<void> {{\n{ups}\n  }}\n"
        f"  async down(q: QueryRunner): Promise<void> {{\n{downs}\n  }}\n}}\n"
    )


USERS = ts("AddUsers1710460800000", "CREATE TABLE users (id integer)", "DROP TABLE users")
EMAIL = ts(
    "AddEmail1710460900000",
    "ALTER TABLE users ADD email text\nUPDATE users SET email = 'x'",
    "ALTER TABLE users DROP email",
)
INDEX = ts(
    "AddIndex1710461000000",
    "CREATE INDEX CONCURRENTLY users_email ON users (email)\nANALYZE users",
    "DROP INDEX CONCURRENTLY users_email",
    "transaction = false;",
)
FILES = {
    "1710460800000-AddUsers.ts": USERS,
    "1710460900000-AddEmail.ts": EMAIL,
    "1710461000000-AddIndex.ts": INDEX,
}
NAMES = ["AddUsers1710460800000", "AddEmail1710460900000", "AddIndex1710461000000"]
TABLE = (
    'CREATE TABLE "migrations" ("id" SERIAL NOT NULL, "timestamp" bigint NOT NULL, "name" '
    'character varying NOT NULL, CONSTRAINT "PK_8c82d7f526340ab734260ea46be" PRIMARY KEY ("id"))'
)

COMPLETED = (
    "INSERT INTO qb.backfill (id, checksum, schema_name, table_name, key_columns, key_types,"
    " set_columns, set_types, set_sql, batch_size, batch_limit, parallel, state) VALUES"
    " ('20240315_emails', '', 'public', 'users', '{id}', '{integer}', '{email}', '{text}',"
    " '{x}', 1, 1, 1, 'completed')"
)


@pytest.fixture
def told(connection: psycopg.Connection[tuple[Any, ...]]) -> Any:
    """What TypeORM's history says: names in order, or None where there is no table."""

    def names(table: str = "migrations") -> list[str] | None:
        there = connection.execute("SELECT to_regclass(%s)", [table]).fetchone()
        if there is None or there[0] is None:
            return None
        found = connection.execute(ROWS.format(table)).fetchall()
        assert all(name.endswith(str(stamp)) for stamp, name in found)
        return [name for _, name in found]

    return names


@pytest.fixture
def as_typeorm(connection: psycopg.Connection[tuple[Any, ...]]) -> Any:
    """Do what TypeORM does for a migration: its statements, and its row."""
    import re

    def apply(name: str, *statements: str, table: str = "migrations") -> None:
        if table == "migrations":
            connection.execute(re.sub("^CREATE TABLE", "CREATE TABLE IF NOT EXISTS", TABLE))
        with connection.transaction():
            for statement in statements:
                connection.execute(statement.encode())
            connection.execute(
                f'INSERT INTO {table} ("timestamp", "name") VALUES (%s, %s)'.encode(),
                [int(name[-13:]), name],
            )

    return apply


@pytest.fixture
def shop(write: Any) -> None:
    for name, text in FILES.items():
        write(name, text)


def states(qb: Any) -> list[str]:
    return [s.state for s in qb("status").migrations]


def test_a_run_appends_rows_as_typeorm_does(qb, shop, told, connection) -> None:
    assert told() is None
    assert qb("status").migrations[0].state == "pending"
    assert qb("rehearse").ok  # on a shadow, where the table is left
    assert told() is None  # who only looks makes no table
    report = qb("run")
    assert told() == NAMES
    locks = [o.table_locks for r in report.ran for o in r.seen]
    assert locks[1] == {"public.users": "AccessExclusiveLock"}  # what belongs to the statement
    assert not any("migrations" in name for each in locks for name in each)
    made = connection.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'migrations'::regclass"
        " AND contype = 'p'"
    ).fetchone()
    assert made == ("PK_8c82d7f526340ab734260ea46be",)
    assert qb("validate").ok
    assert not qb("status", "--check").findings


def test_rollback_and_redo_keep_it_true(qb, shop, told) -> None:
    qb("run")
    assert qb("rollback").ok
    assert told() == NAMES[:2]
    assert qb("rollback").ok
    assert told() == NAMES[:1]
    assert qb("run", "--atomic", "none").ok
    assert told() == NAMES
    assert qb("redo", NAMES[2]).ok
    assert told() == NAMES
    assert qb("validate").ok


def test_all_in_one_transaction(qb, write, told) -> None:
    write("a.ts", USERS)
    write("b.ts", EMAIL)
    write("c.ts", ts("Bad1710460950000", "ALTER TABLE nowhere ADD a int"))
    with pytest.raises(QbError):
        qb("run", "--atomic", "all")
    assert told() == []
    assert qb("run", "--atomic", "all", "--to", NAMES[1]).ok
    assert told() == NAMES[:2]


def test_a_table_and_schema_of_their_own(qb, shop, project, told, connection) -> None:
    """They are the data source's; the search path is not, so tables land where they always do."""
    connection.execute("CREATE SCHEMA app")
    text = project.file.read_text() + '\n[typeorm]\ntable = "Log"\nschema = "app"\n'
    project.file.write_text(text)
    session = Session(root=project.root)
    invoke(session, ["run"])
    assert told('app."Log"') == NAMES
    assert told("migrations") is None


def test_a_table_may_be_named_with_its_schema(qb, shop, project, told, connection) -> None:
    """As migrationsTableName: "audit.log" means it to TypeORM."""
    connection.execute("CREATE SCHEMA audit")
    text = f'{project.file.read_text()}\n[typeorm]\ntable = "audit.log"\n'
    project.file.write_text(text)
    session = Session(root=project.root)
    assert invoke(session, ["run"]).ok
    assert told("audit.log") == NAMES
    made = connection.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'audit.log'::regclass AND contype = 'p'"
    ).fetchone()
    assert made == (primary_key("log"),)
    assert invoke(session, ["validate"]).ok


def test_a_folder_s_parts_have_a_row_each(qb, write, told, connection) -> None:
    connection.execute("CREATE TABLE users (id integer PRIMARY KEY)")
    write("20240315_emails/pre.sql", "CREATE TABLE log ()")
    write(
        "20240315_emails/migration.ts",
        ts("Emails1710460850000", "ALTER TABLE users ADD email text",
           "ALTER TABLE users DROP email"),
    )  # fmt: skip
    write(
        "20240315_emails/post.ts",
        ts("EmailsNotNull1710460850001", "ALTER TABLE users ALTER email SET NOT NULL",
           "ALTER TABLE users ALTER email DROP NOT NULL"),
    )  # fmt: skip
    write(
        "20240315_emails/backfill.py",
        "from qb_engine import Backfill\nclass F(Backfill):\n    table = 'users'\n"
        "    set = {'email': \"''\"}\n    where = 'email IS NULL'\n",
    )
    assert qb("run").ran[0].status == "expanded"
    assert told() == ["Emails1710460850000"]
    connection.execute(COMPLETED)
    assert [r.status for r in qb("run").ran] == ["contracted"]
    assert told() == ["Emails1710460850000", "EmailsNotNull1710460850001"]
    write("20240315_emails/pre.sql", "-- qb:up\nCREATE TABLE log ();\n-- qb:down\nDROP TABLE log")
    assert qb("rollback", "--edited").ok
    assert told() == []


def test_enums_and_chosen_isolation_are_no_obstacle(qb, write, told) -> None:
    """No savepoint may stand before these, and no query before SET TRANSACTION."""
    enum = "CREATE TYPE mood AS ENUM ('a')\nALTER TYPE mood ADD VALUE 'b'\nSELECT 'b'::mood"
    write("a.ts", ts("Mood1710460800000", enum, "DROP TYPE mood"))
    isolation = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE\nCREATE TABLE a ()"
    write("b.ts", ts("Iso1710460900000", isolation, "DROP TABLE a"))
    assert qb("run").ok
    assert told() == ["Mood1710460800000", "Iso1710460900000"]
    assert qb("rollback", "--steps", "2").ok
    assert told() == []


def test_what_is_taken_as_it_is_has_its_row_or_none(qb, write, told, connection) -> None:
    """qb repair --accept decides what TypeORM's history says, too."""
    half = ts("Half1710460900000", "CREATE TABLE b ()\nSELECT 1/0", "", "transaction = false;")
    write("a.ts", USERS)
    write("b.ts", half)
    for outcome, rest in (("undone", []), ("applied", ["Half1710460900000"])):
        with pytest.raises(QbError):
            qb("run")
        assert qb("status").migrations[1].state == "partial"
        assert told() == NAMES[:1]
        qb("repair", "Half", "--accept", "--as", outcome, "--reason", "by hand", "--yes")
        assert told() == [NAMES[0], *rest]
        connection.execute("DROP TABLE b")


def test_an_up_that_does_nothing_is_a_migration_all_the_same(qb, write, told) -> None:
    write("a.ts", USERS)
    write("b.ts", ts("Nothing1710460900000", ""))
    assert qb("run").ok
    assert told() == [NAMES[0], "Nothing1710460900000"]
    with pytest.raises(RefusedError, match="cannot be rolled back"):
        qb("rollback")


def test_what_failed_half_way_has_no_row_until_it_is_whole(qb, write, told, connection) -> None:
    """An index that was built before its runner was killed gets its row when the run goes on."""
    write("a.ts", USERS)
    write("b.ts", INDEX)
    with pytest.raises(QbError):
        qb("run")
    assert told() == NAMES[:1]
    connection.execute("ALTER TABLE users ADD email text")
    assert qb("run").ok
    assert told() == [NAMES[0], NAMES[2]]
    # as after a kill between the end of the last statement and its record
    connection.execute("DELETE FROM migrations WHERE name = %s", [NAMES[2]])
    connection.execute(
        "WITH last AS (SELECT max(run) AS run FROM qb.history), gone AS (DELETE FROM qb.part p"
        " USING last WHERE p.run = last.run), step AS (UPDATE qb.step s SET status = 'running'"
        " FROM last WHERE s.run = last.run AND s.number = 1), rest AS (DELETE FROM qb.step s USING"
        " last WHERE s.run = last.run AND s.number = 2)"
        " UPDATE qb.history h SET status = 'running' FROM last WHERE h.run = last.run"
    )
    assert qb("run").ok
    assert told() == [NAMES[0], NAMES[2]]


# -- beside TypeORM --------------------------------------------------------------------------------


def test_what_typeorm_applied_is_not_run_again(qb, shop, as_typeorm, told) -> None:
    """Before anything was taken over it is refused; status says who applied what."""
    as_typeorm(NAMES[0], "CREATE TABLE users (id integer)")
    report = qb("status", "--check")
    assert [(s.state, s.who) for s in report.migrations] == [
        ("applied", "TypeORM"), ("pending", ""), ("pending", ""),
    ]  # fmt: skip
    assert [f.id for f in report.findings] == ["typeorm-applied"]
    with pytest.raises(RefusedError) as raised:
        qb("run")
    assert "AddUsers1710460800000" in raised.value.what
    assert "qb typeorm adopt" in raised.value.todo
    assert qb("import-history", "--yes").ok
    assert qb("run").ok
    assert told() == NAMES
    assert qb("validate").ok


def test_what_typeorm_applied_since_is_taken_over(qb, shop, as_typeorm, told) -> None:
    """It is in the ledger from then on, and replayed like the others."""
    qb("run", "--to", NAMES[0])
    as_typeorm(NAMES[1], "ALTER TABLE users ADD email text")
    assert states(qb) == ["applied", "applied", "pending"]
    assert qb("run").ok
    assert told() == NAMES
    assert states(qb) == ["applied"] * 3
    assert qb("validate").ok
    assert qb("rollback", "--steps", "2").ok
    assert told() == NAMES[:1]
    assert qb("validate").ok
    assert [r.who for r in qb("history", NAMES[1]).runs][-1] == "applied by TypeORM"


def test_what_typeorm_reverted_is_told_and_not_run_again(qb, shop, connection) -> None:
    qb("run", "--to", NAMES[1])
    connection.execute("ALTER TABLE users DROP email")
    connection.execute("DELETE FROM migrations WHERE name = %s", [NAMES[1]])
    report = qb("status", "--check")
    assert [(f.id, f.migration) for f in report.findings] == [("typeorm-reverted", NAMES[1])]
    assert not qb("status").ok
    for command in ("run", "rollback"):
        with pytest.raises(RefusedError, match="has AddEmail1710460900000 no more"):
            qb(command)


def test_rows_that_nobody_can_revert_are_found(qb, shop, as_typeorm, connection) -> None:
    qb("run")
    as_typeorm("Gone1710470000000")
    as_typeorm(NAMES[0])
    found = {f.id: f.what for f in qb("status", "--check").findings}
    assert set(found) == {"typeorm-missing", "typeorm-twice"}
    history = History("public", "migrations")
    with pytest.raises(RefusedError) as raised:
        guard(connection, history)
    assert "DELETE FROM public.migrations WHERE id IN (5)" in raised.value.todo
    connection.execute("DELETE FROM migrations WHERE id = 5")
    assert guard(connection, history)
    assert not guard(connection, history)
    assert guarded(connection, history)
    with pytest.raises(psycopg.errors.UniqueViolation, match=GUARD):
        as_typeorm(NAMES[0])
    assert unguard(connection, history)
    assert not unguard(connection, history)
    assert len(rows(connection, history)) == 4


def test_every_way_in_which_the_two_may_differ_is_told_apart() -> None:
    """A folder waits for its post part; one of which TypeORM ran only the middle is half there."""
    files = {
        "a": {"a.ts": "A"}, "b": {"b.ts": "B"}, "c": {"pre.ts": "C0", "migration.ts": "C1"},
        "d": {"migration.ts": "D1", "post.ts": "D2"}, "e": {"e.ts": "E"}, "f": {"f.ts": "F"},
    }  # fmt: skip
    said = [Row(n, 0, name) for n, name in enumerate(["E", "A", "C1", "D1", "X", "A"], 1)]
    known = {
        id: Standing(id, status, "", cast("Any", None))
        for id, status in {"b": "applied", "d": "expanded", "f": "partial"}.items()
    }
    found = compared(History("public", "migrations"), said, files, known, shared=True)
    assert (found.since, found.gone, found.partly) == (("e", "a"), ("b",), ("c",))
    assert [row.name for row in found.strange] == ["X"]
    assert list(found.twice or ()) == ["A"]
    told = findings((), beside=found)
    assert {f.id for f in told} == {
        "typeorm-applied", "typeorm-reverted", "typeorm-partly", "typeorm-twice",
        "typeorm-missing",
    }  # fmt: skip
    for each in told:
        assert each.what
        assert each.why
        assert any(word in each.todo for word in ("qb ", "git "))


def test_typeorm_at_work_at_the_same_moment(qb, shop, connection, database, told) -> None:
    """It commits while qb waits for its history: qb sees the row, and does not run it again."""
    qb("run", "--to", NAMES[0])
    with psycopg.connect(database.conninfo) as other:
        other.execute("ALTER TABLE users ADD email text")
        other.execute(
            'INSERT INTO migrations ("timestamp", name) VALUES (1710460900000, %s)', [NAMES[1]]
        )
        found: list[Any] = []
        running = threading.Thread(target=lambda: found.append(qb("run")))
        running.start()
        waits_for(connection, "LOCK TABLE public.migrations")
        other.commit()
        running.join()
    assert [(r.migration, r.note) for r in found[0].ran] == [
        (NAMES[1], "TypeORM has applied it meanwhile"), (NAMES[2], ""),
    ]  # fmt: skip
    assert told() == NAMES
    assert qb("validate").ok


def test_the_same_with_all_in_one_transaction(qb, write, connection, database, told) -> None:
    for name, text in list(FILES.items())[:2]:
        write(name, text)
    write("c.ts", ts("More1710461000000", "ALTER TABLE users ADD more int"))
    qb("run", "--to", NAMES[0])
    with psycopg.connect(database.conninfo) as other:
        other.execute("ALTER TABLE users ADD email text")
        other.execute(
            'INSERT INTO migrations ("timestamp", name) VALUES (1710460900000, %s)', [NAMES[1]]
        )
        found: list[Any] = []
        running = threading.Thread(target=lambda: found.append(qb("run", "--atomic", "all")))
        running.start()
        waits_for(connection, "LOCK TABLE public.migrations")
        other.commit()
        running.join()
    assert [r.migration for r in found[0].ran] == [NAMES[1], "More1710461000000"]
    assert told() == [*NAMES[:2], "More1710461000000"]


def waits_for(conn: psycopg.Connection[Any], query: str) -> None:
    """Wait until somebody waits for a lock with a statement."""
    while not conn.execute(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
        [f"%{query}%"],
    ).fetchall():
        conn.execute("SELECT pg_sleep(0.01)")


def test_a_folder_of_which_typeorm_ran_its_class_only(
    qb, write, project, as_typeorm, connection
) -> None:
    """Its backfill is to come; SQL beside the class was never run, and nobody says it was."""
    connection.execute("CREATE TABLE users (id integer PRIMARY KEY)")
    write("1710460700000-First.ts", ts("First1710460700000", "SELECT 1"))
    write("20240315_emails/migration.ts", ts("Emails1710460850000", "ALTER TABLE users ADD e int"))
    write(
        "20240315_emails/backfill.ts",
        'export const table = "users";\nexport const set = { e: "1" };\n',
    )
    qb("run", "First")
    as_typeorm("Emails1710460850000", "ALTER TABLE users ADD e int")
    write("20240315_emails/pre.sql", "CREATE TABLE log ()")
    for command in (["run"], ["typeorm", "adopt", "--yes"]):
        with pytest.raises(RefusedError, match="has applied a part of 20240315_emails"):
            qb(*command)
    (project.migrations / "20240315_emails" / "pre.sql").unlink()
    assert [r.status for r in qb("run").ran] == ["expanded"]
    assert [s.state for s in qb("status").migrations] == ["applied", "expanded"]


def test_what_typeorm_applied_is_not_gone_on_with(qb, write, as_typeorm, told, connection) -> None:
    """What is left of a migration that stopped half way would run a second time."""
    write("a.ts", USERS)
    write("b.ts", ts("Twice1710460900000", "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (id)"
                     "\nUPDATE users SET id = id * 2 / (SELECT n FROM other)", "",
                     "transaction = false;"))  # fmt: skip
    with pytest.raises(QbError):
        qb("run")
    connection.execute("INSERT INTO users VALUES (1); CREATE TABLE other AS SELECT 1 AS n")
    as_typeorm("Twice1710460900000", "UPDATE users SET id = id * 2")
    for command in (["run"], ["repair", "Twice1710460900000", "--continue", "--yes"]):
        with pytest.raises(RefusedError, match="TypeORM has applied Twice1710460900000, of which"):
            qb(*command)
    assert connection.execute("SELECT id FROM users").fetchall() == [(2,)]
    accept = ("--accept", "--as", "applied", "--reason", "TypeORM has applied it", "--yes")
    qb("repair", "Twice1710460900000", *accept)
    assert states(qb) == ["applied", "applied"]
    assert told() == [NAMES[0], "Twice1710460900000"]


def test_what_typeorm_applied_after_a_backfill_is_taken_over(
    qb, write, as_typeorm, told, connection
) -> None:
    """Its glob finds post.ts, too: the ledger must not have it as expanded for ever."""
    connection.execute("CREATE TABLE users (id integer PRIMARY KEY)")
    emails, after = "Emails1710460850000", "EmailsNotNull1710460850001"
    constrain = "ALTER TABLE users ALTER e SET NOT NULL"
    write("20240315_emails/migration.ts", ts(emails, "ALTER TABLE users ADD e int",
                                             "ALTER TABLE users DROP e"))  # fmt: skip
    write("20240315_emails/post.ts", ts(after, constrain, constrain.replace("SET", "DROP")))
    write(
        "20240315_emails/backfill.ts",
        'export const table = "users";\nexport const set = { e: "1" };\n',
    )
    assert qb("run").ran[0].status == "expanded"
    connection.execute(COMPLETED)
    as_typeorm(after, constrain)
    assert [r.note for r in qb("run").ran] == ["TypeORM has applied it meanwhile"]
    assert states(qb) == ["contracted"]
    assert not qb("run").ran
    assert qb("validate").ok
    assert qb("rollback").ok
    assert told() == []
    as_typeorm(emails, "ALTER TABLE users ADD e int")
    as_typeorm(after, constrain)
    assert not qb("run").ran
    assert states(qb) == ["contracted"]
    assert qb("validate").ok


def test_what_is_left_is_proven_over_what_typeorm_applied(qb, write, as_typeorm) -> None:
    write("a.ts", USERS)
    qb("run")
    as_typeorm(NAMES[1], "ALTER TABLE users ADD email text")
    write("b.ts", EMAIL)
    write("c.ts", INDEX.replace("ANALYZE users", "ANALYZE nothing"))
    with pytest.raises(QbError):
        qb("run")
    (tried,) = qb("repair").tried
    assert not tried.problem
    assert tried.way.statements


def test_a_copy_that_kept_the_class_s_name_is_broken_and_never_taken_for_applied(
    qb, write, told
) -> None:
    write("20240315103000_a.ts", USERS)
    assert qb("run").ok
    write("20240316103000_b.ts", USERS.replace("TABLE users", "TABLE others"))
    report = qb("status")
    assert [s.state for s in report.migrations] == ["applied", "broken"]
    assert "is the name of two migrations" in report.migrations[1].note
    with pytest.raises(QbError) as raised:
        qb("run")
    assert raised.value.code == "duplicate-migration"
    assert told() == NAMES[:1]


def test_a_copy_with_the_very_same_class_does_not_hide_that_it_is_applied(
    qb, write, as_typeorm
) -> None:
    write("1710460800000-AddUsers.ts", USERS)
    write("1710460800000-AddUsers2.ts", USERS)
    as_typeorm(NAMES[0], "CREATE TABLE users (id integer)")
    assert states(qb) == ["applied", "broken"]
    report = qb("typeorm", "adopt")
    assert [row.migration for row in report.rows] == [NAMES[0]]


def test_who_looks_waits_for_no_run(qb, shop, database) -> None:
    """A run keeps TypeORM's history to itself, for as long as a migration takes."""
    qb("run", "--to", NAMES[0])
    with psycopg.connect(database.conninfo) as holder:
        holder.execute("LOCK TABLE migrations IN ACCESS EXCLUSIVE MODE")
        assert states(qb) == ["applied", "pending", "pending"]
        with pytest.raises(QbError) as raised:
            qb("run")
        assert raised.value.code == "schema-busy"


def test_what_is_called_like_the_history_is_not_hidden(qb, write, connection) -> None:
    write("a.ts", ts("A1710460800000", "CREATE SCHEMA app\nCREATE TABLE app.migrations (id int)"))
    qb("run")
    assert qb("validate").ok
    connection.execute("CREATE SEQUENCE migrations_of_users; DROP TABLE app.migrations")
    connection.execute("CREATE FUNCTION migrations() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    found = {str(each.id) for each in qb("validate").validation.differences}
    assert {"table app.migrations", "function public.migrations()"} <= found
    assert "sequence public.migrations_of_users" in found


def test_a_baseline_is_what_typeorm_calls_fake(qb, shop, told, connection) -> None:
    connection.execute("CREATE TABLE users (id integer)")
    assert qb("baseline", NAMES[0], "--yes").ok
    assert told() == NAMES[:1]
    assert qb("run").ok
    assert told() == NAMES


def test_a_baseline_is_proven_where_the_history_is_there_already(
    qb, shop, told, connection
) -> None:
    """As after synchronize, and a run that failed because of it."""
    connection.execute("CREATE TABLE users (id integer, email text)")
    with pytest.raises(QbError, match="failed"):
        qb("run")
    assert told() == []
    assert qb("baseline", NAMES[1], "--yes").ok
    assert told() == NAMES[:2]


def test_a_baseline_that_fails_is_told_to_nobody(qb, shop, told, connection) -> None:
    """TypeORM's row and the ledger's are there together, or neither is."""
    connection.execute("CREATE TABLE users (id integer)")
    qb("baseline", NAMES[0], "--yes")
    qb("rollback")
    connection.execute("ALTER TABLE qb.history ADD CHECK (status <> 'applied') NOT VALID")
    connection.execute("CREATE TABLE users (id integer)")
    with pytest.raises(QbError):
        qb("baseline", NAMES[0], "--yes")
    assert told() == []


def test_a_baseline_holds_what_cannot_be_read(qb, write, told, connection) -> None:
    write("a.ts", USERS)
    write("b.ts", EMAIL.replace("await q.query", "for (const u of await q.query('x')) q.query"))
    write("c.ts", ts("C1710461000000", "CREATE TABLE c ()"))
    connection.execute("CREATE TABLE users (id integer, email text)")
    assert qb("baseline", NAMES[1], "--accept-differences", "--yes").ok
    assert told() == NAMES[:2]
    assert qb("run").ok


def test_another_tool_s_table_of_that_name_is_left_alone(qb, shop, connection) -> None:
    connection.execute("CREATE TABLE migrations (id int, migration text, batch int)")
    with pytest.raises(RefusedError, match="is not TypeORM's history"):
        qb("run")


def test_what_typeorm_would_have_made_is_proposed(qb, write) -> None:
    """Extensions come from its entities, and a table for views: a database of qb's own has none."""
    up = "CREATE TABLE a (id uuid DEFAULT uuid_generate_v4())"
    write("a.ts", ts("A1710460800000", up))
    assert 'CREATE EXTENSION IF NOT EXISTS "uuid-ossp"' in qb("plan").notes()[0]
    assert "of the extension uuid-ossp" in str(qb("lint"))
    with pytest.raises(QbError) as raised:
        qb("run")
    assert 'CREATE EXTENSION IF NOT EXISTS "uuid-ossp"' in raised.value.todo
    view = "INSERT INTO typeorm_metadata (type) VALUES ($1)`, ['VIEW']); await q.query(`SELECT 1"
    write("a.ts", ts("A1710460800000", view))
    with pytest.raises(QbError) as raised:
        qb("run")
    assert 'CREATE TABLE IF NOT EXISTS "typeorm_metadata"' in raised.value.todo


def test_two_histories_of_a_schema_are_guarded(qb, shop, connection) -> None:
    """And one that has a unique name of its own is not given another."""
    qb("run")
    both = History("public", "migrations"), History("public", "jobs")
    connection.execute(TABLE.replace('"migrations"', "jobs").replace("PK_8", "PK_9"))
    assert [guard(connection, each) for each in both] == [True, True]
    assert [unguard(connection, each) for each in both] == [True, True]
    connection.execute("CREATE UNIQUE INDEX ON jobs (name)")
    assert not guard(connection, both[1])
    assert not guarded(connection, both[1])


def test_history_is_written_as_who_connected(qb, write, told, connection) -> None:
    """A migration may become a role that may not touch TypeORM's history."""
    role = "only_" + connection.info.dbname
    connection.execute(f"CREATE ROLE {role}".encode())
    try:
        connection.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {role}".encode())
        write("a.ts", ts("A1710460800000", f"SET ROLE {role}\nCREATE TABLE a ()", "",
                         "transaction = false;"))  # fmt: skip
        write("b.ts", ts("B1710460900000", f"SET LOCAL ROLE {role}\nCREATE TABLE b ()"))
        assert qb("run").ok
        assert told() == ["A1710460800000", "B1710460900000"]
        owners = connection.execute(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname IN ('a', 'b')"
        ).fetchall()
        assert owners == [(role,)]
    finally:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_lint_reads_typescript_as_any_other_form(qb, write, project) -> None:
    """With lines of the file, and acceptances in comments of either language."""
    text = ts("A1710460800000", "CREATE TABLE a ()\nDROP TABLE b")
    comment = "    // qb:accept object-not-found because nobody reads it\n"
    write("a.ts", text.replace("    await q.query(`DROP", f"{comment}    await q.query(`DROP"))
    write("b.ts", ts("B1710460900000", "DROP TABLE c"))
    found = {f.hazard: f for f in qb("lint", "--fail-on", "never").findings}
    where = {(f.file.rpartition("/")[2], f.line) for f in found.values()}
    assert ("b.ts", 5) in where
    one = qb("lint", str(project.migrations / "a.ts"), "--fail-on", "never")
    drops = [f for f in one.findings if f.hazard == "object-not-found"]
    assert [(f.line, f.accepted) for f in drops] == [(7, "nobody reads it")]
