"""a migration as the text of a TypeScript or JavaScript file that TypeORM runs"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from qb_engine.errors import InputError

if TYPE_CHECKING:
    import jinja2


Style = Literal["typescript", "commonjs", "module"]
"""A `.ts` file, or JavaScript that a `require` or an `import` loads."""

WIDTH = 100
INDENT = "    "
DEEP = 4  # objects in each other: constraints that speak of columns
HEADS: dict[Style, str] = {
    "typescript": "export class",
    "commonjs": "module.exports = class",
    "module": "export class",
}

_BREAKS = re.compile(r"\r\n|[\n\r\u2028\u2029]")  # what ends a line of JavaScript
_PLAIN = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_PROTOTYPE = re.compile(r'(?<!\\)"__proto__":')  # a key that would set the prototype


@dataclass(frozen=True)
class Call:
    """One call of `queryRunner.query`: a statement, its parameters, and the comments above it."""

    sql: str
    parameters: tuple[Any, ...] | None = None
    comments: tuple[str, ...] = ()


@dataclass(frozen=True)
class MigrationText:
    """What a migration class says. `alone` is why it may not run in a transaction, if it may not.

    `back` are remarks on the way back, which stand above it.
    """

    name: str
    up: tuple[Call, ...]
    down: tuple[Call, ...] = ()
    irreversible: str = ""
    constraints: Mapping[str, Any] | None = None
    alone: str = ""
    back: tuple[str, ...] = ()


def pascal(name: str) -> str:
    """Any name as the beginning of a class's: `add_user-email` as `AddUserEmail`.

    Raise InputError when there is no letter and no digit in it.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.findall(r"[A-Za-z0-9]+", plain)
    if not words:
        raise InputError(
            f"{name!r} cannot name a migration",
            why="a class is named by its letters and digits, and it has none of a to z, 0 to 9",
            todo="call it 'add_user_email', say",
            code="bad-name",
        )
    found = "".join(word[0].upper() + word[1:] for word in words)
    return f"Migration{found}" if found[0].isdigit() else found


def class_name(name: str, ms: int) -> str:
    """What TypeORM knows a migration by: its name, and 13 digits of milliseconds."""
    return f"{pascal(name)}{ms}"


def migration(found: MigrationText, style: Style = "typescript", *, types: bool = False) -> str:
    """The whole text of a migration's file; with `types` it imports these as what they are."""
    return _template("migration.ts.j2").render(
        name=found.name,
        quoted=string(found.name),
        typed=style == "typescript",
        types=types,
        head=HEADS[style],
        constraints=value(found.constraints, INDENT, len("static constraints = ;"))
        if found.constraints
        else "",
        alone=_alone(found.alone) if found.alone else (),
        up=[_rendered(each) for each in found.up],
        down=[_rendered(each) for each in found.down or (Call("SELECT 1", comments=(NOTHING,)),)],
        throws=string(thrown(found.irreversible)) if found.irreversible else "",
        back=[line for each in found.back for line in commented(each)],
    )


NOTHING = "there is nothing to undo"


def thrown(irreversible: str) -> str:
    """The message that a `down` throws where there is no way back."""
    reason = " ".join(irreversible.split())
    if reason.startswith("irreversible"):
        return reason
    return f"irreversible {reason if reason.startswith('because') else f'because {reason}'}"


def backfill(constants: Mapping[str, Any], migration: str, title: str) -> str:
    """The text of backfill.ts: each constant exported, in their order."""
    return _template("backfill.ts.j2").render(
        name=migration,
        title=" ".join(commented(title)),
        constants=[(k, value(v, "", len(f"export const {k} = ;"))) for k, v in constants.items()],
    )


# -- values ----------------------------------------------------------------------------------------


def template(text: str) -> str:
    """A text as a template literal that JavaScript cooks to exactly this text."""
    found = text.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
    return f"`{found.replace(chr(13), chr(92) + 'r')}`"  # a bare CR would be read as a newline


def string(text: str) -> str:
    """A text as a string in double quotes."""
    return _json(text)


def _json(found: Any) -> str:
    text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    text = _PROTOTYPE.sub('["__proto__"]:', text)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def value(found: Any, indent: str = "", before: int = 0) -> str:
    """A JSON value as an object literal, on one line where it fits; `before` stands on that line.

    Raise InputError for what JSON does not have.
    """
    line = _on_one_line(found)
    if len(indent) + before + len(line) <= WIDTH and _depth(found) < DEEP:
        return line
    deeper = indent + INDENT
    if isinstance(found, Mapping) and found:
        inner = "".join(
            f"{deeper}{_key(k)}: {value(v, deeper, len(_key(k)) + 3)},\n" for k, v in found.items()
        )
        return f"{{\n{inner}{indent}}}"
    if isinstance(found, list | tuple) and found:
        inner = "".join(f"{deeper}{value(v, deeper, 1)},\n" for v in found)
        return f"[\n{inner}{indent}]"
    return line


def _depth(found: Any) -> int:
    """How many objects stand in each other."""
    if not isinstance(found, Mapping):
        return 0
    return 1 + max((_depth(each) for each in found.values()), default=0)


def _on_one_line(found: Any) -> str:
    if isinstance(found, Mapping):
        inner = ", ".join(f"{_key(k)}: {_on_one_line(v)}" for k, v in found.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(found, list | tuple):
        return f"[{', '.join(map(_on_one_line, found))}]"
    if isinstance(found, str):
        return string(found)
    if found is None or isinstance(found, bool | int | float):
        try:
            return json.dumps(found, allow_nan=False)
        except ValueError:
            pass  # said below: infinity and NaN are no JSON
    raise InputError(
        f"{found!r:.80} cannot stand in a TypeScript file",
        why="texts, numbers, True, False, None, lists and dictionaries of these can",
        todo="write it as one of these",
        code="bad-draft",
    )


def _key(found: Any) -> str:
    text = found if isinstance(found, str) else str(found)
    if text == "__proto__":
        return '["__proto__"]'
    return text if _PLAIN.fullmatch(text) else string(text)


# -- the parts of the text -------------------------------------------------------------------------


def commented(text: str) -> list[str]:
    """A text as what may stand behind `//`, line by line."""
    return [line.strip() for line in _BREAKS.split(text) if line.strip()]


def _rendered(found: Call) -> dict[str, Any]:
    call = template(found.sql)
    if found.parameters is not None:
        call = f"{call}, {_json(found.parameters)}"
    return {
        "call": call,
        "comments": [line for each in found.comments for line in commented(each)],
    }


def _alone(why: str) -> list[str]:
    return [
        *commented(f"This runs without a transaction: {why}."),
        'The transaction mode has to be "each" or "none": with "all", TypeORM refuses to run it.',
        "Reverting does not look at this property: migration:revert --transaction none",
    ]


@cache
def _template(name: str) -> jinja2.Template:
    import jinja2

    made = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return made.from_string(files(__package__).joinpath(name).read_text(encoding="utf-8"))
