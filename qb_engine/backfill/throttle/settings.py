"""the signals that there are, and which of them a backfill gives way to, with which options"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from qb_engine.backfill.throttle import signals
from qb_engine.backfill.throttle.signal import Signal
from qb_engine.errors import InputError

if TYPE_CHECKING:
    from qb_engine.backfill.options import Options
    from qb_engine.project import Project

Given = Mapping[str, Any]
"""Options by the names of signals; False leaves one out, True takes it with its defaults."""


@cache
def known() -> Mapping[str, type[Signal]]:
    """Every signal, by its name: one file each."""
    found = [
        import_module(f"{signals.__name__}.{each.name}").SIGNAL
        for each in iter_modules(signals.__path__)
    ]
    return {each.name: each for each in sorted(found, key=lambda kind: kind.name)}


def defaults(kind: type[Signal]) -> dict[str, Any]:
    """The options of a signal, with what they are when nobody says."""
    return {each.name: each.default for each in fields(kind) if each.default is not MISSING}


def values(signal: Signal) -> dict[str, Any]:
    """The options of a signal as they are."""
    return {each.name: getattr(signal, each.name) for each in fields(signal)}


def readers(kind: type[Signal]) -> dict[str, Callable[[Any], Any]]:
    """How the value of each option is read: it raises ValueError."""
    return {each.name: each.metadata["read"] for each in fields(kind)}


def build(given: Given, window: str = "") -> list[Signal]:
    """The signals that are looked at. What another qb wrote and this one does not know is left."""
    made = []
    for name, kind in known().items():
        options = given.get(name, kind.default)
        if options is False and not (name == "window" and window):
            continue
        written = dict(options) if isinstance(options, Mapping) else {}
        if name == "window" and window:
            written["hours"] = window
        reads = readers(kind)
        made.append(kind(**{k: reads[k](v) for k, v in written.items() if k in reads}))
    return made


def merged(below: Given, above: Given) -> dict[str, Any]:
    """Options of `above` over those of `below`, signal by signal and option by option."""
    found = {name: _plain(options) for name, options in below.items()}
    for name, options in above.items():
        kept = found.get(name)
        if isinstance(options, Mapping) and isinstance(kept, Mapping):
            found[name] = {**kept, **options}
        elif options is True and isinstance(kept, Mapping):
            continue
        else:
            found[name] = _plain(options)
    return found


def checked(given: Given, where: str, code: str) -> None:
    """Raise InputError for a signal or an option that is not there, or a value it cannot be."""
    for name, options in given.items():
        kind = known().get(name)
        if kind is None:
            raise _unknown("signal", name, list(known()), where, code)
        if isinstance(options, bool):
            continue
        if not isinstance(options, Mapping):
            raise InputError(
                f"the options of the signal {name} are not understood",
                where=where,
                why=f"{options!r} is neither a mapping of options nor False",
                todo=f"write it as {name} = {{{', '.join(defaults(kind)) or '...'}}}",
                code=code,
            )
        reads = readers(kind)
        for option, value in options.items():
            if option not in reads:
                raise _unknown(f"option of {name}", option, list(reads), where, code)
            try:
                kind(**{option: reads[option](value)})
            except ValueError as error:
                raise InputError(
                    f"{name}.{option} cannot be {value!r}",
                    where=where,
                    why=str(error),
                    todo="write hours as 22:00-06:00, or 22:00-06:00 Europe/Vienna"
                    if name == "window"
                    else f"its default is {defaults(kind)[option]!r}",
                    code=code,
                ) from None


def window(text: str, where: str, code: str) -> None:
    """Raise InputError when it is not a window."""
    if text:
        checked({"window": {"hours": text}}, where, code)


def settled(project: Project, options: Options, where: str) -> Options:
    """A declaration's options over the project's own, both looked over.

    Raise InputError for what is not understood, with the file that says it.
    """
    below = project.config.backfill.throttle
    checked(below, f"{project.file}: [backfill.throttle]", "bad-config")
    checked(options.throttle, where, "bad-backfill")
    window(options.window, where, "bad-backfill")
    return replace(options, throttle=merged(below, options.throttle))


def unthrottled(options: Options) -> Options:
    """The same with nothing to give way to: for a place where nobody else is."""
    return replace(options, max_rate=None, window="", throttle=dict.fromkeys(known(), False))


def _plain(options: Any) -> Any:
    return dict(options) if isinstance(options, Mapping) else options


def _unknown(what: str, name: str, there: list[str], where: str, code: str) -> InputError:
    near = difflib.get_close_matches(name, there, n=1)
    return InputError(
        f"there is no {what} named {name}",
        where=where,
        why=f"there are: {', '.join(there)}" if there else "it has none",
        todo=f"did you mean {near[0]}?" if near else "leave it out, or name one of these",
        code=code,
    )
