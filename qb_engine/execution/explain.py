"""EXPLAIN's JSON to a tree, its rows, WAL and buffers"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qb_engine.report import Node


@dataclass(frozen=True, slots=True)
class Explained:
    """A plan as a tree, and what running it did (None where it was not run)."""

    tree: Node
    rows: int | None
    wal_bytes: int | None
    buffers: int | None


def explained(document: Any, *, ran: bool) -> Explained:
    """Read the JSON that EXPLAIN (FORMAT JSON) returns."""
    top = document[0]["Plan"]
    wal = top.get("WAL Bytes")
    touched = [int(top.get(f"Shared {what} Blocks", 0)) for what in ("Hit", "Read")]
    return Explained(
        tree=_node(top, ran),
        rows=_affected(top) if ran else None,
        wal_bytes=int(wal) if ran and wal is not None else None,
        buffers=sum(touched) if ran else None,
    )


def _affected(plan: dict[str, Any]) -> int:
    """Rows that a statement wrote (a ModifyTable without RETURNING itself returns none)."""
    if plan["Node Type"] != "ModifyTable":
        return round(float(plan.get("Actual Rows", 0)) * float(plan.get("Actual Loops", 1)))
    if "Tuples Inserted" in plan:
        return int(plan["Tuples Inserted"])
    written = [
        float(child.get("Actual Rows", 0)) * float(child.get("Actual Loops", 1))
        for child in plan.get("Plans", [])
        if child.get("Parent Relationship") in ("Outer", "Member")
    ]
    return round(sum(written))


def _node(plan: dict[str, Any], ran: bool) -> Node:
    label = plan["Node Type"]
    if plan["Node Type"] == "ModifyTable":
        label = plan.get("Operation", label)
    if relation := plan.get("Relation Name"):
        label += f" on {relation}"
    if index := plan.get("Index Name"):
        label += f" using {index}"
    details = [f"rows {plan.get('Actual Rows', 0):,.0f}" if ran else f"rows {plan['Plan Rows']:,}"]
    for key in ("Filter", "Index Cond", "Hash Cond", "Merge Cond", "Join Filter"):
        if key in plan:
            details.append(f"{key.lower()}: {plan[key]}")
    weight = (
        plan.get("Actual Total Time", 0.0) * plan.get("Actual Loops", 1) / 1000
        if ran
        else plan["Total Cost"]
    )
    children = tuple(_node(child, ran) for child in plan.get("Plans", []))
    return Node(label, "; ".join(details), float(weight), children)
