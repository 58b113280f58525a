"""Measured bulk RNA-seq from anywhere: read, checked, and its genes brought to the ids of the cells."""

from __future__ import annotations

from bulkgen.bulk_input.genes import GeneOverlap, MatchedGenes, match_genes
from bulkgen.bulk_input.read import read_bulk
from bulkgen.bulk_input.report import BulkReport, bulk_report

__all__ = ["BulkReport", "GeneOverlap", "MatchedGenes", "bulk_report", "match_genes", "read_bulk"]
