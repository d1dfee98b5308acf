"""IPython's side of completion: where the cursor is, who answers, and that nothing is raised"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qb_magic.completion import line, sql
from qb_magic.completion.offer import Known, Offer

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

log = logging.getLogger(__name__)

IDENTIFIER = "qb"
_LINE = re.compile(r"^\s*(?:[^%=]+=\s*)?%{1,2}qb\s+(?P<words>.*)$")
_DRAFT = re.compile(r"^\s*%%qb\s+draft\b(?P<words>.*)")
_PYTHON = re.compile(r"\s--(?:py|backfill)\b")


def register(shell: InteractiveShell, known: Callable[[], Known]) -> None:
    """Add the matcher to the shell; `known` gives the names and must not ask a server."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier=IDENTIFIER)  # type: ignore[untyped-decorator]
    def qb(context: CompletionContext) -> SimpleMatcherResult:
        try:
            word, offers = complete(
                context.full_text, context.cursor_line, context.text_until_cursor, known
            )
        except Exception:  # typing goes on, whatever is wrong with a name
            log.debug("completion failed", exc_info=True)
            word, offers = "", []
        return {
            "completions": [SimpleCompletion(offer.text, type=offer.kind) for offer in offers],
            "matched_fragment": word,
            "suppress": bool(offers),
            "ordered": True,
        }

    _matchers(shell).append(qb)


def unregister(shell: InteractiveShell) -> None:
    """Take the matcher away again."""
    matchers = _matchers(shell)
    matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", "") != IDENTIFIER]


def complete(
    text: str, row: int, before: str, known: Callable[[], Known]
) -> tuple[str, list[Offer]]:
    """The word before the cursor and what may stand there, wherever in a cell the cursor is."""
    found = _LINE.match(before)
    if found:
        from qb_engine.commands import group

        return line.complete(group, found["words"], known)
    draft = _DRAFT.match(text)
    if draft and row > 0 and not _PYTHON.search(draft["words"]):
        body = text.partition("\n")[2]
        return sql.complete(body, before, known().catalogue)
    return "", []


def _matchers(shell: InteractiveShell) -> list[Any]:
    matchers: list[Any] = shell.Completer.custom_matchers
    return matchers
