"""from a draft to a migration file that says the same, with constraints and a way back"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from qb_engine import drafting
from qb_engine.drafting import Generated
from qb_engine.errors import InputError
from qb_engine.migrations import LoadedMigration, load, load_one
from qb_engine.project import Project
from qb_engine.schema import snapshot

Connection = psycopg.Connection[Any]

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad');
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL DEFAULT '', age int, feeling mood);
CREATE INDEX users_age ON users (age);
CREATE TABLE "Order Items" (id int PRIMARY KEY, "naïve""quote" text);
"""


@pytest.fixture
def home(tmp_path: Path) -> Project:
    """A project in a folder of its own."""
    return Project.create(tmp_path / "shop")


@pytest.fixture
def target(connection: Connection) -> Connection:
    connection.execute(SCHEMA)
    return connection


@pytest.fixture
def scratch(server: Any, target: Connection) -> Any:
    """A throw-away database with the target's schema."""
    import secrets

    name = f"scratch_{secrets.token_hex(4)}"
    target.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    info = psycopg.conninfo.make_conninfo(server.conninfo, dbname=name)
    with psycopg.connect(info, autocommit=True) as conn:
        conn.execute(SCHEMA)
        yield conn
    target.execute(f"DROP DATABASE {name} WITH (FORCE)")


def generated(home: Project, found: Generated) -> tuple[str, LoadedMigration]:
    """The text of the file and the migration that is read from it."""
    return found.paths[0].read_text(encoding="utf-8"), load_one(found.paths[0])


def test_a_draft_becomes_a_file_as_one_would_write_it(
    home: Project, target: Connection, scratch: Connection
) -> None:
    """The whole text of the file, constraints and down included."""
    drafting.save(home, "add_user_email", "ALTER TABLE users ADD COLUMN email text;")
    found = drafting.generate(home, conn=target, scratch=scratch, stamp="20240315103000")
    assert found.paths == (home.migrations / "20240315103000_add_user_email.py",)
    assert found.paths[0].read_text() == (
        '"""add user email"""\n'
        "\n"
        "from qb_engine import Migration\n"
        "\n"
        "\n"
        "class AddUserEmail(Migration):\n"
        "    constraints = {\n"
        '        "users": {"must_exist": True, "columns": {"email": {"must_exist": False}}},\n'
        "    }\n"
        '    up = "ALTER TABLE users ADD COLUMN email text"\n'
        "    # down does not bring back what was written into users.email\n"
        '    down = "ALTER TABLE users DROP COLUMN email"\n'
    )
    assert found.proven
    assert found.down == ("ALTER TABLE users DROP COLUMN email",)
    (loaded,) = load(home.migrations)
    assert loaded.constraints == found.constraints


def test_down_of_a_sequence_uses_the_schema_before_each_statement(
    home: Project, target: Connection, scratch: Connection
) -> None:
    """A column is added, filled, indexed, made NOT NULL; the old one goes: and all of it back."""
    sql = """
    -- the new name
    ALTER TABLE users ADD COLUMN email text DEFAULT 'a', ADD COLUMN phone text;
    CREATE INDEX ON users (lower(email));
    UPDATE users SET email = lower(name);
    UPDATE users SET age = 1;
    ALTER TABLE users ALTER COLUMN email SET NOT NULL;
    ALTER TABLE users DROP COLUMN age;
    ALTER TABLE users RENAME COLUMN name TO "naïve""quote";
    ALTER TABLE users ALTER COLUMN "naïve""quote" SET DEFAULT E'it''s \\\\ "%s" :x';
    """
    # what an UPDATE overwrites is lost; what it writes into a new column goes with the column
    assert "overwrites" in drafting.generate(home, "reshape", sql=sql, conn=target).irreversible
    sql = "\n".join(line for line in sql.split("\n") if "age = 1" not in line)
    before = snapshot(target)
    found = drafting.generate(home, "reshape_schema", sql=sql, conn=target, scratch=scratch)
    text, loaded = generated(home, found)
    assert found.proven
    assert not found.irreversible
    assert "-- the new name" in text
    for statement in (*loaded.up, *loaded.down):
        target.execute(statement.sql)
    after = snapshot(target)
    assert {k: v for k, v in after.facts.items() if k.kind != "table"} == {
        k: v for k, v in before.facts.items() if k.kind != "table"
    }


@pytest.mark.parametrize(
    ("sql", "irreversible"),
    [
        ("CREATE TABLE t (a int); INSERT INTO t VALUES (1); DELETE FROM t; TRUNCATE t", False),
        ("ALTER TABLE users ADD a int; ALTER TABLE users RENAME TO u; UPDATE u SET a = 1", False),
        ("ALTER TABLE users ADD a int; UPDATE users SET a = 1, age = 2", True),
        ("ALTER TABLE users ADD a int; DELETE FROM users", True),
        ("CREATE TABLE t (a int); WITH x AS (DELETE FROM users RETURNING 1) INSERT INTO t "
         "SELECT * FROM x", True),
    ],
)  # fmt: skip
def test_rows_in_what_the_migration_makes_need_no_way_back(
    home: Project, target: Connection, scratch: Connection, sql: str, irreversible: bool
) -> None:
    """They go with the table or column; rows that were there before do not come back."""
    found = drafting.generate(home, "rows", sql=sql, conn=target, scratch=scratch)
    assert bool(found.irreversible) is irreversible
    assert found.proven is not irreversible


def test_without_a_scratch_what_is_not_known_is_not_guessed(
    home: Project, target: Connection
) -> None:
    """The start schema serves as far as it goes; what was changed on the way is irreversible."""
    add = drafting.generate(
        home, "one", sql="ALTER TABLE users ADD a int; ALTER TABLE users ALTER a SET NOT NULL",
        conn=target,
    )  # fmt: skip
    assert len(add.down) == 2
    assert not add.proven
    drop = drafting.generate(home, "two", sql="ALTER TABLE users DROP age", conn=target)
    assert "CREATE INDEX users_age ON users (age)" in drop.down
    twice = drafting.generate(
        home, "three", sql="ALTER TABLE users ALTER age TYPE text; ALTER TABLE users DROP age",
        conn=target,
    )  # fmt: skip
    assert "not known" in twice.irreversible


def test_a_down_that_does_not_lead_back_is_not_written(
    home: Project, target: Connection, scratch: Connection
) -> None:
    """What the scratch disproves is irreversible, with the difference as the reason."""
    for conn in (scratch, target):
        conn.execute("CREATE TABLE parent (a int PRIMARY KEY)")
        conn.execute("CREATE TABLE child (a int REFERENCES parent)")
    sql = "DROP TABLE parent, child"  # the way back would make the child first
    found = drafting.generate(home, "old", sql=sql, conn=target, scratch=scratch)
    assert "fails" in found.irreversible
    assert found.down == ()


def test_sql_that_does_not_run_is_written_with_a_note(
    home: Project, target: Connection, scratch: Connection
) -> None:
    """A draft for a table that is not there yet is no error, and verify will say it."""
    found = drafting.generate(
        home, "early", sql="ALTER TABLE pets ADD COLUMN a int", conn=target, scratch=scratch
    )
    assert "pets" in found.notes[0]
    assert found.constraints["pets"]["must_exist"] is True


UGLY = [
    "COMMENT ON TABLE users IS 'back\\slash \"\"\" ''quotes'''",
    "COMMENT ON TABLE users IS 'two\n    lines\n  and \ttabs\t'",
    "DO $x$\nBEGIN\n    PERFORM 1; -- \\d \"\"\" '''\nEND\n$x$",
    'UPDATE "Order Items" SET "naïve""quote" = \'100% :colon %s {brace} \'\'\' WHERE id = 1',
    "COMMENT ON TABLE users IS E'a\\\\b\\nc'",
    "COMMENT ON TABLE users IS '\u2028 \x0c \x85 🐘'",
    "SELECT 1 -- a comment at the end",
    "SELECT 1; SELECT 2 /* and\nanother \\ */;\n\nSELECT '''\"\"\"';",
    "SELECT '\\'",
    "SELECT 'ends with \"'",
    'SELECT 1 AS "a""""""b"',
    "SELECT $$'''\n\"\"\"\\$$",
]


@pytest.mark.parametrize("kind", ["python", "sql"])
@pytest.mark.parametrize("sql", UGLY)
def test_any_sql_becomes_a_valid_file_with_the_same_statements(
    home: Project, target: Connection, kind: str, sql: str
) -> None:
    """Backslashes, quotes of every kind, percent signs, colons, control characters."""
    found = drafting.generate(home, "ugly", sql=sql, conn=target, kind=kind)
    _, loaded = generated(home, found)
    for statement in loaded.up:
        target.execute(statement.sql.encode())
    if "COMMENT" in sql:
        text = sql.partition(" IS ")[2]
        row = target.execute(f"SELECT obj_description('users'::regclass) = {text}").fetchone()
        assert row == (True,)


def test_a_carriage_return_survives_in_python_and_is_refused_in_sql(
    home: Project, target: Connection
) -> None:
    """An SQL file is read with its line ends made one kind, so it cannot hold this string."""
    sql = "COMMENT ON TABLE users IS 'carriage\r\nreturn'"
    found = drafting.generate(home, "returns", sql=sql, conn=target)
    assert generated(home, found)[1].up[0].sql == sql
    with pytest.raises(InputError, match="does not read back"):
        drafting.generate(home, "returns_sql", sql=sql, conn=target, kind="sql")
    assert len(list(home.migrations.iterdir())) == 1


def test_parts_become_a_folder(home: Project, target: Connection, scratch: Connection) -> None:
    """pre, migration, post and backfill each in a file of its own; loaded in that order."""
    save = drafting.save
    save(home, "fill_email", "ALTER TABLE users ADD email text", part="pre")
    save(home, "fill_email", "ALTER TABLE users ADD phone text")
    save(home, "fill_email", "ALTER TABLE users ALTER email SET NOT NULL", part="post")
    save(
        home, "fill_email",
        'class Fill(Backfill):\n    table = "users"\n    set = {"email": "lower(name)"}\n',
        part="backfill",
    )  # fmt: skip
    found = drafting.generate(home, conn=target, scratch=scratch, stamp="20240316090000")
    folder = home.migrations / "20240316090000_fill_email"
    names = ["migration.py", "post.sql", "pre.sql", "backfill.py"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)
    loaded = load_one(folder)
    assert [part.kind for part in loaded.parts] == ["pre", "migration", "post"]
    assert loaded.backfill is not None
    assert loaded.backfill.set == {"email": "lower(name)"}
    assert [s.sql for s in loaded.down] == [
        "ALTER TABLE users ALTER COLUMN email DROP NOT NULL",
        "ALTER TABLE users DROP COLUMN phone",
        "ALTER TABLE users DROP COLUMN email",
    ]
    assert (
        loaded.constraints
        == found.constraints
        == {
            "users": {
                "must_exist": True,
                "columns": {
                    "email": {"must_exist": False},
                    "phone": {"must_exist": False},
                    "name": {"type": "text", "nullable": False},
                },
            }
        }
    )


def test_parts_without_a_migration_keep_their_constraints(
    home: Project, target: Connection
) -> None:
    """The first part there is holds what is required."""
    drafting.save(home, "only_pre", 'DROP TABLE "Order Items"', part="pre")
    found = drafting.generate(home, conn=target)
    assert load_one(found.paths[0]).constraints == {"Order Items": {"must_exist": True}}


CELL = '''
from sqlalchemy import Text, column as column_

# the column, then its index
kinds = ["text", "varchar(20)"]


def column(name):
    return AddColumn("users", name, kinds[0], nullable=True)


# what runs
up = [
    column("email"),
    """
    CREATE INDEX "naïve""quote" ON users (email)
      WHERE email <> 'a
    b';
    """,
    update(table("users", column_("email", Text))).values(email="100% :x"),
]
transaction = True
'''


def test_a_python_cell_keeps_its_own_python(
    home: Project, target: Connection, scratch: Connection
) -> None:
    """Helpers stay above the class, `up` moves into it, imports are added, strings untouched."""
    drafting.save(home, "by_python", CELL, python=True)
    found = drafting.generate(home, conn=target, scratch=scratch)
    text, loaded = generated(home, found)
    assert (
        "from qb_engine import AddColumn, Migration\nfrom sqlalchemy import table, update" in text
    )
    assert '    # what runs\n    up = [\n        column("email"),' in text
    assert [s.sql.split("\n")[0] for s in loaded.up] == [
        "ALTER TABLE users ADD COLUMN email text",
        'CREATE INDEX "naïve""quote" ON users (email)',
        "UPDATE users SET email='100% :x'",
    ]
    assert "'a\n    b'" in loaded.up[1].sql
    assert [s.sql for s in loaded.down] == [
        'DROP INDEX "naïve""quote"',
        "ALTER TABLE users DROP COLUMN email",
    ]
    assert loaded.constraints["users"]["columns"]["email"] == {"must_exist": False}


CLASS = '''"""My words."""

from qb_engine import AddColumn as Add

class Mine(Migration):
  """Adds it."""

  up = [Add("users", "email", "text"), CreateIndex("users", Sql("lower(email)"))]
'''


def test_a_cell_with_a_class_is_completed(
    home: Project, target: Connection, scratch: Connection
) -> None:
    """constraints and down are added to the user's own class, at its own indentation."""
    drafting.save(home, "mine", CLASS, python=True)
    found = drafting.generate(home, conn=target, scratch=scratch)
    text, loaded = generated(home, found)
    assert text.startswith('"""My words."""\n\nfrom qb_engine import CreateIndex, Migration, Sql\n')
    assert "class Mine(Migration):" in text
    assert [s.sql for s in loaded.down] == [
        "DROP INDEX users_lower_idx",
        "ALTER TABLE users DROP COLUMN email",
    ]
    assert found.proven


def test_what_the_user_says_is_kept(home: Project, target: Connection) -> None:
    """Own down, constraints and irreversible are not written over, in Python and in SQL."""
    drafting.save(
        home, "own_py", "up = 'SELECT 1'\ndown = 'SELECT 2'\nconstraints = {}\n", python=True
    )
    found = drafting.generate(home, conn=target)
    assert found.down == ("SELECT 2",)
    text = "-- qb:up\nDROP TABLE users;\n-- qb:down\nSELECT 3;\n"
    found = drafting.generate(home, "own_sql", sql=text, conn=target)
    assert found.down == ("SELECT 3",)
    text = "-- qb:irreversible it is the end\n-- qb:up\nDROP TABLE users;\n"
    assert drafting.generate(home, "own_end", sql=text, conn=target).irreversible == "it is the end"


def test_a_method_that_reads_the_target_is_recorded(home: Project, target: Connection) -> None:
    """`up(self, q)` is run to know its statements, reading only."""
    target.execute("INSERT INTO users VALUES (7)")
    cell = (
        "def up(self, q):\n"
        "    for (id,) in q.rows('SELECT id FROM users'):\n"
        "        q(f'CREATE TABLE t{id} ()')\n"
    )
    drafting.save(home, "dynamic", cell, python=True)
    found = drafting.generate(home, conn=target)
    assert found.down == ("DROP TABLE t7",)
    write = "def up(self, q):\n    q.rows('DELETE FROM users RETURNING 1')\n"
    drafting.save(home, "writes", write, python=True)
    with pytest.raises(Exception, match="read-only"):
        drafting.generate(home, "writes", conn=target)


def test_nothing_is_ever_written_over(home: Project, target: Connection) -> None:
    """A second migration of the same name, or a file in the way, is refused by its path."""
    first = drafting.generate(home, "twice", sql="SELECT 1", conn=target)
    with pytest.raises(InputError) as raised:
        drafting.generate(home, "twice", sql="SELECT 2", conn=target)
    assert raised.value.where == str(first.paths[0])
    assert "SELECT 1" in first.paths[0].read_text()


def test_a_failed_generate_leaves_no_file(home: Project, target: Connection) -> None:
    """Bad input is an error before anything is written."""
    for name, sql in (("bad", "ALTER TABLE"), ("empty", "-- nothing"), ("a b", "SELECT 1")):
        with pytest.raises(InputError):
            drafting.generate(home, name, sql=sql, conn=target)
    assert list(home.migrations.iterdir()) == []


def test_stamps_follow_the_last_migration(home: Project, target: Connection) -> None:
    """A stamp is later than every other, also when the clock is not."""
    (home.migrations / "29990101000000_far.sql").write_text("SELECT 1")
    found = drafting.generate(home, "next", sql="SELECT 1", conn=target)
    assert found.id == "29990101000001_next"


@pytest.mark.parametrize(
    "does",
    [
        'sql = "UPDATE users AS u SET email = lower(u.name) WHERE {batch}"\n',
        'columns = ["name"]\n\n    async def transform(self, rows):\n'
        '        return rows.assign(email=rows["name"])\n',
    ],
)
def test_what_a_backfill_of_another_kind_relies_on_is_inferred(
    home: Project, target: Connection, scratch: Connection, does: str
) -> None:
    drafting.save(home, "fill_email", "ALTER TABLE users ADD email text")
    text = f'class Fill(Backfill):\n    table = "users"\n    {does}'
    drafting.save(home, "fill_email", text, part="backfill")
    found = drafting.generate(home, conn=target, scratch=scratch, stamp="20240316090000")
    assert found.constraints["users"]["columns"] == {
        "email": {"must_exist": False},
        "name": {"type": "text", "nullable": False},
    }
    loaded = load_one(home.migrations / "20240316090000_fill_email").backfill
    assert loaded is not None
    assert bool(loaded.transform) != bool(loaded.sql)


@pytest.mark.parametrize("name", ["add_column", "none", "true", "migration", "x1", "Backfill"])
def test_class_names_never_hide_what_the_file_imports(
    home: Project, target: Connection, name: str
) -> None:
    """AddColumn, None and Migration are taken."""
    cell = 'up = AddColumn("users", "email", "text")\n'
    drafting.save(home, name, cell, python=True)
    assert drafting.generate(home, name, conn=target).down


def test_the_target_is_only_read(home: Project, database: Any, target: Connection) -> None:
    """Nothing changes on the target, though the statements run on the scratch."""
    before = snapshot(target)
    with psycopg.connect(database.conninfo, autocommit=True) as conn:
        conn.execute("SET default_transaction_read_only = on")
        drafting.generate(home, "only_reads", sql="DROP TABLE users", conn=conn)
    assert snapshot(target) == before
