"""a folder's format is told from its content, or from qb.toml, and never guessed"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import formats, load
from qb_engine.project import Project

SIGNS = {
    "dbmate": {"1_a.sql": "-- migrate:up\nSELECT 1"},
    "golang-migrate": {"1_a.up.sql": "SELECT 1"},
    "diesel": {"1_a/up.sql": "SELECT 1"},
    "goose": {"1_a.sql": "-- +goose Up\nSELECT 1;"},
    "flyway": {"V1__a.sql": "SELECT 1"},
    "sqitch": {"sqitch.plan": "a 2024-01-01T00:00:00Z A <a@example.com>\n"},
    "typeorm": {"1710460800000-A.ts": "export class A1710460800000 { async up() {} }"},
    "alembic": {"env.py": "", "versions/.keep": "", "alembic.ini": "[alembic]\n"},
}
OWN = {
    "20240101_a.sql": "-- qb:up\nSELECT 1",
    "20240102_b.py": (
        "from qb_engine.migrations import Migration\nclass B(Migration):\n    up = 'SELECT 1'"
    ),
    "20240103_c/migration.sql": "SELECT 1",
}


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_every_format_says_what_it_is_and_is_tried_here() -> None:
    assert set(formats.known()) == set(SIGNS)
    assert all(each.form and each.table for each in formats.known().values())


@pytest.mark.parametrize("name", SIGNS)
def test_a_format_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    fill(tmp_path, SIGNS[name])
    assert load(tmp_path).format == name


@pytest.mark.parametrize("name", OWN)
def test_qb_s_own_files_are_qb_s(tmp_path: Path, name: str) -> None:
    fill(tmp_path, {name: OWN[name]})
    found = load(tmp_path)
    assert found.format == "qb"
    assert len(found.all) == 1


def test_a_plain_file_speaks_for_nobody(tmp_path: Path) -> None:
    fill(tmp_path, {"20240101_a.sql": "SELECT 1"})
    assert load(tmp_path).format == "qb"


@pytest.mark.parametrize("other", ["goose", "flyway", "qb"])
def test_two_formats_in_a_folder_are_refused_by_name(tmp_path: Path, other: str) -> None:
    fill(tmp_path, SIGNS["golang-migrate"] | (OWN if other == "qb" else SIGNS[other]))
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert "golang-migrate" in caught.value.what
    assert other in caught.value.what
    assert "1_a.up.sql" in caught.value.why
    assert "format = " in caught.value.todo


def test_qb_toml_decides_between_two(tmp_path: Path) -> None:
    project = Project.create(tmp_path)
    project.file.write_text('migrations = "db"\nformat = "flyway"\n')
    fill(tmp_path / "db", SIGNS["flyway"] | SIGNS["goose"])
    found = load(project.migrations, format=project.config.format)
    assert found.format == "flyway"
    assert [b.path.name for b in found.broken] == ["1_a.sql"]


def test_an_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'golang-migrate'"):
        load(tmp_path, format="golang")


@pytest.mark.parametrize("text", ["-- migrate:up\nSELECT 1", "-- +goose Up\nSELECT 1"])
def test_a_file_of_another_tool_among_many_of_qb_s_is_never_run_as_one_way_up(
    tmp_path: Path, text: str
) -> None:
    names = [f"202401{day:02}{hour:02}0000_a" for day in range(1, 29) for hour in range(5)]
    fill(tmp_path, {f"{name}.sql": "SELECT 1" for name in names})
    fill(tmp_path, {"20240228120000_z.sql": text})
    found = load(tmp_path, format="qb")
    assert [b.id for b in found.broken] == ["20240228120000_z"]
    assert "is written for" in found.broken[0].error.what


def test_changing_the_way_back_changes_the_bytes_that_count(tmp_path: Path) -> None:
    fill(tmp_path, {"1_a.up.sql": "SELECT 1", "1_a.down.sql": "SELECT 2"})
    before = load(tmp_path).all[0]
    fill(tmp_path, {"1_a.down.sql": "SELECT 3"})
    after = load(tmp_path).all[0]
    assert before.checksum == after.checksum
    assert before.down_checksum != after.down_checksum
    assert before.raw_checksum != after.raw_checksum
    found = load(tmp_path)
    assert found.look(found.entries[0]).raw == after.raw_checksum
