"""Figures and the self-contained HTML report, made from plain data."""

from __future__ import annotations

from bulkgen.report.content import CellSet, Report, ResultScores, RunResult
from bulkgen.report.html import require_report_extra, write_report

__all__ = ["CellSet", "Report", "ResultScores", "RunResult", "require_report_extra", "write_report"]
