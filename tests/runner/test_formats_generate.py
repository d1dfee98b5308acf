"""a generated migration is written as the folder has it, or is refused"""

from __future__ import annotations

import pytest

from qb_engine.errors import InputError


@pytest.fixture
def sql(tmp_path):
    path = tmp_path / "change.sql"
    path.write_text("CREATE TABLE b (id int);\nCREATE INDEX b_id ON b (id);\n")
    return str(path)


def names(project) -> list[str]:
    return sorted(path.name for path in (project.root / "migrations").iterdir())


def test_a_dbmate_folder_gets_a_dbmate_file(qb, write, project, sql, tables) -> None:
    write("20240101000000_a.sql", "-- migrate:up\nCREATE TABLE a ();\n-- migrate:down\n")
    report = qb("generate", "add_b", "--sql", sql)
    (path,) = report.generated.paths
    assert path.name.endswith("_add_b.sql")
    up, _, down = path.read_text().partition("\n-- migrate:down\n")
    assert up == "-- migrate:up\nCREATE TABLE b (id int);\nCREATE INDEX b_id ON b (id);\n"
    assert down.endswith("DROP TABLE b;\n")
    assert "no place for constraints" in " ".join(report.notes())
    qb("run")
    qb("rollback")
    assert tables() == ["a"]


@pytest.mark.parametrize(
    ("last", "new"), [("000009_a.up.sql", "000010_add_b"), ("7_a.up.sql", "8_add_b")]
)
def test_a_golang_migrate_folder_gets_the_next_pair(qb, write, project, sql, last, new) -> None:
    write(last, "CREATE TABLE a ()")
    qb("generate", "add_b", "--sql", sql)
    assert {f"{new}.up.sql", f"{new}.down.sql"} <= set(names(project))
    assert [s.migration for s in qb("status").migrations][-1] == new


def test_a_golang_migrate_folder_of_timestamps_gets_one(qb, write, project, sql) -> None:
    write("20240101000000_a.up.sql", "CREATE TABLE a ()")
    qb("generate", "add_b", "--sql", sql)
    (written,) = [name for name in names(project) if name.endswith("_add_b.up.sql")]
    assert len(written.split("_")[0]) == 14


def test_a_name_that_is_taken_is_refused(qb, write, sql) -> None:
    write("1_add_b.up.sql", "CREATE TABLE a ()")
    with pytest.raises(InputError, match="there already"):
        qb("generate", "add_b", "--sql", sql)


def test_formats_that_qb_only_reads_are_refused(qb, write, sql) -> None:
    write("V1__a.sql", "CREATE TABLE a ()")
    with pytest.raises(InputError, match="does not write migrations of flyway") as caught:
        qb("generate", "add_b", "--sql", sql)
    assert "V1_2__name.sql" in caught.value.todo


def test_parts_have_no_place_in_another_format(qb, write, project, session) -> None:
    write("1_a.up.sql", "CREATE TABLE a ()")
    session.cell = "SELECT 1"
    qb("draft", "two")
    session.cell = "SELECT 2"
    qb("draft", "two", "--post")
    session.cell = None
    with pytest.raises(InputError, match="golang-migrate has no post"):
        qb("generate", "two")
    assert names(project) == ["1_a.up.sql"]
