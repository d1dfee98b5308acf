"""`qb worker`: run the batches of backfills, in the foreground, until interrupted"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.report import Report


@dataclass(frozen=True)
class WorkerReport(Report):
    """Why a worker ended."""

    name: ClassVar[str] = "worker"
    target: str
    queue: str
    ended: str

    def headline(self) -> str:
        return f"the worker for {self.target} ended: {self.ended}"

    def notes(self) -> Sequence[str]:
        return ("what was begun goes on with the next worker, from the ledger",)


@qb_command("worker", short_help="Run the batches of backfills until interrupted.")
@click.option("--concurrency", type=click.IntRange(1, 256), metavar="N", help="Lanes at once (16).")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve figures for Prometheus at /metrics; 0: any free port.",
)
@click.option("--queue", metavar="NAME", help="The queue of another machine's project.")
@click.option("--idle", type=float, metavar="SECONDS", help="End after this long without work.")
def command(
    session: Session,
    concurrency: int | None,
    metrics_port: int | None,
    queue: str | None,
    idle: float | None,
) -> Report:
    """Run the batches of the target's backfills, in the foreground, until interrupted.

    `qb backfill start` starts one by itself when none polls. Ctrl-C ends it after its batches.
    As many may run as wanted, on as many machines: one without the project's folder is told the
    queue (`qb backfill status --json` has it) and the target's URL, and does what needs no Python.
    """
    gc.disable()  # until it polls: what is imported stays, and to look through it costs a tenth

    from contextlib import closing

    from qb_engine.backfill.driving import names, temporal, worker, worker_process

    project = session.project
    handed = worker_process.handed_over()
    if handed is None:
        with closing(session.connect(application_name="qb worker")):
            target = session.target  # it can be reached, and a password was asked for by now
    else:
        target = handed
    worker_process.log_to_stderr()
    where = temporal.place(project, start=True)
    assert where is not None
    queue = queue or names.task_queue(project, target)

    def ready() -> None:
        gc.freeze()
        gc.enable()
        worker_process.polls(project, target)

    session.face.say(f"polling {queue} at {where.address}; Ctrl-C ends it")
    ended = worker.serve(
        project,
        target,
        where,
        queue=queue,
        concurrency=concurrency or worker.CONCURRENCY,
        metrics_port=metrics_port,
        idle_s=idle,
        may_leave=lambda: worker_process.leaving(project, target),
        ready=ready,
        serving=lambda port: session.face.say(f"figures at http://localhost:{port}/metrics"),
    )
    return WorkerReport(target.name, queue, ended)
