"""dbmate, golang-migrate, diesel and goose: what a file says, in which order, and what is wrong"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qb_engine.migrations import Migrations, load

Folder = Callable[..., Migrations]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Load a folder of the given files: `folder({"1_a.up.sql": "CREATE TABLE a ()"})`."""

    def of(files: dict[str, str], format: str | None = None) -> Migrations:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return load(tmp_path, format=format)

    return of


def ids(found: Migrations) -> list[str]:
    return [m.id for m in found.all]


def wrong(found: Migrations) -> dict[str, str]:
    """What is wrong with each broken file, with its place."""
    return {b.path.name: f"{b.error.what} [{b.error.where}] {b.error.why}" for b in found.broken}


# -- dbmate ----------------------------------------------------------------------------------------

DBMATE = "-- migrate:up{}\nCREATE TABLE a ();\n\n-- migrate:down{}\nDROP TABLE a;\n"


def test_dbmate_sections_are_up_and_down_with_their_lines(folder: Folder) -> None:
    (one,) = folder({"20240101000000_a.sql": "-- why\n" + DBMATE.format("", "")}).all
    assert (one.id, one.stamp, one.name) == ("20240101000000_a", "20240101000000", "a")
    assert [(s.sql, s.source.line) for s in one.up] == [("CREATE TABLE a ()", 3)]
    assert [(s.sql, s.source.line) for s in one.down] == [("DROP TABLE a", 6)]
    assert one.parts[0].transaction
    assert not one.irreversible


def test_dbmate_options_hold_for_their_section_alone(folder: Folder) -> None:
    text = DBMATE.format(" transaction:false", "")
    (part,) = folder({"1_a.sql": text}).all[0].parts
    assert not part.in_transaction()
    assert part.in_transaction(down=True)


def test_a_dbmate_file_without_down_has_no_way_back(folder: Folder) -> None:
    (one,) = folder({"1_a.sql": "-- migrate:up\nCREATE TABLE a ()"}).all
    assert one.irreversible == "1_a.sql gives no down"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-- migrate:up transactions:false\nSELECT 1", "no option of a section"),
        ("-- migrate:up\nSELECT 1;\n-- migrate:dwon\nSELECT 2", "no section of dbmate"),
        ("-- migrate:down\nSELECT 1;\n-- migrate:up\nSELECT 2", "stands before migrate:up"),
        ("CREATE TABLE b ();\n-- migrate:up\nSELECT 1", "statement stands before"),
        ("-- migrate:up\nBEGIN;\nSELECT 1;\nCOMMIT", "cannot send its own BEGIN"),
        ("-- migrate:up\nSELECT 1;\n-- migrate:up\nSELECT 2", "stands twice"),
    ],
)
def test_what_dbmate_would_overlook_is_refused_with_its_line(
    folder: Folder, text: str, said: str
) -> None:
    found = wrong(folder({"1_a.sql": text}, "dbmate"))["1_a.sql"]
    assert said in found
    assert "1_a.sql:" in found


def test_a_name_that_dbmate_leaves_out_is_reported(folder: Folder) -> None:
    found = folder({"1_a.sql": DBMATE.format("", ""), "add_b.sql": DBMATE.format("", "")})
    assert "leaves this one out" in wrong(found)["add_b.sql"]


# -- golang-migrate --------------------------------------------------------------------------------


def test_golang_migrate_sorts_by_number_and_pairs_by_version(folder: Folder) -> None:
    found = folder(
        {
            "10_c.up.sql": "CREATE TABLE c ()",
            "9_b.up.sql": "CREATE TABLE b ()",
            "009_other.down.sql": "DROP TABLE b",
            "000001_a.up.sql": "CREATE TABLE a ()",
        }
    )
    assert ids(found) == ["000001_a", "9_b", "10_c"]
    assert [s.sql for s in found.find("9_b").down] == ["DROP TABLE b"]


def test_a_begin_and_commit_around_a_whole_file_are_left_to_qb(folder: Folder) -> None:
    found = folder(
        {
            "1_a.up.sql": "BEGIN;\nCREATE TABLE a ();\nCOMMIT;\n",
            "1_a.down.sql": "START TRANSACTION; DROP TABLE a; END",
            "2_b.up.sql": "BEGIN;\nCREATE TABLE b ();\nCOMMIT;\nCREATE TABLE c ();",
        }
    )
    one = found.find("1_a")
    assert [s.sql for s in (*one.up, *one.down)] == ["CREATE TABLE a ()", "DROP TABLE a"]
    assert one.up[0].source.line == 2
    assert "2_b.up.sql:1" in wrong(found)["2_b.up.sql"]


@pytest.mark.parametrize(
    ("name", "right"),
    [("0002_b_up.sql", "0002_b.up.sql"), ("2-b.Up.SQL", "2_b.up.sql"), ("2b.up.sql", "2_b.up.sql")],
)
def test_a_misspelt_name_is_reported_with_the_right_one(
    folder: Folder, name: str, right: str
) -> None:
    found = folder({"1_a.up.sql": "CREATE TABLE a ()", name: "CREATE TABLE b ()"})
    assert "overlooks" in wrong(found)[name]
    assert found.broken[0].error.todo == f"rename it to {right}"


def test_several_files_with_one_number_are_named(folder: Folder) -> None:
    names = ["0000_a.up.sql", "0000_b.up.sql", "000_c.up.sql"]
    found = folder(dict.fromkeys(names, "SELECT 1"))
    assert ids(found) == ["0000_a"]
    assert all("0000_a.up.sql has it, too" in said for said in wrong(found).values())
    assert len(found.broken) == 2


def test_a_way_back_without_a_way_up_is_reported(folder: Folder) -> None:
    found = folder({"1_a.up.sql": "SELECT 1", "2_b.down.sql": "SELECT 1"})
    assert "no .up.sql of that version" in wrong(found)["2_b.down.sql"]


# -- diesel ----------------------------------------------------------------------------------------


def test_diesel_sorts_without_the_dashes(folder: Folder) -> None:
    names = ["2017-09-23-182408_b", "20170923000000_a", "20170923200000_c", "2017-09-24-000000_d"]
    found = folder({f"{name}/up.sql": "SELECT 1" for name in names})
    assert [m.name for m in found.all] == ["a", "b", "c", "d"]
    assert found.all[1].stamp == "20170923182408"


def test_diesel_folders_may_run_without_a_transaction(folder: Folder) -> None:
    found = folder(
        {
            "1_a/up.sql": "CREATE INDEX CONCURRENTLY i ON t (a)",
            "1_a/down.sql": "DROP INDEX i",
            "1_a/metadata.toml": "run_in_transaction = false",
            "2_b/up.sql": "SELECT 1",
            "2_b/metadata.toml": "run_in_transaction = 1",
        }
    )
    assert not found.all[0].parts[0].in_transaction(down=True)
    assert "2_b/metadata.toml:1" in found.broken[0].error.where


def test_what_diesel_does_not_run_is_said(folder: Folder) -> None:
    found = folder(
        {
            "1_a/up.sql": "SELECT 1",
            "1_a/seed.sql": "SELECT 1",
            "2_b/_up.sql": "SELECT 1",
            "3_c.sql": "SELECT 1",
        }
    )
    assert ids(found) == ["1_a"]
    assert found.notes == ("1_a: diesel does not run seed.sql, nor does qb",)
    assert found.broken[0].error.todo == "rename _up.sql to up.sql"
    assert "overlooks" in wrong(found)["3_c.sql"]


def test_diesel_versions_that_differ_only_in_dashes_are_one(folder: Folder) -> None:
    found = folder(
        {"2024-01-01-000000_a/up.sql": "SELECT 1", "20240101000000_b/up.sql": "SELECT 1"}
    )
    assert "two migrations have the version 20240101000000" in " ".join(wrong(found).values())


# -- goose -----------------------------------------------------------------------------------------

GOOSE = """-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
-- +goose StatementEnd
CREATE TABLE a ();

-- +goose Down
DROP TABLE a;
DROP FUNCTION f();
"""


def test_goose_sections_hold_whole_statements(folder: Folder) -> None:
    (one,) = folder({"00001_a.sql": GOOSE}).all
    assert [s.kind for s in one.up] == ["create_function", "create"]
    assert [s.source.line for s in one.down] == [8, 9]
    assert (one.id, one.stamp) == ("00001_a", "1")


def test_goose_without_transaction(folder: Folder) -> None:
    (one,) = folder({"1_a.sql": "-- +goose NO TRANSACTION\n" + GOOSE}).all
    assert not one.parts[0].transaction


def test_goose_sorts_by_number_and_names_programs(folder: Folder) -> None:
    files = {"10_c.sql": GOOSE, "9_b.go": "package main", "9_b_test.go": "", "00001_a.sql": GOOSE}
    found = folder(files)
    assert [e.id for e in found.entries] == ["00001_a", "9_b", "10_c"]
    assert "9_b.go is a program in Go" in wrong(found)["9_b.go"]
    assert "import-history" in found.broken[0].error.todo


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${X}'", 2, "environment variables"),
        ("-- +goose Up\nSELECT 1;\n-- +goose down\nSELECT 2", 3, "no annotation of goose"),
        ("-- +goose Up\n-- +goose StatementBegin\nSELECT 1;", 2, "no StatementEnd"),
        ("-- +goose Down\nSELECT 1;", 1, "does not belong here"),
        ("SELECT 0;\n-- +goose Up\nSELECT 1;", 2, "does not belong here"),
        ("-- +goose Up\nSELECT 1;\n-- +goose StatementEnd", 3, "does not belong here"),
        ("-- +goose Up\nBEGIN;\nSELECT 1;\nCOMMIT;", 2, "its own BEGIN"),
    ],
)
def test_what_goose_would_overlook_is_refused_with_its_line(
    folder: Folder, text: str, line: int, said: str
) -> None:
    found = wrong(folder({"1_a.sql": text}))["1_a.sql"]
    assert said in found
    assert f"1_a.sql:{line}]" in found


def test_a_goose_file_without_sections_is_no_migration(folder: Folder) -> None:
    found = folder({"1_a.sql": GOOSE, "2_b.sql": "SELECT 1"})
    assert "holds no -- +goose Up" in wrong(found)["2_b.sql"]
