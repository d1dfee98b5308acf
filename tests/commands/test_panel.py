"""what may be done with a migration: every state has its actions, and a reason for the others"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from qb_engine.commands import Session, invoke
from qb_engine.commands._panel_actions import Situation, actions
from qb_engine.commands.panel import PanelReport
from qb_engine.project import Project
from qb_engine.report import plain
from qb_engine.runner import State

FILLS = (
    "", "needed", "not started", "pending", "running", "paused", "verifying", "completed",
    "failed", "cancelled",
)  # fmt: skip
VERBS = (
    "verify", "plan", "dryrun", "rehearse", "run", "rollback", "start", "pause", "resume", "cancel",
    "validate",
)  # fmt: skip


CHECKS = ("verify", "plan", "rehearse")


def enabled(situation: Situation) -> set[str]:
    return {verb for verb, action in actions(situation).items() if action.enabled}


@pytest.mark.parametrize(
    ("situation", "may"),
    [
        (Situation("m", "pending"), {*CHECKS, "dryrun", "run"}),
        (Situation("m", "pending", fill="needed"), {*CHECKS, "dryrun", "run"}),
        (Situation("m", "pending", earlier="l"), {"verify", "plan"}),
        (Situation("m", "pending", production=True), {*CHECKS, "run"}),
        (Situation("m", "pending", runner="ann"), {*CHECKS, "dryrun"}),
        (Situation("m", "partial"), {"run"}),
        (Situation("m", "applied"), {"rollback"}),
        (Situation("m", "applied", later="n"), set()),
        (Situation("m", "applied", irreversible="rows are gone"), set()),
        (Situation("m", "applied", fill="completed"), {"rollback"}),
        (Situation("m", "edited"), {"rollback"}),
        (Situation("m", "expanded", fill="not started"), {"rollback", "start"}),
        (Situation("m", "expanded", fill="pending"), {"pause", "cancel"}),
        (Situation("m", "expanded", fill="running"), {"pause", "cancel"}),
        (Situation("m", "expanded", fill="verifying"), {"cancel"}),
        (Situation("m", "expanded", fill="paused"), {"resume", "cancel"}),
        (Situation("m", "expanded", fill="failed"), {"rollback", "start"}),
        (Situation("m", "expanded", fill="cancelled"), {"rollback", "start"}),
        (Situation("m", "expanded", fill="completed"), {"run", "rollback"}),
        (Situation("m", "backfilling", fill="running"), {"pause", "cancel"}),
        (Situation("m", "backfilling", fill="paused"), {"resume", "cancel"}),
        (Situation("m", "contracted", fill="completed"), {"rollback"}),
        (Situation("m", "broken", note="line 3"), set()),
        (Situation("m", "missing"), set()),
    ],
    ids=lambda value: f"{value.state} {value.fill}" if isinstance(value, Situation) else "",
)
def test_what_may_be_done(situation: Situation, may: set[str]) -> None:
    assert enabled(situation) == may
    assert enabled(replace(situation, anything_applied=True)) == may | {"validate"}


def test_every_combination_gives_every_action_and_a_reason_for_those_that_may_not() -> None:
    for state, fill, earlier, later in itertools.product(
        get_args(State), FILLS, ("", "l"), ("", "n")
    ):
        found = actions(Situation("m", state, fill=fill, earlier=earlier, later=later))
        assert tuple(found) == VERBS
        for action in found.values():
            assert action.enabled == (not action.why)
            assert action.command


def test_a_reason_names_what_stands_in_the_way() -> None:
    assert (
        "20240101_users" in actions(Situation("m", "pending", earlier="20240101_users"))["run"].why
    )
    assert "rows are gone" in actions(
        Situation("m", "applied", irreversible="rows are gone")
    )["rollback"].why  # fmt: skip
    assert "ann" in actions(Situation("m", "pending", runner="ann on host"))["run"].why


def write(project: Project, name: str, up: str) -> Path:
    path = project.migrations / f"{name}.sql"
    path.write_text(f"-- qb:up\n{up}\n")
    return path


def panel(session: Session, *words: str) -> PanelReport:
    found = invoke(session, ["panel", *words])
    assert isinstance(found, PanelReport)
    return found


def test_the_panel_follows_the_work(project: Project) -> None:
    """The first migration with something left to do is chosen; the states are the ledger's."""
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);")
    write(project, "20240102000000_add_email", "ALTER TABLE users ADD COLUMN email text;")
    session = Session(root=project.root)
    before = panel(session)
    assert before.focus is not None
    assert before.focus.id == "20240101000000_add_users"
    assert before.focus.actions["run"].enabled
    assert not panel(session, "add_email").migrations[1].actions["run"].enabled
    invoke(session, ["run", "add_users"])
    after = panel(session)
    assert [m.state for m in after.migrations] == ["applied", "pending"]
    assert after.chosen == "20240102000000_add_email"
    assert after.migrations[1].up == "ALTER TABLE users ADD COLUMN email text;"


def test_a_broken_file_is_listed_with_its_reason(project: Project) -> None:
    write(project, "20240101000000_add_users", "CREATE TABLE users (id int);")
    write(project, "20240102000000_odd", "CREATE TABEL users (id int);")
    found = {m.id: m for m in panel(Session(root=project.root)).migrations}
    assert found["20240102000000_odd"].state == "broken"
    assert "cannot be read" in found["20240102000000_odd"].actions["run"].why
    assert found["20240101000000_add_users"].actions["run"].enabled


def test_an_empty_folder_is_a_panel_too(project: Project) -> None:
    found = panel(Session(root=project.root))
    assert found.focus is None
    assert "draft one with %%qb draft" in plain(found)
