"""from what a migration expects to rules; every kind of rule is found by its file"""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.rule import WHENS, DeclaredRule, Rule
from qb_engine.errors import InputError

if TYPE_CHECKING:
    from qb_engine.migrations import LoadedMigration, Part
    from qb_engine.migrations.model import Expectation
    from qb_engine.sql import Source

ALWAYS = ("when", "later")  # what every rule may say


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rule: the key it is written with, the keys beside it, and how it is read.

    `read` gets the key's value, the keys beside it, the form for errors and the project's folder.
    `also` is None for a kind that takes any key beside its own.
    """

    key: str
    read: Callable[[Any, Mapping[str, Any], Form, Path], Rule]
    example: Mapping[str, Any]
    also: tuple[str, ...] | None = ()


@lru_cache(maxsize=1)
def kinds() -> Mapping[str, Kind]:
    """Every kind of rule by its key."""
    package = __name__.rpartition(".")[0]
    folder = import_module(package).__path__
    modules = [import_module(f"{package}.{each.name}") for each in pkgutil.iter_modules(folder)]
    found = [vars(module)["KIND"] for module in modules if "KIND" in vars(module)]
    return {kind.key: kind for kind in found}


def rules_of(
    migration: LoadedMigration, root: Path, parts: Iterable[Part] | None = None
) -> tuple[DeclaredRule, ...]:
    """The rules of a migration, or only of some of its parts; `root` is the project's folder.

    Raise InputError, with file and line, for a rule that has no known form, for SQL that is no
    query, and for a rule of the user's own that is nowhere to be found.
    """
    chosen = migration.parts if parts is None else parts
    return tuple(declared(each, root) for part in chosen for each in part.expect)


def declared(expectation: Expectation, root: Path) -> DeclaredRule:
    """One rule as it was written."""
    said = expectation.said
    whole: Mapping[str, Any] = {"sql": said} if isinstance(said, str) else said
    known = kinds()
    named = [key for key in whole if key in known]
    if len(named) != 1:
        open_kinds = [key for key in named if known[key].also is None]
        if len(open_kinds) != 1:
            raise _no_kind(whole, named, expectation.source)
        named = open_kinds  # what stands beside it are options of its own
    kind = known[named[0]]
    form = Form(kind.key, dict(kind.example), expectation.source)
    beside = {key: value for key, value in whole.items() if key not in (kind.key, *ALWAYS)}
    if kind.also is not None:
        form.keys(beside, (*kind.also, *ALWAYS))
    rule = kind.read(whole[kind.key], beside, form, root)
    when = whole.get("when", getattr(rule, "when", "after"))
    if when not in WHENS:
        raise form.expected("when", "before, after or both", when)
    later = whole.get("later", True)
    if not isinstance(later, bool):
        raise form.expected("later", "True or False", later)
    if when != "after" and getattr(rule, "momentary", ""):
        raise form.wrong(f"it cannot be asked {when}", rule.momentary)  # type: ignore[attr-defined]
    return DeclaredRule(rule, rule.describe(), expectation.source, when, later)


def _no_kind(whole: Mapping[str, Any], named: list[str], source: Source) -> InputError:
    known = ", ".join(kinds())
    if len(named) > 1:
        what = f"{' and '.join(map(repr, named))} are two rules in one"
        why, todo = "each item of the list is one rule", "write them as two items"
    elif odd := [key for key in whole if key not in ALWAYS]:
        near = difflib.get_close_matches(str(odd[0]).lower(), kinds(), n=1, cutoff=0.4)
        what, why = f"{odd[0]!r} is no rule", f"known rules: {known}"
        todo = f"did you mean {near[0]!r}?" if near else ""
    else:
        what, why, todo = "a rule says nothing", f"known rules: {known}", ""
    return InputError(
        what, where=str(source), why=why, todo=todo or "write it as one of these", code="bad-rule"
    )
