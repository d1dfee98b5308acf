"""how IPython shows a report: HTML beside its plain text, and its charts as a picture below"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qb_engine.report import Report, plain

if TYPE_CHECKING:
    from IPython.core.formatters import DisplayFormatter
    from IPython.core.interactiveshell import InteractiveShell


PANEL = ("qb_engine.commands.panel", "PanelReport")
FILL = ("qb_engine.commands.backfill.live", "LiveReport")


def register(
    shell: InteractiveShell, panel: Callable[[Any], Any], fill: Callable[[Any, Any], None]
) -> None:
    """Teach the formatters to show any Report; `panel` makes the widget of a PanelReport.

    `fill` publishes that of a backfill which is under way, by what it is given for that.
    """
    formatter = _formatter(shell)
    formatters = formatter.formatters
    formatters["text/html"].for_type(Report, _html)
    formatters["image/png"].for_type(Report, _png)
    if pictures(shell):
        live = formatter.ipython_display_formatter
        live.for_type(Report, partial(_show, shell))
        live.for_type_by_name(*PANEL, lambda report: _show_panel(shell, panel(report)))
        live.for_type_by_name(*FILL, lambda report: fill(report, shell.display_pub.publish))


def unregister(shell: InteractiveShell) -> None:
    """Take back what `register` did."""
    formatter = _formatter(shell)
    for kind in ("text/html", "image/png"):
        formatter.formatters[kind].type_printers.pop(Report, None)
    live = formatter.ipython_display_formatter
    for name in (PANEL, FILL):
        live.deferred_printers.pop(name, None)
    for known in [k for k in live.type_printers if issubclass(k, Report)]:
        live.type_printers.pop(known)


def pictures(shell: InteractiveShell) -> bool:
    """True where pictures and widgets can be shown: not in a terminal."""
    return "image/png" in _formatter(shell).active_types


def _formatter(shell: InteractiveShell) -> DisplayFormatter:
    formatter = shell.display_formatter
    assert formatter is not None, "a shell that runs has its display formatter"
    return formatter


def _show(shell: InteractiveShell, report: Report) -> None:
    """Publish the report, then its charts: a frontend shows only the richest form of one output.

    Raise NotImplementedError, which IPython takes for "show it as usual", when it has no chart.
    """
    shown = _png(report)
    if shown is None:
        raise NotImplementedError
    png, metadata = shown
    publish = shell.display_pub.publish
    publish({"text/plain": plain(report), "text/html": _html(report)})
    words = f"chart: {metadata['alt']}"
    publish({"text/plain": words, "image/png": png}, {"image/png": metadata})


def _show_panel(shell: InteractiveShell, root: Any) -> None:
    shell.display_pub.publish(root._repr_mimebundle_())


def _html(report: Report) -> str:
    from qb_magic.render.html import report_html

    return report_html(report)


def _png(report: Report) -> tuple[bytes, dict[str, Any]] | None:
    from qb_magic.render.charts import picture

    made = picture(tuple(report.charts()))
    if made is None:
        return None
    return made.png, {"width": made.width, "height": made.height, "alt": made.alt}
