"""How many draws the tests of laws take: a multiple of what the suite does, where one is asked for."""

from __future__ import annotations

import os

#: Set by ``make laws LAWS_DRAWS=4``. Thresholds come from theory and hold for any number of draws.
TIMES = int(os.environ.get("BULKGEN_LAWS_DRAWS", "1"))
