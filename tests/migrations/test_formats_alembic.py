"""Alembic's revisions: listed without running them, read as the SQL that they write offline"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.errors import InputError
from qb_engine.migrations import Migrations, load

ENV = """
from alembic import context
def offline():
    context.configure(url=context.config.get_main_option("sqlalchemy.url"), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
assert context.is_offline_mode()
offline()
"""
HEAD = """from alembic import op
import sqlalchemy as sa
"""


def revision(id: str, down: object, up: str = "pass", back: str = "pass", more: str = "") -> str:
    return (
        f'"""{id}\n\nCreate Date: 2024-01-01 00:00:00\n"""\n{HEAD}revision: str = {id!r}\n'
        f"down_revision = {down!r}\n{more}\n"
        f"def upgrade() -> None:\n    {up}\n\ndef downgrade() -> None:\n    {back}\n"
    )


@pytest.fixture
def alembic(tmp_path: Path):
    """Load a project of the given revisions: `alembic({"a1_x.py": revision("a1", None)})`."""

    def of(files: dict[str, str], env: str = ENV) -> Migrations:
        (tmp_path / "db" / "versions").mkdir(parents=True, exist_ok=True)
        (tmp_path / "alembic.ini").write_text(
            "[alembic]\nscript_location = %(here)s/db\nsqlalchemy.url = driver://u:p@h/d\n"
        )
        (tmp_path / "db" / "env.py").write_text(env)
        for name, text in files.items():
            (tmp_path / "db" / "versions" / name).write_text(text)
        return load(tmp_path / "db")

    return of


def test_a_revision_is_its_offline_sql_without_the_bookkeeping(alembic) -> None:
    found = alembic(
        {
            "b2_second.py": revision("b2", "a1", "op.execute(\"UPDATE users SET name = '5%'\")"),
            "a1_first.py": revision(
                "a1",
                None,
                "op.create_table('users', sa.Column('name', sa.Text(), nullable=False))",
                "op.drop_table('users')",
            ),
        }
    )
    first, second = found.all
    assert (first.id, first.stamp, first.name) == ("a1_first", "a1", "first")
    assert [" ".join(s.sql.split()) for s in first.up] == [
        "CREATE TABLE users ( name TEXT NOT NULL )"
    ]
    assert [s.sql for s in first.down] == ["DROP TABLE users"]
    assert first.up[0].source.line == 10
    assert [s.sql for s in second.up] == ["UPDATE users SET name = '5%'"]
    assert second.requires == ("a1_first",)


def test_revisions_that_touch_alembic_s_own_table_keep_what_they_say(alembic) -> None:
    text = revision("a1", None, "op.execute('SELECT version_num FROM alembic_version')")
    assert [s.sql for s in alembic({"a1_x.py": text}).all[0].up] == [
        "SELECT version_num FROM alembic_version"
    ]


def test_an_autocommit_block_makes_every_statement_stand_alone(alembic) -> None:
    up = (
        "op.execute('CREATE TABLE t (a int)')\n    with op.get_context().autocommit_block():\n"
        "        op.execute('CREATE INDEX CONCURRENTLY i ON t (a)')"
    )
    (part,) = alembic({"a1_x.py": revision("a1", None, up, "op.drop_table('t')")}).all[0].parts
    assert [s.kind for s in part.up] == ["create", "index"]
    assert not part.in_transaction()
    assert part.in_transaction(down=True)


def test_branches_that_are_merged_run_behind_what_they_follow(alembic) -> None:
    found = alembic(
        {
            "a9_base.py": revision("a9", None),
            "a1_left.py": revision("a1", "a9"),
            "a2_right.py": revision("a2", "a9"),
            "a0_merge.py": revision("a0", ("a1", "a2")),
        }
    )
    assert [e.stamp for e in found.entries] == ["a9", "a1", "a2", "a0"]
    assert not found.broken


def test_two_heads_are_refused_by_name(alembic) -> None:
    found = alembic(
        {
            "a1_base.py": revision("a1", None),
            "b1_one.py": revision("b1", "a1"),
            "b2_two.py": revision("b2", "a1"),
        }
    )
    assert [b.error.what for b in found.broken] == ["there are 2 heads: b1, b2"]
    assert found.broken[0].error.todo == "alembic merge heads"


def test_labelled_branches_are_meant(alembic) -> None:
    found = alembic(
        {
            "a1_app.py": revision("a1", None, more="branch_labels = ('app',)"),
            "b1_log.py": revision("b1", None, more="branch_labels = 'log'\ndepends_on = 'app'"),
        }
    )
    assert [e.stamp for e in found.entries] == ["a1", "b1"]
    assert not found.broken


@pytest.mark.parametrize(
    ("up", "said"),
    [
        ("op.get_bind().execute(sa.text('SELECT 1')).scalar()", "AttributeError"),
        ("raise SystemExit('no')", "SystemExit: no"),
        ("if op.get_context().as_sql: return", "something else offline"),
    ],
)
def test_what_needs_a_database_is_refused_with_the_reason_and_the_line(
    alembic, up: str, said: str
) -> None:
    found = alembic({"a1_x.py": revision("a1", None, up), "b1_y.py": revision("b1", "a1")})
    (broken,) = found.broken
    assert said in broken.error.why + broken.error.what
    assert broken.error.where.endswith("a1_x.py:11")
    assert [m.id for m in found.all] == ["b1_y"]


def test_a_downgrade_that_is_not_implemented_is_no_way_back(alembic) -> None:
    text = revision("a1", None, "op.execute('SELECT 1')", "raise NotImplementedError('lost')")
    assert alembic({"a1_x.py": text}).all[0].irreversible == "lost"


def test_an_environment_that_fails_says_so(alembic) -> None:
    found = alembic({"a1_x.py": revision("a1", None)}, "import os\nos.environ['NOT_SET_HERE']\n")
    assert "NOT_SET_HERE" in found.broken[0].error.why
    assert found.broken[0].error.where.endswith("env.py:2")


def test_listing_runs_nothing(alembic, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = revision("a1", None, more=f"open({str(mark)!r}, 'w').close()")
    assert [e.id for e in alembic({"a1_x.py": text}).entries] == ["a1_x"]
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("revision = 'x1'\ndown_revision = 'gone'\n", "follows gone"),
        ("def upgrade(): pass\n", "says no revision"),
        ("revision = (\n", "never closed"),
    ],
)
def test_a_file_that_is_no_revision_is_reported(alembic, text: str, said: str) -> None:
    found = alembic({"x1_x.py": text, "a1_y.py": revision("a1", None)})
    assert said in next(b.error.what for b in found.broken if b.path.name == "x1_x.py")


def test_without_an_ini_file_there_is_no_alembic(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "db" / "versions").mkdir(parents=True)
    (tmp_path / "db" / "env.py").write_text("")
    with pytest.raises(InputError, match=r"no alembic\.ini"):
        load(tmp_path / "db")


def test_revisions_that_follow_each_other_in_a_circle_are_told(alembic) -> None:
    found = alembic({"a1_x.py": revision("a1", "b1"), "b1_y.py": revision("b1", "a1")})
    assert "stand in a circle" in found.broken[0].error.what
