"""Studies: grids of training data × model × seed with one frozen real test set, and their report."""

from __future__ import annotations

from bulkgen.study.config import StudyConfig
from bulkgen.study.results import StudyResults
from bulkgen.study.runner import StudyEvent, run_study

__all__ = ["StudyConfig", "StudyEvent", "StudyResults", "run_study"]
