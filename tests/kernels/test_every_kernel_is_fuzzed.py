"""No kernel is left out of the fuzz targets."""

from __future__ import annotations

import re
from pathlib import Path

from kernel_cases import KERNELS

FUZZ = Path(__file__).parents[2] / "cpp" / "fuzz"


def test_every_kernel_is_called_by_a_fuzz_target():
    reached = {name for path in FUZZ.glob("fuzz_*.cpp") for name in re.findall(r"checked::(\w+)", path.read_text())}
    # four words in, four words out: there is nothing to spoil
    assert set(KERNELS) - {"philox_block"} == reached & set(KERNELS)
