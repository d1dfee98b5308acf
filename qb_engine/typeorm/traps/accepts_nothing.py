"""an acceptance of something that nobody finds"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache

from qb_engine.analysis.accept import acceptances
from qb_engine.analysis.hazards import all_hazards
from qb_engine.analysis.remarks import REMARKS
from qb_engine.typeorm.traps.project import Project
from qb_engine.typeorm.traps.trap import Example, Finding, Severity, Trap, file_of, written

NAME = "AddNotes1710460800000"
ROWS = (
    "const rows = await queryRunner.query(`SELECT id FROM shops`)\n"
    "for (const row of rows) {\n"
    "    await queryRunner.query(`CREATE TABLE notes_${row.id} (id int)`)\n}"
)


def _accepting(trap: str) -> Mapping[str, str]:
    comment = f"// qb:accept {trap} because TypeORM runs it"
    return {file_of(NAME): f"{comment}\n{written(NAME, code=ROWS)}"}


TRAP = Trap(
    id="accepts-nothing",
    severity=Severity.NOTICE,
    stage="files",
    title="{what}",
    meaning="A comment accepts what qb typeorm check or qb lint finds, by its name and with a "
    "reason. Without these what it was meant for is told as ever.",
    fix="{todo}",
    bad=Example(_accepting("dynamic-methods")),
    good=Example(_accepting("dynamic-method")),
)


def find(project: Project) -> Iterator[Finding]:
    for file in project.files:
        for each in acceptances(file.text, str(file.path)):
            for name in each.ids:
                if name not in _known():
                    what = f"nothing is called {name}, which a comment accepts{_near(name)}"
                    todo = "write it as the report does, or remove the comment"
                elif not each.reason and name in _traps():  # of the others qb lint tells it
                    what = f"the acceptance of {name} gives no reason, and does not count"
                    todo = f"write: // qb:accept {name} because REASON"
                else:
                    continue
                yield TRAP.at(file.path, each.line, what=what, todo=todo)


def _traps() -> tuple[str, ...]:
    from qb_engine.typeorm.traps import all_traps

    return tuple(trap.id for trap, _ in all_traps())


@cache
def _known() -> tuple[str, ...]:
    """Everything that is found in a script, by its id."""
    hazards = (record.id for record, _ in all_hazards())
    return (*_traps(), *hazards, *(record.id for record in REMARKS))


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, _known(), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
