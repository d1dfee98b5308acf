"""`qb run`: apply what is pending"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._options import Duration
from qb_engine.commands._steps import charts, steps_table
from qb_engine.commands._watched import as_facts, kept_waiting, live, waited_for
from qb_engine.commands._workload import (
    workload_facts,
    workload_notes,
    workload_of,
    workload_tables,
)
from qb_engine.errors import InputError, QbError, RefusedError
from qb_engine.report import Chart, Column, Report, Table

if TYPE_CHECKING:
    from qb_engine.analysis.workload import Compared, Workload
    from qb_engine.commands._flow import Flow
    from qb_engine.execution import Step
    from qb_engine.execution.sample import Sample
    from qb_engine.migrations import LoadedMigration, Migrations
    from qb_engine.runner import Ran, Request
    from qb_engine.runner.events import Events


MOST_SHOWN = 8  # migrations of a run with their statements


@dataclass(frozen=True)
class RunReport(Report):
    """Each migration that ran, how it ended, and what each statement did."""

    name: ClassVar[str] = "run"
    target: str
    ran: tuple[Ran, ...]
    compared: Compared | None = None
    flows: tuple[Flow, ...] = ()  # backfills that it has started

    @property
    def ok(self) -> bool:
        return all(r.status != "not met" for r in self.ran) and all(f.ok for f in self.flows)

    def headline(self) -> str:
        if not self.ran:
            return f"nothing is pending on {self.target}"
        bad = [r for r in self.ran if r.status == "not met"]
        if bad:
            return f"{bad[0].migration} was not run: its constraints are not met"
        done = [r for r in self.ran if r.seen or r.seconds]
        if not done and self.flows:
            return self.flows[-1].told()[0]
        if not done:
            return f"{self.ran[0].migration} waits for its backfill: qb backfill start"
        word = "migration" if len(done) == 1 else "migrations"
        return f"{len(done)} {word} applied on {self.target}"

    def tables(self) -> Sequence[Table]:
        flows = {flow.migration: flow for flow in self.flows}
        rows = tuple(
            (
                *(r.migration, flow.status if flow else r.status, len(r.seen)),
                *(r.seconds if r.seen else None, flow.note if flow else r.note),
            )
            for r, flow in ((r, flows.get(r.migration)) for r in self.ran)
        )
        columns = (
            Column("migration"), Column("status"), Column("statements", "count"),
            Column("time", "seconds"), Column("note"),
        )  # fmt: skip
        found = [Table("migrations", columns, rows, empty="nothing was pending")]
        for r in self._shown:
            found.append(steps_table(r.migration, r.seen, timed=True))
            found += [
                t for t in (kept_waiting(r.seen, r.samples), waited_for(r.seen, r.samples)) if t
            ]
        return [*found, *workload_tables(self.compared)]

    @property
    def _shown(self) -> Sequence[Ran]:
        """The runs whose statements are shown: of very many the last ones."""
        return [r for r in self.ran if r.seen][-MOST_SHOWN:]

    def notes(self) -> Sequence[str]:
        found = [text for flow in self.flows for text in flow.told()]
        for r in self.ran:
            for check in r.verified.checks if r.verified and not r.verified.ok else ():
                if not check.ok:
                    found.append(f"{check.what}: expected {check.expected}, found {check.found}")
            if r.status == "not met":
                found.append("more: qb error constraints-not-met")
            for o in r.seen:
                found += [f"statement {o.number}: {text}" for text in o.messages]
        if len([r for r in self.ran if r.seen]) > MOST_SHOWN:
            found.append(f"the last {MOST_SHOWN} are shown; of any one: qb history ID")
        return [*found, *workload_notes(self.compared)]

    def charts(self) -> Sequence[Chart]:
        return [c for r in self._shown for c in charts(r.migration, r.seen, r.samples)]

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "migrations": [
                {
                    "migration": r.migration,
                    "status": r.status,
                    "seconds": r.seconds,
                    "steps": [o.as_dict() for o in r.seen],
                    "kept_waiting": as_facts(r.samples),
                    "not_met": [
                        {"what": c.what, "expected": c.expected, "found": c.found}
                        for c in (r.verified.checks if r.verified else ())
                        if not c.ok
                    ],
                }
                for r in self.ran
            ],
            "workload": workload_facts(self.compared),
            **({"backfills": [flow.as_dict() for flow in self.flows]} if self.flows else {}),
        }


@qb_command("run", short_help="Apply what is pending, and record it.")
@click.argument("migration", required=False)
@click.option("--only", metavar="ID", help="Only this migration (as MIGRATION does).")
@click.option("--to", metavar="ID", help="Everything up to and including this migration.")
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="At most N migrations.")
@click.option(
    "--atomic",
    type=click.Choice(["each", "all", "none"]),
    default="each",
    help="A transaction for each migration, one for all, or none but each statement's own.",
)
@click.option("--wait-lock", type=Duration(), help="How long to wait for another runner.")
@click.option("--dry-run", is_flag=True, help="Run it for real, and roll it back.")
@click.option("--here", is_flag=True, help="With --dry-run: yes, on this production target.")
@click.option(
    "--plan-file", type=click.Path(), help="Run only what this plan (qb plan --out) says."
)
@click.option("--if-pending", is_flag=True, help="Take no lock when nothing is pending.")
@click.option("--allow-out-of-order", is_flag=True, help="Also run what is older than the newest.")
@click.option("--log-file", type=click.Path(), help="Append one JSON line per event.")
@click.option("--workload", type=click.Path(), help="Queries to plan before and after, from FILE.")
@click.option(
    "--terminate-blockers-older-than",
    "terminate",
    type=Duration(),
    help="End sessions that block it with transactions older than this. Asks first.",
)
@click.option("--yes", is_flag=True, help="Do not ask before blockers are ended.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
@click.option(
    "--cut-off",
    type=click.Choice(["ask", "redo", "skip"]),
    default="ask",
    help="A statement outside a transaction that was cut off: run it again, or take it as done.",
)
@click.option("--no-verify", is_flag=True, help="Do not look at the constraints first.")
@click.option("--without-rehearsal", metavar="REASON", help="Why production needs none this time.")
@click.option(
    "--with-backfill",
    is_flag=True,
    help="Also start the backfill it comes to; a worker runs what comes after that.",
)
@click.option("--wait", is_flag=True, help="With --with-backfill: until all is done, then go on.")
def command(session: Session, **given: Any) -> Report:
    """Apply every pending migration in order (or only MIGRATION), each in its own transaction.

    It stops at a migration with a backfill. With --with-backfill that is started, too, and its
    worker goes on with what comes after it as soon as it is verified, whether this session lives or
    not; migrations after that one are run with --wait, or by the next run.

    With --if-pending, for the start-up of many replicas: 0 means that everything is applied when it
    returns, whoever did it; 4 that another runner was still at work when --wait-lock had passed.
    """
    from qb_engine.commands import _flow
    from qb_engine.commands._place import place_of
    from qb_engine.runner import run

    _flow.guard(given)
    migrations = session.migrations()
    request = request_of(session, migrations, given)
    if given["dry_run"]:
        return dry_run_of(session, migrations, request, given["here"], given["workload"])
    session.guard_production("running migrations", given["confirm"])
    if session.target.production:
        _guard_rehearsal(
            session, migrations, request, given["without_rehearsal"], given["with_backfill"]
        )
    _guard_blockers(session, given["terminate"], given["yes"])
    with (
        session.face.progress("running", None) as bar,
        events_of(session, given["log_file"]) as events,
    ):
        far = (0, 0)

        def on_step(migration: LoadedMigration, step: Step, state: str) -> None:
            nonlocal far
            total = sum(len(part.up) for part in migration.before_backfill())
            far = (step.number - (state == "running"), max(step.number, total))
            bar.update(*far, f"{migration.name}: {step.statement.first_line[:50]}")

        def on_sample(sample: Sample) -> None:
            if said := live(sample):
                bar.update(*far, said)

        place = place_of(
            session, migrations, on_step=on_step, emit=events.emit, on_sample=on_sample
        )
        load = _workload(session, migrations, request, given["workload"])
        if given["with_backfill"]:
            ran, flows = _flow.run_through(
                session, migrations, request, partial(run, place), wait=given["wait"]
            )
            return RunReport(session.target.name, ran, flows=flows)
        if load is None:
            return RunReport(session.target.name, run(place, request))
        with session.connect(application_name="qb run") as conn:
            load.before(conn)
            ran = run(place, request)
            changed = any(r.seen for r in ran)
            return RunReport(session.target.name, ran, load.after(conn) if changed else None)


def _guard_rehearsal(
    session: Session,
    migrations: Migrations,
    request: Request,
    without: str | None,
    with_backfill: bool,
) -> None:
    """Have what runs on production been rehearsed, or a reason given; RefusedError otherwise."""
    from qb_engine.commands import _flow
    from qb_engine.database.connect import server_errors
    from qb_engine.rehearsal import refuse_unrehearsed
    from qb_engine.runner import to_run

    with (
        session.connect(application_name="qb status") as conn,
        server_errors("reading the ledger", session.target),
    ):
        chosen = to_run(conn, migrations, request)
        if with_backfill:
            chosen = (*chosen, *_flow.waiting(conn, migrations, request))
        refuse_unrehearsed(conn, session.target, chosen, without)


def _workload(
    session: Session, migrations: Migrations, request: Request, given: str | None
) -> Workload | None:
    """The workload, where one is named, with the tables of the migrations that will run."""
    from qb_engine.runner import to_run

    if not (given or session.project.config.workload):
        return None
    with session.connect(application_name="qb run") as conn:
        return workload_of(session, given, to_run(conn, migrations, request))


def request_of(session: Session, migrations: Migrations, given: Mapping[str, Any]) -> Request:
    """The options of a run as a request; raise InputError for a name that nothing has."""
    from pathlib import Path

    from qb_engine.runner import Request, agreed

    named = given["migration"] or given["only"]
    if named and given["to"]:
        raise InputError(
            "a single migration and --to are given together",
            why="one says which one to run, the other where to stop",
            todo="leave one of them out",
            code="bad-option",
        )
    return Request(
        only=migrations.find(named).id if named else None,
        to=migrations.find(given["to"]).id if given["to"] else None,
        steps=given["steps"],
        atomic=given["atomic"],
        verify_first=not given["no_verify"],
        cut_off=given["cut_off"],
        out_of_order=given["allow_out_of_order"],
        if_pending=given["if_pending"],
        patience=given["wait_lock"],
        terminate=given["terminate"],
        agreed=agreed.read(Path(given["plan_file"])) if given["plan_file"] else None,
    )


@contextmanager
def events_of(session: Session, log_file: str | None, what: str = "run") -> Iterator[Events]:
    """What hears the events of a run, closed when the run is over."""
    from qb_engine.runner.events import sink

    events = sink(log_file, target=session.target, command=what, tell=session.face.say)
    try:
        yield events
    except QbError as error:
        events.emit("error", **error.as_dict())
        raise
    finally:
        events.close()


def _guard_blockers(session: Session, older_than: float | None, yes: bool) -> None:
    """Have somebody say yes before sessions of others are ended; raise RefusedError otherwise."""
    if older_than is None or yes:
        return
    said = session.face.ask(
        f"End sessions on {session.target.name} whose transactions are older than "
        f"{older_than:g} s and block a migration? Type yes: "
    )
    if (said or "").strip().lower() != "yes":
        raise RefusedError(
            "sessions of others are not ended without a yes",
            where=session.target.display,
            why="--terminate-blockers-older-than would end them while the migrations run",
            todo="type yes when asked, or say --yes",
        )


def dry_run_of(
    session: Session,
    migrations: Migrations,
    request: Request,
    here: bool,
    workload: str | None = None,
) -> Report:
    """What a run of the request would do, rolled back."""
    from qb_engine.analysis.dryrun import dry_run_together
    from qb_engine.commands._place import NothingPending, place_of
    from qb_engine.commands.dryrun import DryRunsReport
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import next_parts, to_run

    with (
        session.connect(application_name="qb dry run") as conn,
        server_errors("reading the ledger", session.target),
    ):
        chosen = to_run(conn, migrations, request)
        items = [(m, *next_parts(conn, m)) for m in chosen]
    items = [(m, parts, done) for m, parts, done in items if parts]
    if not items:
        return NothingPending(session.target.name)
    load = workload_of(session, workload, [m for m, _, _ in items])
    with session.face.progress("dry run", None) as bar:
        place = place_of(
            session,
            migrations,
            on_step=lambda m, step, state: bar.update(
                step.number - (state == "running"), len(m.up), step.statement.first_line[:50]
            ),
        )
        return DryRunsReport(
            session.target.name, dry_run_together(place, items, here=here, workload=load)
        )
