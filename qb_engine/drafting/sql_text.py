"""a migration as the text of an SQL file with `-- qb:` sections"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qb_engine.drafting.derive import WayBack


def from_sql(
    up: str, constraints: Mapping[str, Any] | None, way: WayBack, *, transaction: bool = True
) -> str:
    """An SQL file: constraints as YAML in comments, up, and down or why there is none."""
    parts: list[str] = []
    if constraints:
        parts.append("-- qb:constraints\n" + _commented(constraints))
    if not transaction:
        parts.append("-- qb:transaction false\n")
    parts.append("-- qb:up\n" + _ended(up))
    if way.irreversible:
        parts.append(f"-- qb:irreversible {' '.join(way.irreversible.split())}\n")
    elif way.down:
        loses = "".join(f"-- does not bring back {each}\n" for each in way.loses)
        parts.append("-- qb:down\n" + loses + "".join(_ended(each) for each in way.down))
    else:
        parts.append("-- qb:down\n-- there is nothing to undo\nSELECT 1;\n")
    return "\n".join(parts)


def _commented(constraints: Mapping[str, Any]) -> str:
    import yaml

    text = yaml.safe_dump(dict(constraints), sort_keys=False, allow_unicode=True, width=90)
    return "".join(f"-- {line}\n" for line in text.splitlines())


def _ended(sql: str) -> str:
    text = sql.strip("\n").rstrip()
    if text.endswith(";"):
        return text + "\n"
    # a comment at the end would swallow the semicolon
    return f"{text}\n;\n" if "--" in text.rsplit("\n", 1)[-1] else f"{text};\n"
