"""the panel of a backfill: it looks at the ledger a few times a second, and its buttons submit"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qb_engine.backfill import control
from qb_engine.backfill.reporting.measure import Progress, progress
from qb_engine.commands import invoke
from qb_engine.database.connect import connect
from qb_engine.errors import QbError
from qb_engine.report import plain
from qb_magic.render.html import report_html, style, text
from qb_magic.render.image import charts_html
from qb_magic.widgets.boundary import Boundary, session_like
from qb_magic.widgets.fill.controls import Controls
from qb_magic.widgets.fill.state import FillState
from qb_magic.widgets.fill.view import View, view
from qb_magic.widgets.worker import Pulse, Worker

if TYPE_CHECKING:
    from qb_engine.commands import Session
    from qb_engine.commands.backfill.live import LiveReport
    from qb_engine.database.connect import Connection
    from qb_magic.widgets.controls import Root

PULSE_S = 0.3  # four updates a second is the most that helps
RESTS_S = 1.5  # between two looks at one that is paused, or whose server is away
HEARS_S = 15.0  # between two questions to Temporal
NEWER = "it is followed in a newer output"

Publish = Callable[[dict[str, str]], None]


class FillPanel(Boundary):
    """One backfill on one target, until it has ended.

    Callbacks only change the state and submit jobs, so it does not matter which thread they run
    on. The pulse's thread has a connection of its own and looks; the worker's runs what buttons
    ask for. All writing to widgets happens in `_show`.
    """

    def __init__(self, report: LiveReport, session: Session) -> None:
        super().__init__()
        target = report.on
        assert target is not None, "a live report knows its target"
        self._target = target
        self._session = session_like(session, target)
        self._shown: View | None = None
        self._conn: Connection | None = None
        self._rests_until = 0.0
        self._hears_at = time.monotonic() + HEARS_S
        self.publish: Publish | None = None  # replaces the output once it has ended
        self.state = FillState(
            report.progress, target.name, target.production, heard=_heard(report.said)
        )
        self.controls = Controls()
        self.root.plain = f"backfill {report.migration} on {target.name}: followed live here"
        self.root.html = _placeholder(report.migration, target.name)
        self._worker = Worker(f"qb backfill {report.migration}")
        self._pulse = Pulse(
            f"qb backfill pulse {report.migration}", PULSE_S, self._beat, self._leave
        )
        self._listen(self.controls.buttons, self.controls.fields)
        self._change()
        self._pulse.want(True)

    @property
    def root(self) -> Root:
        return self.controls.root

    @property
    def migration(self) -> str:
        return self.state.progress.id

    @property
    def target(self) -> str:
        return self.state.target

    def close(self) -> None:
        """Stop the threads; the backfill goes on."""
        self._pulse.stop()
        self._worker.stop()

    def give_way(self) -> None:
        """Leave it to a newer output: no figure that would only grow old stays here."""
        self.close()
        with self._lock:
            if self.state.closed or self.state.settled:
                return  # how it ended stays true
            self._change(closed=NEWER, asks=False, said="", error=None)
            self.controls.row.layout.display = "none"
        said = f"backfill {self.migration} on {self.target}: {NEWER}"
        self._left(said, f'<div class="qb">{style()}<p>{text(said)}</p></div>')

    def _left(self, words: str, html: str) -> None:
        """Put what needs no kernel where the panel is, on the page and in the file."""
        self.root.plain, self.root.html = words, html
        if self.publish is not None:
            self.publish({"text/plain": words, "text/html": html})

    # -- what the user does; on whatever thread the kernel calls from -------------------------

    def press(self, verb: str) -> None:
        """Do what a button stands for, unless it may not be pressed by now."""
        with self._lock:
            state = self.state
            if not view(state).buttons[verb].enabled:
                return
            if verb in ("cancel", "no"):
                self._change(asks=verb == "cancel", error=None)
                return
            verb = "cancel" if verb == "yes" else verb
            words = ["backfill", verb, self.migration, *_options(verb, state)]
            self._change(doing=f"qb {' '.join(words)}", asks=False, said="", error=None)
        self._worker.submit(lambda: self._do(verb, words))

    # -- jobs; on the worker's thread ---------------------------------------------------------

    def _do(self, verb: str, words: list[str]) -> None:
        report, error = self._tried(lambda: invoke(self._session, words))
        changes: dict[str, Any] = {"doing": "", "error": error}
        if report is not None:
            said = [note for note in report.notes() if not note.startswith("workflow: ")]
            changes["said"] = "; ".join((f"{verb}: done", *said[:2]))
        with self._lock:
            if verb in ("tune", "resume"):
                self._clear("max_rate", "lanes", "typed")
            self._change(**changes)
        self._rests_until = 0.0

    def _hear(self) -> None:
        """Ask what Temporal adds to the ledger, and whether it is there at all."""
        heard, error = self._tried(
            lambda: control.heard(self._session.project, self.state.progress)
        )
        notes = tuple(heard[1]) if heard is not None else (error.what,) if error else ()
        self._change(heard=_heard(notes))

    def _end(self) -> None:
        """Show what it took, and put a card where the panel is: that needs no kernel."""
        report, error = self._tried(
            lambda: invoke(self._session, ["backfill", "status", self.migration])
        )
        if report is None:
            self._change(error=error)
            return
        card = report_html(report) + charts_html(report)
        with self._lock, self.controls.body.hold_sync():
            self._change(said="", heard=(), closed="it has ended")
            self.controls.body.value = card
            self.controls.row.layout.display = "none"
            self.controls.activity.layout.display = "none"
        self._left(plain(report), card)
        self.close()

    # -- what moves by itself; on the pulse's thread ------------------------------------------

    def _beat(self) -> None:
        """Look how far it is; when it has ended, leave a card that needs no kernel."""
        now = time.monotonic()
        if now < self._rests_until:
            return
        found, error = self._tried(self._look)
        if error is not None or found is None:
            self._away(error)
            return
        rests = found.state == "paused"
        self._rests_until = now + RESTS_S if rests else 0.0
        if now > self._hears_at and not self.state.settled:
            self._hears_at = now + HEARS_S
            self._worker.submit(self._hear)
        heard = _orders(found) != _orders(self.state.progress)  # it is another order's turn
        self._change(progress=found, away="", error=None if heard else self.state.error)
        if self.state.settled:
            self._pulse.want(False)
            self._leave()
            self._worker.submit(self._end)

    def _look(self) -> Any:
        if self._conn is None or self._conn.closed:
            self._conn = connect(self._target, application_name="qb backfill")
        return progress(self._conn, self.migration)

    def _away(self, error: QbError | None) -> None:
        """The server does not answer: say so, and ask it again after a while."""
        self._leave()
        self._rests_until = time.monotonic() + RESTS_S
        why = error.why or error.what if error else "its ledger was taken away"
        self._change(away=why, error=None)  # what was said before is not the news any more

    def _leave(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    # -- showing --------------------------------------------------------------------------------

    def _change(self, **changes: Any) -> None:
        """Replace parts of the state, and show what that changes."""
        with self._lock:
            self.state = replace(self.state, **changes)
            self._show(view(self.state))

    def _show(self, now: View) -> None:
        """Write to the widgets what differs from what they show."""
        before, c = self._shown, self.controls
        with self._writing():
            for name in ("head", "body", "activity"):
                if before is None or getattr(before, name) != getattr(now, name):
                    getattr(c, name).value = getattr(now, name)
            for verb, button in c.buttons.items():
                control = now.buttons[verb]
                if before is None or before.buttons[verb] != control:
                    with button.hold_sync():
                        button.disabled, button.tooltip = not control.enabled, control.tip
            if before is None or before.asks != now.asks:
                c.ask.layout.display = "flex" if now.asks else "none"
            if before is None:
                c.confirm.layout.display = "" if now.confirm else "none"
        self._shown = now


def _orders(found: Progress) -> tuple[Any, ...]:
    """What orders change: how it stands, and how fast and by how many it may be done."""
    return (found.state, found.wanted, found.options, found.parallel)


def _options(verb: str, state: FillState) -> list[str]:
    """What the fields add to a command."""
    if verb == "resume" and state.production:
        return ["--confirm", state.typed]
    if verb != "tune":
        return []
    given = (("--max-rate", state.max_rate), ("--parallel", state.lanes))
    return [word for option, value in given if value.strip() for word in (option, value.strip())]


def _heard(notes: tuple[str, ...]) -> tuple[str, ...]:
    """What is worth saying next to the figures: that Temporal or a worker is not there."""
    telling = ("Temporal", "worker", "workflow is", "edited", "ledger")
    quiet = ("a worker was started", "driven by")
    return tuple(
        note
        for note in notes
        if any(each in note for each in telling) and not note.startswith(quiet)
    )


def _placeholder(migration: str, target: str) -> str:
    """What stands in a saved notebook while no kernel shows the panel."""
    return (
        f'<div class="qb"><p>backfill <b>{text(migration)}</b> on {text(target)} was followed live '
        f"here. How far it is now: <code>%qb backfill watch {text(migration)}</code></p></div>"
    )


def show(panel: FillPanel, publish: Callable[..., None]) -> None:
    """Publish the panel, so that its output can be replaced by a card once it has ended."""
    import uuid

    transient = {"display_id": uuid.uuid4().hex}
    panel.publish = lambda bundle: publish(bundle, transient=transient, update=True)
    publish(panel.root._repr_mimebundle_(), transient=transient)
