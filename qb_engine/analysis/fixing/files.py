"""parts as the text of files: why, constraints, up, down; and the backfill as a class"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qb_engine.drafting.python_text import class_name, value
from qb_engine.operations.safely import Fill
from qb_engine.sql import qualified

if TYPE_CHECKING:
    from qb_engine.analysis.fixing.compose import Composed, Piece
    from qb_engine.analysis.hazards import Finding
    from qb_engine.drafting import WayBack
    from qb_engine.operations.safely import Step
    from qb_engine.sql import Statement

OPEN = "..."  # stands for a value that only the user knows; such a file is refused

# what a part is for, by what its statements do
LABELS = (
    (r"\bVALIDATE CONSTRAINT\b", "validate"),
    (r"\bRENAME COLUMN\b", "swap"),
    (r"\bSET NOT NULL\b", "not_null"),
    (r"\bUSING INDEX\b", "constraint"),
    (r"\bINDEX\b.*\bCONCURRENTLY\b|\bCONCURRENTLY\b.*\bINDEX\b", "index"),
    (r"\bATTACH PARTITION\b", "attach"),
    (r"\bDETACH PARTITION\b", "detach"),
    (r"\bADD CONSTRAINT\b", "constraint"),
)


def files(
    composed: Composed,
    ways: Sequence[WayBack],
    constraints: Mapping[str, Any],
    expect: Sequence[Any] = (),
    remarks: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, str]:
    """The text of each file of the folder by its name, in the order that they run.

    `remarks` are lines of comment that stand above statements.
    """
    found: dict[str, str] = {}
    names = _names(composed.pieces)
    last = len(names) - 1
    for number, (name, piece, way) in enumerate(zip(names, composed.pieces, ways)):
        if piece.kind == "post" and composed.fill is not None and "backfill.py" not in found:
            found["backfill.py"] = backfill(composed.fill)
        own = constraints if number == 0 else {}
        rules = expect if number == last else ()
        found[name] = part(piece, way, own, rules, remarks)
    if composed.fill is not None and "backfill.py" not in found:
        found["backfill.py"] = backfill(composed.fill)
    return found


def _names(pieces: Sequence[Piece]) -> list[str]:
    """`migration.sql`, `migration_2_index.sql`, `post_1_validate.sql`."""
    names = []
    counts: dict[str, int] = {}
    for piece in pieces:
        counts[piece.kind] = number = counts.get(piece.kind, 0) + 1
        label = _label(piece)
        if piece.kind == "migration" and number == 1:
            names.append("migration.sql")
        else:
            names.append(f"{piece.kind}_{number}{'_' + label if label else ''}.sql")
    return names


def _label(piece: Piece) -> str:
    whole = "\n".join(step.sql for step in piece.steps)
    return next((label for pattern, label in LABELS if re.search(pattern, whole)), "")


def part(
    piece: Piece,
    way: WayBack,
    constraints: Mapping[str, Any],
    expect: Sequence[Any],
    remarks: Mapping[str, Sequence[str]],
) -> str:
    """An SQL file with what each statement is for above it."""
    blocks: list[str] = []
    if constraints:
        blocks.append("-- qb:constraints\n" + _commented(dict(constraints)))
    if expect:
        blocks.append("-- qb:expect\n" + _commented(list(expect)))
    if not piece.transaction:
        blocks.append("-- qb:transaction false\n-- each statement commits by itself\n")
    blocks.append("-- qb:up\n" + "\n".join(_step(s, remarks) for s in piece.steps))
    if way.irreversible:
        blocks.append(f"-- qb:irreversible {' '.join(way.irreversible.split())}\n")
    elif way.down:
        loses = "".join(f"-- does not bring back {each}\n" for each in way.loses)
        blocks.append("-- qb:down\n" + loses + "".join(_ended(each) for each in way.down))
    else:
        blocks.append("-- qb:down\n-- there is nothing to undo here\nSELECT 1;\n")
    return "\n".join(blocks)


def _step(step: Step, remarks: Mapping[str, Sequence[str]]) -> str:
    why = f"-- {step.why}\n" if step.why else ""
    said = "".join(f"{line}\n" for line in remarks.get(step.sql, ()))
    return why + said + _ended(step.sql)


def remarks_of(text: str, statements: Sequence[Statement]) -> dict[str, list[str]]:
    """The comments right above statements of an SQL file, sections' marks left out."""
    lines = text.splitlines()
    found: dict[str, list[str]] = {}
    for statement in statements:
        at = statement.source.line - 1  # lines count from 1
        above: list[str] = []
        while at > 0 and re.match(r"\s*--(?!\s*qb:(?!accept\b))", lines[at - 1]):
            at -= 1
            above.insert(0, lines[at].strip())
        if above:
            found[statement.sql] = above
    return found


def accepting(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """The comments that accept findings, above their statements."""
    found: dict[str, list[str]] = {}
    for each in findings:
        if each.accepted:
            line = f"-- qb:accept {each.hazard} because {each.accepted}"
            if line not in found.setdefault(each.statement, []):
                found[each.statement].append(line)
    return found


def _ended(sql: str) -> str:
    text = sql.strip("\n").rstrip()
    # a comment at the end would swallow the semicolon
    return f"{text}\n;\n" if "--" in text.rsplit("\n", 1)[-1] else f"{text};\n"


def _commented(content: Any) -> str:
    import yaml

    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=90)
    return "".join(f"-- {line}\n" for line in text.splitlines())


def backfill(fill: Fill) -> str:
    """A Backfill class; values that only the user knows are left open, which is refused."""
    name = table(fill)
    values = [
        f"        {value(column)}: {OPEN if sql is None else value(sql, '        ')},"
        for column, sql in fill.set.items()
    ]
    if any(sql is None for sql in fill.set.values()):
        values[-1] += f"  # write SQL here, such as \"'none'\"; {OPEN} is refused"
    title = class_name("fill_" + re.sub(r"[^A-Za-z0-9]+", "_", "_".join(fill.set)))
    lines = [
        f'"""{fill.why}"""', "", "from qb_engine import Backfill", "", "",
        f"class {title}(Backfill):",
        f"    table = {value(name)}",
        "    set = {", *values, "    }",
    ]  # fmt: skip
    if fill.where:
        lines.append(f"    where = {value(fill.where, '    ')}")
    if fill.proof:
        lines.append(f"    validate = {value(fill.proof, '    ')}")
    return "\n".join(lines) + "\n"


def table(fill: Fill) -> str:
    """The table as a backfill names it."""
    plain = fill.schema is None and "." not in fill.table
    return fill.table if plain else qualified(fill.schema or "public", fill.table)
