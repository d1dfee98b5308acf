"""`python -m qb_engine.commands`: the same as `qb`"""

from __future__ import annotations

import sys

from qb_engine.commands import main

sys.exit(main())
