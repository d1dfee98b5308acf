"""a name that is too long is cut, with a notice that nobody reads"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation

HAZARD = Hazard(
    id="identifier-truncated",
    severity=Severity.WARNING,
    title="the name {name} is cut to {cut}",
    meaning="PostgreSQL keeps 63 bytes of a name. The next statement that writes it whole is cut "
    "in the same way, but applications and tools look for the whole name, and two long names may "
    "become one.",
    bad="CREATE INDEX CONCURRENTLY "
    "users_city_is_looked_up_by_the_nightly_report_of_the_billing_department ON users (city)",
    good="CREATE INDEX CONCURRENTLY users_city ON users (city)",
    fix="choose a name of at most 63 bytes",
)

SAID = re.compile(r'identifier "(.+)" will be truncated to "(.+)"')


def find(at: Situation) -> Iterator[Finding]:
    before = {text for each in at.earlier for text in each.facts.messages}
    for text in dict.fromkeys(at.facts.messages):
        if text not in before and (said := SAID.search(text)):
            yield HAZARD.at(at, name=said[1], cut=said[2])
