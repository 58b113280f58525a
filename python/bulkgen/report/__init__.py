"""Figures and the self-contained HTML report, made from plain data."""

from __future__ import annotations

from bulkgen.report.content import CellSet, Report, ResultScores, RunResult
from bulkgen.report.html import write_report
from bulkgen.report.page import require_report_extra

__all__ = ["CellSet", "Report", "ResultScores", "RunResult", "require_report_extra", "write_report"]
