"""asking the rules of a migration: before it, after it, and later"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.constraints.rules.custom import RuleRaised
from qb_engine.constraints.rules.reading import Limits, in_transaction, reading
from qb_engine.constraints.rules.rule import DeclaredRule, Observed, Outcome, Verdict
from qb_engine.database.connect import lost
from qb_engine.errors import InputError

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection

# What is not there: a table, a column, a schema, a type or another object. (A function is not told
# from an operator, and that is missing where a type is wrong.)
MISSING = ("42P01", "42703", "3F000", "42704")
RETRIED = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
HINTS = {
    "25006": "a rule may only read: take the function that writes out of it",
    "42501": "run as a role that may read all of it; under row security, as the table's owner",
    "55P04": "a value that this transaction has added to an enum cannot be named before its end:"
    " compare the column::text",
}


@dataclass(frozen=True, slots=True)
class Memo:
    """What was seen before the migration: a memo per rule, and the verdicts that were due."""

    memos: tuple[Any, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class _Failed:
    """In place of a memo: the rule could not see what was before."""

    verdict: Verdict


def asked(
    conn: Connection, rules: Sequence[DeclaredRule], limits: Limits | None = None
) -> tuple[Outcome, ...]:
    """The verdicts on the rules that must hold before a migration; nothing is remembered.

    For `qb verify`. Each rule has a read-only transaction of its own, under `limits`.
    """
    due = [rule for rule in rules if rule.before]
    return tuple(Outcome(rule, _verdict(conn, rule, None, (), limits)) for rule in due)


def before(conn: Connection, rules: Sequence[DeclaredRule], limits: Limits | None = None) -> Memo:
    """Ask what must hold before a migration, and remember what `after` compares with.

    Call it on the connection that runs the migration, first thing in its first transaction (again
    after a retry), and hand the outcomes to `insist`. Without rules that look at what was before,
    nothing is sent. Lock timeouts, deadlocks, cancellation and a lost connection are raised as
    psycopg raises them, for whoever retries.
    """
    memos: list[Any] = []
    for rule in rules:
        remember = getattr(rule.rule, "before", None) if rule.after else None
        memos.append(_memo(conn, remember, rule, limits) if remember else None)
    return Memo(tuple(memos), asked(conn, rules, limits))


def after(
    conn: Connection,
    rules: Sequence[DeclaredRule],
    memo: Memo,
    seen: Sequence[Observed],
    limits: Limits | None = None,
) -> tuple[Outcome, ...]:
    """Ask what must hold after a migration; `seen` is what was observed of all its steps.

    Call it on the connection that ran the migration, last thing before the COMMIT (deferred
    constraints checked first), and hand the outcomes to `insist`, which raises. Where the migration
    is not one transaction, call it at its end. With an empty Memo, rules that compare with what was
    before are skipped, and say so.
    """
    found = []
    unknown = not memo.memos  # as when a run goes on that another process began
    for rule, remembered in zip(rules, [None] * len(rules) if unknown else memo.memos):
        if not rule.after:
            continue
        if unknown and hasattr(rule.rule, "before"):
            found.append(Outcome(rule, None, "not asked: what was before is not known"))
        elif isinstance(remembered, _Failed):
            found.append(Outcome(rule, remembered.verdict))
        else:
            found.append(Outcome(rule, _verdict(conn, rule, remembered, seen, limits)))
    return tuple(found)


def later(
    conn: Connection, rules: Sequence[DeclaredRule], limits: Limits | None = None
) -> tuple[Outcome, ...]:
    """Ask what an applied migration's rules say of the database as it is now.

    For `qb validate --data`. Rules about one run, and those about what a later migration has taken
    away, are skipped and say so.
    """
    found = []
    for rule in rules:
        if rule.momentary:
            found.append(Outcome(rule, None, f"not asked: {rule.momentary}"))
            continue
        verdict = _verdict(conn, rule, None, (), limits)
        gone = f"not asked: what it speaks of is gone ({verdict.observed})"
        found.append(Outcome(rule, None, gone) if verdict.missing else Outcome(rule, verdict))
    return tuple(found)


def _memo(conn: Connection, remember: Any, rule: DeclaredRule, limits: Limits | None) -> Any:
    held = in_transaction(conn)
    try:
        with reading(conn, limits) as read:
            return remember(read)
    except (psycopg.Error, InputError) as error:
        return _Failed(_failure(error, held, rule))


def _verdict(
    conn: Connection,
    rule: DeclaredRule,
    memo: Any,
    seen: Sequence[Observed],
    limits: Limits | None,
) -> Verdict:
    held = in_transaction(conn)
    try:
        with reading(conn, limits) as read:
            return rule.rule.check(read, memo, seen)
    except (psycopg.Error, InputError) as error:
        return _failure(error, held, rule)


def _failure(error: psycopg.Error | InputError, held: bool, rule: DeclaredRule) -> Verdict:
    """The verdict on a rule that could not be asked; raise what is not the rule's fault.

    `held` says that a transaction depends on it, which may be tried again as a whole.
    """
    expected = "an answer"
    if isinstance(error, InputError):
        rows = (f"in {error.where}",) if isinstance(error, RuleRaised) else ()
        why = "" if isinstance(error, RuleRaised) else f": {error.why}"
        return Verdict(False, f"{error.what}{why}", expected, error.todo, rows)
    if lost(error) or (held and isinstance(error, RETRIED)):
        raise error
    diagnostic = error.diag
    message = diagnostic.message_primary or " ".join(str(error).split())
    if isinstance(error, psycopg.errors.QueryCanceled) and "statement timeout" not in message:
        raise error
    rows = (diagnostic.message_detail,) if diagnostic.message_detail else ()
    state = error.sqlstate or ""
    fix = HINTS.get(state) or diagnostic.message_hint or "mend the rule"
    return Verdict(False, f"ERROR: {message}", expected, fix, rows, state in MISSING)
