"""changing how a backfill goes while it runs, in the ledger

What is tuned wins over the declaration, also when that is edited and the backfill resumed, until it
is started anew with --restart. Changes are a mapping of JSON values: `max_rate`, `target_ms`,
`parallel`, `batch_size`, `window`, and `throttle` with options of signals by their names. None is
no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.backfill import pace, records
from qb_engine.backfill.throttle import bucket, settings
from qb_engine.errors import InputError, RefusedError

if TYPE_CHECKING:
    from qb_engine.backfill.spec import Spec
    from qb_engine.project import Project

Connection = psycopg.Connection[Any]
Changes = Mapping[str, Any]

MOST_LANES = 256
OFF = ("off", "none")
EXAMPLES = {"--max-rate": 5000, "--target-ms": 250, "--parallel": 4, "--batch-size": 2000}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that goes another way now."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before} -> {self.after}"


def changes(
    max_rate: str | float | None = None,
    parallel: int | None = None,
    target_ms: float | None = None,
    batch_size: str | int | None = None,
    window: str | None = None,
    sets: Sequence[str] = (),
    off: Sequence[str] = (),
    *,
    where: str = "qb backfill tune",
) -> dict[str, Any]:
    """The changes that options of a command ask for; what is None is left as it is.

    `sets` are texts `SIGNAL.OPTION=VALUE`, or `SIGNAL=on`. Raise InputError for what makes no
    sense, with all four parts; `where` says where they were written.
    """
    found: dict[str, Any] = {}
    if max_rate is not None:
        found["max_rate"] = _number(where, "--max-rate", max_rate, "rows per second, or off")
    if parallel is not None:
        found["parallel"] = _whole(where, "--parallel", parallel, most=MOST_LANES)
    if target_ms is not None:
        found["target_ms"] = _number(where, "--target-ms", target_ms, "milliseconds", off=False)
    if batch_size is not None:
        size = str(batch_size).lower() in (*OFF, "auto")
        found["batch_size"] = None if size else _whole(where, "--batch-size", batch_size)
    if window is not None:
        found["window"] = "" if window.strip().lower() in OFF else window.strip()
        settings.window(found["window"], f"{where} --window", "bad-option")
    throttle: dict[str, Any] = {}
    for each in sets:
        name, option, value = _set(where, each)
        kept = throttle.get(name)
        if option:
            throttle[name] = {**(kept if isinstance(kept, dict) else {}), option: value}
        else:
            throttle[name] = value
    throttle |= dict.fromkeys(off, False)
    if throttle:
        settings.checked(throttle, where, "bad-option")
        for name in throttle:
            _belongs(where, name)
        found["throttle"] = throttle
    return found


def applied(spec: Spec, given: Changes) -> Spec:
    """A spec with changes, which it remembers as tuned."""
    options = spec.options
    tuning = {**options.tuning, **given}
    if "throttle" in given:
        tuning["throttle"] = settings.merged(options.tuning.get("throttle", {}), given["throttle"])
    options = replace(
        options,
        tuning=tuning,
        max_rate=given.get("max_rate", options.max_rate),
        target_ms=given.get("target_ms", options.target_ms),
        window=given.get("window", options.window),
        throttle=settings.merged(options.throttle, given.get("throttle", {})),
    )
    if "batch_size" in given:
        size = given["batch_size"]
        spec = replace(spec, batch_size=size or spec.batch_size, batch_limit=size or pace.LARGEST)
    return replace(spec, parallel=given.get("parallel", spec.parallel), options=options)


def settled(project: Project, where: str, spec: Spec, *layers: Changes) -> Spec:
    """A spec over the project's own options, with changes over it, the later ones last.

    Raise InputError for options of signals that are not understood; `where` names their file.
    """
    spec = replace(spec, options=settings.settled(project, spec.options, where))
    for each in layers:
        spec = applied(spec, each) if each else spec
    return spec


def differences(before: Spec, after: Spec) -> tuple[Change, ...]:
    """What goes another way, in words."""
    was, now = before.options, after.options
    pairs: list[tuple[str, Any, Any, Callable[[Any], str]]] = [
        ("max rate", was.max_rate, now.max_rate, _rate),
        ("parallel", before.parallel, after.parallel, str),
        ("target", was.target_ms, now.target_ms, lambda ms: f"{ms:g} ms"),
        ("batch size", before.batch_limit, after.batch_limit, _size),
        ("window", was.window, now.window, lambda text: text or "always"),
    ]
    signals = sorted({*was.throttle, *now.throttle})
    for name in signals:
        old, new = _options(name, was.throttle), _options(name, now.throttle)
        for option in sorted({*old, *new}):
            label = f"{name}.{option}" if option else name
            pairs.append((label, old.get(option, "off"), new.get(option, "off"), _plain))
    return tuple(
        Change(name, shown(old), shown(new)) for name, old, new, shown in pairs if old != new
    )


def tune(conn: Connection, backfill: str, given: Changes) -> tuple[Change, ...]:
    """Write changes into the ledger; what is different now. Batches that begin later see it.

    Raise RefusedError when the backfill is not there or completed.
    """
    with conn.transaction():
        row = records.read(conn, backfill, lock=True)
        if row is None or row.state == "completed":
            raise RefusedError(
                f"the backfill of {backfill} {'is completed' if row else 'was never started'}",
                why="there is nothing left to tune" if row else "the ledger does not know it",
                todo="qb backfill status" if row else "qb backfill start, which takes the same",
                code="backfill-state",
            )
        spec = applied(row.spec, given)
        found = differences(row.spec, spec)
        if spec != row.spec:
            records.tune(conn, backfill, spec)
        if row.spec.options.max_rate != spec.options.max_rate:
            bucket.empty(conn, backfill)
    return found


# -- parts -------------------------------------------------------------------------------------


def _number(
    where: str, name: str, value: str | float, what: str, *, off: bool = True
) -> float | None:
    text = str(value).strip().lower().replace("_", "").replace(",", "")
    if off and text in OFF:
        return None
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        example = f"{name} {EXAMPLES[name]}"
        raise _bad(where, name, value, f"a positive number is expected: {what}", example)
    return found


def _whole(where: str, name: str, value: str | int, most: int = 2**31 - 1) -> int:
    text = str(value).strip().replace("_", "").replace(",", "")
    if not text.isdecimal() or not 0 < int(text) <= most:
        example = f"{name} {EXAMPLES[name]}"
        raise _bad(where, name, value, f"a whole number from 1 to {most:,} is expected", example)
    return int(text)


def _set(where: str, text: str) -> tuple[str, str, Any]:
    """The signal, the option (empty: the signal itself) and the value."""
    left, sign, value = text.partition("=")
    name, _, option = left.strip().partition(".")
    value = value.strip()
    example = "--set replica_lag.stop=10s, or --set wal_rate=on"
    if not sign or not name:
        raise _bad(where, "--set", text, "SIGNAL.OPTION=VALUE is expected", example)
    if option:
        return name, option, value
    if value not in ("on", "off"):
        raise _bad(where, "--set", text, "a signal as a whole is on or off", example)
    return name, "", value == "on"


def _belongs(where: str, name: str) -> None:
    """Two signals have options of their own on the command."""
    own = {"window": "--window", "rate": "--max-rate"}
    if name in own:
        raise _bad(where, "--set", name, f"{name} is set with {own[name]}", f"{own[name]} off")


def _bad(where: str, name: str, value: Any, why: str, example: str) -> InputError:
    return InputError(
        f"{name} cannot be {value!r}",
        where=where,
        why=why,
        todo=f"write it as: {example}",
        code="bad-option",
    )


def _options(name: str, throttle: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a signal that is on, with its defaults; none when it is off."""
    kind = settings.known().get(name)
    given = throttle.get(name, kind.default if kind else False)
    if kind is None or given is False:
        return {}
    readers = settings.readers(kind)
    written = dict(given) if isinstance(given, Mapping) else {}
    values = {key: readers[key](value) for key, value in written.items() if key in readers}
    return {"": "on", **settings.defaults(kind), **values}


def _rate(value: float | None) -> str:
    return f"{value:,.10g} rows/s" if value else "off"


def _size(value: int) -> str:
    return "by time" if value >= pace.LARGEST else f"{value:,}"


def _plain(value: Any) -> str:
    return "off" if value is None else ", ".join(value) if isinstance(value, tuple) else str(value)
