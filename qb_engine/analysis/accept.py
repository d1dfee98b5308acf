"""findings that somebody has accepted, in a comment above the statement, with a reason; pure"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from qb_engine.analysis.hazards import Finding, all_hazards
from qb_engine.analysis.remarks import REMARKS, UNUSED_ACCEPTANCE, Spot, remark
from qb_engine.migrations.listing import is_script

_ACCEPT = re.compile(r"(?:--|#|//)[ \t]*qb:accept\b[ \t]*(.*)")
_SAID = re.compile(r"([\w-]+(?:[ \t]*,[ \t]*[\w-]+)*)(?:[ \t]+because\b[ \t]*(.*))?")
_COMMENT = re.compile(r"[ \t]*(?:--|#|//|$)")
OPENING = 2  # lines that may stand between a comment in a program and the SQL in its string


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a comment accepts: hazards by id, why, and on which lines a statement may begin."""

    file: str
    line: int
    ids: tuple[str, ...]
    reason: str
    lines: range

    def covers(self, finding: Finding) -> bool:
        """True for a finding of the statement below the comment, of a hazard that it names."""
        here = finding.file == self.file and finding.line in self.lines
        return here and finding.hazard in self.ids and bool(self.reason)


def acceptances(text: str, file: str = "") -> tuple[Acceptance, ...]:
    """Every `-- qb:accept <id>[, <id>] because <reason>` of a text.

    In Python also with `#`, in TypeScript with `//`.
    """
    lines = text.splitlines()
    program = file.endswith(".py") or is_script(file)
    found = []
    for at, line in enumerate(lines):
        comment = _ACCEPT.search(line)
        if comment is None:
            continue
        words, inside, _ = comment[1].partition(r"\n") if program else (comment[1], "", "")
        said = _SAID.fullmatch(words.strip().rstrip("\"',"))
        below = at + 1
        while below < len(lines) and _COMMENT.match(lines[below]):
            below += 1
        first = at + 1 if inside else below + 1  # lines count from 1
        reach = range(first, first + (OPENING if program else 0) + 1)
        ids = tuple(re.split(r"[ \t]*,[ \t]*", said[1])) if said else ()
        reason = (said[2] or "").strip() if said else ""
        found.append(Acceptance(file, at + 1, ids, reason, reach))
    return tuple(found)


def accepted(findings: Iterable[Finding], texts: Mapping[str, str]) -> tuple[Finding, ...]:
    """The findings, each with the reason why it was accepted, if it was.

    `texts` are the files by the names that findings give them. An acceptance that matches nothing,
    or gives no reason, is a finding of its own.
    """
    known = [each for file, text in texts.items() for each in acceptances(text, file)]
    used: set[tuple[Acceptance, str]] = set()
    found = []
    for finding in findings:
        for each in known:
            if each.covers(finding):
                used.add((each, finding.hazard))
                finding = replace(finding, accepted=each.reason)
                break
        found.append(finding)
    return (*found, *(each for one in known for each in _unused(one, used)))


def _unused(one: Acceptance, used: set[tuple[Acceptance, str]]) -> Iterator[Finding]:
    at = Spot(one.file, one.line)
    if is_script(one.file) and any(id not in _known() for id in one.ids):
        return  # of another check of such files: qb typeorm check
    if not one.ids:
        what = "an acceptance that cannot be read accepts nothing"
        yield remark(UNUSED_ACCEPTANCE, at, what=what)
    for id in one.ids:
        if not one.reason:
            what = f"the acceptance of {id} gives no reason, and does not count"
            yield remark(UNUSED_ACCEPTANCE, at, what=what)
        elif (one, id) not in used:
            what = f"the acceptance of {id} matches nothing in the statement below it"
            yield remark(UNUSED_ACCEPTANCE, at, what=what + _near(id))


@cache
def _known() -> tuple[str, ...]:
    """Everything that lint finds, by its id."""
    return (*(record.id for record, _ in all_hazards()), *(record.id for record in REMARKS))


def _near(id: str) -> str:
    names = _known()
    if id in names:
        return ""
    near = difflib.get_close_matches(id, names, n=1, cutoff=0.6)
    return f"; no hazard is called that{f', did you mean {near[0]}?' if near else ''}"
