"""How many draws the tests of laws take, and which of their assertions are of samplers that are wrong on purpose."""

from __future__ import annotations

import os

#: A multiple of what the suite draws, set by ``make laws LAWS_DRAWS=4``. Thresholds come from theory and hold for any.
TIMES = int(os.environ.get("BULKGEN_LAWS_DRAWS", "1"))


def caught(noticed: bool) -> bool:
    """Mark what is asserted of a sampler that is wrong by a little and must not pass."""
    return bool(noticed)
