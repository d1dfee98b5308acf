"""a comment that accepts a hazard belongs to its statement, and ends no section"""

from __future__ import annotations

from pathlib import Path

from qb_engine.migrations import load_one

TEXT = """-- qb:constraints {"users": {"must_exist": true}}
-- qb:up
CREATE TABLE a (b int);
-- qb:accept drop-column because nobody reads it
ALTER TABLE users DROP COLUMN email;
CREATE TABLE c (d int);
-- qb:down
DROP TABLE c;
"""


def test_no_statement_is_lost_behind_an_acceptance(tmp_path: Path) -> None:
    path = tmp_path / "20240101000000_a.sql"
    path.write_text(TEXT, encoding="utf-8")
    found = load_one(path)
    assert [s.sql for s in found.up] == [
        "CREATE TABLE a (b int)",
        "ALTER TABLE users DROP COLUMN email",
        "CREATE TABLE c (d int)",
    ]
    assert [s.sql for s in found.down] == ["DROP TABLE c"]
    assert found.constraints == {"users": {"must_exist": True}}


def test_an_acceptance_may_stand_in_a_file_without_sections(tmp_path: Path) -> None:
    path = tmp_path / "20240101000000_a.sql"
    path.write_text("CREATE TABLE a ();\n-- qb:accept truncate because x\nTRUNCATE a;\n")
    assert [s.sql for s in load_one(path).up] == ["CREATE TABLE a ()", "TRUNCATE a"]
