"""The data set that bulkgen studies, sci-Plex2: its published facts and its simulated twin."""

from __future__ import annotations

from bulkgen.datasets.sciplex2 import SCIPLEX2_CITATION, SCIPLEX2_DOSES, SCIPLEX2_LABEL_COUNTS, SCIPLEX2_MARKERS
from bulkgen.datasets.twin import SIMULATED_NOTE, sciplex2_twin

__all__ = [
    "SCIPLEX2_CITATION",
    "SCIPLEX2_DOSES",
    "SCIPLEX2_LABEL_COUNTS",
    "SCIPLEX2_MARKERS",
    "SIMULATED_NOTE",
    "sciplex2_twin",
]
