"""a program: every revision of an Alembic project as offline SQL, written to a file as JSON

It runs in a process of its own and knows nothing of qb: `python _alembic_offline.py INI ANSWER`.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory

BEGIN, END = "-- qb: begin", "-- qb: end"
ALONE, TOGETHER = "-- qb: alone", "-- qb: together"


def offline(environment: EnvironmentContext) -> EnvironmentContext:
    """Alembic's environment that writes SQL for PostgreSQL, whatever env.py asks for."""
    configure = environment.configure

    def configured(connection: Any = None, *args: Any, **options: Any) -> None:
        if connection is not None:
            raise RuntimeError("env.py connects to a database in offline mode, too")
        options.update(
            url=None,
            dialect_name="postgresql",
            dialect_opts={"paramstyle": "named"},  # percent signs stay as they are
            literal_binds=True,
        )
        configure(None, *args, **options)

    # on the instance: a subclass would not be what `from alembic import context` stands for
    environment.configure = configured  # type: ignore[method-assign]
    return environment


def main(ini: str, answer: str) -> None:
    """Write the SQL of every revision, both ways, or the reason why there is none."""
    options = argparse.Namespace(x=None, sql=True, name="alembic", config=[ini], raiseerr=False)
    config = Config(ini, output_buffer=io.StringIO(), cmd_opts=options)
    url = config.get_main_option("sqlalchemy.url") or ""
    if not url or url.startswith("driver://"):
        config.set_main_option("sqlalchemy.url", "postgresql://")  # nobody connects to it
    scripts = ScriptDirectory.from_config(config)
    found = {}
    for script in scripts.walk_revisions():
        found[script.revision] = {
            "upgrade": rendered(config, scripts, script, up=True),
            "downgrade": rendered(config, scripts, script, up=False),
        }
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def rendered(config: Config, scripts: ScriptDirectory, script: Any, *, up: bool) -> dict[str, Any]:
    """One revision in one direction: its SQL, or what prevents it."""
    out = config.output_buffer = io.StringIO()
    make = MigrationStep.upgrade_from_script if up else MigrationStep.downgrade_from_script
    step = make(scripts.revision_map, script)

    def steps(_heads: Any, context: MigrationContext) -> list[Any]:
        step.migration_fn = marked(step.migration_fn, context)
        return [step]

    start = tuple(step.from_revisions) or None
    try:
        with offline(
            EnvironmentContext(
                config, scripts, fn=steps, as_sql=True, starting_rev=start, destination_rev=None
            )
        ):
            scripts.run_env()
    except NotImplementedError as error:
        said = f"{script.path.rpartition('/')[2]} says that there is none"
        return {"sql": [], "irreversible": str(error) or said} if not up else failed(error, script)
    except BaseException as error:  # noqa: BLE001  env.py and revisions may raise anything, exit too
        return failed(error, script)
    return {"sql": cut(out.getvalue())}


def marked(function: Callable[..., None], context: MigrationContext) -> Callable[..., None]:
    """A revision's function that marks its own SQL, so that Alembic's bookkeeping can be told."""
    impl = context.impl

    def run(**options: Any) -> None:
        impl.static_output(BEGIN)
        impl.emit_commit = lambda: impl.static_output(ALONE)  # type: ignore[method-assign]
        impl.emit_begin = lambda: impl.static_output(TOGETHER)  # type: ignore[method-assign]
        try:
            function(**options)
        finally:
            del impl.emit_commit, impl.emit_begin
        impl.static_output(END)

    return run


def cut(text: str) -> list[tuple[str, bool]]:
    """The SQL between the marks, in pieces: with True those that run in a transaction."""
    body = text.partition(BEGIN)[2].rpartition(END)[0]
    pieces: list[tuple[str, bool]] = []
    together = True
    kept: list[str] = []
    for line in [*body.splitlines(), TOGETHER]:
        if line.strip() in (ALONE, TOGETHER):
            if "".join(kept).strip():
                pieces.append(("\n".join(kept), together))
            together, kept = line.strip() == TOGETHER, []
        else:
            kept.append(line)
    return pieces


def failed(error: BaseException, script: Any) -> dict[str, Any]:
    """The reason, and the line of the revision (else of env.py) that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [f for f in frames if f.filename == script.path]
    env = [f for f in frames if f.filename.endswith("env.py")]
    place = (mine or env or frames)[-1]
    why = f"{type(error).__name__}: {error}".rstrip(": ")
    return {"error": why, "file": place.filename, "line": place.lineno}


if __name__ == "__main__":
    main(*sys.argv[1:])
