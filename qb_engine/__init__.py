"""qb's engine: everything qb knows and does, without a face.

The rooms, from the ground up, are listed in the README; a room imports only the rooms above it.
"""

from __future__ import annotations

__version__ = "0.1.0"
