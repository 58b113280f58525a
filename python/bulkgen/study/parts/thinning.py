"""D: why pseudo-bulk fails: depth, averaging, or fewer samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bulkgen.study.parts.base import ALL_REAL, Part, Point
from bulkgen.study.run import PseudobulkCells, RealCells, SyntheticCells, Validation

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts
    from bulkgen.study.run import TrainingCells

__all__ = ["Thinning"]


class Thinning(Part):
    """The curve over k as it is, at the depth of single cells, and with equal numbers of samples.

    Sums of k cells are deeper than cells, fewer than cells, and alike. Thinning takes the depth away; regrouping the
    cells until there are as many samples as cells takes the small number away; and single cells as few as the samples
    at k are the small number alone.

    Attributes
    ----------
    k
        Mean numbers of cells per sample.
    cv
        Coefficient of variation of the numbers around k.
    validation
        What chooses the best epoch; as in part A, whose sums are then the same runs.
    """

    letter: ClassVar = "D"
    name: ClassVar = "thinning"
    title: ClassVar = "Thinning"
    question: ClassVar = "Is the collapse with k one of depth, of averaging, or of having fewer samples?"
    x_name: ClassVar = "cells per sample (k)"

    k: tuple[int, ...] = Field(default=(1, 2, 5, 10, 20, 50, 100), min_length=1)
    cv: float = Field(default=0.1, ge=0, lt=1)
    validation: Validation = "same"

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return the points of five curves over k, and the real cells."""
        points = self.expand(study, data, RealCells(), series=ALL_REAL, name=ALL_REAL)
        for k in self.k:
            # a group of one cell is as deep as a cell; thinned to the depth of another it would be shallower
            thin = k > 1
            regrouped = {
                thinned: SyntheticCells(method="pseudobulk", parameters={"k": k, "thin": thinned}, reference="all")
                for thinned in {False, thin}
            }
            curves: dict[str, TrainingCells] = {
                "sums": PseudobulkCells(k=k, strategy="sum", cv=self.cv),
                "sums at single-cell depth": PseudobulkCells(k=k, strategy="sum", cv=self.cv, thin=thin),
                "sums, as many as cells": regrouped[False],
                "sums at single-cell depth, as many as cells": regrouped[thin],
                "single cells, as few as sums": RealCells(share=1 / k),
            }
            for series, cells in curves.items():
                points += self.expand(
                    study, data, cells, series=series, name=f"{series}, k = {k}", x=float(k), validation=self.validation
                )
        order = {series: number for number, series in enumerate((ALL_REAL, *curves))}
        return sorted(points, key=lambda point: order[point.series])
