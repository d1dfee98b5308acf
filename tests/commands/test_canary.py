"""a password given to qb is found nowhere afterwards: no output, log, file, ledger or workflow"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from qb_engine.project import FILE, Project

CANARY = "canary-Pa55%2477-word"  # as the URL writes it
PLAIN = "canary-Pa55$77-word"
QB = [sys.executable, "-m", "qb_engine.commands"]


@pytest.mark.slow
def test_no_secret_leaves_the_process(
    project: Project, connection: psycopg.Connection[tuple[object, ...]], temporal: str
) -> None:
    root = project.root
    text = project.file.read_text(encoding="utf-8")
    url = text.split('test = "')[1].split('"')[0]
    shadow = text.split('shadow = "')[1].split('"')[0]
    (root / FILE).write_text(f'shadow = "{shadow}"\n[temporal]\naddress = "{temporal}"\n')
    secret = f"{url}&password={CANARY}"
    folder = root / "migrations" / "20240101000000_fill"
    folder.mkdir(parents=True)
    (folder / "migration.sql").write_text(
        "CREATE TABLE t (id int PRIMARY KEY, a text);"
        " INSERT INTO t SELECT generate_series(1, 20000)"
    )
    (folder / "backfill.py").write_text(
        "from qb_engine import Backfill\n"
        "class Fill(Backfill):\n"
        "    table = 't'\n    set = {'a': \"'x'\"}\n    where = 'a IS NULL'\n"
    )
    (root / "migrations" / "20240102000000_bad.sql").write_text("SELECT nothing FROM nowhere")
    said = ""
    steps = [
        ["connect"], ["verify", "--json"], ["plan"], ["dryrun", "--json"], ["run"],
        ["backfill", "start", "--wait"], ["run", "--json"], ["run", "--debug"], ["history"],
        ["validate"], ["status", "--json"], ["-c", f"{secret}&port=notaport", "status"],
    ]  # fmt: skip
    try:
        for step in steps:
            done = subprocess.run(
                [*QB, *step],
                cwd=root,
                capture_output=True,
                text=True,
                timeout=170,
                env={**os.environ, "QB_DATABASE_URL": secret},
                check=False,
            )
            said += done.stdout + done.stderr
        said += _command_lines()
        said += _files(root)
        said += _ledger(connection)
        said += _workflows(temporal)
    finally:
        subprocess.run([*QB, "dev", "down"], cwd=root, capture_output=True, check=True)
    assert "completed" in said
    for form in (CANARY, PLAIN, CANARY.lower()):
        assert form not in said


def _command_lines() -> str:
    """What every user of this machine can see of every process."""
    found = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return b"\n".join(found).replace(b"\0", b" ").decode(errors="replace")


def _files(root: Path) -> str:
    """Every file that qb wrote into the project: logs, records, caches."""
    return "\n".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in root.rglob("*")
        if path.is_file() and not path.is_socket()
    )


def _ledger(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    tables = ["meta", "history", "step", "snapshot", "backfill", "segment", "batch"]
    return "\n".join(
        str(connection.execute(f"SELECT to_jsonb(t) FROM qb.{name} t".encode()).fetchall())
        for name in tables
    )


def _workflows(address: str) -> str:
    """The whole histories of the workflows, as Temporal keeps them."""
    program = Path(sys.executable).parent / "temporal"
    listed = subprocess.run(
        [program, "workflow", "list", "--address", address, "-o", "json"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = listed
    for item in json.loads(listed):
        execution = item["execution"]
        found += subprocess.run(
            [program, "workflow", "show", "--address", address, "-o", "json",
             "-w", execution["workflowId"], "-r", execution["runId"]],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    payloads = re.findall(r'"data":\s*"([A-Za-z0-9+/=]+)"', found)
    assert payloads, "the workflows carry payloads, or this test looks at nothing"
    return found + "\n".join(base64.b64decode(p).decode(errors="replace") for p in payloads)
