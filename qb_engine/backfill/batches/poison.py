"""finding the rows that make a batch fail: by smaller and smaller batches, which are committed

What is before such a row is written as any other batch is, so nothing is written twice or rolled
back more than once, deferred constraints speak at each commit, and locks are held no longer than
usual. Alone in its batch, a row that fails is the one: on_error says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from qb_engine.backfill.batches import failures
from qb_engine.backfill.spec import Spec

if TYPE_CHECKING:
    from qb_engine.migrations.declaration import Backfill

Answer = Literal["stop", "quarantine", "skip"]


class BadAnswer(Exception):
    """The user's `on_error` raised something, or returned what is no answer."""


class Narrowing:
    """How many keys the next batch may take while a row is looked for; pure arithmetic.

    A batch of n keys that fails is halved: log2 n smaller batches later the row stands alone. After
    it the batches grow again from one key, so that a row close behind it costs little.
    """

    def __init__(self) -> None:
        self.within = 0  # a failure is known to be among so many keys from the cursor
        self.step = 0  # keys of the next batch while it grows; 0: as many as the throttle says

    def size(self, wanted: int) -> int:
        """The keys of the next batch, instead of `wanted`."""
        if self.within:
            return max(1, min(self.within // 2, wanted))
        if self.step >= wanted:
            self.step = 0
        return self.step or wanted

    @property
    def careful(self) -> bool:
        """True while a failure is near, so that it is worth knowing which row is next."""
        return bool(self.within or self.step)

    def failed(self, size: int) -> None:
        """A batch of `size` keys failed on its rows."""
        self.within, self.step = size, 0

    def passed(self, size: int) -> None:
        """A batch of `size` keys was committed."""
        if self.within:
            self.within = max(0, self.within - size)
            self.step = 0 if self.within else 1
        elif self.step:
            self.step *= 2

    def found(self) -> None:
        """The row was dealt with: go on behind it, with care."""
        self.within, self.step = 0, 1


def answer(spec: Spec, code: Backfill | None, error: BaseException, key: Sequence[str]) -> Answer:
    """What on_error says of a row that cannot be written.

    Raise BadAnswer, which ends the backfill, when the user's method fails.
    """
    policy = spec.options.on_error
    if policy != "call":
        return policy
    if code is None:
        raise BadAnswer("its on_error is a method, and this worker has no file")
    try:
        said = code.on_error(failures.raised(error), named(spec, key))
    except (Exception, SystemExit) as raised:  # noqa: BLE001 - the user's code
        raise BadAnswer(f"on_error raised {type(raised).__name__}: {raised}") from None
    if said not in get_args(Answer):
        raise BadAnswer(
            f"on_error returned {said!r:.60}, which is none of {', '.join(get_args(Answer))}"
        )
    return said  # type: ignore[no-any-return]


def named(spec: Spec, key: Sequence[str]) -> dict[str, str]:
    """A key by its columns, as text."""
    return {column.name: value for column, value in zip(spec.key, key, strict=True)}


def place(spec: Spec, key: Sequence[str]) -> str:
    """A row, as the ledger names it."""
    at = ", ".join(f"{name} = {value}" for name, value in named(spec, key).items())
    return f"row {at} of {spec.schema}.{spec.table}"
