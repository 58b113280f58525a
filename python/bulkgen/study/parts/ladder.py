"""E: every generator with equal numbers of cells, between a ceiling and a floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bulkgen.study.parts.base import ALL_REAL, Part, Point, synthetic
from bulkgen.study.run import RealCells, SyntheticCells

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts

__all__ = ["FLOOR", "Ladder"]

#: Series of independent Poisson counts of the bulk's means.
FLOOR = "Poisson floor"


class Ladder(Part):
    """Every generator with as many cells as the real ones; each result holds its fidelity to test scores against."""

    letter: ClassVar = "E"
    name: ClassVar = "ladder"
    title: ClassVar = "Ladder"
    question: ClassVar = "With equal numbers of cells, which generator trains best, and does fidelity tell?"

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return the points of the ceiling, of every generator and of the floor."""
        points = self.expand(study, data, RealCells(), series=ALL_REAL, name=ALL_REAL)
        for name, generator in self.generators_of(study).items():
            points += self.expand(study, data, synthetic(generator), series=name, name=name)
        floor = SyntheticCells(method="poisson", reference="all" if data.control is None else "control")
        return points + self.expand(study, data, floor, series=FLOOR, name=FLOOR)
