"""a script of the user's, or of another tool, run in an empty database as a schema"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qb_engine.shadow.lacking import Lacking
from qb_engine.shadow.load import Loader
from qb_engine.shadow.reading import settled
from qb_engine.shadow.roles import mirror, named_in
from qb_engine.sql import ident

if TYPE_CHECKING:
    from qb_engine.shadow.server import Scratch


def run_script(server: Scratch, dbname: str, ddl: str, name: str) -> tuple[Lacking, ...]:
    """Run a script in an empty database, as the ordinary role; return what did not go well."""
    named = named_in(ddl)
    usable = mirror(server, named)
    acting, admin = server.session(dbname), server.connect(dbname)
    try:
        loader = Loader(
            acting, admin, lambda roles: mirror(server, roles), trusted=False, usable=usable
        )
        owners = sorted(role.name for role in named if role.name in usable)
        listed = ", ".join(map(ident, owners))
        if owners:  # who is given a table must be allowed to have one there
            admin.execute(f"GRANT CREATE ON SCHEMA public TO {listed}".encode())
        loader.script(ddl, name)
        if owners:
            admin.execute(f"REVOKE CREATE ON SCHEMA public FROM {listed}".encode())
        return settled(loader, admin)
    finally:
        acting.close()
        admin.close()
