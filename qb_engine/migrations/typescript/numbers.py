"""numbers as JavaScript reads and writes them"""

from __future__ import annotations

import math
import re

_LITERAL = re.compile(r"0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+")
_BIG = re.compile(rf"{_LITERAL.pattern}|0|[1-9][0-9]{{0,4000}}")
_DECIMAL = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_LEADING = re.compile(r"[+-]?(?:Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)
SPACE = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)


def _whole(digits: str, radix: int) -> float:
    """A whole number, however big."""
    try:
        return float(int(digits, radix))
    except OverflowError:
        return math.inf


def literal(text: str) -> float | int | None:
    """A number as it stands in a file: a float, or an int for one with an n; None if unclear."""
    text = text.replace("_", "")
    if text.endswith("n"):
        return int(text[:-1], 0) if _BIG.fullmatch(text[:-1]) else None
    if _LITERAL.fullmatch(text):
        return _whole(text, 0)
    if _DECIMAL.fullmatch(text) and not (len(text) > 1 and text[0] == "0" and text[1].isdigit()):
        return float(text)
    return None  # 017 is octal in some files and an error in others


def from_text(text: str) -> float:
    """What `Number(text)` is."""
    text = text.strip(SPACE)
    if not text:
        return 0.0
    if _LITERAL.fullmatch(text):
        return _whole(text, 0)
    sign, bare = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    if bare == "Infinity" or (bare.isascii() and _DECIMAL.fullmatch(bare)):
        number = math.inf if bare == "Infinity" else float(bare)
        return -number if sign == "-" else number
    return math.nan


def parse_float(text: str) -> float:
    """What `parseFloat(text)` is."""
    found = _LEADING.match(text.strip(SPACE))
    return from_text(found[0]) if found else math.nan


def parse_int(text: str, radix: int) -> float:
    """What `parseInt(text, radix)` is, for a radix from 2 to 36; 0 stands for none given."""
    text = text.strip(SPACE)
    sign = -1 if text.startswith("-") else 1
    text = text[1:] if text[:1] in ("+", "-") else text
    if radix in (0, 16) and text[:2].lower() == "0x":
        text, radix = text[2:], 16
    radix = radix or 10
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"[:radix]
    end = 0
    while end < len(text) and text[end].isascii() and text[end].lower() in digits:
        end += 1
    if not end:
        return math.nan
    return sign * (float(text[:end]) if radix == 10 else _whole(text[:end], radix))


def written(number: float) -> str:
    """A number as `String(number)` writes it."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, part = mantissa.partition(".")
    part = "" if part == "0" else part
    point = len(whole) + int(exponent or 0)  # where the decimal point is in the digits
    digits = (whole + part).lstrip("0")
    point -= len(whole + part) - len(digits)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    head = digits[0] + ("." + digits[1:] if count > 1 else "")
    return f"{sign}{head}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def as_json(number: float) -> int | float | None:
    """A number as JSON has it: an int where JavaScript writes it like one, null for NaN."""
    if math.isnan(number) or math.isinf(number):
        return None
    text = written(number)
    return int(text) if "." not in text and "e" not in text else number
