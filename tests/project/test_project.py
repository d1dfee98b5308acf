"""qb.toml is read strictly, and the target is chosen in one order"""

from __future__ import annotations

from pathlib import Path

import pytest

from qb_engine.database import Target, resolve
from qb_engine.errors import InputError, ServerError
from qb_engine.project import Project, seconds


def made(root: Path, text: str) -> Project:
    (root / "qb.toml").write_text(text, encoding="utf-8")
    return Project(root)


def test_the_template_is_valid_and_holds_the_defaults(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "new")
    assert project.config.timeouts.lock == "2s"
    assert project.config.default == "embedded"
    assert project.migrations.is_dir()


def test_a_project_is_not_made_twice(tmp_path: Path) -> None:
    Project.create(tmp_path)
    with pytest.raises(InputError, match="already"):
        Project.create(tmp_path)


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ('migratoins = "m"', "migratoins", "migrations"),
        ('[timeouts]\nlokc = "1s"', "timeouts.lokc", "lock"),
        ("[aliases]\nprod = { service = 'x', producton = true }", "producton", "production"),
        ('[temporal]\nadress = "x"', "temporal.adress", "address"),
    ],
)
def test_an_unknown_key_names_its_line_and_the_nearest(
    tmp_path: Path, text: str, key: str, near: str
) -> None:
    with pytest.raises(InputError) as caught:
        _ = made(tmp_path, text).config
    assert key in caught.value.what
    assert caught.value.where.endswith(f"qb.toml:{text.count(chr(10)) + 1}")
    assert near in caught.value.todo


def test_a_password_in_an_alias_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _ = made(tmp_path, '[aliases]\nx = "postgresql://u:canary77@h/d"').config
    assert "password" in str(caught.value)
    assert "canary77" not in str(caught.value)


def test_bad_toml_and_bad_durations_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not valid TOML"):
        _ = made(tmp_path, "a = = 1").config
    with pytest.raises(InputError, match="duration"):
        _ = made(tmp_path, '[timeouts]\nlock = "soon"').config


@pytest.mark.parametrize(
    ("text", "value"), [("500ms", 0.5), ("2s", 2), ("5min", 300), ("1h", 3600), (3, 3), ("7", 7)]
)
def test_durations(text: str | int, value: float) -> None:
    assert seconds(text) == value


def test_the_target_is_chosen_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = made(tmp_path, '[aliases]\na = "postgresql://h1/d"\nb = "service=s"')
    for name in ("QB_DATABASE_URL", "DATABASE_URL", "PGHOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGHOST", "h4")
    assert resolve(bare) == Target("libpq", "")
    monkeypatch.setenv("DATABASE_URL", "postgresql://h3/d")
    assert resolve(bare).conninfo == "postgresql://h3/d"
    monkeypatch.setenv("QB_DATABASE_URL", "postgresql://h2/d")
    assert resolve(bare).conninfo == "postgresql://h2/d"
    default = made(tmp_path, 'default = "a"\n[aliases]\na = "postgresql://h1/d"\nb = "service=s"')
    assert resolve(default).name == "a"
    assert resolve(default, "b").conninfo == "service=s"
    assert resolve(default, "postgresql://h0/d").conninfo == "postgresql://h0/d"


def test_an_unknown_alias_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        resolve(made(tmp_path, '[aliases]\nprod = "service=s"'), "prd")
    assert "prod" in caught.value.why
    assert caught.value.where.endswith("qb.toml")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:can@ry77@127.0.0.1:1/d",
        "postgresql://u:canary77:x@127.0.0.1:1/d",
        "postgresql://127.0.0.1:1/d?user=u&password=canary77",
        "u:canary77@127.0.0.1:1/d",
        "postgres:/u:canary77@127.0.0.1",
        "postgresql//u:canary77@127.0.0.1",
        "postgresql://u:can/ry77@127.0.0.1:1/d",
        "postgresql://u:can?ry77@127.0.0.1:1/d",
        "postgresql://u:p@can:w/ry77@127.0.0.1:1/d",
        "postgresql://u:canary77?user=x@127.0.0.1/d",
        "mysql://u:canary77@127.0.0.1:1/d",
        "dbname=d@canary77 host=127.0.0.1",
        "host=127.0.0.1 port=1 password=canary77",
    ],
)
def test_no_form_of_a_url_leaks_its_password(tmp_path: Path, url: str) -> None:
    from qb_engine.database.connect import connect

    with pytest.raises((InputError, ServerError)) as caught:
        connect(resolve(made(tmp_path, ""), url))
    said = repr(caught.value) + str(caught.value)
    assert "canary77" not in said
    assert "ry77" not in said
    shown = repr(Target("x", url)) + Target("x", url).display
    assert "canary77" not in shown
    assert "ry77" not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u@h:5432/d", "u@h:5432/d"),
        ("postgresql://u%40corp:p%40%2F%3Fw@h:5432/d", "u@corp@h:5432/d"),
        ("postgresql://u@[::1]:5432/d", "u@::1:5432/d"),
        ("postgresql://u@h1:1,h2:2/d", "u@h1,h2:1,2/d"),
        ("postgresql://u@%2Ftmp/d", "u@local socket/d"),
        ("user=u@corp host=h dbname=d", "u@corp@h/d"),
        ("postgresql+psycopg://u@h/d?sslmode=require", "u@h/d"),
    ],
)
def test_a_clean_url_is_taken_and_shown(tmp_path: Path, url: str, shown: str) -> None:
    assert resolve(made(tmp_path, ""), url).display == shown


@pytest.mark.parametrize("password", ["can/ry77", "can?ry77", "c@n:w/ry77"])
def test_a_raw_character_in_a_password_is_answered_with_its_encoding(
    tmp_path: Path, password: str
) -> None:
    with pytest.raises(InputError) as caught:
        resolve(made(tmp_path, ""), f"postgresql://u:{password}@127.0.0.1:1/d")
    assert "%2F" in caught.value.todo


def test_an_alias_that_is_no_url_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        resolve(made(tmp_path, '[aliases]\nx = "u:canary77@127.0.0.1/d"'), "x")
    assert "canary77" not in str(caught.value) + repr(caught.value)


def test_times_are_read_whatever_the_database_prefers(database: Target, connection) -> None:
    from psycopg import sql

    from qb_engine.database.connect import connect

    name = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("ALTER DATABASE {} SET datestyle TO 'German'").format(name))
    with connect(database) as conn:
        row = conn.execute("SELECT '2024-03-15 10:30:00+00'::timestamptz").fetchone()
    assert row is not None
    assert row[0].year == 2024


def test_a_configured_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "qb.toml"
    file.write_text('# where\nmigrations = "db/migrations"\n', encoding="utf-8")
    with pytest.raises(InputError, match="db/migrations") as caught:
        _ = Project(tmp_path).migrations
    assert caught.value.where == f"{file}:2"
    (tmp_path / "db" / "migrations").mkdir(parents=True)
    assert Project(tmp_path).migrations == tmp_path / "db" / "migrations"


@pytest.mark.parametrize("text", ["", 'migrations = "migrations"\n'])
def test_the_default_folder_may_be_missing(tmp_path: Path, text: str) -> None:
    (tmp_path / "qb.toml").write_text(text, encoding="utf-8")
    assert Project(tmp_path).migrations == tmp_path / "migrations"


def test_a_qb_toml_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "qb.toml"
    file.write_bytes("# é\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read") as caught:
        _ = Project(tmp_path).config
    assert caught.value.where == str(file)
    assert "UTF-8" in caught.value.todo


def test_a_byte_order_mark_in_qb_toml_is_let_be(tmp_path: Path) -> None:
    (tmp_path / "qb.toml").write_bytes('\ufeffdefault = "embedded"\n'.encode())
    assert Project(tmp_path).config.default == "embedded"
