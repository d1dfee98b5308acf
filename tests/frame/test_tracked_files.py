"""what is committed names no machine, no registry and no kernel's leftovers"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Put together from parts, so that this file does not hold what it looks for.
REGISTRIES = re.compile(
    "|".join(
        re.escape(host)
        for host in (
            "py" + "pi.org",
            "python" + "hosted.org",
            "registry.npm" + "js",
            "deb.deb" + "ian.org",
            "crates" + ".io",
            "proxy.go" + "lang.org",
        )
    )
)
MACHINE = re.compile(r"(?<![\w.$}>*-])/" + "(?:work|root|farm)/")
HOMES = re.compile(r"(?<![\w.$}>*-])/" + "(?:home|Users)/(?!jovyan)[a-z]")
INSIDE_NOTEBOOKS = re.compile(r"(?<![\w.])/" + "(?:work|root|farm|tmp|home|Users)/")


def tracked(*patterns: str) -> list[Path]:
    """The files that git knows and that are there."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def found(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    """Where a pattern stands in text files: file, line and what was found."""
    places = []
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        places += [
            f"{file.relative_to(ROOT)}:{number}: {match[0]}"
            for number, line in enumerate(lines, 1)
            if (match := pattern.search(line))
        ]
    return places


def test_no_file_names_a_package_registry() -> None:
    """The package index is whatever the machine is set up with."""
    assert found(REGISTRIES, tracked()) == []


def test_no_file_holds_a_path_of_a_machine() -> None:
    """Nothing depends on where it was written."""
    assert found(MACHINE, tracked()) == []
    assert found(HOMES, tracked()) == []


@pytest.mark.parametrize("notebook", tracked("*.ipynb"), ids=lambda path: path.name)
def test_a_notebook_holds_only_what_a_reader_needs(notebook: Path) -> None:
    """No widget state, no paths, no process ids in warnings, and a kernel that everyone has."""
    text = notebook.read_text(encoding="utf-8")
    content = json.loads(text)
    assert "widgets" not in content["metadata"]
    assert "application/vnd.jupyter.widget-state" not in text
    assert found(INSIDE_NOTEBOOKS, [notebook]) == []
    assert not re.search(r"ipykernel_\d+", text)
    assert content["metadata"]["kernelspec"]["name"] == "python3"


def test_the_pins_name_no_index() -> None:
    """The constraints are names and versions, nothing else."""
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(
            r"[a-z0-9.-]+==[0-9][\w.]*( ; [\w '<>=!().]+)?", line
        ), line
