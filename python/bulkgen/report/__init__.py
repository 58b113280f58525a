"""Figures and self-contained HTML reports, made from plain data."""

from __future__ import annotations

from bulkgen.report.page import require_report_extra

__all__ = ["require_report_extra"]
