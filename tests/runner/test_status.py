"""every state in words, and what is wrong with the command that resolves it; readers never wait"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine import ledger
from qb_engine.commands import Session, invoke
from qb_engine.database import Target
from qb_engine.errors import RefusedError, ServerError
from qb_engine.execution import StepFailed
from qb_engine.migrations import LoadedMigration, load_one, stamps
from qb_engine.migrations.listing import Entry
from qb_engine.project import Project
from qb_engine.report import plain
from qb_engine.runner import Status
from qb_engine.runner.findings import findings, late, refuse_out_of_order
from qb_engine.runner.leftovers import InvalidIndex, Orphan
from qb_engine.runner.lock import only_runner

Connection = psycopg.Connection[tuple[Any, ...]]
BACKFILL = (
    "from qb_engine import Backfill\n"
    "class Fill(Backfill):\n    table = 'a'\n    set = {'b': \"'x'\"}\n    where = 'b IS NULL'\n"
)
THEN = datetime(2024, 1, 1, tzinfo=UTC)
QB = [sys.executable, "-m", "qb_engine.commands"]


def states(report: Any) -> list[tuple[str, str]]:
    return [(s.migration, s.state) for s in report.migrations]


def ids(report: Any) -> list[str]:
    return [f.id for f in report.findings]


def fill_is(connection: Connection, state: str, migration: str) -> None:
    """Have the ledger say how a backfill is."""
    connection.execute("DELETE FROM qb.backfill")
    connection.execute(
        "INSERT INTO qb.backfill (id, checksum, schema_name, table_name, key_columns, key_types,"
        " set_columns, set_types, set_sql, batch_size, batch_limit, parallel, state) VALUES"
        " (%s, '', 'public', 'a', '{id}', '{integer}', '{b}', '{text}', '{x}', 1, 1, 1, %s)",
        [migration, state],
    )


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the migrations whose statements have been read since."""
    seen: list[str] = []
    original = LoadedMigration.__init__

    def noted(self: LoadedMigration, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        seen.append(self.id)

    monkeypatch.setattr(LoadedMigration, "__init__", noted)
    return seen


# -- what is read -------------------------------------------------------------------------------


def test_what_is_applied_as_it_stands_is_not_read_again(qb, write, read: list[str]) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    write(
        "20240102_b.py", "from qb_engine import Migration\nclass M(Migration):\n    up = 'SELECT 1'"
    )
    write("20240103_c/migration.sql", "CREATE TABLE c ()")
    qb("run")
    write("20240104_d.sql", "SELECT 1")
    read.clear()
    assert [state for _, state in states(qb("status"))] == ["applied"] * 3 + ["pending"]
    assert read == ["20240104_d"]


@pytest.mark.parametrize(("version", "code"), [(1, "ledger-too-old"), (99, "ledger-too-new")])
def test_the_ledger_of_another_qb_is_left_alone(
    qb, write, connection: Connection, version: int, code: str
) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run")
    connection.execute("UPDATE qb.meta SET version = %s", [version])
    fill_is(connection, "running", "20240101_a")
    for words in (["status"], ["run"], ["rollback"], ["backfill", "status", "a"]):
        with pytest.raises(ServerError) as caught:
            qb(*words)
        assert caught.value.code == code


def test_a_remark_is_no_edit_and_a_statement_is(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run")
    write("20240101_a.sql", "/* a remark */ create table  a ()")
    assert states(qb("status")) == [("20240101_a", "applied")]
    write("20240101_a.sql", "CREATE TABLE a (x int)")
    report = qb("status", "--check")
    assert states(report) == [("20240101_a", "edited")]
    assert "qb checksum 20240101_a --accept" in report.findings[0].todo


def test_a_backfill_may_be_edited_until_it_is_started(
    qb, write, project: Project, connection: Connection
) -> None:
    write("20240101_a/migration.sql", "CREATE TABLE a (id int PRIMARY KEY, b text)")
    write("20240101_a/backfill.py", BACKFILL)
    qb("run")
    write("20240101_a/backfill.py", BACKFILL.replace("'x'", "'y'"))
    assert states(qb("status")) == [("20240101_a", "expanded")]
    fill_is(connection, "completed", "20240101_a")
    started = load_one(project.migrations / "20240101_a").fill_checksum
    connection.execute("UPDATE qb.backfill SET checksum = %s", [started])
    assert states(qb("status")) == [("20240101_a", "applied")]
    write("20240101_a/backfill.py", BACKFILL)
    assert states(qb("status")) == [("20240101_a", "edited")]
    assert qb("checksum", "a", "--accept", "--reason", "as it should have been").ok
    assert states(qb("status")) == [("20240101_a", "applied")]


def test_python_that_leans_on_another_file_is_read_each_time(
    qb, write, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(project.root)
    (project.root / "qb_test_names.py").write_text("TABLE = 'a'\n")
    text = (
        "import importlib, qb_test_names\nfrom qb_engine import Migration\n"
        "importlib.reload(qb_test_names)\n"
        "class M(Migration):\n    up = f'CREATE TABLE {qb_test_names.TABLE} ()'\n"
    )
    write("20240101_a.py", text)
    qb("run")
    assert states(qb("status")) == [("20240101_a", "applied")]
    (project.root / "qb_test_names.py").write_text("TABLE = 'another'\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert states(qb("status")) == [("20240101_a", "edited")]


def test_a_ledger_without_raw_checksums_is_compared_by_statements(
    qb, write, connection: Connection, read: list[str]
) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run")
    connection.execute("UPDATE qb.history SET raw_checksum = ''")
    read.clear()
    assert states(qb("status")) == [("20240101_a", "applied")]
    assert read == ["20240101_a"]


# -- states in words ----------------------------------------------------------------------------


@pytest.fixture
def folder(write, connection: Connection) -> str:
    """A folder migration with a backfill and a post part."""
    connection.execute("CREATE TABLE a (id int PRIMARY KEY, old int)")
    name = "20240101000000_fill"
    write(f"{name}/pre.sql", "SELECT 1")
    write(f"{name}/migration.sql", "-- qb:up\nALTER TABLE a ADD b text;\n-- qb:down\n"
          "ALTER TABLE a DROP b")  # fmt: skip
    write(f"{name}/post.sql", "ALTER TABLE a DROP old")
    write(f"{name}/backfill.py", BACKFILL)
    write(f"{name}/README.md", "# Filling b\n\nTalk to Ann before you run this.\n")
    return name


@pytest.mark.parametrize(
    ("fill", "state", "found"),
    [
        ("", "expanded", "waits-for-backfill"),
        ("pending", "backfilling", ""),
        ("running", "backfilling", ""),
        ("verifying", "backfilling", ""),
        ("paused", "backfilling", "backfill-paused"),
        ("failed", "expanded", "backfill-failed"),
        ("cancelled", "expanded", "backfill-cancelled"),
        ("completed", "expanded", "waits-for-post"),
    ],
)
def test_a_folder_is_never_just_applied_while_its_rows_are_filled(
    qb, folder: str, connection: Connection, fill: str, state: str, found: str
) -> None:
    qb("run")
    if fill:
        fill_is(connection, fill, folder)
    report = qb("status", "--check")
    assert states(report) == [(folder, state)]
    assert ids(report) == ([found] if found else [])
    assert report.ok == (not found)
    if fill not in ("", "completed"):
        assert [r.status for r in qb("run").ran] == ["expanded"]  # it waits, and runs nothing twice
        assert states(qb("status")) == [(folder, state)]


def test_a_backfill_that_nobody_drives_is_something_to_put_right(
    qb, folder: str, connection: Connection
) -> None:
    qb("run")
    fill_is(connection, "running", folder)
    connection.execute("UPDATE qb.backfill SET started_at = now() - interval '41 s'")
    report = qb("status", "--check")
    assert ids(report) == ["backfill-stranded"]
    assert "no batch and no worker for 41" in report.findings[0].what
    assert not report.ok
    for alive in (
        "INSERT INTO qb.worker (id, lanes, concurrency, rss_bytes, cpu_share)"
        " VALUES ('here:1', 1, 16, 1, 0)",
        "DELETE FROM qb.worker; UPDATE qb.backfill SET note = 'waits for older writers'",
    ):
        connection.execute(alive.encode())
        assert qb("status", "--check").ok


def test_a_folder_is_contracted_when_what_comes_after_its_backfill_ran(
    qb, folder: str, connection: Connection
) -> None:
    qb("run")
    fill_is(connection, "completed", folder)
    assert [r.status for r in qb("run").ran] == ["contracted"]
    report = qb("status", "--check")
    assert states(report) == [(folder, "contracted")]
    assert report.ok
    assert qb("validate").ok


def test_a_folder_without_an_after_is_applied_when_its_rows_are_filled(
    qb, folder: str, project: Project, connection: Connection
) -> None:
    (project.migrations / folder / "post.sql").unlink()
    qb("run")
    assert states(qb("status")) == [(folder, "expanded")]
    fill_is(connection, "running", folder)
    assert states(qb("status")) == [(folder, "backfilling")]
    fill_is(connection, "completed", folder)
    assert states(qb("status")) == [(folder, "applied")]
    qb("run")
    assert states(qb("status")) == [(folder, "applied")]


def test_each_part_has_its_own_state(qb, folder: str, connection: Connection) -> None:
    def parts() -> list[tuple[str, str]]:
        return [(p.file, p.state) for p in qb("status", "fill").parts]

    assert parts() == [
        ("pre.sql", "pending"), ("migration.sql", "pending"), ("backfill.py", "needed"),
        ("post.sql", "pending"),
    ]  # fmt: skip
    qb("run")
    assert parts() == [
        ("pre.sql", "applied"), ("migration.sql", "applied"), ("backfill.py", "not started"),
        ("post.sql", "pending"),
    ]  # fmt: skip
    fill_is(connection, "completed", folder)
    qb("run")
    assert [state for _, state in parts()] == ["applied", "applied", "completed", "applied"]
    (first, *_) = qb("status", folder).parts
    assert (first.statements, first.done, first.transaction) == (1, 1, "one")
    assert first.at is not None


def test_a_part_that_stopped_half_way_says_how_far(qb, write) -> None:
    write("20240101_a/pre.sql", "CREATE TABLE a ()")
    write("20240101_a/migration.sql", "VACUUM a; VACUUM nowhere; CREATE TABLE b ()")
    with pytest.raises(StepFailed):
        qb("run")
    report = qb("status", "20240101_a", "--check")
    assert [(p.file, p.state, p.done, p.statements) for p in report.parts] == [
        ("pre.sql", "applied", 1, 1),
        ("migration.sql", "partial", 1, 3),
    ]
    assert ids(report) == ["partial"]
    assert not report.ok


def test_a_readme_is_shown_in_the_plan_and_with_the_one(qb, folder: str) -> None:
    assert "Talk to Ann before you run this." in plain(qb("plan"))
    assert "Talk to Ann before you run this." in plain(qb("status", "fill"))


def test_one_that_is_gone_or_broken_is_shown_too(qb, write, project: Project) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run")
    (project.migrations / "20240101_a.sql").unlink()
    write("20240102_b.sql", "SELCT 1")
    gone = qb("status", "20240101_a")
    assert (gone.migration.state, [p.file for p in gone.parts]) == ("missing", ["20240101_a.sql"])
    assert qb("status", "b").migration.state == "broken"
    with pytest.raises(Exception, match="there is no migration 'zzz'"):
        qb("status", "zzz")


# -- what is wrong ------------------------------------------------------------------------------


def entry(id: str) -> Entry:
    stamp, name = stamps.split(id) or ("", "")
    return Entry(Path(f"migrations/{id}.sql"), id, stamp, name)


def stand(**which: str) -> tuple[Status, ...]:
    """Statuses by letter: `stand(a="applied", b="pending")`, a day apart."""
    return tuple(
        Status(
            f"2024010{ord(letter) - 96}000000_{letter}",
            state,  # type: ignore[arg-type]
            THEN if state not in ("pending", "broken") else None,
        )
        for letter, state in which.items()
    )


def found(statuses: tuple[Status, ...]) -> list[str]:
    here = [entry(s.migration) for s in statuses if s.state != "missing"]
    return [f.id for f in findings(statuses, here)]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (stand(), []),
        (stand(a="applied", b="pending", c="pending"), []),
        (stand(a="applied", b="contracted", c="backfilling"), []),
        (stand(a="pending", b="applied"), ["out-of-order"]),
        (stand(a="pending", b="pending", c="applied"), ["out-of-order"] * 2),
        (
            stand(a="pending", b="applied", c="pending", d="applied", e="pending"),
            ["out-of-order", "out-of-order", "two-branches"],
        ),
        (stand(a="missing", b="applied"), ["missing"]),
        (stand(a="applied", b="missing", c="pending"), ["missing", "two-branches"]),
        (stand(a="pending", b="missing"), ["missing", "out-of-order", "two-branches"]),
        (stand(a="edited", b="broken", c="partial"), ["edited", "broken", "partial"]),
        (stand(a="broken", b="applied"), ["broken"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else " ".join(s.state for s in value) or "none",
)
def test_what_is_wrong_is_found(statuses: tuple[Status, ...], expected: list[str]) -> None:
    assert found(statuses) == expected


def test_every_finding_has_a_sentence_a_reason_and_a_command() -> None:
    statuses = (
        *stand(a="pending", b="edited", c="missing", d="broken", e="partial", f="applied"),
        Status("20240107000000_g", "partial", THEN, down=True),
        Status("20240108000000_h", "applied", THEN, down_edited=True),
        *(
            Status(f"2024010900000{i}_i", "expanded", THEN, backfill=fill)
            for i, fill in enumerate(("failed", "cancelled", "not started", "completed", "paused"))
        ),
        Status("20240120000000_j", "pending"),
        Status("20240120000000_k", "pending"),
    )
    every = findings(
        statuses,
        [entry(s.migration) for s in statuses if s.state != "missing"],
        orphans=[Orphan(3, "20240101000000_a", "up", "ann", "host", THEN)],
        invalid=[InvalidIndex("public.i", "public.a", temporary=False)],
        stranded={"20240118000000_s": 41.5},
    )
    assert {f.id for f in every} == {
        "backfill-cancelled", "backfill-failed", "backfill-paused", "backfill-stranded", "broken",
        "duplicate-stamp", "edited", "edited-down", "invalid-index", "missing", "out-of-order",
        "partial", "partial-down", "runner-gone", "two-branches", "waits-for-backfill",
        "waits-for-post",
    }  # fmt: skip
    for each in every:
        assert each.what
        assert each.why
        assert any(word in each.todo for word in ("qb ", "git ", "INDEX"))


def test_repeatable_ones_stand_in_no_order() -> None:
    statuses = (
        *stand(a="applied", b="pending"),
        Status("R__a", "pending", repeatable=True),
        Status("R__b", "applied", THEN, repeatable=True),
    )
    assert late(statuses) == ()
    assert found(statuses) == []


def test_only_what_is_older_than_the_newest_applied_one_is_out_of_order() -> None:
    statuses = stand(a="applied", b="pending", c="applied", d="pending")
    assert late(statuses) == ("20240102000000_b",)
    with pytest.raises(RefusedError, match="20240102000000_b is older") as caught:
        refuse_out_of_order(statuses)
    assert "--allow-out-of-order" in caught.value.todo
    refuse_out_of_order(statuses, only="20240104000000_d")
    with pytest.raises(RefusedError):
        refuse_out_of_order(statuses, only="20240102000000_b")
    refuse_out_of_order(stand(a="applied", b="pending", c="pending"))


def test_the_command_of_an_older_one_makes_it_the_newest(qb, write, project: Project) -> None:
    write("20240103_c.sql", "CREATE TABLE c ()")
    qb("run")
    write("20240101_a.sql", "CREATE TABLE a ()")
    write("20240102_b.sql", "CREATE TABLE b ()")
    report = qb("status", "--check")
    assert ids(report) == ["out-of-order", "out-of-order"]
    subprocess.run(["git", "init", "--quiet"], cwd=project.root, check=True)
    subprocess.run(["git", "add", "-A"], cwd=project.root, check=True)
    for each in report.findings:
        command = each.todo.partition(";")[0]
        assert command.startswith("git mv ")
        subprocess.run(command, shell=True, cwd=project.root, check=True)
    report = qb("status", "--check")
    assert [s.migration.partition("_")[2] for s in report.migrations] == ["c", "a", "b"]
    assert report.ok
    assert qb("run").ok


def test_files_with_the_same_timestamp_are_told_apart_while_one_is_pending(qb, write) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    write("20240101000000_b.sql", "CREATE TABLE b ()")
    report = qb("status", "--check")
    assert ids(report) == ["duplicate-stamp"]
    assert "git mv" in report.findings[0].todo
    qb("run")
    assert qb("status", "--check").ok


def test_an_edited_way_back_is_found(qb, write) -> None:
    up = "-- qb:up\nCREATE TABLE a ();\n-- qb:down\nDROP TABLE a"
    write("20240101_a.sql", up)
    qb("run")
    write("20240101_a.sql", f"{up} CASCADE")
    report = qb("status", "--check")
    assert states(report) == [("20240101_a", "applied")]
    assert ids(report) == ["edited-down"]


def test_a_run_whose_runner_is_gone_is_found_and_one_at_work_is_not(
    qb, write, database: Target, connection: Connection
) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run")
    connection.execute(
        "INSERT INTO qb.history (migration, name, checksum, direction, status, qb_version)"
        " VALUES ('20240102_b', 'b', '', 'up', 'running', '0')"
    )
    assert ids(qb("status", "--check")) == ["runner-gone"]
    with (
        psycopg.connect(database.conninfo, autocommit=True) as other,
        only_runner(other, 5, print),
    ):
        report = qb("status", "--check")
        assert ids(report) == []
        assert report.runner


def test_an_invalid_index_is_found_with_what_removes_it(qb, connection: Connection) -> None:
    connection.execute('CREATE TABLE "A b" (id int); INSERT INTO "A b" VALUES (1), (1)')
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute('CREATE UNIQUE INDEX CONCURRENTLY "I x" ON "A b" (id)')
    (finding,) = qb("status", "--check").findings
    assert finding.id == "invalid-index"
    connection.execute(finding.todo.partition(";")[0].encode())
    assert qb("status", "--check").ok


def test_what_one_killed_runner_has_left_is_one_thing_to_put_right(
    qb, write, connection: Connection
) -> None:
    """A migration half way, its run without an end, and an index that the next run builds anew."""
    index = "CREATE UNIQUE INDEX CONCURRENTLY a_id ON a (id)"
    write(
        "20240101_a.sql", f"CREATE TABLE a AS SELECT 1 AS id FROM generate_series(1, 2);\n{index}"
    )
    with pytest.raises(StepFailed):
        qb("run")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(index.encode())
    connection.execute("UPDATE qb.history SET status = 'running', finished_at = NULL")
    connection.execute("UPDATE qb.step SET status = 'running', error = '' WHERE number = 2")
    (finding,) = qb("status", "--check").findings
    assert finding.id == "partial"
    assert "ended without a word" in finding.why
    assert "qb run continues" in finding.todo
    connection.execute("DELETE FROM a")
    assert qb("run").ok
    assert qb("status", "--check").ok


def test_an_index_of_partitions_that_wait_for_theirs_is_no_remains(
    qb, connection: Connection
) -> None:
    connection.execute("CREATE TABLE p (id int) PARTITION BY RANGE (id)")
    connection.execute("CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9)")
    connection.execute("CREATE INDEX ON ONLY p (id)")
    assert qb("status", "--check").ok


def test_check_ends_with_one_and_says_the_same_as_json(write, qb, project: Project) -> None:
    write("20240102_b.sql", "CREATE TABLE b ()")
    qb("run")
    assert subprocess.run([*QB, "status", "--check"], cwd=project.root, check=False).returncode == 0
    write("20240101_a.sql", "CREATE TABLE a ()")
    assert subprocess.run([*QB, "status"], cwd=project.root, check=False).returncode == 0
    ran = subprocess.run(
        [*QB, "status", "--check", "--json"], cwd=project.root, capture_output=True, check=False
    )
    assert ran.returncode == 1
    said = json.loads(ran.stdout)
    assert [f["id"] for f in said["findings"]] == ["out-of-order"]
    assert [m["state"] for m in said["migrations"]] == ["pending", "applied"]


def test_a_missing_one_stands_where_it_ran(qb, write, project: Project) -> None:
    for name in ("20240101_a", "20240102_b", "20240103_c"):
        write(f"{name}.sql", "SELECT 1")
    qb("run")
    (project.migrations / "20240102_b.sql").unlink()
    assert [state for _, state in states(qb("status"))] == ["applied", "missing", "applied"]


def test_thousands_of_applied_ones_are_counted_and_the_last_ones_listed(qb, write) -> None:
    for n in range(60):
        write(f"202401010000{n:02}_m.sql", "SELECT 1")
    qb("run")
    report = qb("status")
    assert len(report.tables()[0].rows) == 50
    assert "qb status --all" in report.notes()[0]
    assert len(report.df) == len(qb("status", "--all").tables()[0].rows) == 60


def test_a_format_of_another_tool_is_renamed_by_its_own_rules() -> None:
    older, newer = (
        Entry(Path(f"{id}.sql"), id, version, "x", files=(Path(f"{id}.sql"),))
        for id, version in (("V1__x", "1"), ("V2__x", "2"))
    )
    statuses = (Status("V1__x", "pending"), Status("V2__x", "applied", THEN))
    (finding,) = findings(statuses, [older, newer])
    assert finding.id == "out-of-order"
    assert "a version after V2__x" in finding.todo


# -- readers never wait -------------------------------------------------------------------------


def test_status_waits_for_no_table_and_for_no_run(
    session: Session, write, database: Target, connection: Connection
) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_z.sql", "CREATE TABLE z ()")
    invoke(session, ["run"])
    write("20240102_b.sql", "ALTER TABLE a ADD b int")
    waiting = threading.Event()
    session.face.say = lambda text: waiting.set()  # type: ignore[method-assign]
    with psycopg.connect(database.conninfo) as blocker:
        blocker.execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
        thread = threading.Thread(target=invoke, args=(session, ["run"]))
        thread.start()
        assert _comes_true(lambda: _waits(connection)), "the run never waited for its lock"
        report: Any = invoke(Session(root=session.project.root), ["status", "--check"])
        assert [s.state for s in report.migrations] == ["applied", "pending"]
        assert report.runner
        assert report.ok
        blocker.rollback()
        thread.join()
    report = invoke(session, ["status", "--check"])
    assert [s.state for s in report.migrations] == ["applied", "applied"]


def test_a_locked_ledger_is_named_instead_of_waited_for(qb, write, database: Target) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    qb("run")
    with psycopg.connect(database.conninfo, application_name="rewriter") as blocker:
        blocker.execute("LOCK TABLE qb.history IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ServerError, match="the ledger cannot be read") as caught:
            qb("status")
    assert "rewriter" in caught.value.why


def test_a_migration_that_reads_a_locked_table_is_not_waited_for(
    qb, write, database: Target, connection: Connection
) -> None:
    connection.execute("CREATE TABLE a (id int)")
    write("20240101_m.py", (
        "from qb_engine import Migration\nclass M(Migration):\n    def up(self, q):\n"
        "        q(f'SELECT {len(q.rows(\"SELECT id FROM a\"))}')\n"
    ))  # fmt: skip
    with psycopg.connect(database.conninfo) as blocker:
        blocker.execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
        (state,) = qb("status").migrations
        assert state.state == "broken"
        assert "SELECT id FROM a" in state.note
    assert states(qb("status")) == [("20240101_m", "pending")]


def test_status_needs_no_ledger_and_makes_none(qb, write, connection: Connection) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    assert qb("status", "--check").ok
    assert not ledger.exists(connection)


def _waits(connection: Connection) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'a'::regclass"
    ).fetchone()
    return bool(row and row[0])


def _comes_true(condition: Callable[[], bool]) -> bool:
    pause = threading.Event()
    return any(condition() or pause.wait(0.01) for _ in range(3_000))
