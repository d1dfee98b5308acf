"""what a scratch server lacks: stood in for where that is possible, named in every case"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine.database import Target
from qb_engine.project import Project
from qb_engine.shadow import from_sql, like, scratch
from qb_engine.shadow.server import LACKING, OUTSIDE

Connection = psycopg.Connection[tuple[Any, ...]]

STANDINS = sorted(
    path.name.removesuffix(".control")
    for folder in (LACKING, OUTSIDE)
    for path in (folder / "extension").glob("*.control")
)
SQL = {
    "pgcrypto": (
        "SELECT crypt('a', gen_salt('bf')), digest('a', 'sha256'), hmac('a', 'k', 'sha1'),"
        " gen_random_uuid(), gen_random_bytes(16)",
        "SELECT 1 / (pgp_sym_decrypt(pgp_sym_encrypt('word', 'k'), 'k') = 'word')::int",
        "SELECT 1 / (decrypt(encrypt('word', 'k', 'aes'), 'k', 'aes') = 'word')::int",
    ),
    "uuid-ossp": (
        "CREATE TABLE u (id uuid DEFAULT uuid_generate_v4() PRIMARY KEY, v1 uuid DEFAULT"
        " uuid_generate_v1mc(), v5 uuid DEFAULT uuid_generate_v5(uuid_ns_url(), 'x'))",
        "INSERT INTO u DEFAULT VALUES",
    ),
    "postgis": (
        "CREATE TABLE p (id int PRIMARY KEY, at geometry(Point,4326), on_earth geography(Point))",
        "CREATE INDEX ON p USING gist (at); CREATE INDEX ON p USING gist (on_earth)",
        "INSERT INTO p VALUES (1, 'POINT(1 2)', ST_SetSRID(ST_MakePoint(1, 2), 4326)::geography)",
        "SELECT ST_Distance(at, at) FROM p WHERE ST_DWithin(on_earth, on_earth, 10) OR at && at",
        "SELECT AddGeometryColumn('p', 'more', 4326, 'POINT', 2)",
    ),
    "timescaledb": (
        "CREATE TABLE h (t timestamptz NOT NULL)",
        "SELECT create_hypertable('h', 't', chunk_time_interval => interval '1 day')",
        "SELECT create_hypertable('h', by_range('t'), if_not_exists => true)",
        "SELECT time_bucket('1 hour', t) FROM h",
    ),
    "pg_cron": ("SELECT cron.schedule('0 3 * * *', 'VACUUM')",),
    "plv8": ("CREATE FUNCTION f() RETURNS int LANGUAGE plv8 AS 'return 1'",),
    "plpython3u": ("CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS 'return 1'",),
}


def knows_paths(connection: Connection) -> bool:
    """True where CREATE EXTENSION finds stand-ins by itself: PostgreSQL 18."""
    return connection.info.server_version >= 180_000


@pytest.mark.parametrize("name", STANDINS)
def test_every_stand_in_can_be_made_by_a_schema(
    project: Project, connection: Connection, name: str
) -> None:
    brought = "SELECT count(*) FROM pg_available_extensions WHERE name = %s"
    real = connection.execute(brought, [name]).fetchone() == (1,)
    reaches = (OUTSIDE / "extension" / f"{name}.control").is_file()
    ddl = f'CREATE EXTENSION "{name}"; ' + "; ".join(SQL.get(name, ()))
    with from_sql(scratch(project), ddl) as shadow:
        found = [(each.name, each.stubbed) for each in shadow.uncertain]
        assert found == ([] if real and not reaches else [(name, True)])


def test_every_stand_in_can_be_made_by_a_migration(
    project: Project, connection: Connection
) -> None:
    if not knows_paths(connection):
        pytest.skip("PostgreSQL looks for extensions elsewhere since 18")
    with from_sql(scratch(project), "") as shadow, shadow.connect() as conn:
        assert shadow.uncertain == ()
        for name in STANDINS:
            conn.execute(f'CREATE EXTENSION "{name}"'.encode())
        assert [each.name for each in shadow.standing_in(conn)] == STANDINS


def test_another_modifier_of_a_geometry_is_a_rewrite(project: Project) -> None:
    ddl = "CREATE EXTENSION postgis; CREATE TABLE p (at geometry(Point,4326))"
    with from_sql(scratch(project), ddl) as shadow, shadow.connect() as conn:
        files = "SELECT pg_relation_filenode('p')"
        before = conn.execute(files).fetchone()
        conn.execute("ALTER TABLE p ALTER at TYPE geometry(Point,4326)")
        assert conn.execute(files).fetchone() == before
        conn.execute("ALTER TABLE p ALTER at TYPE geometry(Polygon,4326)")
        assert conn.execute(files).fetchone() != before


def test_what_is_built_on_a_stand_in_is_named(project: Project, connection: Connection) -> None:
    real = connection.execute(
        "SELECT count(*) FROM pg_available_extensions WHERE name = 'uuid-ossp'"
    ).fetchone()
    ddl = (
        'CREATE EXTENSION "uuid-ossp"; CREATE TABLE t (id uuid DEFAULT uuid_generate_v4());'
        " CREATE TABLE other (id int); CREATE DOMAIN d AS uuid DEFAULT uuid_generate_v4();"
        " CREATE EXTENSION postgis; CREATE TABLE p (id int PRIMARY KEY, at geometry);"
        " CREATE VIEW v AS SELECT at FROM p; CREATE TABLE q (id int REFERENCES p)"
    )
    with from_sql(scratch(project), ddl) as shadow:
        found = {each.name: set(each.objects) for each in shadow.uncertain}
    if real == (0,):
        assert found["uuid-ossp"] == {"public.t", "public.d"}
    assert {"public.p", "public.v"} <= found["postgis"]
    assert not {"public.q", "public.other"} & found["postgis"]


def test_what_nothing_can_stand_in_for_is_named_and_stops_nothing(project: Project) -> None:
    ddl = (
        "CREATE EXTENSION unheard_of; CREATE TABLE t (id int); CREATE TABLE u (x unheard_type);"
        " CREATE FUNCTION f(int) RETURNS int LANGUAGE plwhatever AS 'x';"
        " GRANT SELECT ON t TO qb_nobody_yet"
    )
    with from_sql(scratch(project), ddl) as shadow, shadow.connect() as conn:
        conn.execute("ALTER TABLE t ADD x int DEFAULT f(1)")
        said = " | ".join(shadow.missing)
    assert 'extension unheard_of: extension "unheard_of" is not available' in said
    assert 'type "unheard_type" does not exist' in said
    assert 'language "plwhatever" does not exist' in said
    assert {each.kind for each in shadow.uncertain if each.stubbed} == {"statement"}


def test_a_target_with_foreign_tables_has_a_shadow(
    project: Project, database: Target, connection: Connection
) -> None:
    connection.execute(
        "CREATE EXTENSION postgres_fdw SCHEMA public; CREATE SERVER s FOREIGN DATA WRAPPER"
        " postgres_fdw OPTIONS (host 'nowhere'); CREATE FOREIGN TABLE f (a int) SERVER s;"
        " CREATE FOREIGN DATA WRAPPER own; CREATE VIEW v AS SELECT a FROM f"
    )
    with like(scratch(project), database) as shadow, shadow.connect() as conn:
        assert [each.name for each in shadow.uncertain] == ["postgres_fdw"]
        assert set(shadow.uncertain[0].objects) >= {"public.f", "public.v"}
        conn.execute("ALTER FOREIGN TABLE f ADD b int")


def test_an_extension_that_only_the_target_has_is_made_after_its_catalog(
    project: Project, database: Target, connection: Connection, tmp_path: Path
) -> None:
    if not knows_paths(connection):
        pytest.skip("PostgreSQL looks for extensions elsewhere since 18")
    folder = tmp_path / "extension"
    folder.mkdir()
    for each in (folder, *folder.parents[:5]):  # the server may be another user
        if each.name.startswith(("pytest", "popen", "test", "extension")):
            each.chmod(0o755)
    (folder / "made_up.control").write_text("default_version = '1.0'\nrelocatable = true\n")
    (folder / "made_up--1.0.sql").write_text(
        "CREATE TYPE odd; CREATE FUNCTION odd_in(cstring) RETURNS odd LANGUAGE internal IMMUTABLE"
        " STRICT AS 'byteain'; CREATE FUNCTION odd_out(odd) RETURNS cstring LANGUAGE internal"
        " IMMUTABLE STRICT AS 'byteaout'; CREATE FUNCTION odd_mod(cstring[]) RETURNS int LANGUAGE"
        " internal IMMUTABLE STRICT AS 'byteaoctetlen'; CREATE TYPE odd (INPUT = odd_in, OUTPUT ="
        " odd_out, TYPMOD_IN = odd_mod, LIKE = bytea); CREATE TYPE state AS ENUM ('a', 'b');"
        "CREATE FUNCTION made(int DEFAULT 1) RETURNS odd LANGUAGE plpgsql VOLATILE"
        " AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TABLE config (id int, s state)"
    )
    connection.execute(
        f"CREATE SCHEMA x; SET extension_control_path = '$system:{tmp_path}';"
        "CREATE EXTENSION made_up SCHEMA x; CREATE TABLE t (o x.odd(3), s x.state DEFAULT 'a',"
        " d x.odd DEFAULT x.made()); CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE"
        " FUNCTION x.touched(); CREATE TABLE other (id int)".encode()
    )
    with like(scratch(project), database) as shadow, shadow.connect() as conn:
        assert [(e.name, e.stubbed, e.objects) for e in shadow.uncertain] == [
            ("made_up", True, ("public.t",))
        ]
        conn.execute("INSERT INTO t (s) VALUES ('b'); ALTER TABLE t ADD more x.odd")
        conn.execute("SELECT s FROM x.config")
