"""`qb import-history`: go on from what another tool has applied and recorded"""

from __future__ import annotations

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._adoption import AdoptionReport, settled
from qb_engine.report import Report


@qb_command("import-history", short_help="Take over what another tool has applied.")
@click.option("--from", "source", metavar="TOOL", help="Whose history (default: the folder's).")
@click.option("--table", metavar="NAME", help="Its table, where it is not the usual one.")
@click.option("--yes", is_flag=True, help="Record it without asking.")
@click.option(
    "--accept-differences",
    is_flag=True,
    help="Go on although versions have no file, files were edited, or the proof fails.",
)
@click.option("--prove", is_flag=True, help="Replay what is taken over, and compare the schema.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the ledger.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
@click.option("--scratch", metavar="URL", help="A server to replay on, instead of the embedded.")
def command(
    session: Session,
    source: str | None,
    table: str | None,
    yes: bool,
    accept_differences: bool,
    prove: bool,
    reason: str,
    confirm: str | None,
    scratch: str | None,
) -> Report:
    """Read what alembic, flyway, dbmate, golang-migrate, diesel, goose, sqitch or typeorm recorded
    in the target, and record the project's migrations of the same versions as applied.

    The other tool's table is only read.
    """
    from qb_engine import ledger
    from qb_engine.commands._place import place_of
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import adopt, importing

    migrations = session.migrations()
    tool = importing.tool_named(source, migrations)
    place = place_of(session, migrations, scratch=scratch)
    with session.connect() as conn, server_errors("reading the history", session.target):
        adopt.refuse_applied(conn)
        found = importing.proposed(conn, tool, migrations, table)
        known = ledger.standing(conn) if ledger.exists(conn) else {}
    if not accept_differences:
        importing.refuse_differences(found, session.target.display)
    stands = {name for name, each in known.items() if each.status != "rolled back"}
    new = [taken for taken in found.taken if taken.entry.id not in stands]
    proof = None
    if prove:
        proof = adopt.prove(place, [taken.entry for taken in found.taken], (found.table,))
        if not accept_differences:
            adopt.refuse_unproven(place, proof)
    rows = tuple(adopt.adoption(place, t.entry, **importing.origin(t)) for t in new)
    report = AdoptionReport(
        session.target.name,
        tool.name,
        rows,
        proof,
        already=tuple(t.entry.id for t in found.taken if t.entry.id in stands),
        remarks=(*importing.remarks(found), *migrations.notes),
    )
    detail = {"from": tool.name, "table": found.table, "unknown": list(found.unknown)}
    return settled(
        session,
        report,
        lambda: adopt.record(place, rows, "imported", proof=proof, reason=reason, detail=detail),
        yes=yes,
        confirm=confirm,
        doing="importing a history",
    )
