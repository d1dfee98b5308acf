"""Flyway and sqitch: names and plans, what they pair, order and refuse"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import Migrations, load
from qb_engine.migrations.formats.sqitch import plan


@pytest.fixture
def folder(tmp_path: Path):
    """Load a folder of the given files."""

    def of(files: dict[str, str], format: str | None = None) -> Migrations:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return load(tmp_path, format=format)

    return of


def ids(found: Migrations) -> list[str]:
    return [m.id for m in found.all]


# -- Flyway ----------------------------------------------------------------------------------------


def test_flyway_sorts_versions_as_numbers_and_repeatables_last(folder) -> None:
    names = ["V2__b", "V1_10__e", "V1.9__d", "R__views", "V1__a", "V1_9_1__f", "R__a_first"]
    found = folder({f"{name}.sql": "SELECT 1" for name in names})
    assert ids(found) == [
        "V1__a", "V1.9__d", "V1_9_1__f", "V1_10__e", "V2__b", "R__a_first", "R__views",
    ]  # fmt: skip
    assert [m.repeatable for m in found.all] == [False] * 5 + [True] * 2
    assert found.find("V1_10__e").stamp == "1.10"


def test_flyway_versions_that_mean_the_same_are_one(folder) -> None:
    found = folder({"V1__a.sql": "SELECT 1", "sub/V1_0__b.sql": "SELECT 1"})
    assert "two migrations have the version 1" in found.broken[0].error.what


def test_a_flyway_undo_is_the_way_back_of_its_version(folder) -> None:
    files = {"V1_2__a.sql": "CREATE TABLE a ()", "U1.2__a.sql": "DROP TABLE a", "U3__x.sql": ""}
    found = folder(files)
    assert [s.sql for s in found.find("V1_2__a").down] == ["DROP TABLE a"]
    assert "nothing to undo" in found.broken[0].error.why


def test_a_flyway_script_may_run_without_a_transaction(folder) -> None:
    files = {"V1__a.sql": "SELECT 1", "V1__a.sql.conf": "# x\nexecuteInTransaction = false\n"}
    assert not folder(files).all[0].parts[0].transaction


def test_a_placeholder_is_refused_with_its_line(folder) -> None:
    files = {
        "V1__a.sql": "SELECT 1;\nGRANT SELECT ON t TO ${role};",
        "V2__b.sql": "SELECT '${kept}'",
        "V2__b.sql.conf": "placeholderReplacement=false",
    }
    found = folder(files)
    assert ids(found) == ["V2__b"]
    error = found.broken[0].error
    assert error.what == "${role} is a placeholder"
    assert error.where.endswith("V1__a.sql:2")


def test_a_baseline_runs_where_the_versions_before_it_are_gone(folder) -> None:
    found = folder({"B5__base.sql": "SELECT 1", "V6__a.sql": "SELECT 1", "B4__old.sql": ""})
    assert ids(found) == ["B5__base", "V6__a"]
    assert "B4__old.sql is an older baseline" in found.notes[0]


def test_a_baseline_is_left_out_where_its_versions_are_there(folder) -> None:
    found = folder({"B5__base.sql": "SELECT 1", "V5__a.sql": "SELECT 1", "V6__b.sql": "SELECT 1"})
    assert ids(found) == ["V5__a", "V6__b"]
    assert "runs the versions that it stands for" in found.notes[0]


def test_flyway_callbacks_are_said_and_wrong_names_reported(folder) -> None:
    files = {"V1__a.sql": "SELECT 1", "afterMigrate__grants.sql": "SELECT 1", "V2_b.sql": ""}
    found = folder(files)
    assert found.notes == ("afterMigrate__grants.sql is a callback of Flyway: qb does not run it",)
    assert found.broken[0].path.name == "V2_b.sql"


# -- sqitch ----------------------------------------------------------------------------------------

WHEN = "2024-01-01T00:00:00Z Ada Lovelace <ada@example.com>"
PLAN = f"""%syntax-version=1.0.0
%project=shop

tables {WHEN} # Creates it.
views [tables] {WHEN}
@v1.0 {WHEN} # First release
views [views@v1.0] {WHEN} # Reworked
grants [tables !old other:thing @v1.0] {WHEN}
"""


def scripts(*names: str) -> dict[str, str]:
    return {f"{name}.sql": "BEGIN;\nSELECT 1;\nCOMMIT;\n" for name in names}


def test_the_order_is_the_plan_s_and_a_reworked_change_keeps_its_name(folder) -> None:
    files = scripts("deploy/tables", "deploy/views", "deploy/views@v1.0", "deploy/grants")
    found = folder({"sqitch.plan": PLAN, **files})
    assert ids(found) == ["tables", "views", "views#2", "grants"]
    assert [m.path.name for m in found.all][1:3] == ["views@v1.0.sql", "views.sql"]
    assert [m.requires for m in found.all] == [(), ("tables",), ("views",), ("tables",)]


def test_a_script_runs_in_a_transaction_if_it_begins_one(folder) -> None:
    files = {
        "sqitch.plan": f"a {WHEN}\n",
        "deploy/a.sql": "-- Deploy\nBEGIN;\nCREATE TABLE a ();\nCOMMIT;\n",
        "revert/a.sql": "DROP TABLE a;\n",
    }
    (part,) = folder(files).all[0].parts
    assert [s.sql for s in part.up] == ["CREATE TABLE a ()"]
    assert part.in_transaction()
    assert not part.in_transaction(down=True)


def test_a_begin_in_the_middle_of_a_script_is_refused(folder) -> None:
    files = {"sqitch.plan": f"a {WHEN}\n", "deploy/a.sql": "SELECT 1;\nBEGIN;\nSELECT 2;\nCOMMIT;"}
    assert folder(files).broken[0].error.where.endswith("deploy/a.sql:2")


def test_a_psql_command_is_refused_with_its_line(folder) -> None:
    files = {"sqitch.plan": f"a {WHEN}\n", "deploy/a.sql": "BEGIN;\n\\ir tables.sql\nCOMMIT;"}
    error = folder(files).broken[0].error
    assert "\\ir is a psql command" in error.what
    assert error.where.endswith("deploy/a.sql:2")


def test_the_queries_of_a_verify_script_are_expected_to_work(folder) -> None:
    files = {
        "sqitch.plan": f"a {WHEN}\nb {WHEN}\n",
        **scripts("deploy/a", "deploy/b"),
        "verify/a.sql": "BEGIN;\nSELECT id FROM a WHERE FALSE;\nSELECT 1/count(*) FROM a;\n"
        "ROLLBACK;",
        "verify/b.sql": "BEGIN;\nDO $$ BEGIN ASSERT true; END $$;\nROLLBACK;",
    }
    found = folder(files)
    assert [(e.said["works"], e.source.line) for e in found.all[0].parts[0].expect] == [
        ("SELECT id FROM a WHERE FALSE", 2), ("SELECT 1/count(*) FROM a", 3),
    ]  # fmt: skip
    assert found.notes == ("verify/b.sql is not asked: it does more than read",)


def test_the_folders_of_sqitch_conf_are_used(folder) -> None:
    conf = '[core]\n\tengine = pg\n\ttop_dir = sql\n[engine "pg"]\n\tplan_file = sql/pg.plan\n'
    files = {"sqitch.conf": conf, "sql/pg.plan": f"a {WHEN}\n", **scripts("sql/deploy/a")}
    assert ids(folder(files)) == ["a"]


def test_scripts_without_a_line_and_lines_without_a_script_are_said(folder) -> None:
    files = {"sqitch.plan": f"a {WHEN}\nb [later] {WHEN}\n", **scripts("deploy/z")}
    found = folder(files)
    assert found.notes == ("deploy/z.sql is not in the plan: nobody runs it",)
    assert [b.error.what for b in found.broken] == ["a has no deploy script", "b needs later"]


@pytest.mark.parametrize(
    ("text", "line"),
    [(f"a {WHEN}\na {WHEN}\n", 2), ("a 2024-01-01\n", 1), (f"a {WHEN}\n-a {WHEN}\n", 2)],
)
def test_a_plan_that_sqitch_would_refuse_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        plan(text, Path("sqitch.plan"))
    assert caught.value.where == f"sqitch.plan:{line}"
