"""qb's face in notebooks: the %qb magics, how reports look, and the panel.

Importing this is cheap; `%load_ext qb_magic` brings in the magics, and each heavy package comes
with the first thing that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add %qb, %%qb, completion and the display of reports (`%load_ext qb_magic` calls this)."""
    from qb_magic.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take away everything that loading added (`%unload_ext qb_magic` calls this)."""
    from qb_magic.extension import unload

    unload(shell)
