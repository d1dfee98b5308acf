"""how a report looks in a notebook: HTML and PNG, made by pure functions of the report.

Nothing here decides anything: what is shown, and in which words, the report says.
"""

from __future__ import annotations
