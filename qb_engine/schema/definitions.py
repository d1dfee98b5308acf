"""reading the parts of an index out of its definition, as PostgreSQL prints it"""

from __future__ import annotations

from collections.abc import Iterator


def split_index(definition: str) -> tuple[tuple[str, ...], str | None]:
    """The key columns (plain names, or expressions as text) and the predicate of an index."""
    words = list(_words(definition))
    keys = next((word for word in words if word.startswith("(")), "()")
    predicate = words[words.index("WHERE") + 1 :] if "WHERE" in words else []
    columns = tuple(_column(part) for part in _split(keys[1:-1], ","))
    return columns, _bare(" ".join(predicate)) if predicate else None


def unquote(name: str) -> str:
    """An identifier as plain text."""
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        return name[1:-1].replace('""', '"')
    return name


def _words(text: str) -> Iterator[str]:
    return (word for word in _split(text, " ") if word)


def _split(text: str, separator: str) -> Iterator[str]:
    """Split at separators that are outside of quotes and parentheses."""
    depth, quote, start = 0, "", 0
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote  # a doubled quote closes and opens again
        elif char in "'\"":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == separator and not depth:
            yield text[start:i]
            start = i + 1
    yield text[start:]


def _column(part: str) -> str:
    """A key without its collation, operator class and order."""
    first = next(_words(part.strip()), "")
    return unquote(_bare(first))


def _bare(expression: str) -> str:
    """An expression without the parentheses around the whole of it."""
    while expression.startswith("(") and expression.endswith(")"):
        inner = expression[1:-1]
        if len(list(_split(inner, ")"))) != 1 or not _balanced(inner):
            break
        expression = inner
    return expression


def _balanced(text: str) -> bool:
    """True when no parenthesis closes before it opens."""
    depth, quote = 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth < 0:
                return False
    return depth == 0
