"""The modules of the benchmarks, which are scripts and not a package."""

from __future__ import annotations

import sys
from pathlib import Path

# last, so that none of their plain names hides another module
sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
