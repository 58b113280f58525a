"""How like real cells synthetic ones are: metrics by group, each to be read beside a ceiling and a floor."""

from __future__ import annotations

from bulkgen.fidelity.cells import Cells
from bulkgen.fidelity.measure import MACRO, MEASURES, measure
from bulkgen.fidelity.metrics import GROUPS, METRICS, Metric
from bulkgen.fidelity.space import Space

__all__ = ["GROUPS", "MACRO", "MEASURES", "METRICS", "Cells", "Metric", "Space", "measure"]
