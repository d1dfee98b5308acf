"""statements in the text of a block that did not run, because it found no rows on the shadow"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qb_engine.analysis.changes import Changes
from qb_engine.analysis.facts import Provenance, WorkKind
from qb_engine.analysis.hazards import bulk_dml
from qb_engine.analysis.hazards.hazard import Finding, Hazard, Severity, Situation
from qb_engine.execution.observation import strength
from qb_engine.sql import SqlError, Statement, read_one
from qb_engine.sql.procedural import Body, Inner, body
from qb_engine.sql.relations import used

HAZARD = Hazard(
    id="not-reached",
    severity=Severity.NOTICE,
    title="not run on the shadow: {what}",
    meaning="A condition or a loop decides whether it runs, and the shadow has no rows: nobody has "
    "seen its locks and its work. With the target's rows it may well run.",
    bad="DO $$ BEGIN IF (SELECT count(*) FROM users) > 10 THEN"
    " ALTER TABLE users ALTER age TYPE bigint; END IF; END $$",
    good="ALTER TABLE users ALTER age DROP DEFAULT",
    fix="look at it as a statement of its own: put it into a file and lint that",
)

RUNS = ("do", "call", "select")
CHANGES = ("update", "delete", "insert", "merge")
KINDS = re.compile(
    r"^(?:alter|rename|create|drop|truncate|reindex|cluster|vacuum|refresh|index|rule|view)"
)
WORDS = re.compile(
    r"(?i)\b(?:alter|create|drop|update|delete|insert|merge|truncate|reindex|cluster|vacuum"
    r"|refresh)\b"
)
# answers that an empty copy gives like the target
CATALOGS = ("pg_catalog", "information_schema")
CATALOG_CALLS = re.compile(r"(?i)\b(?:to_reg\w+|has_\w+_privilege)\s*\(|::\s*reg\w+|server_version")
WEAK = strength("RowExclusiveLock")


def find(at: Situation) -> Iterator[Finding]:
    if at.kind not in RUNS or at.facts.error:
        return
    own = (at.step.statement.sql,) if at.kind == "do" else ()
    seen: dict[str, None] = {}
    said = any(True for _ in bulk_dml.find(at))
    for text in (*own, *at.facts.bodies):
        block = body(text)
        if block.forks and not _same_without_rows(block):
            for inner in block.inner:
                if not (_ran(at, inner, block) or (said and _changes_rows(inner))):
                    seen[_shown(inner)] = None
    for what in seen:
        yield HAZARD.at(at, what=what, provenance=Provenance.STATIC)


def _changes_rows(inner: Inner) -> bool:
    statement = None if inner.composed else _parsed(inner.sql)
    return statement is not None and statement.kind in CHANGES


def _shown(inner: Inner) -> str:
    text = " ".join(inner.sql.split())
    text = f"EXECUTE {text}" if inner.composed else text
    return text if len(text) <= 100 else text[:97] + "..."


def _same_without_rows(block: Body) -> bool:
    """True when all that a block decides by is in the catalog, as far as its text tells."""
    asked = False
    reading = [inner.sql for inner in block.inner if not inner.composed]
    for text in (*block.read, *reading):
        node = _parsed(text)
        if node is None:
            return False
        if node.kind not in ("select", *CHANGES):
            continue
        for schema, name in used(node.node).tables:
            if schema not in CATALOGS and not name.startswith("pg_"):
                return False
            asked = True
        asked = asked or bool(CATALOG_CALLS.search(text))
    return asked and block.whole


def _parsed(text: str) -> Statement | None:
    """A statement, an assignment or an expression of a block."""
    expression = re.sub(r"^[\w.\[\]\"]+\s*:?=(?!=)", "", text)
    for sql in (text, f"SELECT {expression}"):
        try:
            found = read_one(sql)
        except SqlError:  # an expression is none alone
            continue
        if found.node is not None:
            return found
    return None


def _ran(at: Situation, inner: Inner, block: Body) -> bool:
    """True when what was seen may be what the statement did, or it does nothing of note."""
    if inner.composed:
        return not WORDS.search(inner.sql) or _any_sign(at)
    statement = _parsed(inner.sql)
    if statement is None or statement.kind == "unknown":
        return not WORDS.match(inner.sql.lstrip()) or _any_sign(at)
    change = statement.kind in CHANGES
    if not change and not KINDS.match(statement.kind):
        return True
    names = statement.relations
    if change and block.commits:
        return True  # batches, whose locks are gone when anybody looks
    if not names:
        return _any_sign(at)
    if change:
        names = names[:1]  # what it changes; the rest is read
    return all(_touched(at, schema, name, weak=change) for schema, name in names)


def _touched(at: Situation, schema: str, name: str, *, weak: bool) -> bool:
    def same(relation: str) -> bool:
        of, _, bare = relation.rpartition(".")
        return bare == name and schema in ("", of)

    changes = at.changes
    made = {*at.made, *changes.new, *changes.created, *changes.dropped}
    if any(map(same, made)):
        return True
    modes = [strength(lock.mode) for lock in at.facts.locks if same(lock.relation)]
    if any(mode >= WEAK if weak else mode > WEAK for mode in modes):
        return True
    # a lock that was held before is not taken again, so only what it is for can tell
    held = [strength(mode) for relation, mode in at.held.items() if same(relation)]
    if weak:
        return any(mode >= WEAK for mode in held)
    worked = {work.relation for work in at.facts.work if work.kind is not WorkKind.SCAN}
    return any(map(same, (*_changed(changes), *worked)))


def _changed(changes: Changes) -> Iterator[str]:
    """The tables of which anything was changed."""
    states = (
        *changes.added_columns, *changes.dropped_columns, *changes.set_not_null,
        *changes.added_constraints, *changes.dropped_constraints, *changes.validated,
        *changes.added_indexes, *changes.dropped_indexes, *changes.rebuilt,
        *(each.after for each in (*changes.renamed_columns, *changes.retyped_columns)),
    )  # fmt: skip
    yield from (state.table for state in states)
    yield from (*changes.rls_enabled, *changes.emptied)
    for each in (*changes.renamed, *changes.attached, *changes.detached):
        yield from (each.before, each.after)


def _any_sign(at: Situation) -> bool:
    """True when the block has changed anything, or locked it as only changes do."""
    strong = any(strength(lock.mode) > WEAK for lock in at.facts.locks)
    changes = at.changes
    made = (changes.created, changes.dropped, changes.ruled_domains, changes.renamed_schemas)
    return strong or any(made)
