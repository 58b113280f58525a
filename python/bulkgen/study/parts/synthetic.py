"""B: cells made from the bulk alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bulkgen.study.parts.base import ALL_REAL, Part, Point, all_labels, pairs_with_control, synthetic
from bulkgen.study.run import RealCells

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts

__all__ = ["Synthetic"]


class Synthetic(Part):
    """Cells of every generator, as many as real ones, made from one bulk profile per label and dose.

    Attributes
    ----------
    pairs
        The control against each other label, beside all labels.
    """

    letter: ClassVar = "B"
    name: ClassVar = "synthetic"
    title: ClassVar = "Synthetic cells"
    question: ClassVar = "Can cells made from one bulk profile per condition stand in for real training cells?"

    pairs: bool = True

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return a point for every problem and generator, and the real cells."""
        pairs = pairs_with_control(data) if self.pairs else []
        whole = all_labels(data)
        points = []
        for problem in [*(pair for pair in pairs if pair != whole), whole]:
            points += self.expand(study, data, RealCells(), series=ALL_REAL, name=ALL_REAL, problem=problem)
            for name, generator in self.generators_of(study).items():
                points += self.expand(study, data, synthetic(generator), series=name, name=name, problem=problem)
        return points
