"""foreign data: wrappers, servers, user mappings, and their options without secrets"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qb_engine.schema.catalog.collector import Collector, Row, own
from qb_engine.schema.catalog.rare import NO_ACL, Rare

# An option of a foreign object may be a password under any name; only these are known not to be.
HARMLESS = frozenset(
    {
        "batch_size",
        "column_name",
        "dbname",
        "fetch_size",
        "filename",
        "format",
        "host",
        "importable",
        "keep_connections",
        "port",
        "schema_name",
        "table_name",
        "truncatable",
        "updatable",
        "use_remote_estimate",
    }
)
HIDDEN = "***"


def shown_options(options: Iterable[str]) -> list[str]:
    """Options as `name=value`, sorted, the values hidden unless known to be harmless."""
    pairs = (option.partition("=") for option in options)
    return sorted(f"{name}={value if name in HARMLESS else HIDDEN}" for name, _, value in pairs)


WRAPPERS = f"""
SELECT w.oid, 0::oid, w.fdwname::text, '', pg_catalog.pg_get_userbyid(w.fdwowner)::text,
       pg_catalog.jsonb_build_object(
           'handler', nullif(w.fdwhandler::pg_catalog.regproc::text, '-'),
           'validator', nullif(w.fdwvalidator::pg_catalog.regproc::text, '-'),
           'options', w.fdwoptions),
       w.fdwacl::text[], pg_catalog.acldefault('F', w.fdwowner)::text[]
FROM pg_catalog.pg_foreign_data_wrapper w WHERE {own("pg_foreign_data_wrapper", "w.oid")}
"""

SERVERS = f"""
SELECT s.oid, 0::oid, s.srvname::text, '', pg_catalog.pg_get_userbyid(s.srvowner)::text,
       pg_catalog.jsonb_build_object(
           'type', s.srvtype, 'version', s.srvversion, 'wrapper', w.fdwname::text,
           'options', s.srvoptions),
       s.srvacl::text[], pg_catalog.acldefault('S', s.srvowner)::text[]
FROM pg_catalog.pg_foreign_server s
JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
WHERE {own("pg_foreign_server", "s.oid")}
"""

# The options of a mapping are passwords, and show only to those who may use it: left out.
MAPPINGS = f"""
SELECT m.umid, 0::oid, m.srvname::text, coalesce(m.usename::text, 'PUBLIC'), NULL::text,
       '{{}}'::jsonb, {NO_ACL}
FROM pg_catalog.pg_user_mappings m
"""


class Optioned(Rare):
    """A kind whose payload has options that may be secrets."""

    def read(self, rows: Sequence[Row], into: Collector) -> None:
        for row in rows:
            payload = row[5]
            options = payload.pop("options") or []
            payload |= {"options": shown_options(options)} if options else {}
        super().read(rows, into)


KINDS = (
    Optioned("foreign data wrapper", 2328, "pg_foreign_data_wrapper", WRAPPERS),
    Optioned("foreign server", 1417, "pg_foreign_server", SERVERS),
    Rare("user mapping", 1418, "pg_user_mappings", MAPPINGS, "umid"),
)
