"""run the notebooks anew and keep their outputs: what `make notebooks` does

Each runs in a copy of the folder, so that neither servers nor migrations are left in the tree.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
DATA = FOLDER / "data"  # projects that notebooks begin with, their migrations among them
CELL_S = 300


def left_out(folder: str, names: list[str]) -> set[str]:
    """What stands in the tree from working in it, and is no part of it."""
    mine = {".qb", ".ipynb_checkpoints"}
    return set(names) & (mine if Path(folder).is_relative_to(DATA) else {*mine, "migrations"})


def main() -> int:
    """Run all notebooks, or those named; 1 when a cell fails that should not."""
    found = (*FOLDER.glob("*.ipynb"), *FOLDER.glob("runbooks/*.ipynb"))
    names = sys.argv[1:] or sorted(path.relative_to(FOLDER).as_posix() for path in found)
    bad = 0
    for name in names:
        failed = run(name)
        print(f"{name}: {'FAILED at ' + failed if failed else 'ran'}", flush=True)
        bad += bool(failed)
    return int(bool(bad))


def run(name: str) -> str:
    """Run one notebook and write it back; the first line of a cell that failed, if any."""
    with tempfile.TemporaryDirectory(prefix="qb-notebooks-") as temporary:
        copy = Path(temporary) / "notebooks"
        shutil.copytree(FOLDER, copy, ignore=left_out)
        notebook = nbformat.read(copy / name, as_version=4)  # type: ignore[no-untyped-call]
        try:
            NotebookClient(
                notebook,
                timeout=CELL_S,
                kernel_name="python3",
                resources={"metadata": {"path": str((copy / name).parent)}},
                store_widget_state=False,
                allow_errors=True,
            ).execute()
        finally:
            down = [sys.executable, "-m", "qb_engine.commands", "dev", "down", "--purge"]
            for home in (
                each for deep in ("", "*/", "*/*/") for each in copy.glob(f"{deep}.qb")
            ):  # some work in a folder of their own
                if home.is_dir():
                    subprocess.run(down, cwd=home.parent, check=False, capture_output=True)
    failed = ""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        meant = "raises-exception" in cell.metadata.get("tags", [])
        errors = [out for out in cell.get("outputs", []) if out.output_type == "error"]
        if errors and not meant and not failed:
            failed = cell.source.splitlines()[0]
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata.pop("widgets", None)
    if not failed:
        nbformat.write(notebook, FOLDER / name)  # type: ignore[no-untyped-call]
    return failed


if __name__ == "__main__":
    sys.exit(main())
