"""`kill -9` of the runner at any statement: what is applied is known, and both ways go on"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import psycopg
import pytest

from qb_engine.schema import diff, snapshot
from tests.crash import story
from tests.crash.crashing import HELD, Crash
from tests.crash.runner_process import wait_for

ROUNDS = int(os.environ.get("ROUNDS", "2"))
EVERY = "ROUNDS" in os.environ  # `make crash`: every statement, every moment, every way on

pytestmark = pytest.mark.crash

WAYS = ("run", "continue", "undo")


def points() -> list[Any]:
    """Statements, moments and ways on: a fixed selection, or all."""
    every = [
        (number, moment, way)
        for number in range(1, story.COUNT + 1)
        for moment in ("before", "executed", "during")
        for way in WAYS
    ]
    if EVERY:
        return every
    # one of each transaction, at each moment, with each way on
    return [
        (2, "executed", "continue"), (3, "during", "run"), (5, "during", "continue"),
        (5, "executed", "run"), (7, "executed", "undo"), (8, "executed", "continue"),
        (9, "before", "run"), (11, "during", "run"), (11, "executed", "continue"),
        (12, "during", "continue"),
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "moment", "way"), points())
def test_it_is_known_what_is_applied_and_it_goes_on(
    crash: Crash, number: int, moment: str, way: str
) -> None:
    """Before a statement, while it works, and when it is done and that is not recorded yet."""
    # a transaction is sent as a whole: what a statement of it needs is held before its first one
    first = next(block[0] for block in story.BLOCKS if number in block)
    stop = {
        "before": f"running {number}",
        "executed": f"done {number}",
        "during": f"running {first}",
    }[moment]
    runner = crash.run(stop)
    assert runner.until(stop), runner.ended
    if moment == "during":
        with psycopg.connect(crash.conninfo) as holder:
            holder.execute(story.HOLDS[number].encode())
            runner.go()
            wait_for(lambda: crash.one(HELD), "the statement waits")
            runner.kill()
            holder.rollback()
    else:
        runner.kill()
    crash.alone()
    there = crash.look()
    kept = story.committed_before(number)
    alone = number in story.ALONE and moment != "before"
    assert there in ((kept, kept + 1) if alone else (kept,))
    crash.finish(way)


@pytest.mark.parametrize(("what", "number"), [("rollback", 9), ("undo", 6)])
def test_a_way_back_that_is_killed_goes_on(crash: Crash, what: str, number: int) -> None:
    """While it drops an index concurrently, between two transactions."""
    if what == "rollback":
        assert crash.qb("run").ok
    else:
        runner = crash.run("running 9")
        assert runner.until("running 9"), runner.ended
        runner.kill()
        crash.alone()
    stop = f"running {number}"
    runner = crash.run(stop, what=what)
    assert runner.until(stop), runner.ended
    with psycopg.connect(crash.conninfo) as holder:
        holder.execute(story.HOLDS[5].encode())
        runner.go()
        wait_for(lambda: crash.one(HELD), "the statement waits")
        runner.kill()
        holder.rollback()
    crash.alone()
    (case,) = crash.qb("repair", "--no-scratch").found.cases
    states = [step.state for step in case.steps]
    assert states[: number - 1] == ["committed"] * (number - 1)
    assert states[number - 1] in ("cut off", "finished")
    assert set(states[number:]) == {"to run"}
    assert crash.qb("repair", "--continue").done.ran.status == "rolled back"
    assert diff(crash.start, snapshot(crash.conn), ignore=("comment",)) == ()
    crash.finish("run")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_kill_at_any_moment_leaves_a_state_that_is_known(crash: Crash, number: int) -> None:
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    print(f"SEED={seed}")
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):  # the next one is killed, too
        stop = f"running {chance.randint(1, story.COUNT)}"
        runner = crash.run(stop)
        if not runner.until(stop):
            runner.wait()
            break
        runner.go()
        time.sleep(chance.choice((0, chance.uniform(0, 0.02), chance.uniform(0, 0.2))))
        runner.kill()
        crash.alone()
        if crash.qb("status").migrations[0].state == "applied":
            break
        crash.look()
    way = chance.choice(WAYS)
    if crash.qb("status").migrations[0].state == "applied":
        crash.whole()
    else:
        crash.finish(way)
