"""reports and errors as HTML: everything escaped, states as words, the same text each time"""

from __future__ import annotations

import functools
from html import escape
from importlib.resources import files
from typing import Any

from qb_engine.errors import QbError
from qb_engine.report import RIGHT, Column, Report, Table, format_value
from qb_engine.secrets import mask

# Words that carry a colour as well; a word that is not here is shown without one.
TONES = {
    "pass": ("PASS", "ok", "OK", "applied", "contracted", "completed", "done", "ready"),
    "fail": ("FAIL", "NOT OK", "failed", "broken", "ERROR", "lost"),
    "warn": ("WARN", "HELD", "stopped", "paused", "cancelled", "edited", "expanded", "WARNING"),
    "info": ("pending", "running", "backfilling", "verifying", "INFO", "draft"),
}
_TONE = {word: tone for tone, words in TONES.items() for word in words}

NOWRAP = frozenset({"check", "time"})

# On the cells themselves, because notebooks that are not trusted lose the style sheet.
LEFT_STYLE = "text-align:left;vertical-align:top"
RIGHT_STYLE = "text-align:right;vertical-align:top;white-space:nowrap"


@functools.cache
def style() -> str:
    """The style sheet, as an element that goes with every output."""
    return f"<style>{files(__package__).joinpath('style.css').read_text('utf-8')}</style>"


def report_html(report: Report) -> str:
    """A report for a notebook: the headline, the tables, the notes."""
    return f'<div class="qb">{style()}{report_body(report)}</div>'


def report_body(report: Report) -> str:
    """A report without its frame and style, to stand inside something larger."""
    state = word("OK" if report.ok else "NOT OK")
    return f'<p class="qb-head">{state} {text(report.headline())}</p>{report_rest(report)}'


def report_rest(report: Report) -> str:
    """A report without its headline: the tables, the notes."""
    parts = [table_html(table) for table in report.tables()]
    notes = "".join(f"<li>{text(note)}</li>" for note in report.notes())
    if notes:
        parts.append(f'<ul class="qb-notes">{notes}</ul>')
    return "".join(parts)


def table_html(table: Table) -> str:
    """A table with its title as caption, one row per row."""
    if not table.rows:
        return f'<p class="qb-empty"><b>{text(table.title)}</b>: {text(table.empty)}</p>'
    head = "".join(
        f'<th scope="col"{_look(column)}>{text(column.name)}</th>' for column in table.columns
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_look(column)}>{cell(value, column)}</td>"
            for value, column in zip(row, table.columns)
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        '<div class="qb-scroll"><table class="qb-table">'
        f'<caption style="text-align:left">{text(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def cell(value: Any, column: Column) -> str:
    """One value, in the words that every face uses."""
    shown = format_value(value, column.kind)
    if column.kind == "check":
        return word(shown) if shown != "-" else shown
    if column.kind == "code" and value is not None:
        return f"<code>{text(shown)}</code>"
    return text(shown).replace("\n", "<br>")


def word(state: str) -> str:
    """A state as a word; its colour says nothing that the word does not."""
    tone = _TONE.get(state, "")
    return f'<b class="qb-word{f" qb-{tone}" if tone else ""}">{text(state)}</b>'


def sql_html(sql: str) -> str:
    """SQL as a block of code."""
    return f'<pre class="qb-sql"><code>{text(sql)}</code></pre>'


def error_html(error: QbError) -> str:
    """An error's four parts and its page, without frame and style."""
    where = f" <code>{text(error.where)}</code>" if error.where else ""
    parts = [f'<p class="qb-head">{word("FAIL")} {text(error.what)}{where}</p>']
    if error.why:
        block = ("pre", "\n") if "\n" in error.why else ("p", "")  # a caret points at its column
        parts.append(f"<{block[0]}>why: {block[1]}{text(error.why)}</{block[0]}>")
    if error.todo:
        parts.append(f"<p>next: {text(error.todo)}</p>")
    parts.append(f"<p>more: <code>%qb error {text(error.code)}</code></p>")
    return f'<div role="alert">{"".join(parts)}</div>'


def text(value: str) -> str:
    """Text as HTML: masked, then escaped, quotes included."""
    return escape(mask(value), quote=True)


def _look(column: Column) -> str:
    """The attributes of a column's cells: how they are aligned, with and without style sheet."""
    if column.kind in RIGHT:
        return f' class="qb-number" style="{RIGHT_STYLE}"'
    kept = ' class="qb-nowrap"' if column.kind in NOWRAP else ""
    return f'{kept} style="{LEFT_STYLE}"'
