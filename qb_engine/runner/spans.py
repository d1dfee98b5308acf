"""a run as OpenTelemetry spans: the run, its migrations, their statements"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from psycopg.conninfo import conninfo_to_dict

import qb_engine
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.database.target import Target
    from qb_engine.runner.events import Kind

# what begins a span, with its name, and what ends the same; a level lies within the one before
BEGINS = {
    "run_started": (1, "qb {command}"),
    "migration_started": (2, "migration {migration}"),
    "statement_started": (3, "statement {number}"),
}
ENDS = {"run_ended": 1, "migration_ended": 2, "statement_ended": 3}

# fields of events that OpenTelemetry has names for; the others begin with qb.
NAMES = {"sql": "db.statement", "error": "exception.message", "code": "error.type"}


class Spans:
    """Opens and ends spans as events come; what happens in between becomes an event of its span.

    The spans are children of whatever span is current when the run starts. Who exports them, and
    whether, is the concern of the process: without a configured SDK this costs next to nothing.
    """

    def __init__(self, target: Target) -> None:
        self._tracer = trace.get_tracer("qb", qb_engine.__version__)
        self._open: dict[int, Span] = {}  # by level, in order: run, migration, statement
        self._lock = threading.Lock()
        self._same: dict[str, str] = {"db.system": "postgresql", "qb.target": target.display}
        known = conninfo_to_dict(target.conninfo)
        for key, name in (("host", "server.address"), ("dbname", "db.name"), ("user", "db.user")):
            if known.get(key):
                self._same[name] = mask(str(known[key]))

    def emit(self, kind: Kind, /, **fields: Any) -> None:
        """Begin a span, end one, or note an event in the innermost."""
        with self._lock:
            if 1 in self._open and not self._open[1].is_recording():
                return  # nobody listens
            if kind in BEGINS:
                level, name = BEGINS[kind]
                self._begin(level, name.format_map(_Known(fields)), fields)
            elif kind in ENDS:
                self._end(ENDS[kind], fields)
            elif span := self._innermost():
                span.add_event(kind, _attributes(fields))
                if kind == "error":
                    said = mask(f"{fields.get('what', '')}: {fields.get('why', '')}".strip(": "))
                    for each in self._open.values():
                        each.set_status(Status(StatusCode.ERROR, said))

    def close(self) -> None:
        """End what is still open."""
        with self._lock:
            self._end(1, {})

    def _innermost(self) -> Span | None:
        return self._open[max(self._open)] if self._open else None

    def _begin(self, level: int, name: str, fields: dict[str, Any]) -> None:
        self._end(level, {})  # one that was cut off: its end was never told
        parent = self._innermost()
        self._open[level] = self._tracer.start_span(
            mask(name),
            context=trace.set_span_in_context(parent) if parent else None,
            kind=SpanKind.CLIENT if level == max(ENDS.values()) else SpanKind.INTERNAL,
            attributes={**self._same, **_attributes(fields)},
        )

    def _end(self, level: int, fields: dict[str, Any]) -> None:
        """End the span of a level, with what is still open within it."""
        for deepest in sorted((each for each in self._open if each >= level), reverse=True):
            span = self._open.pop(deepest)
            if deepest == level:
                for name, value in _attributes(fields).items():
                    span.set_attribute(name, value)
                if fields.get("error"):
                    span.set_status(Status(StatusCode.ERROR, mask(str(fields["error"]))))
            span.end()


class _Known(dict[str, Any]):
    """Fields of a name; what an event does not say is left out."""

    def __missing__(self, key: str) -> str:
        return ""


def _attributes(fields: dict[str, Any]) -> dict[str, str | int | float | bool]:
    """Fields as OpenTelemetry takes them: plain values, strings masked."""
    found: dict[str, str | int | float | bool] = {}
    for key, value in fields.items():
        if value is None or value == "":
            continue
        name = NAMES.get(key, f"qb.{key}")
        found[name] = value if isinstance(value, bool | int | float) else mask(str(value))
    return found
