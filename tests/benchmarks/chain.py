"""a chain of migrations to replay: mixed DDL over a growing schema, the same every time"""

from __future__ import annotations

import random
from pathlib import Path

SEED = 20_240_315


def chain(count: int) -> list[tuple[str, str]]:
    """Names and SQL texts of migrations: new tables, columns, indexes, constraints, views, rows."""
    choose = random.Random(SEED)
    tables: list[str] = []
    columns: dict[str, list[str]] = {}
    found = []
    for at in range(count):
        kind = choose.choices(
            ("table", "column", "index", "foreign", "check", "view", "function", "enum", "rows",
             "comment", "default", "several"),
            (12, 22, 14, 6, 8, 5, 6, 3, 8, 4, 6, 6),
        )[0]  # fmt: skip
        if not tables or kind == "table":
            name = f"item_{at:04}"
            tables.append(name)
            columns[name] = ["label"]
            text = (
                f"CREATE TABLE {name} (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
                "    label text NOT NULL,\n    made_at timestamptz NOT NULL DEFAULT now()\n);\n"
            )
            found.append((f"create_{name}", text))
            continue
        table = choose.choice(tables)
        column = choose.choice(columns[table])
        match kind:
            case "column":
                columns[table].append(f"note_{at}")
                text = f"ALTER TABLE {table} ADD COLUMN note_{at} text;\n"
            case "index":
                text = f"CREATE INDEX {table}_{at}_idx ON {table} ({column});\n"
            case "foreign":
                other = choose.choice(tables)
                text = f"ALTER TABLE {table} ADD COLUMN ref_{at} bigint REFERENCES {other};\n"
            case "check":
                text = (
                    f"ALTER TABLE {table} ADD CONSTRAINT {table}_{at}_check\n"
                    f"    CHECK (length({column}) < 1000) NOT VALID;\n"
                    f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_{at}_check;\n"
                )
            case "view":
                text = f"CREATE VIEW seen_{at} AS\n    SELECT id, {column} FROM {table};\n"
            case "function":
                text = (
                    f"CREATE FUNCTION shorten_{at}(value text) RETURNS text\n"
                    "    LANGUAGE sql IMMUTABLE AS $$ SELECT left(value, 10) $$;\n"
                )
            case "enum":
                text = f"CREATE TYPE state_{at} AS ENUM ('new', 'done');\n"
            case "rows":
                text = (
                    f"INSERT INTO {table} (label)\n"
                    "    SELECT 'row ' || i FROM generate_series(1, 20) i;\n"
                    f"UPDATE {table} SET label = upper(label) WHERE id % 2 = 0;\n"
                )
            case "comment":
                text = f"COMMENT ON TABLE {table} IS 'changed by {at}';\n"
            case "default":
                text = f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT 'none';\n"
            case _:
                columns[table].append(f"b_{at}")
                text = (
                    f"-- two columns and what goes with them\n"
                    f"ALTER TABLE {table} ADD COLUMN a_{at} integer, ADD COLUMN b_{at} text;\n"
                    f"CREATE INDEX ON {table} (a_{at}) WHERE b_{at} IS NOT NULL;\n"
                    f"COMMENT ON COLUMN {table}.a_{at} IS 'counted';\n"
                )
        found.append((f"{kind}_{at}", text))
    return found


def stamp(at: int) -> str:
    """The timestamp of the migration at a place in the chain."""
    return str(20_240_101_000_000 + at // 60 * 100 + at % 60)


def write(folder: Path, count: int) -> list[Path]:
    """The chain as plain SQL files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for at, (name, text) in enumerate(chain(count)):
        path = folder / f"{stamp(at)}_{name}.sql"
        path.write_text(text)
        paths.append(path)
    return paths
