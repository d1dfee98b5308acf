"""qb asks PostgreSQL's own functions, whatever stands in the search path of the target"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from qb_engine.execution import StepFailed

Connection = psycopg.Connection[Any]

# functions of PostgreSQL's that a schema of the search path has, too: nobody is to call these
SHADOWS = {
    "to_regclass(text)": "regclass",
    "to_regtype(text)": "regtype",
    "clock_timestamp()": "timestamptz",
    "now()": "timestamptz",
    "current_database()": "name",
    "version()": "text",
    "unnest(anyarray)": "SETOF anyelement",
    "host(inet)": "text",
    "starts_with(text, text)": "boolean",
    "current_setting(text)": "text",
    "set_config(text, text, boolean)": "text",
    "concat_ws(text, VARIADIC text[])": "text",
    "json_build_array(VARIADIC text[])": "json",
    "jsonb_to_recordset(jsonb)": "SETOF record",
    "pg_get_serial_sequence(text, text)": "text",
    "generate_series(integer, integer)": "SETOF integer",
    "nextval(regclass)": "bigint",
    "pg_blocking_pids(integer)": "integer[]",
    "pg_backend_pid()": "integer",
    "quote_ident(text)": "text",
    "count_step(bigint)": "bigint",
    "max_step(bigint, bigint)": "bigint",
    "sum_step(float8, float8)": "float8",
}
AGGREGATES = """
CREATE AGGREGATE shadows.count(*) (SFUNC = shadows.count_step, STYPE = bigint, INITCOND = '0');
CREATE AGGREGATE shadows.max(bigint)
  (SFUNC = shadows.max_step, STYPE = bigint, INITCOND = '0');
CREATE AGGREGATE shadows.sum(float8)
  (SFUNC = shadows.sum_step, STYPE = float8, INITCOND = '0');
"""


@pytest.fixture
def shadowed(connection: Connection) -> Connection:
    """A database whose own functions come before PostgreSQL's; a call of one is an error."""
    connection.execute("CREATE SCHEMA shadows")
    for name, kind in SHADOWS.items():
        connection.execute(
            f"CREATE FUNCTION shadows.{name} RETURNS {kind} LANGUAGE plpgsql AS"
            f" $f$ BEGIN RAISE EXCEPTION 'shadowed: {name}'; END $f$"
        )
    connection.execute(AGGREGATES)
    connection.execute(
        f"ALTER DATABASE {connection.info.dbname} SET search_path = shadows, public, pg_catalog"
    )
    return connection


def test_no_command_of_a_run_calls_what_shadows_a_function(
    shadowed: Connection, qb: Any, write: Any
) -> None:
    write("20240101_a.sql", "-- qb:up\nCREATE TABLE public.a (id int);\n-- qb:down\nDROP TABLE a;")
    write(
        "20240102_b.sql",
        "CREATE INDEX CONCURRENTLY a_id ON public.a (id);\nREINDEX TABLE CONCURRENTLY public.a;\n"
        "CREATE TABLE public.b (id nowhere);\n",
    )
    assert [s.state for s in qb("status", "--check").migrations] == ["pending", "pending"]
    with pytest.raises(StepFailed, match="statement 3 failed"):
        qb("run")
    write(
        "20240102_b.sql",
        "CREATE INDEX CONCURRENTLY a_id ON public.a (id);\nREINDEX TABLE CONCURRENTLY public.a;\n",
    )
    write(
        "20240103_c.sql",
        "-- qb:expect [{not_null: a.id}, {row_count_change: {table: a, equals: 0}}]\n"
        "-- qb:up\nALTER TABLE public.a ADD x int;\n-- qb:down\nALTER TABLE public.a DROP x;",
    )
    assert qb("repair").found.cases
    shown = [s.state for s in qb("status").migrations]
    assert shown[1] == "partial"
    assert qb("repair", "--continue").ok
    assert qb("run").ok
    assert qb("locks").ok
    assert qb("history", "b").steps
    assert qb("validate").ok
    assert qb("rollback").ok
