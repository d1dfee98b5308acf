"""completion in %qb lines and %%qb draft bodies, from names that are known already.

`line` completes the words of a command, `sql` the body of a draft; `matcher` asks the right one.
"""

from __future__ import annotations

from qb_magic.completion.matcher import register, unregister

__all__ = ["register", "unregister"]
