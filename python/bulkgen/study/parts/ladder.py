"""E: every generator with equal numbers of cells, between a ceiling and a floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from bulkgen.study.parts.base import ALL_REAL, FLOOR, BalancedPart, Point, all_labels, synthetic
from bulkgen.study.run import SyntheticCells

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts
    from bulkgen.study.run import TrainingCells

__all__ = ["Ladder"]


class Ladder(BalancedPart):
    """Every generator with as many cells as the real ones; each result holds its fidelity to test scores against."""

    letter: ClassVar = "E"
    name: ClassVar = "ladder"
    title: ClassVar = "Ladder"
    question: ClassVar = "With equal numbers of cells, which generator trains best, and does fidelity tell?"
    note: ClassVar = (
        "Generators learn from the single cells that the study gives each of them, the control's or those of all "
        "labels: compare those that see the same. With equal classes every class has as many training cells, real or "
        "synthetic, as the rarest has real ones."
    )

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return the points of the ceiling, of every generator and of the floor."""
        reference: Literal["control", "all"] = "all" if data.control is None else "control"
        points = []
        for problem in self.balanced(all_labels(data), data):
            floor = SyntheticCells(method="poisson", reference=reference, per_class=problem.per_class)
            training: dict[str, TrainingCells] = {ALL_REAL: problem.real_cells}
            for name, generator in self.generators_of(study).items():
                training[name] = synthetic(generator, per_class=problem.per_class)
            for series, cells in [*training.items(), (FLOOR, floor)]:
                points += self.expand(study, data, cells, series=series, name=series, problem=problem)
        return points
