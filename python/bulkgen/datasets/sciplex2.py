"""Published facts of the sci-Plex2 data set (A549 cells, four drugs and vehicle)."""

from __future__ import annotations

from bulkgen.io.sciplex2 import SCIPLEX2_DOSES

__all__ = ["SCIPLEX2_CITATION", "SCIPLEX2_DOSES", "SCIPLEX2_LABEL_COUNTS", "SCIPLEX2_MARKERS"]

#: Whose data it is, whoever packed the file.
SCIPLEX2_CITATION = (
    "Srivatsan SR et al. Massively multiplex chemical transcriptomics at single-cell resolution. "
    "Science 367:45 (2020). doi:10.1126/science.aax6234"
)

#: Cells per label after quality control in the five-label problem (doses 0 and 10).
SCIPLEX2_LABEL_COUNTS = {"Untreated": 3254, "Nutlin": 899, "Dex": 797, "SAHA": 369, "BMS": 246}

#: Nutlin's strongest markers: published log2 fold at dose 10.
SCIPLEX2_MARKERS = {"MDM2": 5.05, "CDKN1A": 5.28, "FDXR": 4.49, "TP53I3": 4.28}
