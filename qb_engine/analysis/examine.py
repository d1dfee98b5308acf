"""what each statement that runs on a shadow was seen to do, as facts"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from qb_engine.analysis.changes import (
    NAMED,
    Changes,
    Others,
    State,
    changes,
    name_of,
    others,
    states,
    states_after,
    with_others,
)
from qb_engine.analysis.facts import Examined, Facts, Provenance, Work, WorkKind
from qb_engine.analysis.messages import work_of
from qb_engine.analysis.named import bare_names
from qb_engine.analysis.witnesses import claims
from qb_engine.execution import Block, Observation
from qb_engine.execution.outside import named_tables
from qb_engine.sql import ident

if TYPE_CHECKING:
    from qb_engine.analysis.witnesses import Claim
    from qb_engine.database.connect import Connection
    from qb_engine.execution.blocks import Step
    from qb_engine.sql import Statement

# what a transaction has read would be counted with the next one's, too
FLUSH = "SELECT pg_catalog.pg_stat_force_next_flush()"
LISTEN = "SET client_min_messages = debug1"  # outside transactions, too
EMPTIES = "truncate"  # it gives new files, and copies nothing
BESIDE_IT = r"_ccnew\d*$"  # what REINDEX CONCURRENTLY calls an index until it is done
ANYTHING = ("do", "select", "call", "execute", "unknown")  # what they run is not in their trees
# statements that make or change what is no table
BESIDES = (
    *ANYTHING, "rename", "create_schema", "create_enum", "alter_enum", "create_domain",
    "alter_domain",
)  # fmt: skip
# whether what has an index is read whole all the same
PLANNED = {"update": "off", "delete": "off", "merge": "off", "do": "off", "call": "off"}
PLANNED |= {"insert": "on", "select": "on"}
# a dump leaves materialized views without rows; what has none cannot be refreshed concurrently
UNFILLED = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY (%s::pg_catalog.oid[]) AND c.relkind = 'm' AND NOT c.relispopulated
"""
# the partitions that this session's transaction has locked, and whose they are
PARTS = """
SELECT DISTINCT n.nspname || '.' || c.relname, pn.nspname || '.' || p.relname
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'f')
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid AND i.inhseqno = 1
  JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
 WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.granted
"""
# where somebody may not have what is given to him, of schemas that are named or looked in: on a
# target this may well be allowed, or be no question for who runs it
LENT = """
SELECT n.nspname FROM pg_catalog.pg_namespace n, pg_catalog.pg_roles r
 WHERE r.rolname = %s AND n.nspname = ANY (%s::text[] || pg_catalog.current_schemas(false)::text[])
   AND pg_catalog.pg_has_role(n.nspowner, 'USAGE')
   AND NOT pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
"""
# what functions of these names do, and whether their definitions can be read as blocks
BODIES = """
SELECT coalesce(p.prosrc, ''),
       CASE WHEN l.lanname = 'plpgsql' THEN pg_catalog.pg_get_functiondef(p.oid) END
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE p.oid >= 16384 AND p.prokind IN ('f', 'p') AND p.proname = ANY (%s::text[])
"""

Mark = tuple[dict[int, State], set[int], set[int], Others | None]
"""What an examiner knows at one moment."""


class Examiner:
    """Looks, while an executor runs on a shadow, at what each step changes in the catalog.

    With `claiming` it also learns what each step requires of the rows that a target has. `prepared`
    says that `acting` has executed PREPARE_AFTER, `watching` PREPARE_STATES, and LISTEN is said.
    """

    def __init__(
        self,
        acting: Connection,
        watching: Connection,
        *,
        claiming: bool = False,
        prepared: bool = False,
    ) -> None:
        self._acting = acting
        self._watching = watching
        self._known: dict[int, State] = {}  # tables as they were after the last look at them
        self._made: set[int] = set()
        self._gone: set[int] = set()  # dropped; others still see them until the transaction ends
        self._tables: dict[str, str] = {}  # by the name of an index: its table
        self._rewritten: dict[int, tuple[str, ...]] = {}  # by the number of the step
        self.changes: dict[int, Changes] = {}  # likewise
        self._others: Others | None = None  # as of the last step that may have changed them
        self._alone: set[int] = set()  # tables that a step outside transactions names
        self._emptying: set[int] = set()  # numbers of steps whose functions say TRUNCATE
        self._bodies: dict[int, tuple[str, ...]] = {}  # by the number of the step
        self._lent: list[tuple[str, str]] = []  # (schema, role), until the step is done
        self._prepared = prepared
        self._claiming = claiming
        self._claims: dict[int, tuple[Claim, ...]] = {}  # likewise
        if not prepared:
            acting.execute(LISTEN)

    def on_step(self, step: Step, state: str, seen: Observation | None) -> None:
        """Hear of a step as the executor tells of it."""
        self._take_back()
        if state == "running":
            self._lend(step)
            if step.outside:
                self._alone = set(self._named(step))
                self._remember(self._alone)
            if step.statement.kind in PLANNED:  # it has no rows: whether an index serves, counts
                on = PLANNED[step.statement.kind]
                self._acting.execute(
                    f"SET enable_seqscan = {on}; SET enable_indexonlyscan = {on}".encode()
                )
            if step.statement.kind in BESIDES and self._others is None:
                self._others = others(self._watching)
            if step.statement.kind == "refresh_mat_view":
                self._fill(self._named(step))
        elif state == "done":
            self._look(step)

    def settle(self) -> None:
        """Have what the transaction that has ended read counted as its own."""
        self._acting.execute(FLUSH)

    def mark(self) -> Mark:
        """What is known now, to come back to when what follows is taken back."""
        return dict(self._known), set(self._made), set(self._gone), self._others

    def back_to(self, mark: Mark) -> None:
        """Forget what was learnt since then."""
        self._known, self._made, self._gone, self._others = mark

    def facts(self, step: Step, seen: Observation) -> Facts:
        """The facts of a step, from what was observed and what it changed."""
        found = self.changes.get(step.number, Changes())
        new = found.new | {index.name for index in found.added_indexes} - {
            index.name for index in found.rebuilt
        }
        locks = tuple(
            lock
            for lock in seen.locks
            if lock.relation not in new and self._tables.get(lock.relation) not in new
        )
        work = self._work(step, seen, found)
        if emptied := self._emptied(step, seen, work):
            found = replace(found, emptied=emptied)
            work = [] if step.statement.kind == EMPTIES else [
                each for each in work if each.relation not in emptied
            ]  # fmt: skip
        return Facts(
            locks=locks,
            work=tuple(work),
            changes=found,
            refuses_transaction=step.outside,
            messages=seen.messages,
            error=seen.error,
            sqlstate=seen.sqlstate,
            detail=seen.detail,
            claims=self._claims.get(step.number, ()),
            bodies=self._bodies.get(step.number, ()),
        )

    # -- lending -------------------------------------------------------------------------------

    def _lend(self, step: Step) -> None:
        """Let a new owner have things where they are, while they are given to him."""
        role, schemas = given_to(step.statement)
        if not role:
            return
        rows = self._acting.execute(LENT, [role, schemas]).fetchall()
        for (schema,) in rows:
            self._acting.execute(
                f"GRANT CREATE ON SCHEMA {ident(schema)} TO {ident(role)}".encode()
            )
            self._lent.append((schema, role))

    def _take_back(self) -> None:
        while self._lent:
            schema, role = self._lent.pop()
            # a schema that is gone meanwhile, or not its own any more, leaves nothing to be kept
            with suppress(psycopg.Error), self._acting.transaction():
                self._acting.execute(
                    f"REVOKE CREATE ON SCHEMA {ident(schema)} FROM {ident(role)}".encode()
                )

    # -- looking -------------------------------------------------------------------------------

    def _look(self, step: Step) -> None:
        also = {*self._named(step), *self._alone} if step.outside else ()
        touched, after = states_after(self._acting, also, prepared=self._prepared)
        self._remember(touched)
        before = {oid: self._known[oid] for oid in touched if oid in self._known}
        found = changes(before, after)
        if step.outside:  # else the executor's observer tells
            self._rewritten[step.number] = tuple(
                name_of(after[oid])
                for oid in before.keys() & after.keys()
                if before[oid]["file"] != after[oid]["file"]
            )
        for oid in touched:
            self._known.pop(oid, None)
        self._known.update(after)
        self._made |= after.keys() - before.keys()
        self._made -= before.keys() - after.keys()
        self._gone |= before.keys() - after.keys()
        for state in (*before.values(), *after.values()):
            for index in state["indexes"]:
                self._tables[f"{index['schema']}.{index['name']}"] = name_of(state)
        new = {name_of(self._known[oid]) for oid in self._made if oid in self._known}
        new |= {name_of(before[oid]) for oid in self._made if oid in before}
        found = replace(found, new=frozenset(new))
        if step.statement.kind in BESIDES and self._others is not None:
            now = others(self._acting)
            found = with_others(found, self._others, now)
            made = {key: what for key, what in now.items() if key not in self._others}
            self._others = {key: now[key] for key in now if key not in made}
        if step.statement.is_dml or step.statement.kind in ANYTHING:
            parts: dict[str, str] = dict(self._acting.execute(PARTS).fetchall())
            found = replace(found, parents={**parts, **found.parents})
        if step.statement.kind in ANYTHING and self._says_truncate(step):
            self._emptying.add(step.number)
        self.changes[step.number] = found
        if self._claiming:
            self._claims[step.number] = claims(self._acting, found, step.statement)

    def _says_truncate(self, step: Step) -> bool:
        """True when the text of a block, or of a function that is called, has a TRUNCATE."""
        texts = [step.statement.sql]
        if names := called(step.statement):
            rows = self._acting.execute(BODIES, [names]).fetchall()
            texts += [source for source, _ in rows]
            self._bodies[step.number] = tuple(text for _, text in rows if text)
        return any("truncate" in text.lower() for text in texts)

    def _fill(self, oids: Iterable[int]) -> None:
        """Fill materialized views that a dump has left unfilled."""
        for (view,) in self._watching.execute(UNFILLED, [sorted(oids)]).fetchall():
            # what stands in its way, or cannot be computed, the statement itself will meet
            with suppress(psycopg.Error), self._watching.transaction():
                self._watching.execute("SET LOCAL lock_timeout = '200ms'")
                self._watching.execute(f"REFRESH MATERIALIZED VIEW {view}".encode())

    def _named(self, step: Step) -> list[int]:
        with suppress(psycopg.Error):  # a name that is none: the server will say so
            rows = self._watching.execute(NAMED, [named_tables(step.statement)]).fetchall()
            return [int(row[0]) for row in rows]
        return []

    def _remember(self, oids: Iterable[int]) -> None:
        """Learn how tables were before: who watches does not see what the transaction changed."""
        unknown = set(oids) - self._known.keys() - self._made - self._gone
        self._known.update(states(self._watching, unknown, prepared=self._prepared))

    # -- work ----------------------------------------------------------------------------------

    def _emptied(self, step: Step, seen: Observation, work: Iterable[Work]) -> tuple[str, ...]:
        """The tables that were emptied: they have new files, and nothing was written anew."""
        if step.statement.kind != EMPTIES and step.number not in self._emptying:
            return ()
        new = self.changes.get(step.number, Changes()).new
        said = " ".join(seen.messages)
        return tuple(
            name
            for name in dict.fromkeys((*seen.rewrites, *self._rewritten.get(step.number, ())))
            if name not in self._sequences()
            and name not in new
            and not any(f'rewriting table "{bare}"' in said for bare in bare_names(name))
        )

    def _sequences(self) -> set[str]:
        return {name_of(state) for state in self._known.values() if state["kind"] == "S"}

    def _work(self, step: Step, seen: Observation, found: Changes) -> list[Work]:
        sequences = self._sequences()
        known = {name_of(state) for state in self._known.values()}
        known |= {lock.relation for lock in seen.locks if not lock.index} | set(found.dropped)
        locked = {lock.relation for lock in seen.locks}

        def relation(name: str) -> str | None:
            """A table by the name that a message gives, which is without its schema."""
            same = sorted(k for k in known if name in bare_names(k))
            same = [k for k in same if k in locked] or same
            return same[0] if same and same[0] not in found.new else None

        def of_constraint(name: str) -> str | None:
            for each in (*found.added_constraints, *found.validated):
                if each.name == name:
                    return each.table if each.table not in found.new else None
            for state in self._known.values():  # one that a change of a type made anew
                if any(k["name"] == name and k["kind"] == "f" for k in state["constraints"]):
                    return name_of(state) if name_of(state) not in found.new else None
            return None

        heard = work_of(seen.messages, relation, of_constraint)
        rebuilt = {index.name for index in found.rebuilt}
        work = list(
            dict.fromkeys(
                self._built(each, found, rebuilt) if each.kind is WorkKind.BUILD else each
                for each in heard
            )
        )
        said = {(each.kind, each.relation) for each in work}
        for name in (*seen.rewrites, *self._rewritten.get(step.number, ())):
            if name in sequences or name in found.new:
                continue
            if (WorkKind.REWRITE, name) not in said:
                work.append(Work(WorkKind.REWRITE, name))
        built = {each.index for each in work}
        for name in (*seen.rebuilds, *sorted(rebuilt)):
            table = self._tables.get(name, "")
            if table and table not in found.new and name not in built:
                work.append(Work(WorkKind.REBUILD, table, index=name))
                built.add(name)
        read = {each.relation for each in work if each.kind is not WorkKind.PROVED}
        looked_up = {w.constraint for w in work if w.kind is WorkKind.FOREIGN_KEY}
        # whether the other table is read whole, or by its index, is the planner's choice there
        read |= {
            each.references
            for each in (*found.added_constraints, *found.validated)
            if each.name in looked_up
        }
        for scan in seen.scans:
            if scan.relation not in read and scan.relation not in found.new:
                work.append(Work(WorkKind.SCAN, scan.relation))
        return work

    def _built(self, work: Work, found: Changes, rebuilt: set[str]) -> Work:
        """An index by its whole name, which a message does not give; rebuilt, if it was there."""
        bare = re.sub(BESIDE_IT, "", work.index)
        new = {index.name for index in found.added_indexes}
        schemas = {s["schema"] for s in self._known.values() if name_of(s) == work.relation}
        schema = next(iter(schemas), work.relation.partition(".")[0])
        name = f"{schema}.{bare}"
        kind = WorkKind.BUILD if name in new and name not in rebuilt else WorkKind.REBUILD
        return replace(work, index=name, kind=kind)


def given_to(statement: Statement) -> tuple[str, list[str]]:
    """Who becomes the owner of what a statement names, and the schemas that it may name."""
    from qb_engine.sql.tree import only, pb, walk

    node = statement.node
    role = ""
    if isinstance(node, pb.AlterOwnerStmt) and node.object_type != pb.OBJECT_SCHEMA:
        role = node.newowner.rolename
    elif isinstance(node, pb.AlterTableStmt):
        owners = [c.newowner for c in map(only, node.cmds) if c.subtype == pb.AT_ChangeOwner]
        role = owners[-1].rolename if owners else ""
    if not role:
        return "", []
    names = [each.schemaname for each in walk(node) if isinstance(each, pb.RangeVar)]
    return role, names + [each.sval for each in walk(node) if isinstance(each, pb.String)]


def called(statement: Statement) -> list[str]:
    """The names of the functions that a statement calls, as far as its tree tells."""
    from qb_engine.sql.tree import pb, strings, walk

    if statement.node is None:
        return []
    return [strings(n.funcname)[-1] for n in walk(statement.node) if isinstance(n, pb.FuncCall)]


def examined_of(
    examiner: Examiner, arranged: Iterable[Block], seen: Iterable[Observation]
) -> tuple[Examined, ...]:
    """Every step of the blocks with its facts; those that did not run have none."""
    by_number = {o.number: o for o in seen}
    return tuple(
        _examined(examiner, block, step, by_number.get(step.number))
        for block in arranged
        for step in block.steps
    )


def _examined(examiner: Examiner, block: Block, step: Step, seen: Observation | None) -> Examined:
    ran = seen is not None and not seen.skipped
    if ran and seen is not None:
        facts = examiner.facts(step, seen)
    else:
        facts = Facts(refuses_transaction=step.outside, provenance=Provenance.STATIC)
    transaction = block.number if block.transactional else None
    return Examined(step.number, step.statement, step.part, transaction, facts)
