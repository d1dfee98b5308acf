"""a migration as the text of a Python file, as one would write it by hand"""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
from collections.abc import Iterable, Mapping
from typing import Any

from qb_engine.drafting.cell import DECLARED, Cell, homes, imports
from qb_engine.drafting.derive import WayBack
from qb_engine.errors import InputError
from qb_engine.sql import Statement, read
from qb_engine.sql.tree import equal

WIDTH = 100
INDENT = "    "
DEEP = 4  # dictionaries in each other: constraints that speak of columns


def class_name(name: str) -> str:
    """`add_user_email` as `AddUserEmail`; never the name of something the file imports."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_") if part)
    taken = camel in homes() or keyword.iskeyword(camel) or not camel[:1].isalpha()
    return f"Migrate{camel}" if taken else camel


def from_sql(name: str, up: str, constraints: Mapping[str, Any], way: WayBack) -> str:
    """A Migration class around SQL text."""
    body = _attributes(up=up, constraints=constraints, way=way)
    return (
        f'"""{_title(name)}"""\n\nfrom qb_engine import Migration\n\n\n'
        f"class {class_name(name)}(Migration):\n{body}"
    )


def from_cell(
    name: str, cell: Cell, constraints: Mapping[str, Any] | None, way: WayBack | None
) -> str:
    """A cell as a module: its own Python, with the imports it needs and what it leaves open."""
    added = _attributes(
        constraints=None if cell.declares("constraints") else constraints,
        way=None if cell.declares("down") or cell.declares("irreversible") else way,
    )
    if cell.cls is not None:
        text = _with(cell.text, cell.cls.__name__, added)
        extra: tuple[str, ...] = ()
    else:
        text = _as_class(cell.text, class_name(name), added)
        extra = ("Migration",)
    text, documented = _without_docstring(text)
    head = f'"""{_title(name)}"""\n\n' if not documented else f"{documented}\n\n"
    lines = imports(text, extra)
    return head + "".join(f"{line}\n" for line in lines) + _spaced(text)


def _title(name: str) -> str:
    return name.replace("_", " ").strip() or name


def _spaced(text: str) -> str:
    """The text below the imports: its own imports join them, a class keeps its distance."""
    text = text.strip("\n")
    first = ast.parse(text).body[0]
    if isinstance(first, ast.Import | ast.ImportFrom):
        return f"{text}\n"
    return f"\n\n{text}\n" if isinstance(first, ast.ClassDef) else f"\n{text}\n"


# -- the attributes of the class -------------------------------------------------------------------


def _attributes(
    *, up: str | None = None, constraints: Mapping[str, Any] | None, way: WayBack | None
) -> str:
    lines: list[str] = []
    if constraints:
        lines.append(f"{INDENT}constraints = {value(constraints, INDENT)}")
    if up is not None:
        lines.append(f"{INDENT}up = {sql_value(up)}")
    if way is not None:
        if way.irreversible:
            lines.append(f"{INDENT}irreversible = {value(way.irreversible, INDENT)}")
        elif way.down:
            lines += [f"{INDENT}# down does not bring back {each}" for each in way.loses]
            lines.append(f"{INDENT}down = {sql_value(joined(way.down))}")
        else:
            lines += [f"{INDENT}# there is nothing to undo", f'{INDENT}down = "SELECT 1"']
    return "\n".join(lines) + "\n" if lines else ""


def joined(statements: Iterable[str]) -> str:
    """Statements as one text: alone as it is, several with a semicolon each."""
    found = list(statements)
    return found[0] if len(found) == 1 else "".join(f"{s};\n" for s in found)


def value(found: Any, indent: str = "") -> str:
    """A constant as Python, on one line where it fits, in double quotes where that is plain."""
    line = _on_one_line(found)
    # a line for each table, at least
    if len(indent) + len(line) <= WIDTH - 15 and _depth(found) < DEEP:
        return line
    deeper = indent + INDENT
    if isinstance(found, Mapping):
        inner = "".join(
            f"{deeper}{_on_one_line(k)}: {value(v, deeper)},\n" for k, v in found.items()
        )
        return f"{{\n{inner}{indent}}}"
    if isinstance(found, list | tuple):
        inner = "".join(f"{deeper}{value(v, deeper)},\n" for v in found)
        return f"[\n{inner}{indent}]"
    if isinstance(found, str):
        return _wrapped(found, indent)
    return line


def _depth(found: Any) -> int:
    """How many dictionaries stand in each other."""
    if not isinstance(found, Mapping):
        return 0
    return 1 + max((_depth(each) for each in found.values()), default=0)


def _on_one_line(found: Any) -> str:
    if isinstance(found, Mapping):
        inner = ", ".join(f"{_on_one_line(k)}: {_on_one_line(v)}" for k, v in found.items())
        return f"{{{inner}}}"
    if isinstance(found, list | tuple):
        return f"[{', '.join(map(_on_one_line, found))}]"
    if isinstance(found, str):
        plain = found.isprintable() and not set(found) & {'"', "\\"}
        return f'"{found}"' if plain else repr(found)
    return repr(found)


def _wrapped(text: str, indent: str) -> str:
    """A long text as several literals in parentheses."""
    pieces = re.findall(r".{1,80}(?:\s+|$)|\S{80}", text, re.DOTALL)
    if "".join(pieces) != text:
        pieces = [text[i : i + 80] for i in range(0, len(text), 80)]
    inner = "".join(f"{indent}{INDENT}{_on_one_line(piece)}\n" for piece in pieces)
    return f"(\n{inner}{indent})"


def sql_value(text: str, indent: str = INDENT) -> str:
    """SQL as a Python literal that holds the same statements, whatever is in it."""
    statements = read(text)
    body = text.strip("\n").rstrip()
    for literal in _literals(body, indent):
        try:
            found = ast.literal_eval(literal.strip())
        except (SyntaxError, ValueError):
            continue
        if _same(statements, found):
            return literal
    return repr(text)


def _literals(body: str, indent: str) -> Iterable[str]:
    """Ways to write it, the nicest first."""
    line = body.rstrip(";").rstrip()
    if "\n" not in line and len(line) + len(indent) + 15 <= WIDTH and line.isprintable():
        if not set(line) & {'"', "\\"}:
            yield f'"{line}"'
        if not set(line) & {"'", "\\"}:
            yield f"'{line}'"
    if re.search(r"[^\n\t\x20-\x7e\x80-\U0010ffff]", body) or "\x85" in body:
        return  # a carriage return, say, which a file would not keep
    for lines in (_indented(body, indent), body):
        for prefix in ("r",) if "\\" in body else ("",):
            for quotes in ('"""', "'''"):
                if quotes not in body:
                    yield f"{prefix}{quotes}\n{lines}\n{indent if lines != body else ''}{quotes}"
        escaped = lines.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        yield f'"""\n{escaped}\n{indent if lines != body else ""}"""'


def _indented(text: str, indent: str) -> str:
    return "\n".join(indent + line if line.strip() else "" for line in _dedented(text))


def _dedented(text: str) -> list[str]:
    lines = text.expandtabs(4).split("\n")
    common = min((len(n) - len(n.lstrip()) for n in lines if n.strip()), default=0)
    return [line[common:].rstrip() for line in lines]


def _same(statements: tuple[Statement, ...], text: Any) -> bool:
    try:
        found = read(text)
    except InputError:
        return False
    return len(found) == len(statements) and all(
        equal(one.node, other.node) for one, other in zip(statements, found)
    )


# -- a cell becomes a class ------------------------------------------------------------------------


def _as_class(text: str, name: str, added: str) -> str:
    """Move what the cell says about its migration into a class; the rest stays above it."""
    tree, lines = ast.parse(text), text.split("\n")
    inside: list[str] = []
    taken: set[int] = set()
    for node in tree.body:
        if _declares(node) in DECLARED:
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            _whole_lines(node, first, tree, text)
            while first > 1 and lines[first - 2].lstrip().startswith("#"):
                first -= 1  # the comment above it goes with it
            span = range(first - 1, node.end_lineno or first)
            taken |= set(span)
            inside += [lines[i] for i in span]
    rest = "\n".join(line for i, line in enumerate(lines) if i not in taken).strip("\n")
    body = _pushed_in("\n".join(inside))
    constraints, way = _split_added(added)
    head = f"{rest}\n\n\n" if rest else ""
    return f"{head}class {name}(Migration):\n{constraints}{body}\n{way}"


def _split_added(added: str) -> tuple[str, str]:
    """The constraints, which stand first, and the way back, which stands last."""
    start = f"{INDENT}constraints = "
    if not added.startswith(start):
        return "", added
    lines = added.split("\n")
    end = 1
    if lines[0].endswith("{"):
        end = lines.index(f"{INDENT}}}") + 1
    return "\n".join(lines[:end]) + "\n", "\n".join(lines[end:])


def _declares(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        return target.id if isinstance(target, ast.Name) else ""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return node.name if isinstance(node, ast.FunctionDef) else ""


def _whole_lines(node: ast.stmt, first: int, tree: ast.Module, text: str) -> None:
    """Raise InputError when another statement shares a line with this one."""
    span = range(first, (node.end_lineno or first) + 1)
    for other in tree.body:
        if other is not node and {other.lineno, other.end_lineno} & set(span):
            raise InputError(
                "two statements of the draft stand on one line",
                where=f"line {first}",
                why=text.split("\n")[first - 1].strip(),
                todo="give each a line of its own",
                code="bad-draft",
            )


def _pushed_in(text: str) -> str:
    """Text one level deeper, the inside of strings that span lines left alone."""
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING or tokenize.tok_name[token.type].startswith("FSTRING"):
            inside |= set(range(token.start[0] + 1, token.end[0] + 1))
    return "\n".join(
        line if number in inside or not line.strip() else INDENT + line
        for number, line in enumerate(text.split("\n"), 1)
    )


def _with(text: str, cls: str, added: str) -> str:
    """Add attributes to the class that the cell itself defines."""
    if not added:
        return text
    node = next(n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == cls)
    lines = text.rstrip("\n").split("\n")
    first, last = node.body[0], node.body[-1]
    if first.lineno == node.lineno:
        raise InputError(
            f"the body of {cls} stands on the line of its head",
            where=f"line {node.lineno}",
            why="constraints and down are added to it",
            todo="put the body on lines of its own",
            code="bad-draft",
        )
    indent = " " * first.col_offset
    constraints, way = _split_added(added)
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    at = (first.end_lineno or first.lineno) if documented else node.lineno
    if not documented:
        at = min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", ()))]) - 1
    end = last.end_lineno or last.lineno

    def fitted(part: str) -> list[str]:
        part = part.rstrip("\n")
        return part.split("\n") if indent == INDENT else _at(part, indent)

    before = [*([""] if documented and constraints else []), *fitted(constraints)]
    return "\n".join(
        [
            *lines[:at],
            *(before if constraints else []),
            *lines[at:end],
            *(fitted(way) if way else []),
            *lines[end:],
            "",
        ]
    )


def _at(part: str, indent: str) -> list[str]:
    """Lines of ours at the indentation of the user's class."""
    flat = "\n".join(line.removeprefix(INDENT) for line in part.split("\n"))
    deeper = _pushed_in(flat).split("\n")
    return [indent + line.removeprefix(INDENT) if line.strip() else line for line in deeper]


def _without_docstring(text: str) -> tuple[str, str]:
    """The text without its docstring, and the docstring as it stands."""
    body = ast.parse(text).body
    if not body or not isinstance(body[0], ast.Expr) or not isinstance(body[0].value, ast.Constant):
        return text, ""
    if not isinstance(body[0].value.value, str):
        return text, ""
    lines = text.split("\n")
    end = body[0].end_lineno or 1
    start = body[0].lineno
    return "\n".join(lines[end:]), "\n".join(lines[start - 1 : end])
