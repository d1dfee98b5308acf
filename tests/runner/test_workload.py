"""the application's queries are planned before and after: what is different is shown"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.analysis.workload import Workload, compare, load, look
from qb_engine.commands import Session
from qb_engine.errors import InputError
from qb_engine.project import Project
from qb_engine.sql import read

Connection = psycopg.Connection[tuple[Any, ...]]

QUERIES = """
-- the page of an order
SELECT * FROM orders WHERE id = $1;
SELECT note FROM orders WHERE customer = $1 AND placed > $2;
UPDATE orders SET note = $1 WHERE id = $2;
"""


@pytest.fixture
def orders(connection: Connection) -> Connection:
    """A table that is large enough for its indexes to matter."""
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, placed timestamptz, note text);"
        " INSERT INTO orders SELECT g, g % 500, now(), repeat('x', 50)"
        " FROM generate_series(1, 20000) g; ANALYZE orders"
    )
    return connection


def test_a_changed_plan_is_told_from_one_that_is_the_same(orders: Connection) -> None:
    queries = read(QUERIES)
    before = look(orders, queries)
    orders.execute("CREATE INDEX by_customer ON orders (customer); ANALYZE orders")
    compared = compare(before, look(orders, queries))
    assert [change.verdict for change in compared.plans] == ["same", "other plan", "same"]
    change = compared.plans[1]
    assert change.gone[-1] == "Seq Scan on public.orders"
    assert "by_customer" in change.after.indexes
    assert change.ratio is not None
    assert change.ratio < 1
    assert [(c.use.name, c.state) for c in compared.indexes] == [
        ("public.by_customer", "new"),
        ("public.orders_pkey", "kept"),
    ]


def test_a_query_that_fails_afterwards_is_named(orders: Connection) -> None:
    queries = read(QUERIES)
    before = look(orders, queries)
    orders.execute("ALTER TABLE orders RENAME COLUMN note TO remark")
    compared = compare(before, look(orders, queries))
    assert [change.verdict for change in compared.plans] == ["same", "fails now", "fails now"]
    assert [change.after.error for change in compared.broken] == [
        'column "note" does not exist',
        'column "note" of relation "orders" does not exist',
    ]


def test_the_use_of_an_index_that_is_dropped_is_known(orders: Connection) -> None:
    orders.execute("CREATE INDEX by_customer ON orders (customer)")
    orders.execute("SET enable_seqscan = off; SELECT FROM orders WHERE customer = 1")
    workload = Workload((), ["orders"])
    orders.execute("SELECT pg_stat_force_next_flush()")
    workload.before(orders)
    orders.execute("DROP INDEX by_customer")
    compared = workload.after(orders)
    assert compared is not None
    dropped = next(c for c in compared.indexes if c.state == "dropped")
    assert dropped.use.name == "public.by_customer"
    assert dropped.use.scans == 1


def test_an_index_that_only_got_another_name_is_kept(orders: Connection) -> None:
    before = look(orders, (), ["orders"])
    orders.execute("ALTER INDEX orders_pkey RENAME TO orders_key")
    (change,) = compare(before, look(orders, (), ["orders"])).indexes
    assert (change.state, change.use.name) == ("kept", "public.orders_key")


def test_looking_changes_nothing_and_leaves_nothing(orders: Connection) -> None:
    orders.execute("CREATE SEQUENCE s")
    found = look(
        orders, read("SELECT nextval('s'); DROP TABLE orders; DELETE FROM orders; SELECT $1")
    )
    assert [plan.error for plan in found.plans] == ["", "not a query: it has no plan", "", ""]
    assert orders.execute("SELECT count(*) FROM orders").fetchone() == (20000,)
    assert orders.execute("SELECT is_called FROM s").fetchone() == (False,)
    assert orders.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
    assert orders.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_query_that_may_not_be_planned_says_why_and_the_next_one_is(orders: Connection) -> None:
    name = f"plain_{orders.info.dbname}"
    orders.execute(
        f"CREATE TABLE open (id int); CREATE ROLE {name}; GRANT SELECT ON open TO {name}"
    )
    try:
        orders.execute(f"SET ROLE {name}")
        found = look(orders, read("SELECT * FROM orders WHERE id = $1; SELECT * FROM open"))
        assert found.plans[0].error == "permission denied for table orders"
        assert found.plans[1].nodes == ("Seq Scan on public.open",)
    finally:
        orders.execute(f"RESET ROLE; DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_table_that_is_locked_is_not_waited_for_again_and_again(
    orders: Connection, database
) -> None:
    with psycopg.connect(database.conninfo) as other:
        other.execute("LOCK TABLE orders")
        found = look(orders, read(QUERIES))
    assert "lock timeout" in found.plans[0].error
    assert {plan.error for plan in found.plans[1:]} == {
        "not planned: a query before it had no plan in time"
    }


def test_a_dry_run_compares_before_it_rolls_back(
    qb, write, session: Session, project: Project, orders: Connection
) -> None:
    (project.root / "workload.sql").write_text(QUERIES)
    project.file.write_text('workload = "workload.sql"\n' + project.file.read_text())
    write(
        "20240101_a.sql",
        "CREATE INDEX by_customer ON orders (customer); ALTER TABLE orders RENAME placed TO at",
    )
    session.project = Project(project.root)
    report = qb("dryrun")
    assert [c.verdict for c in report.dry.compared.plans] == ["same", "fails now", "same"]
    assert any('column "placed" does not exist' in note for note in report.notes())
    assert "plans of the workload: 1 of 3 changed" in str(report)
    assert orders.execute("SELECT to_regclass('by_customer')").fetchone() == (None,)
    plan = report.as_dict()["workload"]["plans"][1]
    assert plan["verdict"] == "fails now"


def test_a_workload_that_is_not_there_is_named(qb, write, tmp_path) -> None:
    write("20240101_a.sql", "CREATE TABLE a ()")
    with pytest.raises(InputError, match="workload cannot be read"):
        qb("dryrun", "--workload", str(tmp_path / "none.sql"))
    with pytest.raises(InputError):
        load(tmp_path / "none.sql")


def test_a_run_compares_before_and_after(qb, write, orders: Connection, tmp_path) -> None:
    file = tmp_path / "queries.sql"
    file.write_text(QUERIES)
    write("20240101_a.sql", "CREATE INDEX by_customer ON orders (customer)")
    write("20240102_b.sql", "ALTER TABLE orders DROP COLUMN note")
    tried = qb("run", "--dry-run", "--workload", str(file))
    assert [c.verdict for c in tried.dries[-1].compared.plans][1:] == ["fails now", "fails now"]
    report = qb("run", "--workload", str(file))
    assert [c.verdict for c in report.compared.plans][1:] == ["fails now", "fails now"]
    assert [c.state for c in report.compared.indexes] == ["new", "kept"]
    assert qb("run", "--workload", str(file)).compared is None
