"""making a twin, keeping it until the schema changes, and copying it for use"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from qb_engine.database.connect import server_errors
from qb_engine.schema import snapshot
from qb_engine.shadow.server import MAINTENANCE, Scratch
from qb_engine.shadow.shadow import like
from qb_engine.shadow.twin import after, extended, settings, sizes, statistics
from qb_engine.shadow.twin.after import Settled
from qb_engine.shadow.twin.copies import (
    copy,
    data_folder,
    drop_databases,
    exists,
    lock,
    on_disk,
    stretch,
    stretched,
)
from qb_engine.shadow.twin.gap import Gap
from qb_engine.sql import ident, literal

if TYPE_CHECKING:
    from qb_engine.database.connect import Connection
    from qb_engine.database.target import Target

TWIN = "qb_twin_"  # + hash of the target's address: long files, to be asked for plans
BASE = "qb_twinbase_"  # the same with short files, to be copied and changed
KEEP = 4  # twins kept; each takes two small databases

COUNTS = """
SELECT count(*) FILTER (WHERE kind IN ('r', 'm')),
       count(*) FILTER (WHERE kind = 'i'),
       coalesce(sum(reltuples) FILTER (WHERE kind IN ('r', 'm') AND reltuples > 0), 0),
       coalesce(sum(bytes), 0),
       count(*) FILTER (WHERE kind IN ('r', 'm') AND reltuples < 0)
  FROM qb.twin_relation WHERE oid IS NOT NULL
"""
ABSENT = """
SELECT schema, name FROM qb.twin_relation WHERE oid IS NULL AND kind <> 'f' ORDER BY 1, 2
"""
UNPLACED = """
SELECT c.schema, c.name, c.attname FROM qb.twin_column c
  JOIN qb.twin_relation r ON r.schema = c.schema AND r.name = c.name
 WHERE c.oid IS NULL AND r.oid IS NOT NULL ORDER BY 1, 2, 3
"""
REFUSED = """
DELETE FROM qb.twin_column k
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_statistic s WHERE s.starelid = k.oid
                      AND s.staattnum = k.attnum AND s.stainherit = k.inherited)
"""
GIN = """
SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am am ON am.oid = c.relam
 WHERE am.amname = 'gin' AND c.relkind = 'i' AND c.oid >= 16384
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a twin is. `rows` are those that the statistics speak of; sizes are in bytes.

    `pretended` is how long its files are together, `on_disk` what both its databases take.
    """

    target: str
    fingerprint: str
    made: float  # seconds since the epoch
    values: bool  # False: no value of a row was read
    tables: int
    indexes: int
    rows: int
    pretended: int
    on_disk: int
    never_analysed: int
    settings: Mapping[str, str]
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Twin:
    """A database without rows that plans as the target does; to be read, never to be changed."""

    server: Scratch
    dbname: str
    base: str
    facts: Facts
    fresh: bool  # made by this call

    def connect(self) -> Connection:
        return self.server.connect(self.dbname)


@contextmanager
def twin(
    server: Scratch,
    target: Target,
    conn: Connection,
    *,
    refresh: bool = False,
    values: bool | None = None,
) -> Iterator[Twin]:
    """The twin of a target: the one that is kept, or a new one when the schema has changed.

    `conn` is a connection to the target that is not in a transaction; it is only read from.
    `values=False` leaves out what rows hold, None takes the kept twin as it is. Raise RefusedError
    where the scratch server's files are not ours.
    """
    address = identity(conn)
    admin = server.connect(MAINTENANCE)
    try:
        with server_errors("making the statistics twin", server.target):
            data_folder(server, admin)
            name, base = TWIN + address, BASE + address
            lock(admin, name)
            sweep(admin, keeping=name)
            schema = snapshot(conn)
            facts = None if refresh else _kept(server, admin, name, base)
            new = facts is None or facts.fingerprint != schema.fingerprint
            new = new or (values is not None and facts is not None and facts.values != values)
            if new or facts is None:
                drop_databases(admin, name, base)
                with like(server, target, schema=schema) as shadow:
                    copy(admin, shadow.dbname, base)
                    missing = shadow.missing
                try:
                    facts = _make(
                        *(server, admin, target, conn, name, base, missing),
                        fingerprint=schema.fingerprint,
                        values=values is not False,
                    )
                except BaseException:
                    drop_databases(admin, name, base)
                    raise
            note = literal(json.dumps({"used": time.time(), "complete": True}))
            for each in (name, base):
                admin.execute(f"COMMENT ON DATABASE {ident(each)} IS {note}".encode())
        yield Twin(server, name, base, facts, fresh=new)
    finally:
        admin.close()  # and with it the lock


def drop(server: Scratch, conn: Connection) -> bool:
    """Drop the twin of the target that `conn` leads to; False when there is none."""
    address = identity(conn)
    admin = server.connect(MAINTENANCE)
    try:
        with server_errors("dropping the statistics twin", server.target):
            lock(admin, TWIN + address)
            there = exists(admin, TWIN + address) or exists(admin, BASE + address)
            drop_databases(admin, TWIN + address, BASE + address)
            return there
    finally:
        admin.close()


def identity(conn: Connection) -> str:
    """A target by where it is: its host, its port, its database."""
    info = conn.info
    address = "|".join((info.host or "", str(info.port), info.dbname))
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def sweep(admin: Connection, *, keeping: str = "") -> int:
    """Drop twins that were never finished, and the least used ones; what is in use stays."""
    rows = admin.execute(
        "SELECT datname::text, shobj_description(oid, 'pg_database')"
        "  FROM pg_catalog.pg_database WHERE starts_with(datname, %s)"
        "    OR starts_with(datname, %s)",
        [TWIN, BASE],
    ).fetchall()
    used: dict[str, float] = {}
    for name, note in rows:
        address = name.removeprefix(TWIN).removeprefix(BASE)
        said = json.loads(note or "{}")
        own = float(said.get("used", 0)) if said.get("complete") else 0.0
        used[address] = min(own, used.get(address, own))
    order = sorted(used, key=lambda address: used[address], reverse=True)
    gone = 0
    for number, address in enumerate(order):
        name = TWIN + address
        if name == keeping or (number < KEEP and used[address]):
            continue
        query = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
        row = admin.execute(query, [name]).fetchone()
        if row and row[0]:
            try:
                drop_databases(admin, name, BASE + address)
                gone += 1
            finally:
                admin.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
    return gone


def settled(own: Twin, dbname: str, emptied: frozenset[int]) -> Settled:
    """Give a changed copy of a base its statistics; how long its files are to be.

    Which rows a new partial index has, the planner says: it is asked on a copy of its own.
    """
    conn = own.server.connect(dbname)
    try:
        found, asked = after.settle(conn, emptied)
    finally:
        conn.close()
    if not asked:
        return found
    with stretched(own.server, dbname, found.lengths, own.facts.settings) as asking:
        inner = own.server.session(asking)  # a predicate may call functions of the target's
        try:
            kept = after.kept_rows(inner, asked)
        finally:
            inner.close()
    conn = own.server.connect(dbname)
    try:
        more, _ = after.settle(conn, emptied, kept)
    finally:
        conn.close()
    return Settled(more.lengths, (*found.assumed, *more.assumed))


def _make(
    server: Scratch,
    admin: Connection,
    target: Target,
    conn: Connection,
    name: str,
    base: str,
    missing: tuple[str, ...],
    *,
    fingerprint: str,
    values: bool,
) -> Facts:
    """Fill the base with statistics, then stretch a copy of it."""
    gaps = [Gap("schema", text) for text in missing]
    inner = server.connect(base)
    try:
        gaps += _planners(conn, inner)
        gaps += statistics.copy(conn, inner, values=values)
        own, more = settings.differing(conn, inner)
        gaps += more
        gaps += _holes(inner)
        rows = inner.execute("SELECT oid FROM qb.twin_relation WHERE oid IS NOT NULL").fetchall()
        gaps += statistics.give(inner, [int(oid) for (oid,) in rows])
        inner.execute(REFUSED)
        gaps += extended.give(inner)
        lengths = sizes.lengths(inner)
        counts = inner.execute(COUNTS).fetchone()
        assert counts is not None
    finally:
        inner.close()
    stretch(admin, data_folder(server, admin), base, name, lengths)
    gaps += settings.apply(admin, name, own)
    tables, indexes, count, size, never = counts
    facts = Facts(
        target=target.display,
        fingerprint=fingerprint,
        made=time.time(),
        values=values,
        tables=tables,
        indexes=indexes,
        rows=int(count),
        pretended=int(size),
        on_disk=sum(on_disk(server, admin, each) for each in (name, base)),
        never_analysed=never,
        settings=own,
        gaps=tuple(gaps),
    )
    inner = server.connect(base)
    try:
        inner.execute("INSERT INTO qb.twin VALUES (%s)", [json.dumps(asdict(facts))])
    finally:
        inner.close()
    return facts


def _planners(target: Connection, base: Connection) -> list[Gap]:
    """Another major version may plan otherwise from the same statistics."""
    theirs, ours = (each.info.server_version // 10_000 for each in (target, base))
    if theirs == ours:
        return []
    return [Gap("planner", f"the target is PostgreSQL {theirs}; plans here are {ours}'s")]


def _holes(base: Connection) -> list[Gap]:
    """What the target has and the schema here has not, and what no catalog tells."""
    found = [
        Gap(f"{schema}.{name}", "could not be loaded here")
        for schema, name in base.execute(ABSENT).fetchall()
    ]
    found += [
        Gap(f"{schema}.{name}.{column}", "the column could not be loaded here")
        for schema, name, column in base.execute(UNPLACED).fetchall()
    ]
    row = base.execute(GIN).fetchone()
    if row and row[0]:
        what = "its first page" if row[0] == 1 else "their first pages"
        found.append(
            Gap(f"GIN indexes ({row[0]})", f"what {what} tell the planner is not in the catalog")
        )
    return found


def _kept(server: Scratch, admin: Connection, name: str, base: str) -> Facts | None:
    """The facts of the twin that is there; None when there is none, or it is not whole."""
    for each in (name, base):
        row = admin.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database"
            " WHERE datname = %s",
            [each],
        ).fetchone()
        if row is None or not json.loads(row[0] or "{}").get("complete"):
            return None
    if not _whole(server, name):
        return None
    conn = server.connect(base)
    try:
        found = conn.execute("SELECT facts FROM qb.twin").fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    finally:
        conn.close()
    if found is None:
        return None
    said: dict[str, Any] = found[0]
    gaps = tuple(Gap(**gap) for gap in said.pop("gaps"))
    return Facts(**said, gaps=gaps)


def _whole(server: Scratch, name: str) -> bool:
    """Whether all files are as long as they were made: a crash cuts those of unlogged tables."""
    conn = server.connect(name)
    try:
        row = conn.execute(
            "SELECT coalesce(bool_and(pg_catalog.pg_relation_size(oid) >= bytes), true)"
            "  FROM qb.twin_relation WHERE oid IS NOT NULL AND bytes IS NOT NULL"
        ).fetchone()
        return bool(row and row[0])
    except psycopg.errors.UndefinedTable:
        return False
    finally:
        conn.close()
