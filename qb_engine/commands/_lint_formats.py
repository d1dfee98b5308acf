"""findings in the formats of others: SARIF, GitHub's workflow commands, JUnit"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from qb_engine.errors import nearby
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.analysis.hazards import Finding, Hazard
    from qb_engine.analysis.lint import Linted

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "notice": "note"}
# what XML 1.0 cannot hold
_CONTROL = {code: "?" for code in range(32) if code not in (9, 10, 13)}


def sarif(linted: Sequence[Linted]) -> str:
    """SARIF 2.1.0: one run, its rules from the records of all hazards."""
    rules = _records()
    numbers = {record.id: at for at, record in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "qb",
                "version": version("qb"),
                "rules": [_rule(record) for record in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(f, numbers) for one in linted for f in one.findings],
    }
    whole = {"$schema": SARIF, "version": "2.1.0", "runs": [run]}
    return json.dumps(_masked(whole), ensure_ascii=False, indent=2) + "\n"


def github(linted: Sequence[Linted]) -> str:
    """GitHub's workflow commands: an annotation for each finding that nobody has accepted."""
    found = []
    for one in linted:
        for f in one.findings:
            if f.accepted:
                continue
            where = f"file={_property(nearby(f.file))},line={f.line},title={_property(f.hazard)}"
            text = "\n".join(filter(None, (f.message, f.fix and f"fix: {f.fix}")))
            found.append(f"::{f.severity} {where}::{_data(mask(text))}")
    return "".join(f"{line}\n" for line in found) or "\n"


def junit(linted: Sequence[Linted]) -> str:
    """JUnit's XML: a suite for each file, a case for each finding, one that passes without any."""
    suites = []
    total = failures = 0
    for one in linted:
        cases = [_case(f) for f in one.findings]
        bad = sum(f.severity != "notice" and not f.accepted for f in one.findings)
        if not cases:
            cases = [f'<testcase name="no hazard" classname={_quoted(nearby(one.file))}/>']
        total, failures = total + len(cases), failures + bad
        head = f'name={_quoted(nearby(one.file))} tests="{len(cases)}" failures="{bad}"'
        suites += [f"  <testsuite {head}>", *(f"    {case}" for case in cases), "  </testsuite>"]
    head = f'<testsuites name="qb lint" tests="{total}" failures="{failures}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *suites, "</testsuites>", ""])


FORMATS: Mapping[str, Callable[[Sequence[Linted]], str]] = {
    "sarif": sarif,
    "github": github,
    "junit": junit,
}


def _records() -> list[Hazard]:
    from qb_engine.analysis.hazards import all_hazards
    from qb_engine.analysis.remarks import REMARKS

    known = {record.id: record for record in (*(r for r, _ in all_hazards()), *REMARKS)}
    return [known[id] for id in sorted(known)]


def _rule(record: Hazard) -> dict[str, Any]:
    text = "\n\n".join(
        filter(
            None,
            (
                record.meaning,
                record.fix and f"Instead: {record.fix}",
                record.bad and f"Such as:\n\n    {_indented(record.bad)}",
                record.good and f"Better:\n\n    {_indented(record.good)}",
            ),
        )
    )
    return {
        "id": record.id,
        "name": "".join(word.capitalize() for word in record.id.split("-")),
        "shortDescription": {"text": record.id.replace("-", " ")},
        "fullDescription": {"text": record.meaning},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": LEVELS[str(record.severity)]},
    }


def _result(finding: Finding, numbers: Mapping[str, int]) -> dict[str, Any]:
    place = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(nearby(finding.file))},
            "region": {"startLine": max(finding.line, 1)},
        }
    }
    text = finding.message + (f". Instead: {finding.fix}" if finding.fix else "")
    found: dict[str, Any] = {
        "ruleId": finding.hazard,
        "level": LEVELS[str(finding.severity)],
        "message": {"text": text},
        "locations": [place],
        "properties": {
            "relation": finding.relation,
            "lock": finding.lock,
            "provenance": str(finding.provenance),
        },
    }
    if finding.hazard in numbers:
        found["ruleIndex"] = numbers[finding.hazard]
    if finding.accepted:
        found["suppressions"] = [{"kind": "inSource", "justification": finding.accepted}]
    return found


def _case(finding: Finding) -> str:
    name = f"{finding.hazard} (line {finding.line})"
    head = f"<testcase name={_quoted(name)} classname={_quoted(nearby(finding.file))}"
    if finding.accepted:
        return f"{head}><skipped message={_quoted(finding.accepted)}/></testcase>"
    lines = [finding.message, finding.why, finding.fix and f"fix: {finding.fix}"]
    text = _plain("\n".join(filter(None, [*lines, finding.statement])))
    if finding.severity == "notice":
        return f"{head}><system-out>{escape(text)}</system-out></testcase>"
    kind = f'type="{finding.severity}"'
    said = f"<failure message={_quoted(finding.message)} {kind}>{escape(text)}</failure>"
    return f"{head}>{said}</testcase>"


def _plain(text: str) -> str:
    return mask(text).translate(_CONTROL)


def _quoted(text: str) -> str:
    return quoteattr(_plain(text))


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n    ")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, list) else value
