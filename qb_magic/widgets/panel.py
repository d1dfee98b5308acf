"""the panel: widgets that show the view of a state, and submit commands"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qb_engine.backfill.reporting.report import BackfillReport
from qb_engine.commands import invoke
from qb_engine.commands.panel import PanelReport
from qb_engine.errors import QbError
from qb_engine.report import Report, plain
from qb_magic.render.html import report_html, report_rest
from qb_magic.render.image import charts_html
from qb_magic.widgets.boundary import Boundary, session_like
from qb_magic.widgets.controls import ACTIONS, Controls, Root
from qb_magic.widgets.state import PanelState, Result
from qb_magic.widgets.view import ASKED, View, offered, view
from qb_magic.widgets.worker import Pulse, Worker

if TYPE_CHECKING:
    from qb_engine.commands import Session

PULSE_S = 0.4  # between two looks at a backfill; four updates a second is the most that helps


class Panel(Boundary):
    """One panel on one target.

    Callbacks only change the state and submit jobs, so it does not matter which thread they run
    on; commands run on the worker's thread; all writing to widgets happens in `show`.
    """

    def __init__(self, report: PanelReport, session: Session) -> None:
        super().__init__()
        target = report.on or session.target
        self._session, self._watching = (session_like(session, target) for _ in range(2))
        self._shown: View | None = None
        self.state = PanelState(report, place=target.display, chosen=report.chosen)
        self.controls = Controls()
        self.root.plain, self.root.html = plain(report), report_html(report)
        self._worker = Worker("qb panel")
        self._pulse = Pulse("qb panel pulse", PULSE_S, self._beat)
        c = self.controls
        self._listen(c.buttons, c.fields)
        c.chosen.observe(self._guarded(lambda change: self.choose(change["new"])), "value")
        self._change()
        if self.state.moving:
            self._pulse.want(True)

    @property
    def root(self) -> Root:
        return self.controls.root

    def close(self) -> None:
        """Stop the threads; what runs on the server goes on."""
        self._pulse.stop()
        self._worker.stop()

    # -- what the user does; on whatever thread the kernel calls from -------------------------

    def choose(self, migration: str | None) -> None:
        """Show another migration."""
        if migration and migration != self.state.chosen:
            self._change(chosen=migration, error=None, said="", asks="")

    def press(self, verb: str) -> None:
        """Do what a button stands for, unless it may not be pressed by now."""
        with self._lock:
            state = self.state
            control = view(state, time.monotonic()).buttons.get(verb)
            if control is None or not control.enabled:
                return
            if verb == "stop":
                threading.Thread(target=self._stop, name="qb panel stop", daemon=True).start()
                return
            if verb in ASKED or verb == "no":
                self._change(asks=verb if verb in ASKED else "", error=None, said="")
                return
            label, job = self._job(state.asks if verb == "yes" else verb, state)
            self._change(doing=label, since=time.monotonic(), error=None, said="", asks="")
        self._worker.submit(job)

    # -- jobs; on the worker's thread ---------------------------------------------------------

    def _job(self, verb: str, state: PanelState) -> tuple[str, Callable[[], None]]:
        if verb == "refresh":
            return "looking at the target", lambda: self._do("", "", lambda: None)
        if verb == "generate":
            name = state.name.strip()
            return f"generate {name}", lambda: self._do("generate", "Generate", self._generate)
        assert state.focus is not None, "an action belongs to a migration"
        action = offered(state)[verb]
        words = [*action.command]
        if action.changes and state.report.production:
            words += ["--confirm", state.typed]
        label = f"{action.label} of {state.focus.name}"
        return label, lambda: self._do(verb, action.label, lambda: invoke(self._session, words))

    def _generate(self) -> Report | None:
        """Keep the draft's parts, then write the migration."""
        name = self.state.name.strip()
        try:
            self._session.cell = self.state.sql
            invoke(self._session, ["draft", name])
            if self.state.python.strip():
                self._session.cell = self.state.python
                invoke(self._session, ["draft", name, "--backfill"])
        finally:
            self._session.cell = None
        return invoke(self._session, ["generate", name])

    def _do(self, verb: str, label: str, work: Callable[[], Report | None]) -> None:
        """Do one action, look at the target again, and show what came of both.

        How far a backfill is, is read last: no figure of the action is shown beside a newer one.
        """
        before, about = {m.id for m in self.state.report.migrations}, self.state.chosen
        changes: dict[str, Any] = {"doing": ""}
        report, changes["error"] = self._tried(work)
        now, error = self._tried(lambda: invoke(self._session, ["panel"]))
        changes["error"] = changes["error"] or error
        fill = self._fill(about, now) if isinstance(now, PanelReport) else None
        if isinstance(report, BackfillReport):
            report = replace(fill or report, said=report.said)
            changes["said"] = said_of(label, report)
        elif report is not None:
            changes["said"] = f"{label}: {report.headline()}"
        result = result_of(verb, label, report) if report is not None else None
        if fill is not None and verb == "" and self._tells(about):
            result = result_of("start", "Backfill", fill)
        with self._lock:
            state, written = self.state, ["typed"]  # production asks again each time
            if fill is not None:
                changes["fills"] = self._fills(about, fill, None)
            if isinstance(now, PanelReport):
                state = state.with_report(now)
                new = [m.id for m in now.migrations if m.id not in before]
                if verb == "generate" and new:
                    state = replace(state, chosen=new[-1])
                    about, written = new[-1], [*written, "name", "sql", "python"]
            about = about or state.chosen
            self.state = state if result is None else state.with_result(about, result)
            self._clear(*written)
            self._change(**changes)

    def _fill(self, migration: str, now: PanelReport) -> BackfillReport | None:
        """How far the backfill of a migration is; None when it was never started."""
        found = next((m for m in now.migrations if m.id == migration), None)
        if found is None or found.backfill in ("", "needed", "not started"):
            return None
        report, _ = self._progress(migration, self._session)
        return report

    def _tells(self, migration: str) -> bool:
        """True when a result of the backfill is shown, which a newer look makes old."""
        return any(r.kind == "backfill" for r in self.state.results.get(migration, ()))

    def _stop(self) -> None:
        _, error = self._tried(self._session.cancel)
        if error is not None:
            self._change(error=error)

    # -- what moves by itself; on the pulse's thread ------------------------------------------

    def _beat(self) -> None:
        """Look how far the backfill is; look at everything again once it has ended."""
        focus = self.state.focus
        if focus is not None and focus.moving:
            report, error = self._progress(focus.id, self._watching)
            if report is not None and report.state != focus.backfill:
                self._look(focus.id)  # other buttons may be pressed now
            else:
                self._change(fills=self._fills(focus.id, report, error))
        else:
            self._change()

    def _progress(
        self, migration: str, session: Session
    ) -> tuple[BackfillReport | None, QbError | None]:
        report, error = self._tried(lambda: invoke(session, ["backfill", "status", migration]))
        return (report, error) if isinstance(report, BackfillReport) else (None, error)

    def _fills(
        self, migration: str, report: Report | None, error: QbError | None
    ) -> dict[str, Mapping[str, Any]]:
        """What is known of every backfill, with the last look at one of them."""
        before = self.state.fills
        facts = {**before.get(migration, {}), "note": error.what} if error is not None else {}
        return {**before, migration: report.as_dict() if report is not None else facts}

    def _look(self, migration: str) -> None:
        """See how everything stands once a backfill is in another state.

        Its progress is read last: what is shown of it is never older than what the buttons allow.
        """
        now, error = self._tried(lambda: invoke(self._watching, ["panel"]))
        fill, missed = self._progress(migration, self._watching)
        with self._lock:
            if isinstance(now, PanelReport):
                self.state = self.state.with_report(now)
            said = self.state.said
            if fill is not None:
                result = result_of("start", "Backfill", fill)
                self.state = self.state.with_result(migration, result)
                said = said if self.state.doing else said_of("Backfill", fill)
            self._change(
                error=self.state.error or error,
                said=said,
                fills=self._fills(migration, fill, missed),
            )

    # -- the screen ---------------------------------------------------------------------------

    def _change(self, **changes: Any) -> None:
        """Replace parts of the state, and show what that changes."""
        with self._lock:
            self.state = replace(self.state, **changes)
            self._show(view(self.state, time.monotonic()))
            self._pulse.want(self.state.moving)

    def _show(self, now: View) -> None:
        """Write to the widgets what differs from what they show."""
        before, c = self._shown, self.controls
        with self._writing():
            for name in ("head", "why", "activity", "fill", "detail", "results"):
                if before is None or getattr(before, name) != getattr(now, name):
                    getattr(c, name).value = getattr(now, name)
            # written only when they change: a choice on its way from the page must not be undone
            if before is None or (before.options, before.chosen) != (now.options, now.chosen):
                if c.chosen.options != now.options:
                    c.chosen.options = now.options
                c.chosen.value = now.chosen
            for verb, button in c.buttons.items():
                control = now.buttons.get(verb)
                button.disabled = control is None or not control.enabled
                button.tooltip = control.tip if control else _unoffered(verb)
                if control is not None and control.label:
                    button.description = control.label
            c.confirm.layout.display = "" if now.confirm else "none"
            c.asked.value, c.ask.layout.display = now.asked, "flex" if now.asked else "none"
        self._shown = now


def _unoffered(verb: str) -> str:
    return "nothing is asked" if verb in ("yes", "no") else "there is no migration"


def said_of(label: str, report: BackfillReport) -> str:
    """What a backfill is said to be; its figures only once they do not change any more."""
    if report.progress.ended:
        return f"{label}: {report.headline()}"
    return "; ".join((f"{label}: {report.migration} is {report.state}", *report.said[:2]))


def result_of(verb: str, label: str, report: Report) -> Result:
    """A report as a panel keeps it; what is said of a backfill replaces what was said before."""
    kind = "backfill" if verb in ACTIONS["Backfill"] else verb
    label = "Backfill" if kind == "backfill" else label
    html = report_rest(report) + charts_html(report)
    return Result(kind, label, report.ok, report.headline(), html)
