"""reading a migration of TypeORM against parsing it: what telling it from its text costs

`describe` lists a file, `methods` reads what it sends. Both parse it first, as the baseline does.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tree_sitter_typescript
from tree_sitter import Language, Parser

from qb_engine.migrations.typescript import describe, methods
from tests.benchmarks.ratio import Ratio

ROUNDS, FILES = 15, 40
SLOWEST_MS = 4.0  # for both together, of a typical file


def run() -> list[Ratio]:
    """Medians of interleaved rounds over the same files."""
    with tempfile.TemporaryDirectory(prefix="qb-bench-") as name:
        return measure(write(Path(name)))


def write(folder: Path) -> list[Path]:
    """Files as `migration:generate` writes them; every fourth one has loops and own methods."""
    made = []
    for at in range(FILES):
        path = folder / f"{1710460800000 + at}-Change{at}.ts"
        path.write_text(by_hand(at) if at % 4 == 3 else generated(at))
        made.append(path)
    return made


def generated(at: int) -> str:
    """Six changes and their inverses."""
    up = [
        f'        await queryRunner.query(`ALTER TABLE "table_{at}" ADD "column_{n}" character '
        f"varying(80) NOT NULL DEFAULT 'value {n}'`);"
        for n in range(6)
    ]
    down = [
        f'        await queryRunner.query(`ALTER TABLE "table_{at}" DROP COLUMN "column_{n}"`);'
        for n in reversed(range(6))
    ]
    return whole(at, "", "\n".join(up), "\n".join(down))


def by_hand(at: int) -> str:
    """The same by a loop, an own method and a switch over the driver."""
    before = f'const COLUMNS = ["a", "b", "c", "d", "e", "f"];\nconst TABLE = "table_{at}";\n'
    up = """        if (queryRunner.connection.options.type === "postgres") {
            for (const column of COLUMNS) await this.add(queryRunner, column);
        }"""
    down = """        await Promise.all(
            COLUMNS.map((column) => queryRunner.query(`ALTER TABLE "${TABLE}" DROP "${column}"`)),
        );
    }
    private async add(queryRunner: QueryRunner, column: string, type = "text") {
        await queryRunner.query(`ALTER TABLE "${TABLE}" ADD "${column}" ${type}`);"""
    return whole(at, before, up, down)


def whole(at: int, before: str, up: str, down: str) -> str:
    """A file with one class."""
    name = f"Change{at}{1710460800000 + at}"
    return f"""import {{ MigrationInterface, QueryRunner }} from "typeorm";

{before}export class {name} implements MigrationInterface {{
    name = '{name}'

    public async up(queryRunner: QueryRunner): Promise<void> {{
{up}
    }}

    public async down(queryRunner: QueryRunner): Promise<void> {{
{down}
    }}
}}
"""


def measure(files: list[Path]) -> list[Ratio]:
    """Milliseconds a file: parsed alone, described, read."""
    parser = Parser(Language(tree_sitter_typescript.language_typescript()))
    works: dict[str, Callable[[Path], object]] = {
        "parse": lambda path: parser.parse(path.read_bytes()),
        "describe": describe,
        "methods": methods,
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            started = time.perf_counter()
            for path in files:
                work(path)
            taken[name].append((time.perf_counter() - started) * 1000 / len(files))
    parse, described, read = (statistics.median(taken[name]) for name in works)
    both = described + read
    detail = f"{described:.2f} ms + {read:.2f} ms / {parse:.2f} ms a file"
    return [
        Ratio("describe / parse alone", described / parse, 6, "at most", detail),
        Ratio("describe and methods / parse alone", both / parse, 20, "at most", detail),
        Ratio("describe and methods / 4 ms", both / SLOWEST_MS, 1, "at most", detail),
    ]
