"""string and template literals as JavaScript understands them"""

from __future__ import annotations

import re

from qb_engine.migrations.typescript.refusal import Refused

_SINGLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE = re.compile(
    r"\\(?:u\{(?P<point>[0-9a-fA-F]+)\}|u(?P<unit>[0-9a-fA-F]{4})|x(?P<byte>[0-9a-fA-F]{2})"
    r"|(?P<end>\r\n|[\n\r\u2028\u2029])|(?P<nul>0)(?![0-9])|(?P<other>.))",
    re.DOTALL,
)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_NEWLINE = re.compile(r"\r\n?")


def cooked(text: str, line: int, *, template: bool) -> str:
    """The value of what stands between the quotes.

    Raise Refused for what JavaScript refuses, and for old octal escapes.
    """
    if template and "\r" in text:
        text = _NEWLINE.sub("\n", text)
    if "\\" not in text:
        return text

    def replaced(match: re.Match[str]) -> str:
        if match["end"] is not None:
            return ""
        if match["nul"] is not None:
            return "\0"
        if digits := match["point"] or match["unit"] or match["byte"]:
            point = int(digits, 16)
            if point > 0x10FFFF:
                raise Refused("value", f"`{match[0]}` is no character", line)
            return chr(point)
        other = str(match["other"])
        if other in "ux":
            raise Refused("value", f"the escape `{match[0]}` is not complete", line)
        if other in "0123456789" and (template or other not in "89"):
            raise Refused("value", f"`{match[0]}` is an octal escape", line)
        return _SINGLE.get(other, other)

    return joined(_ESCAPE.sub(replaced, text))


def raw(text: str) -> str:
    """What `String.raw` makes of a template's text."""
    return _NEWLINE.sub("\n", text)


def joined(text: str) -> str:
    """A text whose two halves of a character are one, as they are in JavaScript."""
    if not text.isascii() and _PAIR.search(text):
        return _PAIR.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return text


def is_whole(text: str) -> bool:
    """False when half of a character stands alone: nothing can be sent of it."""
    return text.isascii() or _HALF.search(text) is None
