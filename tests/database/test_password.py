"""passwords come from libpq or a prompt, and are never shown"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from qb_engine.commands import Face, Session, invoke
from qb_engine.database.embedded import EmbeddedPostgres
from qb_engine.errors import RefusedError, ServerError

CANARY = "canary-Pa55-77"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server of its own that asks for a password."""
    home = tmp_path_factory.mktemp("locked")
    server = EmbeddedPostgres(home)
    with psycopg.connect(server.ensure(), autocommit=True) as conn:
        conn.execute(f"ALTER ROLE postgres PASSWORD '{CANARY}'")
        row = conn.execute("SHOW hba_file").fetchone()
        assert row is not None
        Path(row[0]).write_text("local all all scram-sha-256\n")
        conn.execute("SELECT pg_reload_conf()")
    yield server
    server.purge()


@pytest.fixture
def session(tmp_path: Path, locked: EmbeddedPostgres) -> Session:
    (tmp_path / "qb.toml").write_text(f'default = "x"\n[aliases]\nx = "{locked.url}"\n')
    return Session(root=tmp_path)


def test_without_a_password_the_places_for_one_are_named(session: Session) -> None:
    with pytest.raises(ServerError) as caught:
        invoke(session, ["connect"])
    assert caught.value.exit_code == 3
    assert "passfile" in caught.value.todo


def test_a_wrong_password_is_said_without_showing_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", f"wrong-{CANARY}")
    with pytest.raises(ServerError, match="cannot connect") as caught:
        invoke(session, ["connect"])
    assert "password authentication failed" in caught.value.why
    assert "PGPASSWORD" in caught.value.todo
    assert CANARY not in str(caught.value)


def test_the_passfile_and_the_environment_are_honoured(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{CANARY}\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    assert invoke(session, ["connect"])
    monkeypatch.delenv("PGPASSFILE")
    monkeypatch.setenv("PGPASSWORD", CANARY)
    assert invoke(session, ["plan"])
    monkeypatch.undo()
    assert "PGPASSWORD" not in os.environ


def test_a_password_can_be_typed_and_is_kept_for_the_session(session: Session) -> None:
    class Typist(Face):
        asked: list[str] = []

        def ask_password(self, prompt: str) -> str | None:
            self.asked.append(prompt)
            return CANARY

    session.face = Typist()
    report = invoke(session, ["connect"])
    assert invoke(session, ["status"])
    assert len(Typist.asked) == 1
    assert CANARY not in str(report) + Typist.asked[0] + repr(session.target)


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://u:{CANARY}@h/d",
        f"postgresql://h/d?password={CANARY}",
        f"host=h password={CANARY}",
    ],
)
def test_a_password_in_a_notebook_cell_is_refused_with_the_reason(
    session: Session, text: str
) -> None:
    session.face.keeps_input = True  # type: ignore[attr-defined]
    with pytest.raises(RefusedError) as caught:
        invoke(session, ["connect", text])
    assert "stored" in caught.value.why
    assert CANARY not in str(caught.value)
