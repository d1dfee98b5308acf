"""a backfill that is under way as a live widget

`state` is what it knows, `view` a pure function of it, `controls` the widgets, `panel` what looks
at the ledger on a thread of its own and submits the commands of the buttons. Whatever it shows is
in the ledger: after a restart of the kernel, or on another machine, it is made anew from there.
"""

from __future__ import annotations
