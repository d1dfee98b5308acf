"""SQL text to statements: split, placed in their file, and asked what they are"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from qb_engine.errors import InputError, nearby
from qb_engine.sql.marking import marked

if TYPE_CHECKING:
    import postgast
    from postgast import pg_query_pb2 as pb
else:
    from qb_engine.sql.parser import pb, postgast


@dataclass(frozen=True, slots=True)
class Source:
    """Where a text came from: a file (or a notebook cell) and the line its first line is on."""

    file: str = ""
    line: int = 1

    def __str__(self) -> str:
        return nearby(f"{self.file}:{self.line}") if self.file else f"line {self.line}"


class SqlError(InputError):
    """SQL that cannot be used as it stands, with the place in the file."""

    default_code = "bad-sql"


@dataclass(frozen=True)
class Statement:
    """One SQL statement: its text without comments before it, its parse tree, its place.

    `node` is libpg_query's message for the statement (an `AlterTableStmt`, say), `kind` the name of
    that message in snake case without `_stmt`: `alter_table`, `index`, `update`.
    What the grammar cannot read has no node, and is `unknown`.
    """

    sql: str
    source: Source = Source()
    node: Any = field(default=None, compare=False, repr=False)

    @property
    def kind(self) -> str:
        if self.node is None:
            return "unknown"
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", str(type(self.node).__name__)).lower()
        return name.removesuffix("_stmt")

    @property
    def is_dml(self) -> bool:
        """True for what EXPLAIN ANALYZE can run: INSERT, UPDATE, DELETE, MERGE, SELECT."""
        return isinstance(
            self.node, pb.InsertStmt | pb.UpdateStmt | pb.DeleteStmt | pb.MergeStmt | pb.SelectStmt
        )

    @property
    def has_plan(self) -> bool:
        """True for what EXPLAIN can plan without being DML: CREATE TABLE AS, a view made whole."""
        return isinstance(self.node, pb.CreateTableAsStmt)

    @cached_property
    def refuses_transaction(self) -> str:
        """Why PostgreSQL refuses this statement inside a transaction; empty when it does not."""
        return _refuses_transaction(self.node)

    @cached_property
    def refuses_savepoint(self) -> bool:
        """True when a savepoint around it would change what the migration does.

        A new enum value may be used in the transaction that made its type, but not when the type
        was made in a subtransaction; SET TRANSACTION is refused in a subtransaction.
        """
        node = self.node
        if isinstance(node, pb.AlterEnumStmt | pb.CreateEnumStmt):
            return True
        return isinstance(node, pb.VariableSetStmt) and node.name.startswith(
            ("TRANSACTION", "transaction_")
        )

    @cached_property
    def relations(self) -> tuple[tuple[str, str], ...]:
        """Every relation that the statement names, as (schema or "", name), in order, once."""
        if self.node is None:
            return ()
        found = [
            (node.schemaname, node.relname)
            for _, node in postgast.walk(self.node)
            if isinstance(node, pb.RangeVar)
        ]
        if isinstance(self.node, pb.DropStmt):
            for item in self.node.objects:
                parts = [part.string.sval for part in item.list.items]
                if parts:
                    found.append((parts[-2] if len(parts) > 1 else "", parts[-1]))
        return tuple(dict.fromkeys(found))

    @cached_property
    def fingerprint(self) -> str:
        """libpg_query's fingerprint: equal for texts that differ in comments, space or case."""
        return str(postgast.fingerprint(self.sql).hex)

    @cached_property
    def first_line(self) -> str:
        """The statement on one line, shortened for tables and messages."""
        text = " ".join(self.sql.split())
        return text if len(text) <= 100 else text[:97] + "..."


def read(text: str, source: Source | None = None) -> tuple[Statement, ...]:
    """Split a text into statements.

    Raise SqlError with the line for a syntax error, a psql meta-command, transaction control and
    COPY data, none of which a runner can honour.
    """
    found = _split(text, source or Source())
    for statement in found:
        _refuse(statement)
    return found


def read_framed(
    text: str, source: Source | None = None, ends: tuple[str, ...] = ("commit",)
) -> tuple[tuple[Statement, ...], bool]:
    """Like `read`, for a script that may begin with BEGIN and end with COMMIT; these are left out.

    The second value says whether they stood there. `ends` are the words that may end the frame.
    Raise SqlError with the line for transaction control anywhere else.
    """
    found = _split(text, source or Source())
    framed = len(found) > 1 and _opens(found[0].node) and _closes(found[-1].node, ends)
    if framed:
        found = found[1:-1]
    for statement in found:
        _refuse(statement)
    return found, framed


def _split(text: str, source: Source) -> tuple[Statement, ...]:
    _refuse_meta_commands(text, source)
    try:
        tree = postgast.parse(text)
    except postgast.PgQueryError as error:
        raise _syntax_error(error, text, source) from None
    raw = text.encode()
    found = []
    for item in tree.stmts:
        end = item.stmt_location + item.stmt_len if item.stmt_len else len(raw)
        before = raw[: item.stmt_location].decode()
        body = raw[item.stmt_location : end].decode()
        start = len(before) + _blank_length(body)
        sql = text[start : len(before) + len(body)].rstrip().rstrip(";").rstrip()
        place = Source(source.file, source.line + text.count("\n", 0, start))
        node = getattr(item.stmt, item.stmt.WhichOneof("node"))
        found.append(Statement(sql, place, node))
    return tuple(found)


def _opens(node: Any) -> bool:
    """True for a BEGIN that asks for nothing more."""
    kinds = (pb.TransactionStmtKind.TRANS_STMT_BEGIN, pb.TransactionStmtKind.TRANS_STMT_START)
    return isinstance(node, pb.TransactionStmt) and node.kind in kinds and not node.options


def _closes(node: Any, ends: tuple[str, ...]) -> bool:
    words = {
        pb.TransactionStmtKind.TRANS_STMT_COMMIT: "commit",
        pb.TransactionStmtKind.TRANS_STMT_ROLLBACK: "rollback",
    }
    return isinstance(node, pb.TransactionStmt) and words.get(node.kind) in ends and not node.chain


def read_one(text: str, source: Source | None = None) -> Statement:
    """Read exactly one statement; raise SqlError when there are none or several."""
    found = read(text, source)
    if len(found) != 1:
        raise SqlError(
            f"one statement is expected, {len(found)} were found",
            where=str(source or Source()),
            why=text.strip()[:200],
            todo="give one statement here",
        )
    return found[0]


def deparse(node: Any) -> str:
    """Print a parse tree (a statement's node) as SQL."""
    if isinstance(node, pb.ParseResult):
        return str(postgast.deparse(node))
    tree = pb.ParseResult()
    getattr(tree.stmts.add().stmt, _field(type(node).__name__)).CopyFrom(node)
    return str(postgast.deparse(tree))


@cache
def _field(kind: str) -> str:
    """Where in a node the message of a kind stands."""
    return next(
        str(f.name)
        for f in pb.Node.DESCRIPTOR.fields
        if f.message_type is not None and f.message_type.name == kind
    )


_BLANK = re.compile(r"\s+|--[^\n]*(?:\n|$)")


def _blank_length(text: str) -> int:
    """How many characters of white space and comments stand before the first token."""
    at = 0
    while at < len(text):
        if found := _BLANK.match(text, at):
            at = found.end()
        elif text.startswith("/*", at):
            depth, at = 1, at + 2
            while depth and at < len(text):
                if text.startswith("/*", at):
                    depth, at = depth + 1, at + 2
                elif text.startswith("*/", at):
                    depth, at = depth - 1, at + 2
                else:
                    at += 1
        else:
            break
    return at


def _refuse_meta_commands(text: str, source: Source) -> None:
    if "\\" not in text:
        return
    try:
        postgast.parse(text)
    except postgast.PgQueryError as error:
        at = _character(error, text)
        line_start = text.rfind("\n", 0, at) + 1
        line = text[line_start:].split("\n", 1)[0].strip()
        if line.startswith("\\"):
            raise SqlError(
                f"{line.split()[0]} is a psql command, not SQL",
                where=str(Source(source.file, source.line + text.count("\n", 0, line_start))),
                why="the server never sees psql's own commands, and qb does not run psql",
                todo="write what it does as SQL, or remove the line",
            ) from None


def _character(error: postgast.PgQueryError, text: str) -> int:
    """The character that a parse error points at (the grammar counts characters, not bytes)."""
    return max(int(error.cursorpos) - 1, 0)


def _syntax_error(error: postgast.PgQueryError, text: str, source: Source) -> SqlError:
    at = min(_character(error, text), len(text))
    number = source.line + text.count("\n", 0, at)
    return SqlError(
        error.message,
        where=str(Source(source.file, number)),
        why="\n".join(marked("", text, at)),
        todo="mend the SQL at the place that is marked",
    )


def _refuse(statement: Statement) -> None:
    node = statement.node
    if isinstance(node, pb.TransactionStmt) and node.kind not in (
        pb.TransactionStmtKind.TRANS_STMT_COMMIT_PREPARED,
        pb.TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED,
    ):
        raise SqlError(
            f"a migration cannot send its own {statement.sql.split()[0].upper()}",
            where=str(statement.source),
            why="qb puts each migration into a transaction, and records it in the same one",
            todo="remove the statement; to run without a transaction, set transaction = False",
            code="transaction-control",
        )
    if isinstance(node, pb.CopyStmt) and not node.filename and not node.is_program:
        raise SqlError(
            "COPY FROM STDIN and COPY TO STDOUT need a client that streams the data",
            where=str(statement.source),
            why="a migration file holds statements, not data",
            todo="write INSERT statements, or load the data with psql or a backfill",
        )


def _refuses_transaction(node: Any) -> str:
    refused = "PostgreSQL does not allow it in a transaction block"
    if isinstance(node, pb.IndexStmt | pb.DropStmt) and node.concurrent:
        return "CONCURRENTLY commits in between"
    if isinstance(node, pb.ReindexStmt):
        whole = node.kind in (
            pb.ReindexObjectType.REINDEX_OBJECT_SCHEMA,
            pb.ReindexObjectType.REINDEX_OBJECT_SYSTEM,
            pb.ReindexObjectType.REINDEX_OBJECT_DATABASE,
        )
        concurrent = any(p.def_elem.defname == "concurrently" for p in node.params)
        return "CONCURRENTLY commits in between" if concurrent else refused if whole else ""
    if isinstance(node, pb.AlterTableStmt):
        for cmd in node.cmds:
            inner = cmd.alter_table_cmd
            if (
                inner.subtype == pb.AlterTableType.AT_DetachPartition
                and getattr(inner, "def").partition_cmd.concurrent
            ):
                return "CONCURRENTLY commits in between"
    if isinstance(node, pb.VacuumStmt):
        return refused if node.is_vacuumcmd else ""
    if isinstance(node, pb.ClusterStmt):
        return "" if node.HasField("relation") else refused
    never = (
        pb.CreatedbStmt
        | pb.DropdbStmt
        | pb.CreateTableSpaceStmt
        | pb.DropTableSpaceStmt
        | pb.AlterSystemStmt
    )
    if isinstance(node, never):
        return refused
    if isinstance(node, pb.DiscardStmt):
        return refused if node.target == pb.DiscardMode.DISCARD_ALL else ""
    if isinstance(node, pb.CreateSubscriptionStmt | pb.DropSubscriptionStmt):
        return refused
    if isinstance(node, pb.TransactionStmt):
        return refused
    return ""
