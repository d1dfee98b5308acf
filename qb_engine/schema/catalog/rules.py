"""what acts on a relation by itself: triggers, row policies, rules"""

from __future__ import annotations

from collections.abc import Sequence

from qb_engine.schema.catalog.collector import (
    FIRST_USER_OID,
    POLICY,
    REWRITE,
    TRIGGER,
    Collector,
    Group,
    Payload,
    Row,
    present,
)
from qb_engine.schema.ids import ObjectId

ENABLED = {"D": "disabled", "R": "replica", "A": "always"}
COMMAND = {"*": "all", "r": "select", "a": "insert", "w": "update", "d": "delete"}

# Internal triggers (foreign keys) and the clones on partitions follow what made them. What calls a
# function of schema qb is a backfill's, and gone when it is over.
TRIGGERS = f"""
SELECT t.oid, t.tgrelid, t.tgname::text, t.tgenabled::text, pg_catalog.pg_get_triggerdef(t.oid)
FROM pg_catalog.pg_trigger t
WHERE t.oid >= {FIRST_USER_OID} AND NOT t.tgisinternal AND t.tgparentid = 0
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc f
                  JOIN pg_catalog.pg_namespace s ON s.oid = f.pronamespace
                  WHERE f.oid = t.tgfoid AND s.nspname = 'qb')
"""

RULES = f"""
SELECT r.oid, r.ev_class, r.rulename::text, r.ev_enabled::text, pg_catalog.pg_get_ruledef(r.oid)
FROM pg_catalog.pg_rewrite r
WHERE r.oid >= {FIRST_USER_OID} AND r.rulename <> '_RETURN'
"""

POLICIES = """
SELECT p.oid, p.polrelid, p.polname::text, p.polcmd::text, p.polpermissive,
       ARRAY(SELECT CASE WHEN role = 0 THEN 'PUBLIC'
                         ELSE pg_catalog.pg_get_userbyid(role)::text END
             FROM pg_catalog.unnest(p.polroles) role),
       pg_catalog.pg_get_expr(p.polqual, p.polrelid),
       pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
FROM pg_catalog.pg_policy p
"""


def read_triggers(rows: Sequence[Row], into: Collector) -> None:
    _read_definitions("trigger", TRIGGER, rows, into)


def read_rules(rows: Sequence[Row], into: Collector) -> None:
    _read_definitions("rule", REWRITE, rows, into)


def _read_definitions(kind: str, of: int, rows: Sequence[Row], into: Collector) -> None:
    for oid, relation_oid, name, enabled, definition in rows:
        relation = into.relations.get(relation_oid)
        if relation is None:
            continue
        payload: Payload = {"definition": definition}
        if enabled in ENABLED:
            payload["enabled"] = ENABLED[enabled]
        into.add(ObjectId(kind, relation.schema, relation.name, name), payload, of=of, oid=oid)


def read_policies(rows: Sequence[Row], into: Collector) -> None:
    for oid, relation_oid, name, command, permissive, roles, using, check in rows:
        relation = into.relations.get(relation_oid)
        if relation is None:
            continue
        payload = present(
            check=check,
            command=COMMAND[command],
            permissive=permissive,
            roles=sorted(roles),
            using=using,
        )
        id = ObjectId("policy", relation.schema, relation.name, name)
        into.add(id, payload, of=POLICY, oid=oid)


GROUPS = (
    Group(TRIGGERS, read_triggers),
    Group(RULES, read_rules),
    Group(POLICIES, read_policies),
)
