"""Studies: grids of training data × model with one frozen test set, and their report."""

from __future__ import annotations

from bulkgen.study.demo import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
