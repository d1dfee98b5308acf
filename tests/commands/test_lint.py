"""`qb lint` finds what a file may break, on whatever schema can be had"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qb_engine.commands import Face, Session, invoke, main
from qb_engine.commands.lint import LintReport
from qb_engine.errors import InputError, ServerError
from qb_engine.project import Project

SCHEMA = """
CREATE TABLE users (id bigint PRIMARY KEY, email text, age int);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint);
CREATE INDEX orders_user ON orders (user_id);
"""
NOT_NULL = "ALTER TABLE users ALTER email SET NOT NULL"
KEYS = {
    "hazard", "severity", "file", "line", "statement", "relation", "lock", "message", "why", "fix",
    "provenance",
}  # fmt: skip

Lint = Callable[..., LintReport]


@pytest.fixture
def lint(project: Project) -> Lint:
    """Call `qb lint` in a project without a target of its own."""
    config = project.file.read_text(encoding="utf-8").replace('default = "test"\n', "")
    project.file.write_text(config, encoding="utf-8")
    (project.root / "schema.sql").write_text(SCHEMA)

    def call(*arguments: str) -> LintReport:
        report = invoke(Session(Face(), project.root), ["lint", *arguments])
        assert isinstance(report, LintReport)
        return report

    return call


@pytest.fixture
def write(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Write a file below the project, in which the test then stands; its name."""
    monkeypatch.chdir(project.root)

    def written(name: str, text: str) -> str:
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    return written


def hazards(report: LintReport) -> list[tuple[str, int]]:
    return [(f.hazard, f.line) for f in report.findings]


def test_a_file_is_judged_on_the_schema_that_is_named(lint: Lint, write: Any) -> None:
    file = write("a.sql", f"-- first\n{NOT_NULL};\nCREATE TABLE new (id int PRIMARY KEY);\n")
    report = lint(file, "--schema", "schema.sql")
    assert ("not-null-scan", 2) in hazards(report)
    assert not report.ok
    assert report.exit_code == 1
    found = report.as_dict()["findings"][0]
    assert found.keys() >= KEYS
    assert found["file"] == "a.sql"
    assert found["lock"] == "AccessExclusiveLock"
    assert found["relation"] == "public.users"
    assert found["provenance"] == "observed"


def test_what_nobody_knows_is_made_up_and_still_warned_of(lint: Lint, write: Any) -> None:
    report = lint(write("a.sql", NOT_NULL))
    found = {f.hazard: f for f in report.findings}
    assert found["not-null-scan"].provenance == "static"
    assert found["object-not-found"].severity == "notice"
    assert not report.ok


def test_what_a_known_schema_lacks_is_warned_of(lint: Lint, write: Any) -> None:
    report = lint(write("a.sql", "DROP TABLE gone"), "--schema", "schema.sql")
    found = {f.hazard: f for f in report.findings}
    assert found["object-not-found"].severity == "warning"
    assert found["object-not-found"].relation == "public.gone"


def test_if_exists_of_what_a_known_schema_lacks_is_silent(lint: Lint, write: Any) -> None:
    report = lint(write("a.sql", "DROP TABLE IF EXISTS gone"), "--schema", "schema.sql")
    assert report.findings == ()


def test_an_accepted_hazard_is_shown_and_does_not_count(lint: Lint, write: Any) -> None:
    text = f"-- qb:accept not-null-scan because it has ten rows\n{NOT_NULL};\n"
    report = lint(write("a.sql", text), "--schema", "schema.sql")
    assert report.ok
    assert report.findings[0].accepted == "it has ten rows"
    assert "accepted because it has ten rows" in str(report)


def test_an_acceptance_without_a_reason_or_a_match_is_said(lint: Lint, write: Any) -> None:
    text = f"-- qb:accept not-null-scan\n{NOT_NULL};\n-- qb:accept truncate because\nSELECT 1;"
    report = lint(write("a.sql", text), "--schema", "schema.sql")
    assert not report.ok
    unused = [f for f in report.findings if f.hazard == "unused-acceptance"]
    assert [f.line for f in unused] == [1, 3]
    assert all("gives no reason" in f.message and f.severity == "notice" for f in unused)


def test_an_acceptance_in_python_counts_too(lint: Lint, write: Any) -> None:
    for at, body in enumerate(
        (
            f'up = """\n    -- qb:accept not-null-scan because small\n    {NOT_NULL}\n    """',
            f'# qb:accept not-null-scan because small\n    up = "{NOT_NULL}"',
        )
    ):
        text = "from qb_engine.migrations import Migration\n\n\nclass A(Migration):\n    " + body
        file = write(f"other{at}/2024010100000{at}_a.py", text + '\n    down = "SELECT 1"\n')
        report = lint(file, "--schema", "schema.sql")
        assert [f.accepted for f in report.findings if f.hazard == "not-null-scan"] == ["small"]


def test_what_does_not_parse_is_found_with_its_place_and_the_rest_is_judged(
    lint: Lint, write: Any
) -> None:
    text = f"SELEC 1;\n\nALTER TABLE users\n  ADDD x;\n{NOT_NULL};\nSELECT 'open;\nDROP TABLE x"
    report = lint(write("a.sql", text), "--schema", "schema.sql")
    assert hazards(report) == [
        ("syntax-error", 1), ("syntax-error", 4), ("not-null-scan", 5), ("syntax-error", 6),
    ]  # fmt: skip
    assert [p["line"] for p in report.as_dict()["problems"]] == [1, 4, 6]


def test_a_psql_script_is_read_with_its_transactions_and_data(lint: Lint, write: Any) -> None:
    text = (
        "\\set ON_ERROR_STOP 1\nBEGIN;\nCOPY users (id) FROM stdin;\n1\n;x\n\\.\n"
        f"{NOT_NULL};\nCOMMIT;\nCREATE INDEX CONCURRENTLY ON users (age);\n"
    )
    report = lint(write("a.sql", text), "--schema", "schema.sql")
    assert hazards(report) == [("not-null-scan", 7)]


def test_who_makes_transactions_decides(lint: Lint, write: Any) -> None:
    file = write("a.sql", "CREATE INDEX CONCURRENTLY i ON users (age);")
    assert lint(file, "--schema", "schema.sql").findings == ()
    found = lint(file, "--schema", "schema.sql", "--tx", "wrapped")
    assert "concurrently-in-transaction" in dict(hazards(found))
    assert lint(file, "--schema", "schema.sql", "--tx", "none").findings == ()


def test_files_that_are_no_migrations_do_not_see_each_other(lint: Lint, write: Any) -> None:
    files = [write(f"{n}.sql", "DROP TABLE orders") for n in range(3)]
    report = lint(*files, "--schema", "schema.sql")
    assert [f.hazard for f in report.findings] == ["drop-table"] * 3


def test_without_a_schema_a_file_sees_what_those_before_it_made(lint: Lint, write: Any) -> None:
    files = [
        write("1.sql", "CREATE TABLE users (id bigint PRIMARY KEY, email text)"),
        write("2.sql", NOT_NULL),
    ]
    report = lint(*files)
    assert "object-not-found" not in dict(hazards(report))
    assert report.findings[0].provenance == "observed"


def test_a_migration_is_judged_after_those_before_it(lint: Lint, write: Any) -> None:
    first = "-- qb:up\nCREATE TABLE users (id bigint PRIMARY KEY, email text);\n"
    write("migrations/20240101000000_users.sql", first)
    second = write("migrations/20240102000000_given.sql", f"-- qb:up\n{NOT_NULL};\n")
    report = lint(second)
    assert [one.file for one in report.linted] == [second] or len(report.linted) == 1
    assert [f.hazard for f in report.findings] == ["not-null-scan"]
    assert len(lint().linted) == 2  # without files: all that is pending


def test_other_tools_files_are_read_as_they_run_them(lint: Lint, write: Any) -> None:
    up = f"-- migrate:up transaction:false\n{NOT_NULL};\n-- migrate:down\nDROP TABLE users;\n"
    file = write("db/20240101000000_a.sql", up)
    report = lint(file, "--schema", "schema.sql")
    assert hazards(report) == [("not-null-scan", 2)]


def test_a_folder_migration_is_read_part_by_part(lint: Lint, write: Any) -> None:
    write("migrations/20240101000000_a/migration.sql", "ALTER TABLE users ADD x int;")
    write("migrations/20240101000000_a/post.sql", f"\n{NOT_NULL};")
    report = lint("migrations/20240101000000_a", "--schema", "schema.sql")
    assert [(f.hazard, Path(f.file).name, f.line) for f in report.findings] == [
        ("not-null-scan", "post.sql", 2)
    ]


def test_what_reaches_past_the_shadow_is_not_run(lint: Lint, write: Any, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f"COPY users TO PROGRAM 'touch {mark}';\nSELECT dblink('x');\nCREATE ROLE qb_nobody;\n"
    text += f"DO $$ BEGIN EXECUTE 'COPY users TO PROGRAM ''touch {mark}'''; END $$;"
    report = lint(write("a.sql", text), "--schema", "schema.sql")
    assert {h for h, _ in hazards(report)} == {"not-looked-at"}
    assert len(report.findings) == 4
    assert not mark.exists()


def test_a_table_may_be_given_to_who_may_have_none_there(
    lint: Lint, write: Any, project: Project
) -> None:
    (project.root / "owned.sql").write_text(f"{SCHEMA}GRANT SELECT ON users TO qb_lint_app;")
    text = "ALTER TABLE users OWNER TO qb_lint_app;\nALTER TABLE users ADD COLUMN note text;\n"
    report = lint(write("a.sql", text), "--schema", "owned.sql")
    assert {f.hazard for f in report.findings} <= {"work-after-access-exclusive"}


def test_what_needs_a_superuser_is_said_with_the_lock_that_it_takes(lint: Lint, write: Any) -> None:
    text = """ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
ALTER TABLE users DISABLE TRIGGER ALL;
"""
    report = lint(write("a.sql", text), "--schema", "schema.sql")
    (found,) = [f for f in report.findings if f.hazard == "not-looked-at"]
    assert (found.line, found.relation) == (2, "public.users")
    assert found.lock == "ShareRowExclusiveLock"
    assert "more rights than an ordinary owner has" in found.message
    assert "outside" not in found.message + found.why


def test_a_statement_without_an_end_is_cancelled(
    lint: Lint, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qb_engine.analysis.examination.STATEMENT_S", 0.2)
    monkeypatch.setattr("qb_engine.analysis.examination.GRACE_S", 0.2)
    text = f"SET statement_timeout = 0;\nSELECT pg_sleep(1000);\n{NOT_NULL};"
    report = lint(write("a.sql", text), "--schema", "schema.sql")
    assert hazards(report) == [("takes-too-long", 2), ("not-null-scan", 3)]


def test_small_tables_and_what_fails_are_said_in_qb_toml(
    project: Project, lint: Lint, write: Any
) -> None:
    file = write("a.sql", "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users;")
    assert not lint(file, "--schema", "schema.sql").ok
    config = project.file.read_text() + '\n[hazards]\nfail_on = "never"\nsmall_bytes = "1GB"\n'
    project.file.write_text(config)
    assert lint(file, "--schema", "schema.sql").ok
    assert not lint(file, "--schema", "schema.sql", "--fail-on", "warning").ok


def test_a_target_gives_its_sizes_and_its_rows(
    lint: Lint, write: Any, connection: Any, project: Project
) -> None:
    connection.execute(SCHEMA)
    connection.execute("INSERT INTO users VALUES (1), (2)")
    report = lint(write("a.sql", NOT_NULL), "-c", "test")
    found = dict(hazards(report))
    assert "not-null-scan" not in found  # two rows are read at once
    assert "data-violates-constraint" in found
    assert report.target == "test"


def test_a_target_that_cannot_be_reached_is_a_server_problem(lint: Lint, write: Any) -> None:
    with pytest.raises(ServerError):
        lint(write("a.sql", NOT_NULL), "-c", "postgresql://nobody@127.0.0.1:1/none")


def test_a_default_target_that_does_not_answer_is_done_without(
    project: Project, lint: Lint, write: Any
) -> None:
    config = 'default = "far"\n' + project.file.read_text()
    config = config.replace("[aliases]", '[aliases]\nfar = "postgresql://u@127.0.0.1:1/x"')
    project.file.write_text(config)
    report = lint(write("a.sql", NOT_NULL))
    assert "not-null-scan" in dict(hazards(report))
    assert any("default target was not asked" in note for note in report.notes())


def test_the_second_look_asks_no_server(
    lint: Lint, write: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("a.sql", NOT_NULL + ";\nDROP TABLE orders; CREATE TYPE t AS ENUM ('a');")
    first = lint(file, "--schema", "schema.sql")
    with monkeypatch.context() as patch:
        patch.setattr(
            "qb_engine.analysis.looking.Looker.look",
            lambda self, at: pytest.fail("it was looked at"),
        )
        assert lint(file, "--schema", "schema.sql").as_dict() == first.as_dict()
    for kept in (project.home / "lint").iterdir():
        kept.write_text('{"key": 1')
    assert lint(file, "--schema", "schema.sql").as_dict() == first.as_dict()
    assert lint(file, "--schema", "schema.sql", "--no-cache").as_dict() == first.as_dict()


def test_what_was_said_holds_until_the_file_or_one_before_it_changes(
    lint: Lint, write: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = "migrations/20240101000000_users.sql"
    write(before, "-- qb:up\nCREATE TABLE users (id bigint PRIMARY KEY, email text);\n")
    second = write("migrations/20240102000000_given.sql", f"-- qb:up\n{NOT_NULL};\n")
    first = lint(second).as_dict()
    with monkeypatch.context() as patch:
        patch.setattr(
            "qb_engine.analysis.page.Page.sheet", property(lambda page: pytest.fail("read"))
        )
        assert lint(second).as_dict() == first
    write(before, "-- qb:up\nCREATE TABLE users (id bigint PRIMARY KEY, mail text);\n")
    assert "object-not-found" in dict(hazards(lint(second)))
    write(second, "-- qb:up\nALTER TABLE users ALTER mail SET NOT NULL;\n")
    assert hazards(lint(second)) == [("not-null-scan", 2)]
    secret = "CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (user 'u', password 'hunter2')"
    lint(write("b.sql", f"CREATE SERVER s FOREIGN DATA WRAPPER f; {secret};"))
    kept = [path.read_text() for path in (project.home / "lint").iterdir()]
    assert not any("hunter2" in text for text in kept)


def test_nothing_to_look_at_is_an_input_error(lint: Lint, write: Any) -> None:
    write("a.sql", "")
    for names in (("none.sql",), ("no_such_id",), (".qb",)):
        with pytest.raises(InputError):
            lint(*names)
    assert lint("a.sql").ok


# -- formats -----------------------------------------------------------------------------------


def test_every_format_tells_of_each_finding(
    project: Project, lint: Lint, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{NOT_NULL};\n-- qb:accept rename-column because\t<old> & gone\n"
    text += "ALTER TABLE users RENAME age TO years;\n"
    file = write("a, b.sql", text)

    def printed(format: str) -> str:
        arguments = ["--project", str(project.root), "lint", file, "--schema", "schema.sql"]
        assert main([*arguments, "--format", format]) == 1
        return capsys.readouterr().out

    found = json.loads(printed("json"))["findings"]
    assert [f["hazard"] for f in found] == ["not-null-scan", "rename-column"]

    run = json.loads(printed("sarif"))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    first, second = run["results"]
    assert rules[first["ruleIndex"]]["id"] == first["ruleId"] == "not-null-scan"
    assert first["level"] == "error"
    assert "suppressions" not in first
    place = first["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "a%2C%20b.sql"}, "region": {"startLine": 1}}
    assert second["suppressions"][0]["justification"] == "<old> & gone"
    assert all(rule["help"]["text"] and rule["defaultConfiguration"] for rule in rules)

    assert printed("github").startswith("::error file=a%2C b.sql,line=1,title=not-null-scan::")

    suites = ElementTree.fromstring(printed("junit"))
    assert suites.attrib["failures"] == "1"
    cases = suites[0].findall("testcase")
    assert cases[0].find("failure") is not None
    assert cases[1].find("skipped") is not None


def test_a_thousand_files_share_one_shadow(
    lint: Lint, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qb_engine.shadow import shadow

    opened: list[str] = []
    real = shadow.clone

    def counted(server: Any, template: str, **more: Any) -> Any:
        opened.append(template)
        return real(server, template, **more)

    monkeypatch.setattr("qb_engine.shadow.shadow.clone", counted)
    files = [write(f"many/{n}.sql", f"ALTER TABLE users ADD c{n} int") for n in range(40)]
    assert lint(*files, "--schema", "schema.sql", "--no-cache").ok
    assert len(opened) == 1


def test_a_job_in_the_wrong_folder_is_told_that_nothing_was_looked_at(
    lint: Lint, project: Project, tmp_path: Path
) -> None:
    """It stays 0, and no "no hazard in 0 files" hides it."""
    report = lint()
    assert report.exit_code == 0
    assert report.headline() == f"no file was looked at: {project.migrations} holds no migration"
    assert "warning: is this the folder that was meant?" in " ".join(report.notes())
    said = lint("--format", "github").written()
    assert said.startswith("::warning title=qb lint::no file was looked at: ")
    json.loads(lint("--format", "sarif").written())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    wrong = invoke(Session(Face(), elsewhere), ["lint"])
    assert wrong.ok
    assert f"there is no folder {elsewhere / 'migrations'}" in wrong.headline()
    assert f"{elsewhere} has no qb.toml" in str(wrong)
    assert json.loads(lint("--format", "json").to_json())["files"] == []


def test_where_all_is_applied_that_is_why_nothing_was_looked_at(
    project: Project, session: Session
) -> None:
    (project.migrations / "20240101_a.sql").write_text("CREATE TABLE a (id int PRIMARY KEY)")
    assert invoke(session, ["run"]).ok
    report = invoke(session, ["lint"])
    assert isinstance(report, LintReport)
    assert report.headline() == (
        f"no file was looked at: the migration in {project.migrations} is applied on test already"
    )
    assert report.ok
    assert "warning" not in str(report)
    assert "::warning" not in replace(report, format="github").written()
