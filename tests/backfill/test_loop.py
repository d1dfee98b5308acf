"""the engine's loop ends with its process, whatever is in flight"""

from __future__ import annotations

import subprocess
import sys

from tests.backfill.conftest import Case

FLOOD = """
import asyncio, sys
from pathlib import Path
from qb_engine.backfill.driving import loop, temporal
from qb_engine.project import Project

where = temporal.place(Project.find(Path(sys.argv[1])), start=False)

async def ask():
    while True:
        await asyncio.gather(*(temporal.pollers(where, f"queue {n}") for n in range(30)))

loop.run(temporal.pollers(where, "queue"))
asyncio.run_coroutine_threadsafe(ask(), loop.loop())
"""

COMMAND = """
from qb_engine.commands import main
sys.argv = ["qb", "backfill", "no-such-word"]
sys.exit(main())
"""


def test_a_command_that_ends_with_calls_in_flight_ends_with_its_own_code(driven: Case) -> None:
    command = [sys.executable, "-c", FLOOD + COMMAND, str(driven.project.root)]
    ends = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    ended = [(end.communicate()[1], end.returncode) for end in ends]
    assert ended == [(ended[0][0], 2)] * len(ends)
    assert "no-such-word" in ended[0][0]
