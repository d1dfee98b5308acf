"""what must not be shown: passwords, remembered so that they can be masked wherever text leaves"""

from __future__ import annotations

import re
import threading

MASK = "***"

_known: set[str] = set()
_lock = threading.Lock()

# scheme://user:password@host; greedy up to the last @, because raw passwords hold @ and :
_URL_PASSWORD = re.compile(r"([A-Za-z0-9+.-]://[^\s:/@'\"]*):[^\s'\"]*@")
_KEYWORD_PASSWORD = re.compile(
    r"(?i)((?:password|passwd|pwd|api_key))(\s*[=:]\s*)"
    r"""(''[^']+''|'(?:[^'\\]|\\.)*'|"[^"]*"|[^\s&'",}]+)"""
)

# PASSWORD 'x' of CREATE ROLE, OPTIONS (password 'x') of a user mapping: the literal stands beside
# the word. The text may be nested in another literal ('' for '), be written as JSON (\n for a
# line's end), or be cut off before the literal ends. No branch can be tried in two ways (*+).
_GAP = r"(?:\s|\\[nrt]|/\*.*?\*/|--[^\n]*\n)"
_SQL_PASSWORD = re.compile(
    rf"""(?isx)
    ((?:password|passwd|pwd) (?:\\*")? {_GAP}*+)
    (?:
        (?:n|u&)? (?<!d)'' (?:[^']|\'{{4}})++ \'\'        # in a literal
      | e' (?:[^'\\]|''|\\++'?)*+ (?:'|\Z)                # with backslashes
      | (?!(?<=d)'s\b) (?:n|u&)? \\*' (?:[^']|'')*+ (?:'|\Z)
      | (\$(?:[a-z_]\w*)?\$) .*? (?:\2|\Z)
    )
    (?: (?:[ \t]*+(?:[\r\n]|\\[nr])(?:\s|\\[nrt])*+) '(?:[^']|'')*+' )*  # goes on a line below
    """
)


def remember(secret: str | None) -> None:
    """Mask `secret` from now on, in every text that goes through `mask`."""
    if secret and len(secret) >= 3:  # shorter ones would mask ordinary words
        with _lock:
            _known.add(secret)


def mask(text: str) -> str:
    """Return `text` without passwords: the remembered ones, and whatever looks like one."""
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, MASK)
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    text = _KEYWORD_PASSWORD.sub(rf"\1\2{MASK}", text)
    return _SQL_PASSWORD.sub(rf"\1{MASK}", text)
