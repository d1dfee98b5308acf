"""a panel's state as HTML and as what each control is set to; pure functions"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from qb_engine.commands._panel_actions import Action
from qb_engine.commands.panel import PanelMigration
from qb_engine.report import Column, Table, format_value
from qb_magic.render.html import error_html, sql_html, style, table_html, text, word
from qb_magic.widgets.state import PanelState, Result

BUSY = "another action is running"
MAY_BREAK = "\u200b"  # has no width, and nobody reads it out
ASKED = {  # what is asked before an action that cannot be taken back, and the two answers
    "cancel": (
        "End the backfill after the batches in flight? Rows that are written stay as they are.",
        "Yes, cancel it",
        "No, let it go on",
    ),
    "rollback": (
        "Undo the migration by its way back? What that drops is gone with all that is in it.",
        "Yes, roll it back",
        "No, leave it",
    ),
}
EMPTY = (
    '<p class="qb-empty">No migration yet. Give a name and SQL under <b>Draft</b>, '
    "then press <b>Generate</b>.</p>"
)


@dataclass(frozen=True)
class Control:
    """What a button is set to; without a label it keeps the one it has."""

    enabled: bool
    tip: str
    label: str = ""


@dataclass(frozen=True)
class View:
    """What every widget of a panel is set to."""

    head: str
    options: tuple[tuple[str, str], ...]
    chosen: str | None
    buttons: Mapping[str, Control]
    why: str
    activity: str
    fill: str
    detail: str
    results: str
    confirm: bool
    asked: str  # empty when nothing is asked


def view(state: PanelState, now: float) -> View:
    """Everything that is shown, `now` in monotonic seconds."""
    focus = state.focus
    return View(
        head=head(state),
        options=tuple((option(m), m.id) for m in state.report.migrations),
        chosen=state.chosen or None,
        buttons=buttons(state),
        why=why(state),
        activity=activity(state, now),
        fill=fill_html(focus, state.fills.get(focus.id, {})) if focus else "",
        detail=detail(focus) if focus else framed(EMPTY),
        results=results(shown(state)),
        confirm=state.report.production,
        asked=framed(ASKED[asks][0]) if (asks := asked(state)) else "",
    )


def framed(inner: str) -> str:
    return f'<div class="qb">{inner}</div>'


@cache
def panel_style() -> str:
    """The style sheet of the panel, with that of reports."""
    own = files(__package__).joinpath("panel.css").read_text("utf-8")
    return f"{style()}<style>{own}</style>"


def head(state: PanelState) -> str:
    """The title, the target, and a word when it is production."""
    report = state.report
    mark = word("PRODUCTION") if report.production else ""
    return framed(
        f'{panel_style()}<div class="qb-bar"><span class="qb-title">qb</span>'
        f'<span class="qb-target"><b>{text(report.target)}</b> '
        f"<span>{text(state.place)}</span></span>{mark}</div>"
    )


def option(migration: PanelMigration) -> str:
    """A migration on one line of the list, its state in words.

    ipywidgets turns the spaces of a list into such as never break; a long line may break all the
    same between two words, where it is told that it may, and is not cut inside of one.
    """
    fill = f", backfill {migration.backfill}" if migration.backfill else ""
    shown = f"{migration.id} ({migration.state}{fill})"
    return shown.replace(" ", f" {MAY_BREAK}").replace("_", f"_{MAY_BREAK}")


def buttons(state: PanelState) -> dict[str, Control]:
    """Each button: whether it may be pressed, and what it says when pointed at."""
    found, asks = {}, asked(state)
    for verb, action in offered(state).items():
        reason = reason_of(state, action) or ("answer below first" if verb == asks else "")
        found[verb] = Control(not reason, reason or "qb " + " ".join(action.command), action.label)
    if asks:
        _, yes, no = ASKED[asks]
        found["yes"] = Control(True, "qb " + " ".join(offered(state)[asks].command), yes)
        found["no"] = Control(True, "change nothing", no)
    empty = "" if state.name.strip() and state.sql.strip() else "give a name and SQL first"
    reason = BUSY if state.doing else empty
    found["generate"] = Control(not reason, reason or f"qb generate {state.name.strip()}")
    found["refresh"] = Control(not state.doing, BUSY if state.doing else "look at the target again")
    found["stop"] = Control(
        bool(state.doing), "cancel it on the server" if state.doing else "nothing is running"
    )
    return found


def offered(state: PanelState) -> Mapping[str, Action]:
    """What may be asked for; to go on with a backfill that failed is called by its own name."""
    focus = state.focus
    if focus is None:
        return {}
    if focus.backfill != "failed":
        return focus.actions
    command = ("backfill", "retry", focus.id)
    retry = replace(focus.actions["start"], label="Retry backfill", command=command)
    return {**focus.actions, "start": retry}


def asked(state: PanelState) -> str:
    """The action that waits for a yes, while it may be done at all."""
    action = offered(state).get(state.asks)
    return state.asks if action is not None and not reason_of(state, action) else ""


def reason_of(state: PanelState, action: Action) -> str:
    """Why an action may not be pressed now; empty when it may."""
    if action.why:
        return action.why
    if state.doing:
        return BUSY
    if action.changes and state.report.production and state.typed != state.report.target:
        return f"production: type {state.report.target} to allow it"
    return ""


def why(state: PanelState) -> str:
    """The reasons of all disabled buttons, each said once."""
    reasons: dict[str, list[str]] = {}
    for action in offered(state).values():
        if (reason := reason_of(state, action)) and reason != BUSY:
            reasons.setdefault(reason, []).append(action.label)
    lines = "".join(
        f"<li><b>{text(', '.join(labels))}</b>: {text(reason)}</li>"
        for reason, labels in reasons.items()
    )
    return framed(f'<ul class="qb-why" aria-label="why not">{lines}</ul>') if lines else ""


def activity(state: PanelState, now: float) -> str:
    """What runs or what came of it; an error stays until the next action."""
    if state.doing:
        spent = max(0, int(now - state.since))
        inner = f"{word('running')} {text(state.doing)}" + (f", {spent} s" if spent else "")
    elif state.error is not None:
        return framed(error_html(state.error))
    else:
        inner = text(state.said or "ready")
    return framed(f'<p class="qb-activity" role="status">{inner}</p>')


def fill_html(migration: PanelMigration, facts: Mapping[str, Any]) -> str:
    """A backfill's progress: a native element, and the same in words."""
    if not migration.backfill:
        return ""
    state = str(facts.get("state") or migration.backfill)
    done, total = facts.get("rows_done"), facts.get("rows_total")
    parts = [f"backfill {word(state)}"]
    if done is not None:
        share = 100.0 if not total else min(100.0, 100.0 * done / total)
        parts.append(
            f'<progress aria-label="backfill rows" max="{int(total or done or 1)}" '
            f'value="{int(done)}">{share:.0f} %</progress>'
        )
        rows = f"{format_value(done, 'count')} of {format_value(total, 'count')} rows"
        parts.append(f"<b>{share:.0f} %</b> <span>{text(rows)}</span>")
    if facts.get("rate") and migration.moving:
        parts.append(f"<span>{text(format_value(facts['rate'], 'rate'))}</span>")
    if isinstance(facts.get("eta"), int | float) and migration.moving:
        parts.append(f"<span>{text(format_value(facts['eta'], 'seconds'))} left</span>")
    if note := facts.get("note") or facts.get("error"):
        parts.append(f"<span>{text(str(note))}</span>")
    return framed(f'<div class="qb-fill">{"".join(parts)}</div>')


def detail(migration: PanelMigration) -> str:
    """The migration itself: state, SQL, way back, constraints."""
    parts = [
        f'<h3 class="qb-name">{text(migration.name)} {word(migration.state)}</h3>',
        f'<p class="qb-empty">{text(migration.note)}</p>' if migration.note else "",
        sql_html(migration.up) if migration.up else "",
    ]
    if migration.fills:
        parts.append(f'<p class="qb-line"><b>fills</b> <code>{text(migration.fills)}</code></p>')
    if migration.down:
        parts.append(
            f"<details><summary>The way back</summary>{sql_html(migration.down)}</details>"
        )
    if migration.constraints:
        columns = (Column("what"), Column("expected", "code"))
        table = table_html(Table("What it requires of the target", columns, migration.constraints))
        count = len(migration.constraints)
        parts.append(f"<details><summary>Constraints ({count})</summary>{table}</details>")
    return framed("".join(parts))


def shown(state: PanelState) -> tuple[Result, ...]:
    """The results that hold; what was said of a backfill that moves would only grow old."""
    found = state.results.get(state.chosen, ())
    moving = state.focus is not None and state.focus.moving
    return tuple(r for r in found if not (moving and r.kind == "backfill"))


def results(found: tuple[Result, ...]) -> str:
    """The results of the actions, the newest open."""
    parts = [
        f'<details class="qb-result"{" open" if i == 0 else ""}>'
        f"<summary>{text(r.label)} {word('OK' if r.ok else 'NOT OK')} "
        f"<span>{text(r.headline)}</span></summary>{r.html}</details>"
        for i, r in enumerate(found)
    ]
    return framed("".join(parts)) if parts else ""
