"""what a lane does about a failed batch: it waits, connects again, narrows down, or gives up"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from qb_engine.backfill import records
from qb_engine.backfill.batches import failures, poison, quarantine
from qb_engine.backfill.batches.batch import Fenced, Halted, Held
from qb_engine.backfill.batches.failures import Verdict
from qb_engine.backfill.batches.poison import BadAnswer, Narrowing
from qb_engine.backfill.batches.recovery import Action, Recovery
from qb_engine.backfill.walk import statements
from qb_engine.errors import QbError
from qb_engine.secrets import mask

if TYPE_CHECKING:
    from qb_engine.backfill.batches.segment import Means
    from qb_engine.backfill.spec import Spec
    from qb_engine.backfill.throttle import Throttle

Connection = psycopg.Connection[Any]
T = TypeVar("T")
ERRORS = (psycopg.Error, QbError)

TRIED = """
SELECT tries, coalesce(extract(epoch FROM clock_timestamp() - failing_since), 0)::float8
FROM qb.segment WHERE backfill = %s AND number = %s
"""

TELL = """
UPDATE qb.segment SET note = %s, tries = %s,
    failing_since = coalesce(failing_since, clock_timestamp())
WHERE backfill = %s AND number = %s AND epoch = %s
"""

LOOKED_FOR = "looking for the row that cannot be written: "


class Stopped(Exception):
    """A batch failed in a way that is not to be tried again; as text, what the ledger shall say.

    `row` says on which row it did, where that is known.
    """

    def __init__(self, error: BaseException, row: str = "", said: str = "") -> None:
        verdict = failures.judge(error)
        if not said and verdict is Verdict.STOP and isinstance(error, QbError):
            said = error.todo
        text = failures.told(error)
        text += f", at {row}" if row else ""
        super().__init__(f"{text}; {failures.kept(said)}" if said else text)
        self.error = error
        self.row = row
        self.sqlstate = failures.code(error) or verdict.value


class Link:
    """The connection of a lane: the one it was given, or those that it made when that was lost."""

    def __init__(self, conn: Connection, reconnect: Callable[[], Connection] | None) -> None:
        self.conn = conn
        self._given = conn
        self._reconnect = reconnect

    @property
    def renewable(self) -> bool:
        return self._reconnect is not None

    def renew(self) -> None:
        """Connect again. Raise ServerError when the server does not answer."""
        assert self._reconnect is not None
        self.close()
        self.conn.close()
        self.conn = self._reconnect()

    def close(self) -> None:
        """Close what was made here; the given connection is the giver's."""
        if self.conn is not self._given:
            self.conn.close()


@dataclass(frozen=True, slots=True)
class Alone:
    """The key that is next when a batch of one key is tried; None when there is no row."""

    key: list[str] | None


class Mending:
    """The errors of one lane's batches, and how it goes on after each."""

    def __init__(self, link: Link, spec: Spec, means: Means) -> None:
        self.link = link
        self.means = means
        self.limits = means.limits
        self.recovery = Recovery(spec, means.code)
        self._narrowing = Narrowing()
        self._alone: Alone | None = None

    def begin(self, held: Held) -> None:
        """Count the tries before this lane's, where a strategy limits them."""
        if not self.recovery.limited:
            return
        of = [held.backfill, held.segment]
        found = self.asked(lambda db: db.execute(TRIED, of).fetchone())
        if found:
            self.recovery.resumed(*found)

    def size(self, spec: Spec, held: Held, wanted: int) -> int:
        """How many keys the next batch takes, where the throttle wants so many."""
        size = self._narrowing.size(wanted)
        self._alone = None
        if size == 1 and self._narrowing.careful:
            boundary = statements.boundary(spec.part(*held.part), held.after, held.hi, 1)
            found = self.link.conn.execute(boundary).fetchone()
            self._alone = Alone(found[0] if found else None)
        return size

    def passed(self, size: int) -> None:
        """A batch was committed."""
        self._narrowing.passed(size)
        self.recovery.succeeded()

    def after(
        self, error: BaseException, spec: Spec, held: Held, size: int, throttle: Throttle
    ) -> Held | str:
        """Do what is to be done about an error of a batch of `size` keys.

        The claim to go on with, or why the segment ends here. Raise Stopped, or the error itself
        when a lane that starts over may have more luck.
        """
        action = self._decided(error)
        if action.verdict is Verdict.DATA:
            return self._narrowed(error, spec, held, size)
        if action.verdict is Verdict.FEWER:
            self._gentler(error, size, throttle)
        return self._waited(action, error, held)

    def asked(self, ask: Callable[[Connection], T]) -> T:
        """The answer of the ledger, in spite of errors that time heals; raise as `after` does."""
        failed = False
        while True:
            try:
                found = ask(self.link.conn)
            except ERRORS as error:
                failed = True
                action = self._decided(error)
                if not self.means.wait(action.wait_s):
                    raise
                self._connected(action)
                continue
            if failed:
                self.recovery.succeeded()
            return found

    def _connected(self, action: Action) -> None:
        while action.verdict is Verdict.LATER or self.link.conn.closed:
            try:
                return self.link.renew()
            except ERRORS as error:
                action = self._decided(error)
                if not self.means.wait(action.wait_s):
                    raise

    def _decided(self, error: BaseException) -> Action:
        action = self.recovery.decide(error)
        if action is None:
            raise error
        if action.verdict is Verdict.STOP:
            raise Stopped(error, said=action.said) from None
        lost = self.link.conn.closed or action.verdict is Verdict.LATER
        if lost and not self.link.renewable:
            raise error
        return action

    def _renewed(self, held: Held) -> Held | str:
        """Connect again, and take the segment back unless somebody else has it by now."""
        while True:
            try:
                self.link.renew()
                return records.reclaim(self.link.conn, held, self.means.worker, self.limits.lock_ms)
            except ERRORS as error:
                if not self.means.wait(self._decided(error).wait_s):
                    return "stopped"

    def _narrowed(self, error: BaseException, spec: Spec, held: Held, size: int) -> Held | str:
        """Look for the row in smaller batches; do what on_error says once it stands alone."""
        if size > 1 or self._alone is None:
            self._narrowing.failed(size)
            self._tell(held, LOOKED_FOR + failures.told(error))
            return held
        key = self._alone.key
        if key is None:  # not even without rows
            raise Stopped(error)
        at = poison.place(spec.part(*held.part), key)
        try:
            says = poison.answer(spec, self.means.code, error, key)
        except BadAnswer as bad:
            raise Stopped(error, at, str(bad)) from None
        if says == "stop":
            raise Stopped(error, at)
        try:
            moved = quarantine.set_aside(
                *(self.link.conn, spec, held, self.limits, error, key),
                state="open" if says == "quarantine" else "skipped",
                failed=self.recovery.failed,
            )
        except quarantine.Full:
            said = f"as many rows are in quarantine as max_errors allows: {spec.options.max_errors}"
            raise Stopped(error, at, said) from None
        except Fenced:
            return "fenced"
        except Halted as halted:
            return str(halted)
        except psycopg.Error as another:
            if failures.judge(another) is Verdict.DATA:
                raise Stopped(another, at) from None
            return self._waited(self._decided(another), another, held)
        if moved is None:  # another row is next by now
            return held
        self.means.aside()
        self._narrowing.found()
        self.recovery.succeeded()
        return moved

    def _waited(self, action: Action, error: BaseException, held: Held) -> Held | str:
        """Wait, with the reason in the ledger; connect again where that is needed."""
        gone = action.verdict is Verdict.LATER or self.link.conn.closed
        if not gone:
            self._tell(held, failures.told(error))
        if not self.means.wait(action.wait_s):
            return "stopped"
        return self._renewed(held) if gone else held

    def _gentler(self, error: BaseException, size: int, throttle: Throttle) -> None:
        """Fewer rows after a timeout; more time when it is one row already."""
        if size > 1:
            throttle.fewer()
        elif failures.code(error) == "57014":
            self.limits = replace(self.limits, statement_ms=self.limits.statement_ms * 2)
        else:
            raise Stopped(error, said="with a single row, too")

    def _tell(self, held: Held, text: str) -> None:
        """Say in the ledger why a batch is tried again."""
        self.link.conn.execute(
            TELL,
            [mask(text), self.recovery.tries, held.backfill, held.segment, held.epoch],
        )
