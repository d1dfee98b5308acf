"""schemas and extensions"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog.collector import (
    COVERED_SCHEMAS,
    EXTENSION,
    NAMESPACE,
    Collector,
    Group,
    Row,
    member,
)
from qb_engine.schema.catalog.grants import OWNER, PUBLIC, read_acl
from qb_engine.schema.ids import ObjectId

# Every cluster is born with USAGE on `public` for all (PostgreSQL 15 and later).
PUBLIC_HAS = {OWNER: ["CREATE", "USAGE"], PUBLIC: ["USAGE"]}

SCHEMAS = f"""
SELECT n.oid, n.nspname::text, pg_catalog.pg_get_userbyid(n.nspowner)::text, n.nspacl::text[],
       pg_catalog.acldefault('n', n.nspowner)::text[],
       n.oid IN ({member(NAMESPACE)})
FROM pg_catalog.pg_namespace n
WHERE n.oid IN ({COVERED_SCHEMAS})
"""

EXTENSIONS = """
SELECT e.oid, e.extname::text, e.extversion, n.nspname::text,
       pg_catalog.pg_get_userbyid(e.extowner)::text
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
"""


def read_schemas(rows: Sequence[Row], into: Collector) -> None:
    for oid, name, owner, acl, default, of_extension in rows:
        into.schemas[oid] = name
        if of_extension:
            continue
        id = ObjectId("schema", "", name)
        into.add(id, {"owner": owner}, of=NAMESPACE, oid=oid)
        privileges = read_acl(default if acl is None else acl, owner)
        usual = PUBLIC_HAS if name == "public" else read_acl(default, owner)
        if privileges != usual:
            into.add(id.remark("grant"), {"privileges": privileges})


def read_extensions(rows: Sequence[Row], into: Collector) -> None:
    for oid, name, version, schema, owner in rows:
        payload = {"version": version, "schema": schema, "owner": owner}
        into.add(ObjectId("extension", "", name), payload, of=EXTENSION, oid=oid)


GROUPS = (Group(SCHEMAS, read_schemas), Group(EXTENSIONS, read_extensions))
