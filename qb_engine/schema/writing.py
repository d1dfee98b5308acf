"""facts as canonical JSON: one way only, sorted by code point, no blanks"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from json.encoder import encode_basestring_ascii as quoted
from operator import itemgetter
from typing import Any

from qb_engine.schema.ids import ObjectId

Payload = Mapping[str, Any]
Facts = Mapping[ObjectId, Payload]
Fact = tuple[ObjectId, Payload]

encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def by_kind(facts: Facts) -> dict[str, list[Fact]]:
    """Facts by their kind, the kinds sorted."""
    found: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts.items():
        found[fact[0][0]].append(fact)
    return dict(sorted(found.items()))


def write(kind: str, facts: Iterable[Fact]) -> str:
    """The facts of one kind as items of a JSON list, in the one order.

    What there is a lot of is written by hand where its payload is a usual one: the same text as
    the encoder's, in a third of the time.
    """
    if kind in _USUAL:
        return _parts(kind, facts, _USUAL[kind] or _shared())
    return encode([[*id, payload] for id, payload in sorted(facts, key=itemgetter(0))])[1:-1]


def _parts(kind: str, facts: Iterable[Fact], text: Callable[[Payload], str]) -> str:
    """Facts whose ids share their schema and name with many others, a relation at a time."""
    relations: dict[tuple[str, str], list[tuple[str, Payload]]] = {}
    schema = name = None
    here: list[tuple[str, Payload]] = []
    for key, payload in facts:
        if key[2] is not name or key[1] is not schema:
            _, schema, name, _ = key
            here = relations.setdefault((schema, name), [])
        here.append((key[3], payload))
    items: list[str] = []
    for (schema, name), here in sorted(relations.items(), key=itemgetter(0)):
        start = f'["{kind}",{quoted(schema)},{quoted(name)},'
        if len(here) > 1:
            here.sort(key=itemgetter(0))
        items += [f"{start}{quoted(sub)},{text(payload)}]" for sub, payload in here]
    return ",".join(items)


def write_columns(relations: Iterable[tuple[str, str, Iterable[tuple[str, str]]]]) -> str:
    """The columns of relations, given as schema, name, and names of columns with their JSON."""
    items: list[str] = []
    for schema, name, columns in sorted(relations, key=itemgetter(0, 1)):
        start = f'["column",{quoted(schema)},{quoted(name)},'
        items += [f"{start}{quoted(column)},{text}]" for column, text in sorted(columns)]
    return ",".join(items)


def _shared() -> Callable[[Payload], str]:
    """Writes payloads that many facts share, each once."""
    known: dict[int, str] = {}

    def text(payload: Payload) -> str:
        found = known.get(id(payload))
        if found is None:
            found = known[id(payload)] = encode(payload)
        return found

    return text


def _constraint(payload: Payload) -> str:
    size = len(payload)
    if size > 4 or (size == 4 and "references" not in payload):
        return encode(payload)
    columns = ",".join([quoted(name) for name in payload["columns"]])
    references = ""
    if size == 4:
        schema, name = payload["references"]
        references = f',"references":[{quoted(schema)},{quoted(name)}]'
    return (
        f'{{"columns":[{columns}],"definition":{quoted(payload["definition"])},'
        f'"kind":"{payload["kind"]}"{references}}}'
    )


def _index(payload: Payload) -> str:
    if len(payload) > 1:
        return encode(payload)
    return f'{{"definition":{quoted(payload["definition"])}}}'


def _table(payload: Payload) -> str:
    if len(payload) > 3 or "kind" not in payload:
        return encode(payload)
    columns = ",".join([quoted(name) for name in payload["columns"]])
    return (
        f'{{"columns":[{columns}],"kind":"{payload["kind"]}","owner":{quoted(payload["owner"])}}}'
    )


_USUAL: dict[str, Callable[[Payload], str] | None] = {
    "column": None,
    "constraint": _constraint,
    "index": _index,
    "table": _table,
}
