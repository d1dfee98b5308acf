"""reports and commands as live widgets; no logic: what may be pressed, the engine says.

`state` is what a panel knows, `view` a pure function of it, `panel` the widgets that show the view
and submit commands to `worker`, the one thread that runs them.
"""

from __future__ import annotations
