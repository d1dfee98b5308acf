"""what every panel does with callbacks and jobs: nothing raises, and our own writing is no press"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from qb_engine.commands import Face, unforeseen
from qb_engine.errors import QbError
from qb_magic.session import NotebookSession

if TYPE_CHECKING:
    from qb_engine.commands import Session
    from qb_engine.database import Target

T = TypeVar("T")


class PanelFace(Face):
    """Asks nothing and says nothing: a button's thread has nobody to talk to."""

    keeps_input = True


class Boundary(ABC):
    """A panel's callbacks, on whatever thread the kernel calls from, and its jobs.

    A panel says what a press does (`press`), and shows changes of its state (`_change`).
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._shower = 0  # the thread that is writing to the widgets right now

    @abstractmethod
    def press(self, verb: str) -> None:
        """Do what a button stands for."""

    @abstractmethod
    def _change(self, **changes: Any) -> None:
        """Replace parts of the state, and show what that changes."""

    def _listen(self, buttons: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        """Have buttons pressed by their verbs, and the state hold what is typed into fields."""
        self._fields = fields
        for verb, button in buttons.items():
            button.on_click(self._guarded(partial(self._pressed, verb)))
        for field, widget in fields.items():
            widget.observe(self._guarded(partial(self._typed, field)), "value")

    def _pressed(self, verb: str, _button: Any) -> None:
        self.press(verb)

    def _typed(self, field: str, change: Any) -> None:
        self._change(**{field: change["new"]})

    def _guarded(self, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        """The error boundary of every callback: what goes wrong is shown in the panel."""

        def handle(event: Any) -> None:
            if self._shower == threading.get_ident():
                return  # our own writing, not the user's
            try:
                handler(event)
            except Exception as error:  # noqa: BLE001 - shown in the panel, as a defect
                self._change(error=unforeseen(error))

        return handle

    def _tried(self, work: Callable[[], T]) -> tuple[T | None, QbError | None]:
        """The error boundary of every job: what was asked for, or an error; nothing raised."""
        try:
            return work(), None
        except QbError as error:
            return None, error
        except Exception as error:  # noqa: BLE001 - shown in the panel, as a defect
            return None, unforeseen(error)

    def _clear(self, *fields: str) -> None:
        """Empty text fields: on the page, and through their observers in the state."""
        for field in fields:
            self._fields[field].value = ""

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What changes widgets in here is not taken for the user's doing."""
        self._shower = threading.get_ident()
        try:
            yield
        finally:
            self._shower = 0


def session_like(session: Session, target: Target) -> NotebookSession:
    """A session of a panel's own on the same project: each of its threads needs one."""
    made = NotebookSession(PanelFace(), session.project.root)
    made.use(target)
    return made
