"""the real TypeORM, both versions, in projects of a test's own"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import node
import pytest
from psycopg.conninfo import conninfo_to_dict

from qb_engine.database import Target

INSTALLED = node.find()
VERSIONS = ("v1", "v03")
RUN_S = 120
PLAIN = {"NO_COLOR": "1", "CI": ""}  # where CI is set it would print colours

needs_node = pytest.mark.skipif(
    INSTALLED is None,
    reason="Node.js or npm is not installed, or the TypeORM of .ci/node.py is not: make test",
)


@dataclass(frozen=True)
class TypeOrm:
    """A TypeScript project with a data source for a database, and the TypeORM of one version.

    Migrations stand in `src/migrations`; the data source is `src/data-source.ts`, and `settings`
    are more of its options. The default glob is the documented one.
    """

    root: Path
    version: str
    database: Target
    settings: Mapping[str, Any]

    @classmethod
    def make(
        cls, root: Path, version: str, database: Target, *, entities: str = "", **settings: Any
    ) -> TypeOrm:
        """Write the project. `entities` is the text of src/entities.ts, all of it exported."""
        assert INSTALLED is not None, "the test is marked needs_node"
        (root / "src" / "migrations").mkdir(parents=True, exist_ok=True)
        (root / "node_modules").symlink_to(INSTALLED / version / "node_modules")
        (root / "package.json").write_text('{"name": "shop", "private": true}\n')
        (root / "tsconfig.json").write_text(
            json.dumps(
                {
                    "compilerOptions": {
                        "target": "es2022",
                        "module": "commonjs",
                        "moduleResolution": "node",
                        "strict": True,
                        "esModuleInterop": True,
                        "experimentalDecorators": True,
                        "emitDecoratorMetadata": True,
                        "skipLibCheck": True,
                        "rootDir": "src",
                        "outDir": "dist",
                    },
                    "include": ["src"],
                },
                indent=2,
            )
        )
        made = cls(root, version, database, settings)
        if entities:
            (root / "src" / "entities.ts").write_text(entities)
        (root / "src" / "data-source.ts").write_text(made._data_source(bool(entities)))
        return made

    @property
    def migrations(self) -> Path:
        return self.root / "src" / "migrations"

    def _data_source(self, entities: bool) -> str:
        part = conninfo_to_dict(self.database.conninfo)
        options: dict[str, Any] = {
            "type": "postgres",
            "host": str(part.get("host", "")),
            "port": int(str(part.get("port", 5432))),
            "username": str(part.get("user", "")),
            "database": str(part.get("dbname", "")),
            "migrations": ["src/migrations/**/*.ts"],
            **self.settings,
        }
        lines = ['import "reflect-metadata";', 'import { DataSource } from "typeorm";']
        listed = ""
        if entities:
            lines.append('import * as entities from "./entities";')
            listed = "  entities: Object.values(entities).filter((e) => typeof e === 'function'),\n"
        text = json.dumps(options, indent=2)[1:-1].rstrip()
        lines += [
            "", f"export default new DataSource({{{text},", f"{listed}}} as any);", ""
        ]  # fmt: skip
        return "\n".join(lines)

    def cli(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start TypeORM's command line through tsx: `migration:run`, `migration:show`, ..."""
        program = self.root / "node_modules" / "typeorm" / "cli.js"
        return subprocess.Popen(
            ["node", "--import", "tsx", str(program), *words, "-d", "src/data-source.ts"],
            cwd=self.root,
            env={**os.environ, **PLAIN, **(env or {})},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def said(self, *words: str, ok: bool = True) -> str:
        """What TypeORM's command line prints; with `ok` it has to succeed."""
        with self.cli(*words) as running:
            text, _ = running.communicate(timeout=RUN_S)
        assert not ok or running.returncode == 0, text
        assert ok or running.returncode != 0, text
        return text

    def run(self, *options: str, ok: bool = True) -> str:
        return self.said("migration:run", *options, ok=ok)

    def show(self) -> list[str]:
        """The lines of `migration:show`, such as `[X] 1 AddEmail1710460800000`."""
        lines = [line.strip() for line in self.said("migration:show").splitlines()]
        return [line for line in lines if line.startswith(("[X]", "[ ]"))]

    def revert(self, *options: str, ok: bool = True) -> str:
        return self.said("migration:revert", *options, ok=ok)

    def script(self, text: str) -> str:
        """Run TypeScript in the project (through tsx) and return what it prints."""
        file = self.root / "src" / "script.ts"
        file.write_text(text)
        done = subprocess.run(
            ["node", "--import", "tsx", str(file)],
            cwd=self.root, capture_output=True, text=True, timeout=RUN_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout
