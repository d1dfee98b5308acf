"""rules of the user's own: in rules.py or rules/ of the project, or an entry point `qb.rules`"""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import psycopg

from qb_engine.constraints.rules.declared import Kind
from qb_engine.constraints.rules.form import Form
from qb_engine.constraints.rules.reading import Reader
from qb_engine.constraints.rules.rule import Observed, Rule, Verdict, When
from qb_engine.errors import InputError, QbError, nearby
from qb_engine.migrations.python_file import execute

GROUP = "qb.rules"  # of entry points
FILE, FOLDER = "rules.py", "rules"  # of the project

Maker = Callable[..., Any]


class RuleRaised(InputError):
    """A rule of the user's own raised something."""

    default_code = "bad-rule"


@dataclass(frozen=True)
class Custom:
    """A rule of the user's own, so that whatever it does wrong is said with its name and line."""

    name: str
    own: Rule

    @property
    def when(self) -> When:
        found: When = getattr(self.own, "when", "after")
        return found

    @property
    def momentary(self) -> str:
        return str(getattr(self.own, "momentary", ""))

    def describe(self) -> str:
        with _own_code(self.name):
            return str(self.own.describe())

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        with _own_code(self.name):
            verdict = self.own.check(read, memo, seen)
            if not isinstance(verdict, Verdict):
                raise TypeError(f"check gave {verdict!r:.80}, and a Verdict is expected")
            return verdict


class Comparing(Custom):
    """One that remembers what was before."""

    @property
    def momentary(self) -> str:
        compares = "it compares with what was before the migration"
        return str(getattr(self.own, "momentary", compares))

    def before(self, read: Reader) -> Any:
        with _own_code(self.name):
            return self.own.before(read)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Function:
    """A function as a rule: it gets `read` and its options, and gives a Verdict, True or False."""

    name: str
    call: Callable[..., Any]
    options: Mapping[str, Any]

    def describe(self) -> str:
        said = inspect.getdoc(self.call) or ""
        given = ", ".join(f"{key}={value!r:.60}" for key, value in self.options.items())
        return said.partition("\n")[0].rstrip(".") or f"{self.name}({given})"

    def check(self, read: Reader, memo: Any, seen: Sequence[Observed]) -> Verdict:
        found = self.call(read, **self.options)
        if isinstance(found, bool):
            return Verdict(found, "met" if found else "not met", "met")
        if not isinstance(found, Verdict):
            raise TypeError(f"it gave {found!r:.80}, and a Verdict, True or False is expected")
        return found


@contextmanager
def _own_code(name: str) -> Iterator[None]:
    """Say which rule it was that raised, and on which line; what PostgreSQL says passes."""
    try:
        yield
    except (psycopg.Error, QbError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - a rule of the user's may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        last = next((f for f in reversed(frames) if f.filename != __file__), frames[-1])
        raise RuleRaised(
            f"the rule {name!r} raised {type(error).__name__}: {error}",
            where=f"{last.filename}:{last.lineno}",
            todo="mend the rule",
        ) from None


def _read(value: Any, beside: Mapping[str, Any], form: Form, root: Path) -> Custom:
    name = form.text(value, "the name of the rule")
    make = _find(name, root, form)
    accepted = inspect.signature(make)
    try:
        accepted.bind(*([] if inspect.isclass(make) else [None]), **beside)
    except TypeError as error:
        raise form.wrong(
            f"{name} does not take these options", str(error), f"{name}{accepted} is what it takes"
        ) from None
    if not inspect.isclass(make):
        return Custom(name, Function(name, make, dict(beside)))
    with _placed(form), _own_code(name):
        own: Any = make(**beside)
    if not callable(getattr(own, "check", None)) or not callable(getattr(own, "describe", None)):
        raise form.wrong(
            f"{name} is no rule", "a rule has the methods describe() and check(read, memo, seen)",
            "see qb_engine.constraints.rules.Rule",
        )  # fmt: skip
    return Comparing(name, own) if hasattr(own, "before") else Custom(name, own)


@contextmanager
def _placed(form: Form) -> Iterator[None]:
    """An error of the user's rule, and where it is declared."""
    try:
        yield
    except RuleRaised as error:
        raise InputError(
            error.what,
            where=str(form.source),
            why=f"in {error.where}",
            todo=error.todo,
            code="bad-rule",
        ) from None


def _find(name: str, root: Path, form: Form) -> Maker:
    """What a name stands for; the project's own comes before what is installed."""
    own = _of_project(root)
    if name in own:
        return own[name]
    installed: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        installed.setdefault(point.name, point)
    if name in installed:
        return _loaded(installed[name], form)
    known = sorted({*own, *installed})
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    raise form.wrong(
        f"there is no rule of that name, {name!r}",
        f"known: {', '.join(known)}" if known else f"{nearby(str(root / FILE))} holds none, and no"
        f" installed package gives one (entry points {GROUP})",
        f"did you mean {near[0]!r}?" if near else f"write it in {FILE}, as a function of `read`",
    )  # fmt: skip


def _of_project(root: Path) -> dict[str, Maker]:
    """The public functions and classes of the project's rule files, by name."""
    folder = root / FOLDER
    files = [root / FILE] if (root / FILE).is_file() else []
    if folder.is_dir():
        files += sorted(f for f in folder.glob("*.py") if not f.name.startswith("_"))
    found: dict[str, tuple[Path, Maker]] = {}
    for path in files:
        module, _ = execute(path)
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == module.__name__
            if name.startswith("_") or not callable(value) or not own:
                continue
            if name in found:
                raise InputError(
                    f"there are two rules {name!r}",
                    where=str(path),
                    why=f"{found[name][0].name} has one of that name, too",
                    todo="rename one of them",
                    code="bad-rule",
                )
            found[name] = path, value
    return {name: value for name, (_, value) in found.items()}


def _loaded(point: EntryPoint, form: Form) -> Maker:
    try:
        found = point.load()
    except (KeyboardInterrupt, QbError):
        raise
    except BaseException as error:  # noqa: BLE001 - importing somebody's package may raise anything
        raise form.wrong(
            f"{point.name} of an installed package cannot be loaded",
            f"{point.value} raised {type(error).__name__}: {error}",
            "mend or remove the package",
        ) from None
    if not callable(found):
        raise form.wrong(
            f"{point.name} of an installed package is no rule",
            f"{point.value} is {found!r:.80}, and a class or a function is expected",
            "mend or remove the package",
        )
    made: Maker = found
    return made


KIND = Kind("rule", _read, {"rule": "no_orphans", "table": "orders"}, None)
