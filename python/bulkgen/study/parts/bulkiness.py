"""A: what pseudo-bulk of ever more cells is worth as training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bulkgen.study.parts.base import ALL_REAL, Part, Point
from bulkgen.study.run import PseudobulkCells, RealCells, Strategy, Validation

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts

__all__ = ["Bulkiness"]

_VALIDATED = {
    "same": "validated on pseudo-bulk",
    "mixed": "validated on pseudo-bulk and cells",
    "real": "validated on cells",
}


class Bulkiness(Part):
    """Pseudo-bulk training sets of growing k, validated on pseudo-bulk, or on it and real cells.

    Attributes
    ----------
    k
        Mean numbers of cells per sample.
    cv
        Coefficient of variation of the numbers around k.
    strategies
        How the cells of a sample become one.
    validation
        What chooses the best epoch.
    """

    letter: ClassVar = "A"
    name: ClassVar = "bulkiness"
    title: ClassVar = "Bulkiness"
    question: ClassVar = "How does a model trained on averages of k cells do on single cells?"
    x_name: ClassVar = "cells per sample (k)"

    k: tuple[float, ...] = Field(default=(1, 2, 5, 10, 20, 50, 100), min_length=1)
    cv: float = Field(default=0.1, ge=0, lt=1)
    strategies: tuple[Strategy, ...] = Field(default=("mean", "sum", "mean_k"), min_length=1)
    validation: tuple[Validation, ...] = Field(default=("same", "mixed"), min_length=1)

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return a point for every strategy, validation and k, and the real cells."""
        points = self.expand(study, data, RealCells(), series=ALL_REAL, name=ALL_REAL)
        for validation in self.validation:
            for strategy in self.strategies:
                for k in self.k:
                    points += self.expand(
                        study,
                        data,
                        PseudobulkCells(k=k, strategy=strategy, cv=self.cv),
                        series=f"{strategy}, {_VALIDATED[validation]}",
                        name=f"pseudo-bulk k = {k:g}",
                        x=k,
                        validation=validation,
                    )
        return points
