"""`kill -9` of the worker at any moment, then `qb worker` again: every row is written once"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from functools import partial

import pytest

from tests.backfill.conftest import Case, case, driven, until

__all__ = ["case", "driven"]

ROUNDS = int(os.environ.get("ROUNDS", "2"))
KILLS = 3  # of one backfill
ROWS = 3_000


def worker(case: Case) -> subprocess.Popen[bytes]:
    """`qb worker`, as a user starts it."""
    command = [sys.executable, "-m", "qb_engine.commands", "worker"]
    return subprocess.Popen(
        [*command, "--project", str(case.project.root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def working(case: Case) -> int:
    """The process that has a segment, once there is one; 0 when the backfill has ended."""
    found = until(
        "a worker has a segment",
        lambda: (
            case.progress().ended
            or case.one("SELECT max(worker) FROM qb.segment WHERE status = 'running'")
        ),
    )
    return 0 if found is True else int(found.rpartition(":")[2])


def works(case: Case, pid: int) -> bool:
    """True when that worker has a segment, or nothing is left to be had."""
    return working(case) in (0, pid)


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_every_row_is_written_once_whenever_the_worker_is_killed(driven: Case, number: int) -> None:
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
    print(f"SEED={seed}")
    chance = random.Random(seed)
    driven.counted(ROWS)
    migration = driven.filling(slow=0.001, batch_size=25, parallel=2, where="v IS NULL")
    driven.start(migration)
    running = worker(driven)
    os.kill(working(driven), 9)  # the one that `start` started
    try:
        for _ in range(KILLS):
            until("the new worker works", partial(works, driven, running.pid))
            time.sleep(chance.uniform(0, 0.8))
            running.kill()
            running.wait()
            running = worker(driven)
        ended = driven.ended()
    finally:
        running.kill()
        running.wait()
    assert (ended.state, ended.error, ended.rows_done) == ("completed", "", ROWS)
    assert driven.writes() == {1: ROWS}
    assert driven.one("SELECT sum(rows)::int FROM qb.batch") == ROWS
