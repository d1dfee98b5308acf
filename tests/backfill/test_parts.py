"""a table in parts: leaf by leaf, also those that come and go meanwhile; heirs; foreign ones"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from qb_engine.backfill import Done
from qb_engine.backfill.advance import advance
from qb_engine.backfill.batches.segment import run_lane
from qb_engine.backfill.reporting.report import report
from qb_engine.backfill.spec import Spec, describe
from qb_engine.errors import InputError, RefusedError
from qb_engine.migrations import LoadedMigration
from tests.backfill.conftest import ID, Case

COLUMNS = "id int, at int NOT NULL, v text, writes int NOT NULL DEFAULT 0"


def described(case: Case, **given: object) -> Spec:
    return describe(case.conn, case.declare(**{"table": "t", "set": {"v": "'x'"}, **given}))


def partitioned(case: Case, key: str = "PRIMARY KEY (id, at)", rows: int = 600) -> None:
    """A table `t` of three levels: `low`, and above it `Hi gh` and `rest`."""
    comma = ", " if key else ""
    case.sql(
        f"CREATE TABLE t ({COLUMNS}{comma}{key}) PARTITION BY RANGE (at);"
        "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE upper PARTITION OF t FOR VALUES FROM (10) TO (1000) PARTITION BY LIST (at);"
        'CREATE TABLE "Hi gh" PARTITION OF upper FOR VALUES IN (10, 11, 12);'
        "CREATE TABLE rest PARTITION OF upper DEFAULT"
    )
    case.sql(f"INSERT INTO t (id, at) SELECT n, n % 15 FROM generate_series(1, {rows}) AS n")
    case.ledger()


def between_batches(
    case: Case, migration: LoadedMigration, when: str, meanwhile: str | Callable[[], object]
) -> Any:
    """Drive a backfill to its end; between two batches, something happens to the table.

    `when` is a condition on the rows of qb.segment: the first time that one fulfils it.
    """
    case.written_down(migration)
    happened: list[bool] = []

    def wait(_: float) -> bool:
        if not happened and case.one(f"SELECT EXISTS (SELECT FROM qb.segment WHERE {when})"):
            case.sql(meanwhile) if isinstance(meanwhile, str) else meanwhile()
            happened.append(True)
        return True

    while (step := advance(case.conn, ID, lambda: True)) and step.lanes:
        for lane in range(step.lanes):
            run_lane(case.conn, ID, lane, case.means(migration, wait=wait))
    assert happened
    return case.progress()


def parts(case: Case, sweep: int = 0) -> dict[str, int]:
    """The segments of a pass, by their tables."""
    return dict(
        case.sql(
            "SELECT part_table, count(*)::int FROM qb.segment"
            f" WHERE pass = {sweep} GROUP BY 1 ORDER BY 1"
        )
    )


def test_each_leaf_has_ranges_and_a_highest_key_of_its_own(case: Case) -> None:
    partitioned(case)
    ended = case.driven_here(case.filling(batch_size=20, parallel=2, where="v IS NULL"))
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 600}
    assert parts(case).keys() == {"Hi gh", "low", "rest"}
    assert sum(parts(case).values()) >= 4
    said = case.one("SELECT key_said FROM qb.backfill")
    assert said.endswith("the primary key; each of its partitions by itself (3)")
    tops = case.sql("SELECT DISTINCT ON (part_table) hi FROM qb.segment WHERE pass = 0"
                    " ORDER BY part_table, number DESC")  # fmt: skip
    assert len({tuple(top) for (top,) in tops}) == 3


def test_a_leaf_that_comes_meanwhile_is_found_by_the_sweep(case: Case) -> None:
    partitioned(case)
    ended = between_batches(
        case,
        case.filling(batch_size=20, where="v IS NULL"),
        "batches = 2",
        "CREATE TABLE later PARTITION OF t FOR VALUES FROM (1000) TO (2000);"
        "INSERT INTO t (id, at) SELECT n, 1000 + n FROM generate_series(1, 50) AS n",
    )
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 650}
    assert "later" not in parts(case)
    assert parts(case, 1)["later"] == 1


@pytest.mark.parametrize(
    "meanwhile",
    [
        'ALTER TABLE t DETACH PARTITION low; ALTER TABLE upper DETACH PARTITION "Hi gh"',
        'DROP TABLE low, "Hi gh"',
    ],
)
def test_a_leaf_that_goes_meanwhile_is_no_error_and_said(case: Case, meanwhile: str) -> None:
    """One in the middle of its rows, and one whose turn has not come."""
    partitioned(case)
    before = case.one("SELECT count(*) FROM rest")
    migration = case.filling(batch_size=10, where="v IS NULL")
    ended = between_batches(case, migration, "batches = 2", meanwhile)
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: before}
    notes = report(case.conn, Done(ended)).notes()
    for name in ("low", "Hi gh"):
        assert f"{name} was detached or dropped: what was left of it is not written" in notes


def test_partitions_are_walked_together_where_a_row_may_change_partition(case: Case) -> None:
    """The key stays, so the row's place in the order does: through the table it is written once."""
    partitioned(case, key="")
    case.sql("CREATE INDEX ON t (id); ALTER TABLE t ALTER id SET NOT NULL")
    ended = case.driven_here(
        case.filling(
            key="id", batch_size=50, parallel=2, set={"at": "at + 900", "writes": "writes + 1"}
        )
    )
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 600}
    assert case.one("SELECT count(*) FROM rest WHERE at >= 900") == 600
    assert "all of its partitions together" in case.one("SELECT key_said FROM qb.backfill")


def test_partitions_without_rights_of_their_own_are_written_through_the_table(case: Case) -> None:
    partitioned(case)
    role = f"only_{case.one('SELECT current_database()')}"
    case.sql(f"CREATE ROLE {role}; GRANT ALL ON SCHEMA qb TO {role};"
             f"GRANT ALL ON ALL TABLES IN SCHEMA qb TO {role};"
             f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA qb TO {role};"
             f"GRANT ALL ON t TO {role}; SET ROLE {role}")  # fmt: skip
    try:
        assert case.driven_here(case.filling(batch_size=100, parallel=2)).state == "completed"
    finally:
        case.sql(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
    assert parts(case).keys() == {None}
    assert case.writes() == {1: 600}


def test_a_key_that_only_the_leaves_have_is_walked(case: Case) -> None:
    partitioned(case, key="")
    with pytest.raises(InputError, match="no key to walk by"):
        described(case)
    case.sql("ALTER TABLE t ALTER id SET NOT NULL")
    for name in ("low", '"Hi gh"', "rest"):
        case.sql(f"CREATE UNIQUE INDEX ON {name} (id)")
    spec = described(case)
    assert [column.name for column in spec.key] == ["id"]
    assert case.driven_here(case.filling(batch_size=50, parallel=2)).state == "completed"
    assert case.writes() == {1: 600}


def test_leaves_without_a_key_are_walked_by_place(case: Case) -> None:
    partitioned(case, key="")
    ended = case.driven_here(case.filling(batch_size=50, parallel=2, where="v IS NULL"))
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 600}
    assert parts(case).keys() == {"Hi gh", "low", "rest"}
    with pytest.raises(InputError, match="no key") as raised:
        described(case, where="v IS NULL", set={"at": "0"})
    assert "it writes at, by which rows change partition" in raised.value.why


def test_a_partition_may_be_filled_by_itself(case: Case) -> None:
    partitioned(case)
    ended = case.driven_here(case.filling(table="Hi gh"))
    assert ended.state == "completed"
    assert case.writes() == {0: 480, 1: 120}


def test_an_empty_partitioned_table_is_completed(case: Case) -> None:
    case.sql(f"CREATE TABLE t ({COLUMNS}, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)")
    case.ledger()
    assert case.driven_here(case.filling(where="v IS NULL")).state == "completed"


def test_a_partition_on_another_server_is_refused(case: Case) -> None:
    partitioned(case)
    case.sql(
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;"
        "CREATE TABLE u (id int, at int) PARTITION BY RANGE (at);"
        "CREATE FOREIGN TABLE away PARTITION OF u FOR VALUES FROM (0) TO (1) SERVER far"
    )
    with pytest.raises(RefusedError, match="parts on another server") as raised:
        described(case, table="u")
    assert "public.away" in str(raised.value.where)


def test_heirs_are_walked_each_by_itself(case: Case) -> None:
    """A plain UPDATE writes them, too. Keys may come twice, as no index is over all of them."""
    case.counted(50)
    case.sql(
        "CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (t);"
        "CREATE TABLE grandchild (PRIMARY KEY (id)) INHERITS (heir);"
        "INSERT INTO heir (id) SELECT generate_series(1, 80);"
        "INSERT INTO grandchild (id) SELECT generate_series(40, 60)"
    )
    ended = case.driven_here(case.filling(batch_size=15, parallel=2))
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 50 + 80 + 21}
    assert parts(case).keys() == {"t", "heir", "grandchild"}
    said = case.one("SELECT key_said FROM qb.backfill")
    assert said.endswith("; each of the tables that inherit from it by itself (2)")


def test_heirs_without_the_key_need_a_where(case: Case) -> None:
    case.counted(50)
    case.sql(
        "CREATE TABLE heir () INHERITS (t); INSERT INTO heir (id) SELECT generate_series(1, 80)"
    )
    with pytest.raises(InputError, match="no key to walk by"):
        described(case)
    ended = case.driven_here(case.filling(batch_size=15, where="v IS NULL"))
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == {1: 130}


@pytest.mark.parametrize(
    ("sql", "where", "done"),
    [
        ("UPDATE t SET v = 'x', writes = writes + 1 WHERE {batch}", "v IS NULL", {1: 600}),
        ("DELETE FROM t WHERE {batch} AND id > 100", "", {0: 100}),
    ],
)
@pytest.mark.parametrize("key", ["PRIMARY KEY (id, at)", ""])
def test_a_statement_goes_over_the_partitions_one_by_one(
    case: Case, sql: str, where: str, done: dict[int, int], key: str
) -> None:
    """With a key and, where it says which rows need it, without one."""
    partitioned(case, key)
    migration = case.declare(table="t", sql=sql, where=where, batch_size=40)
    if not key and not where:
        with pytest.raises(InputError, match="no key to walk by"):
            describe(case.conn, migration)
        return
    ended = case.driven_here(migration)
    assert (ended.state, ended.error) == ("completed", "")
    assert case.writes() == done
    assert parts(case).keys() == {"Hi gh", "low", "rest"}
