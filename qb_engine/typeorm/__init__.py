"""Going over from TypeORM: finding a project's data source, recording what cannot be read, taking
over its history, and saying what is wrong in it.

The project's own code is run only where the user allowed it, and never against the target.
"""

from __future__ import annotations
