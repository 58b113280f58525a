"""How like real cells synthetic ones are: metrics by group, each beside a ceiling and a floor."""

from __future__ import annotations

from bulkgen.fidelity.cells import Cells
from bulkgen.fidelity.metrics import GROUPS, METRICS, Metric

__all__ = ["GROUPS", "METRICS", "Cells", "Metric"]
