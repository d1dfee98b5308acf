"""run the benchmarks and print one table of ratios

python -m tests.benchmarks [--json] [NAME ...]    a name is a module's without bench_
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pkgutil
import platform
import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.ratio import Ratio


def names() -> list[str]:
    """The benchmarks of this folder."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return [m.name.removeprefix("bench_") for m in modules if m.name.startswith("bench_")]


def main(arguments: list[str]) -> int:
    """Run what was named, or all; exit with 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}")
    parser.add_argument("--json", action="store_true", help="print the ratios as JSON")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    progress = Console(stderr=True)
    ratios: list[Ratio] = []
    for name in options.names or names():
        progress.print(f"[dim]{name} ...[/dim]")
        ratios += import_module(f"tests.benchmarks.bench_{name}").run()
    if options.json:
        print(json.dumps([dataclasses.asdict(r) | {"met": r.met} for r in ratios], indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(table(ratios))
    return 0 if all(ratio.met for ratio in ratios) else 1


def table(ratios: list[Ratio]) -> Table:
    """The ratios, their targets and what was measured."""
    shown = Table(
        title=f"medians of one run, {os.cpu_count()} cores, Python {platform.python_version()}",
        title_justify="left",
    )
    for heading in ("ratio", "value", "target", "", "measured"):
        shown.add_column(heading, justify="right" if heading == "value" else "left")
    for ratio in ratios:
        met = "[green]met[/green]" if ratio.met else "[red]missed[/red]"
        target = f"{ratio.better} {ratio.target:g}"
        shown.add_row(ratio.name, f"{ratio.value:.2f}", target, met, ratio.detail)
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
