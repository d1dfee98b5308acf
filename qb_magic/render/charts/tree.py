"""a tree as an outline: a query plan, with a bar that says where the weight is"""

from __future__ import annotations

from collections.abc import Iterator

from qb_engine.report import Node, Tree
from qb_magic.render.charts.ink import BLUE, TITLE_HEIGHT, Pad

ROW = 0.27
DETAIL = 0.19
INDENT = 0.24
BAR_ROOM = 1.5
SIZE = 9


def height(chart: Tree) -> float:
    return TITLE_HEIGHT + sum(_row(node) for node, _, _ in walk(chart.root)) + 0.12


def draw(chart: Tree, pad: Pad) -> None:
    """Draw one node per row, below and to the right of its parent."""
    pad.title(chart.title)
    nodes = list(walk(chart.root))
    top = max((node.weight for node, _, _ in nodes), default=0) or 1
    edge = pad.width - BAR_ROOM - 0.1
    y = TITLE_HEIGHT
    anchors: dict[int, float] = {}  # depth -> where the last node of that depth hangs its children
    for node, depth, _ in nodes:
        middle, x = y + ROW / 2, depth * INDENT
        if depth:
            stem = x - INDENT * 0.6
            pad.line((stem, stem, x - 0.05), (anchors[depth - 1], middle, middle))
        pad.write(x, middle, node.label, size=SIZE, bold=True, room=edge - x)
        if node.detail:
            pad.write(x, y + ROW + DETAIL * 0.35, node.detail, size=8, room=edge - x)
        pad.box(edge + 0.1, middle, BAR_ROOM * node.weight / top, ROW * 0.5, BLUE)
        y += _row(node)
        anchors[depth] = y - 0.04
    return


def walk(node: Node, depth: int = 0, last: bool = True) -> Iterator[tuple[Node, int, bool]]:
    """The nodes in the order of the outline, each with its depth and whether it is the last one."""
    yield node, depth, last
    for i, child in enumerate(node.children):
        yield from walk(child, depth + 1, i == len(node.children) - 1)


def _row(node: Node) -> float:
    return ROW + (DETAIL if node.detail else 0)
