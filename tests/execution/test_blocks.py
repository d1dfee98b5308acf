"""statements are arranged into transactions; pure"""

from __future__ import annotations

from qb_engine.execution import blocks
from qb_engine.execution.explain import explained
from qb_engine.execution.observation import Lock, strength, strongest
from qb_engine.migrations import Part
from qb_engine.sql import read


def part(sql: str, *, file: str = "m.sql", transaction: bool = True, down: str = "") -> Part:
    return Part("migration", file, read(sql), read(down), transaction=transaction)


def shape(*parts: Part, down: bool = False) -> list[tuple[bool, list[int]]]:
    return [
        (block.transactional, [step.number for step in block.steps])
        for block in blocks(parts, down=down)
    ]


def test_a_part_is_one_transaction() -> None:
    assert shape(part("SELECT 1; SELECT 2"), part("SELECT 3", file="post.sql")) == [
        (True, [1, 2]),
        (True, [3]),
    ]


def test_what_refuses_a_transaction_is_cut_out_in_order() -> None:
    sql = "SELECT 1; CREATE INDEX CONCURRENTLY i ON t (a); SELECT 2; VACUUM"
    assert shape(part(sql)) == [(True, [1]), (False, [2]), (True, [3]), (False, [4])]


def test_without_a_transaction_each_statement_has_its_own() -> None:
    assert shape(part("SELECT 1; SELECT 2", transaction=False)) == [(True, [1]), (True, [2])]


def test_what_may_commit_itself_runs_outside_when_told_so() -> None:
    assert shape(part("CALL p(); DO $$ begin end $$", transaction=False)) == [
        (False, [1]),
        (False, [2]),
    ]


def test_the_way_back_starts_with_the_last_part() -> None:
    first = part("SELECT 1", down="SELECT 10")
    last = part("SELECT 2", file="post.sql", down="SELECT 20")
    found = blocks([first, last], down=True)
    assert [step.statement.sql for block in found for step in block.steps] == [
        "SELECT 20",
        "SELECT 10",
    ]


def test_enum_values_are_not_wrapped_in_savepoints() -> None:
    (plain,) = blocks([part("SELECT 1; SELECT 2")])
    (enum,) = blocks([part("ALTER TYPE mood ADD VALUE 'x'; SELECT 2")])
    assert plain.savepoints
    assert not enum.savepoints


def test_locks_are_ordered_by_strength() -> None:
    weak, strong = Lock("a", "RowShareLock"), Lock("a", "AccessExclusiveLock")
    assert strongest([weak, strong, Lock("i", "ShareLock", index=True)])[0] == strong
    assert strength("AccessShareLock") == 1
    assert strength("ExclusiveLock") == 7
    assert strong.sql_mode == "ACCESS EXCLUSIVE"
    assert Lock("a", "ShareUpdateExclusiveLock").sql_mode == "SHARE UPDATE EXCLUSIVE"


def test_explain_tells_the_rows_that_were_written() -> None:
    scan = {"Node Type": "Seq Scan", "Relation Name": "a", "Actual Rows": 7, "Actual Loops": 1}
    scan |= {"Parent Relationship": "Outer", "Total Cost": 1.0, "Plan Rows": 9}
    update = {"Node Type": "ModifyTable", "Operation": "Update", "Relation Name": "a"}
    update |= {"Actual Rows": 0, "Actual Loops": 1, "Total Cost": 2.0, "Plan Rows": 0}
    update |= {"WAL Bytes": 900, "Shared Hit Blocks": 4, "Shared Read Blocks": 1, "Plans": [scan]}
    found = explained([{"Plan": update}], ran=True)
    assert (found.rows, found.wal_bytes, found.buffers) == (7, 900, 5)
    assert found.tree.label == "Update on a"
    assert found.tree.children[0].label == "Seq Scan on a"
