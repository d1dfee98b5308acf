"""reading the parts of an index out of its definition, as PostgreSQL prints it"""

from __future__ import annotations

from collections.abc import Iterator


def split_index(definition: str) -> tuple[tuple[str, ...], str | None]:
    """The key columns (plain names, or expressions as text) and the predicate of an index."""
    words = list(_words(definition))
    keys = next((word for word in words if word.startswith("(")), "()")
    predicate = words[words.index("WHERE") + 1 :] if "WHERE" in words else []
    columns = tuple(_column(part) for part in split_outside(keys[1:-1], ","))
    return columns, _bare(" ".join(predicate)) if predicate else None


def unquote(name: str) -> str:
    """An identifier as plain text."""
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        return name[1:-1].replace('""', '"')
    return name


def _words(text: str) -> Iterator[str]:
    return (word for word in split_outside(text, " ") if word)


def split_outside(text: str, separator: str) -> Iterator[str]:
    """Split at separators that are outside of quotes and parentheses."""
    depth, quote, start = 0, "", 0
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote  # a doubled quote closes and opens again
        elif char == separator and not depth:
            yield text[start:i]
            start = i + 1
        elif char in "'\"":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
    yield text[start:]


def _column(part: str) -> str:
    """A key without its collation, operator class and order."""
    first = next(_words(part.strip()), "")
    return unquote(_bare(first))


def _bare(expression: str) -> str:
    """An expression without the parentheses around the whole of it."""
    while expression.startswith("(") and expression.endswith(")"):
        inner = expression[1:-1]
        if len(list(split_outside(inner, ")"))) > 1:  # these two are not a pair
            break
        expression = inner
    return expression
