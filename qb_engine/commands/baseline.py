"""`qb baseline`: adopt a database on which the migrations' work is done already"""

from __future__ import annotations

import click

from qb_engine.commands import Session, qb_command
from qb_engine.commands._adoption import AdoptionReport, settled
from qb_engine.report import Report


@qb_command("baseline", short_help="Adopt a database: what is there counts as applied.")
@click.argument("migration")
@click.option("--yes", is_flag=True, help="Record it without asking.")
@click.option(
    "--accept-differences",
    is_flag=True,
    help="Adopt although the migrations do not make the schema that is there.",
)
@click.option("--no-proof", is_flag=True, help="Do not replay the migrations to compare.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the ledger.")
@click.option("--confirm", metavar="ALIAS", help="The alias, typed back, for production.")
@click.option("--scratch", metavar="URL", help="A server to replay on, instead of the embedded.")
def command(
    session: Session,
    migration: str,
    yes: bool,
    accept_differences: bool,
    no_proof: bool,
    reason: str,
    confirm: str | None,
    scratch: str | None,
) -> Report:
    """Mark everything up to and including MIGRATION as applied, without running it.

    Only where qb has applied nothing yet. First the migrations are replayed on an empty scratch
    database, and the schema that they make is compared with the one that is there.
    """
    from qb_engine.commands._place import place_of
    from qb_engine.database.connect import server_errors
    from qb_engine.runner import adopt

    migrations = session.migrations()
    last = migrations.entry(migration)
    entries = migrations.entries[: migrations.entries.index(last) + 1]
    place = place_of(session, migrations, scratch=scratch)
    with session.connect() as conn, server_errors("reading the ledger", session.target):
        adopt.refuse_applied(conn)
    adopt.refuse_problems(entries)
    proof = None if no_proof else adopt.prove(place, entries)
    if proof is not None and not accept_differences:
        adopt.refuse_unproven(place, proof)
    rows = tuple(adopt.adoption(place, entry) for entry in entries)
    report = AdoptionReport(session.target.name, "", rows, proof, remarks=migrations.notes)
    said = [] if proof is None else [d.sentence() for d in proof.differences]
    detail = {"up_to": last.id, "proven": proof is not None and proof.ok, "differences": said}
    return settled(
        session,
        report,
        lambda: adopt.record(place, rows, "adopted", proof=proof, reason=reason, detail=detail),
        yes=yes,
        confirm=confirm,
        doing="adopting migrations",
    )
