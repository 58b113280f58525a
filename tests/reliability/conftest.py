"""The campaigns, which are scripts and not a package."""

from __future__ import annotations

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# last, so that none of their plain names hides another module
sys.path += [str(BENCHMARKS), str(BENCHMARKS / "reliability")]
