"""what is not there and is not made by migrations: which extension has it, or what framework"""

from __future__ import annotations

import re

# what applications use, and what frameworks make by themselves when they connect
MADE = {
    "uuid-ossp": r"uuid_(?:generate_v[1-5]|nil|ns_\w+)\w*",
    "citext": r"citext",
    "hstore": r"hstore|svals|skeys|each",
    "ltree": r"ltree|lquery|ltxtquery|subltree|nlevel",
    "postgis": r"geometry|geography|box[23]d|st_\w+",
    "vector": r"(?:half|sparse)?vec(?:tor)?|cosine_distance|l2_distance|vector_\w+_ops",
    "pg_trgm": r"gin_trgm_ops|gist_trgm_ops|similarity|word_similarity|show_trgm",
    "pgcrypto": r"gen_salt|crypt|gen_random_bytes|digest|hmac|pgp_\w+",
    "unaccent": r"unaccent",
    "btree_gist": r"gist_(?:int|text|date|timestamp|uuid|bool|numeric|float|enum)\w*_ops",
    "btree_gin": r"gin_(?:int|text|date)\w*_ops",
    "fuzzystrmatch": r"levenshtein\w*|metaphone|dmetaphone|soundex",
    "earthdistance": r"ll_to_earth|earth_\w+",
    "cube": r"cube",
}
# where TypeORM keeps the text of views and generated columns, as its entities have them
METADATA = "typeorm_metadata"
METADATA_SQL = (
    f'CREATE TABLE IF NOT EXISTS "{METADATA}" ("type" varchar NOT NULL, "database" varchar,'
    ' "schema" varchar, "table" varchar, "name" varchar, "value" text)'
)
_NAMES = [(name, re.compile(pattern, re.IGNORECASE)) for name, pattern in MADE.items()]
_NO_CLASS = re.compile(r'access method ["«„“»]?\s*(gist|gin)\b', re.IGNORECASE)


def extension_of(name: str) -> str:
    """The extension that brings a type, a function or an operator class; empty for others'."""
    bare = name.strip().split(".")[-1].strip('"').partition("(")[0].rstrip("[]")
    return next((extension for extension, made in _NAMES if made.fullmatch(bare)), "")


def extension_for(error: str) -> str:
    """The extension that an index of an ordinary type lacks, by what the server said of it."""
    found = _NO_CLASS.search(error)
    return f"btree_{found[1].lower()}" if found else ""


def created(extension: str) -> str:
    """The statement that makes an extension."""
    quoted = extension if extension.replace("_", "").isalnum() else f'"{extension}"'
    return f"CREATE EXTENSION IF NOT EXISTS {quoted}"
