"""what is different between two snapshots, each difference once, with a sentence that says it"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qb_engine.schema.ids import PARTS, RELATIONS, ObjectId, parents
from qb_engine.schema.state import Snapshot

Change = Literal["missing", "unexpected", "changed"]
Payload = Mapping[str, Any]

LONG = 100  # characters; a longer value is not put into a sentence
# What to say of an object that is missing or not expected, besides its name.
GIST = ("type", "definition", "text", "labels", "version", "privileges")
YES_NO = {
    "nullable": ("allows NULL", "NOT NULL"),
    "valid": ("valid", "not valid"),
    "index_valid": ("its index is valid", "its index is not valid"),
    "deferrable": ("deferrable", "not deferrable"),
    "deferred": ("initially deferred", "initially immediate"),
    "row_security": ("row security is on", "row security is off"),
    "force_row_security": ("row security is forced", "row security is not forced"),
    "populated": ("populated", "not populated"),
    "inherited": ("inherited", "not inherited"),
}
# The value of a field that a payload leaves out, where it is not just absent.
USUAL: dict[str, Any] = {
    "valid": True,
    "index_valid": True,
    "populated": True,
    "deferrable": False,
    "deferred": False,
    "row_security": False,
    "force_row_security": False,
    "inherited": False,
    "enabled": "origin",
    "persistence": "permanent",
    "replica_identity": "default",
}
ABSENT = {"partition_of": "not a partition", "owned_by": "not owned by a column"}
WORDS = {
    "identity": {"a": "always", "d": "by default"},
    "generated": {"s": "stored", "v": "virtual"},
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that is missing, unexpected or changed; `fields` are the changed keys."""

    change: Change
    id: ObjectId
    expected: Payload | None = None
    found: Payload | None = None
    fields: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Say it: `column public.users.email: type is text, expected character varying(20)`."""
        if self.change == "changed":
            return f"{self.id}: {'; '.join(self._phrases())}"
        payload = (self.expected if self.change == "missing" else self.found) or {}
        gist = next((_shown(key, payload[key]) for key in GIST if key in payload), "")
        state = "is missing" if self.change == "missing" else "is not expected"
        return f"{self.id} {state}" + (f": {gist}" if gist and gist != "..." else "")

    def _phrases(self) -> Iterator[str]:
        expected, found = self.expected or {}, self.found or {}
        for key in self.fields:
            if key == "columns" and self.id.kind in RELATIONS:
                yield _order(expected.get(key) or (), found.get(key) or ())
                continue
            yield _phrase(key, expected.get(key, USUAL.get(key)), found.get(key, USUAL.get(key)))

    @property
    def of_order(self) -> bool:
        """True when a table has the same columns, in another order, and nothing else differs."""
        return self.id.kind == "table" and self.fields == ("columns",)

    def as_dict(self) -> dict[str, Any]:
        """The difference as JSON values."""
        return {
            "change": self.change,
            "kind": self.id.kind,
            "schema": self.id.schema,
            "name": self.id.name,
            "sub": self.id.sub,
            "fields": list(self.fields),
            "expected": self.expected,
            "found": self.found,
            "sentence": self.sentence(),
        }

    def __str__(self) -> str:
        return self.sentence()


def diff(
    expected: Snapshot, found: Snapshot, *, ignore: Collection[str] = ()
) -> tuple[Difference, ...]:
    """Return what `found` has not, has too much, or has otherwise than `expected`.

    What comes or goes with its table, column or schema is part of that one's difference.
    `ignore` holds kinds (`comment`), fields of all kinds (`.owner`) or of one (`table.options`).
    """
    gone = {id: p for id, p in expected.facts.items() if id not in found.facts}
    new = {id: p for id, p in found.facts.items() if id not in expected.facts}
    differences = [
        *(Difference("missing", id, expected=payload) for id, payload in _heads(gone)),
        *(Difference("unexpected", id, found=payload) for id, payload in _heads(new)),
    ]
    changed = {}
    for id, payload in expected.facts.items():
        other = found.facts.get(id)
        if other is not None and other != payload:
            changed[id] = _fields(id, payload, other, ignore)
    differences += [
        Difference("changed", id, expected.facts[id], found.facts[id], told)
        for id, fields in changed.items()
        if (told := tuple(f for f in fields if not _follows(f, id, changed)))
    ]
    differences = [d for d in differences if not _of_changed_view(d.id, changed)]
    kept = (d for d in differences if d.id.kind not in ignore)
    return tuple(sorted(kept, key=lambda d: (d.id.schema, d.id.name, d.id.kind, d.id.sub)))


def _heads(objects: Mapping[ObjectId, Payload]) -> Iterator[tuple[ObjectId, Payload]]:
    """Those that do not come or go with another of them."""
    for id, payload in objects.items():
        if not any(parent in objects for parent in parents(id, payload)):
            yield id, payload


def _fields(
    id: ObjectId, expected: Payload, found: Payload, ignore: Collection[str]
) -> tuple[str, ...]:
    keys = sorted(expected.keys() | found.keys())
    return tuple(
        key
        for key in keys
        if expected.get(key) != found.get(key)
        and f".{key}" not in ignore
        and f"{id.kind}.{key}" not in ignore
        and not (
            key == "columns"
            and id.kind in RELATIONS
            and _same_order(expected.get(key), found.get(key))
        )
    )


def _follows(field: str, id: ObjectId, changed: Mapping[ObjectId, Sequence[str]]) -> bool:
    """True for a part's `inherited` when its table has got, or lost, a parent."""
    if field != "inherited" or id.kind not in PARTS:
        return False
    fields = changed.get(ObjectId("table", id.schema, id.name), ())
    return "partition_of" in fields or "inherits" in fields


def _of_changed_view(id: ObjectId, changed: Mapping[ObjectId, Sequence[str]]) -> bool:
    """True for a column of a view that is another view now."""
    return id.kind == "column" and any(
        "definition" in changed.get(ObjectId(kind, id.schema, id.name), ())
        for kind in ("view", "matview")
    )


def _same_order(expected: Sequence[str] | None, found: Sequence[str] | None) -> bool:
    """True when the columns that both have stand in the same order; the others are facts."""
    first, second = list(expected or ()), list(found or ())
    return [c for c in first if c in second] == [c for c in second if c in first]


def _order(expected: Sequence[str], found: Sequence[str]) -> str:
    """What is said of columns in another order: those that both have; the others are facts."""
    here = _shown("", [name for name in found if name in expected])
    wanted = _shown("", [name for name in expected if name in found])
    if "..." in (here, wanted):
        return "column order differs"
    return f"column order is {here}, expected {wanted}"


def _phrase(key: str, expected: Any, found: Any) -> str:
    if key in YES_NO and isinstance(expected, bool) and isinstance(found, bool):
        yes, no = YES_NO[key]
        return f"{yes if found else no}, expected {yes if expected else no}"
    label = key.replace("_", " ")
    if expected is not None and found is not None:
        here, there = _shown(key, found), _shown(key, expected)
        if "..." in (here, there):
            return f"{label} differs"
        verb = "are" if isinstance(found, list | tuple) and label.endswith("s") else "is"
        return f"{label} {verb} {here}, expected {there}"
    if found is None:
        wanted = _shown(key, expected)
        return ABSENT.get(key, f"no {label}") + ("" if wanted == "..." else f", expected {wanted}")
    here = _shown(key, found)
    return (f"{label}" if here == "..." else f"{label} is {here}") + ", expected none"


def _shown(key: str, value: Any) -> str:
    """A value in a sentence; `...` when it is too long for one."""
    if key in WORDS and value in WORDS[key]:
        return WORDS[key][value]
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif key in ("partition_of", "owned_by", "references"):
        text = ".".join(value)
    elif key == "privileges":
        others = {role: what for role, what in value.items() if role != "(owner)"}
        text = _shown("", others or value)
    elif isinstance(value, Mapping):
        text = "; ".join(f"{name}: {_shown('', item)}" for name, item in value.items()) or "none"
    elif isinstance(value, list | tuple):
        text = ", ".join(_shown("", item) for item in value) or "none"
    else:
        text = str(value)
    return "..." if len(text) > LONG or "\n" in text else text
