"""the panel of a backfill as HTML, and what each of its buttons is set to; pure functions"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from qb_engine.backfill.reporting import telling
from qb_engine.backfill.reporting.measure import Progress, SegmentProgress
from qb_engine.commands._panel_actions import ENDED
from qb_engine.report import exact_seconds, format_value
from qb_magic.render.html import error_html, style, text, word
from qb_magic.widgets.fill.state import FillState
from qb_magic.widgets.view import BUSY, Control, framed

SHOWN = 8  # segments with a bar of their own
CHART = (264, 54)  # pixels


@dataclass(frozen=True)
class View:
    """What every widget is set to."""

    head: str
    body: str
    activity: str
    buttons: Mapping[str, Control]
    asks: bool
    confirm: bool


def view(state: FillState) -> View:
    """Everything that is shown."""
    return View(
        head=head(state),
        body=framed("" if state.closed else body(state)),
        activity=activity(state),
        buttons=buttons(state),
        asks=state.asks and not state.settled,
        confirm=state.production,
    )


@cache
def sheet() -> str:
    """The style sheets of reports, panels and this one."""
    own = files(__package__).joinpath("fill.css").read_text("utf-8")
    panel = files("qb_magic.widgets").joinpath("panel.css").read_text("utf-8")
    return f"{style()}<style>{panel}{own}</style>"


def head(state: FillState) -> str:
    """The title, what is filled, its state, and a word when it is production."""
    found = state.progress
    mark = word("PRODUCTION") if state.production else ""
    return framed(
        f'{sheet()}<div class="qb-bar"><span class="qb-title">backfill</span>'
        f'<span class="qb-target"><b>{text(found.id)}</b> '
        f"<span>{text(found.table)} on {text(state.target)}</span></span>"
        f"{'' if state.closed and not state.settled else word(found.state)}{mark}</div>"
    )


def body(state: FillState) -> str:
    """The rows, the facts with the chart of the rate, what it waits for, the segments."""
    found = state.progress
    parts = [whole(found), f'<div class="qb-row">{facts(found)}{chart(found)}</div>']
    parts += [waiting(state), segments(found)]
    return "".join(parts)


def whole(found: Progress) -> str:
    """The bar of all rows, and the same in words."""
    share = 100 * found.fraction
    pace = telling.pace(found)
    return (
        f'<div class="qb-fill">{bar("backfill rows", found.rows_done, found.rows_total)}'
        f"<b>{share:.0f} %</b> <span>{text(telling.rows(found))}</span>"
        + (f' <span class="qb-pace">{text(pace)}</span>' if pace else "")
        + "</div>"
    )


def bar(name: str, done: float, total: float) -> str:
    """A native progress element with a name."""
    share = 100 * done / total if total else 0
    return (
        f'<progress aria-label="{text(name)}" max="{total or 1:g}" value="{done:g}">'
        f"{share:.0f} %</progress>"
    )


def facts(found: Progress) -> str:
    """The figures that are not in the bar."""
    lanes = sum(each.status == "running" for each in found.segments) if found.moving else 0
    rate = found.options.get("max_rate")
    shown = [
        ("lanes", f"{lanes} of {found.parallel}"),
        ("rows a batch", format_value(found.batch_size, "count")),
        ("batches", format_value(found.batches, "count")),
        ("at most", f"{rate:,.0f}/s" if rate else "no limit"),
        ("tried again", format_value(found.retries, "count")),
        ("set aside", format_value(found.quarantined, "count")),
        ("so far", format_value(found.spent, "seconds")),
    ]
    if found.sweeps:
        shown.append((f"late rows, sweep {found.sweeps}", format_value(found.swept, "count")))
    inner = "".join(
        f'<div><span class="qb-key">{text(k)}</span><b>{text(v)}</b></div>' for k, v in shown
    )
    return f'<div class="qb-facts">{inner}</div>'


def chart(found: Progress) -> str:
    """The rates of the recent past as columns, with the highest and the time in words."""
    if len(found.rates) < 2 or not any(found.rates):
        return ""
    width, height = CHART
    top, step = max(found.rates), width / len(found.rates)
    columns = "".join(
        f'<rect x="{i * step + 0.5:.1f}" y="{height - h:.1f}" width="{max(step - 1.5, 1):.1f}" '
        f'height="{h:.1f}"/>'
        for i, h in enumerate(max(each / top * height, 0.5) for each in found.rates)
    )
    highest = f"{top:,.0f}/s"
    past = f"{exact_seconds(found.rates_s)} ago"
    return (
        f'<figure class="qb-rates"><figcaption><span>rate</span><span>highest {highest}</span>'
        f'</figcaption><svg role="img" aria-label="rate, highest {highest}, since {past}" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{columns}'
        f'<line x1="0" x2="{width}" y1="{height - 0.5}" y2="{height - 0.5}"/></svg>'
        f'<div class="qb-ends"><span>{past}</span><span>now</span></div></figure>'
    )


def waiting(state: FillState) -> str:
    """What it waits for, what the server or Temporal does not answer, what went wrong."""
    found = state.progress
    lines: list[tuple[str, str]] = []
    if state.away:
        lines.append(("WARN", f"the server does not answer, and is asked again: {state.away}"))
    if found.moving:
        kind = {True: "HELD", False: "WAITS"}
        lines += [(kind[bool(found.holds)], each) for each in telling.waits(found)]
    if found.error:
        lines.append(("FAIL", found.error))
    lines += [("INFO", each) for each in state.heard]
    inner = "".join(f"<li>{word(mark)} {text(each)}</li>" for mark, each in lines)
    return f'<ul class="qb-waits" aria-label="waits">{inner}</ul>' if inner else ""


def segments(found: Progress) -> str:
    """A bar per segment of the pass that is under way; of many, those that run."""
    current = [each for each in found.segments if each.sweep == found.sweeps]
    if not current:
        return ""
    order = {"running": 0, "open": 1, "done": 2}
    chosen = sorted(current, key=lambda each: (order[each.status], each.number))[:SHOWN]
    rows = "".join(
        segment(each, found.state if each.status == "running" and not found.moving else each.status)
        for each in sorted(chosen, key=lambda each: each.number)
    )
    hidden = len(current) - len(chosen)
    done = sum(each.status == "done" for each in current)
    more = f"<p>{hidden:,} more, {done:,} of {len(current):,} done</p>" if hidden else ""
    return f'<div class="qb-segments">{rows}</div>{more}'


def segment(each: SegmentProgress, status: str) -> str:
    """One segment: its number, its bar, its state as a word, and its rows."""
    name = f"sweep {each.sweep}, {each.number}" if each.sweep else f"segment {each.number}"
    rows = f"{each.rows_done:,} rows" + (f" of {each.part}" if each.part else "")
    if each.retries:
        rows += f", {each.retries:,} tried again"
    if each.quarantined:
        rows += f", {each.quarantined:,} set aside"
    return (
        f"<span>{text(name)}</span>{bar(name, round(each.share * 100, 1), 100)}"
        f'<span class="qb-share">{each.share:.0%}</span>'
        f"<span>{word(status)}</span><span>{text(rows)}</span>"
    )


def activity(state: FillState) -> str:
    """What a button does, or what came of it; an error stays until the next one."""
    if state.error is not None and not state.closed:
        return framed(error_html(state.error))
    said = f"{word('running')} {text(state.doing)}" if state.doing else text(state.said)
    if state.closed:
        said = text(state.closed)
    return framed(f'<p class="qb-activity" role="status">{said}</p>')


def buttons(state: FillState) -> dict[str, Control]:
    """Each button: whether it may be pressed, and what it says when pointed at."""
    found, reasons = state.progress, _reasons(state)
    commands: Sequence[tuple[str, str]] = (
        ("pause", f"qb backfill pause {found.id}"),
        ("resume", f"qb backfill resume {found.id}"),
        ("cancel", f"qb backfill cancel {found.id}"),
        ("tune", f"qb backfill tune {found.id}"),
        ("yes", f"qb backfill cancel {found.id}"),
        ("no", "let it go on"),
    )
    return {verb: Control(not reasons[verb], reasons[verb] or tip) for verb, tip in commands}


def _reasons(state: FillState) -> dict[str, str]:
    """Why a button may not be pressed now; empty when it may."""
    found = state.progress
    every = state.closed or (f"it {ENDED[found.state]}" if found.ended else "")
    busy = BUSY if state.doing else ""
    typed = f"production: type {state.target} to allow it" if _untyped(state) else ""
    paused = found.state == "paused" or found.wanted == "pause"
    given = state.max_rate.strip() or state.lanes.strip()
    return {
        "pause": every or busy or (f"it is {found.state}" if paused else ""),
        "resume": every or busy or ("" if paused else "it is not paused") or typed,
        "cancel": every or busy or ("confirm it first" if state.asks else ""),
        "tune": every or busy or ("" if given else "give a rate or lanes first"),
        "yes": every or busy,
        "no": every or busy,
    }


def _untyped(state: FillState) -> bool:
    return state.production and state.typed != state.target
