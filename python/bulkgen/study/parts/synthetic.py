"""B: cells made from the bulk alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bulkgen.study.parts.base import ALL_REAL, BalancedPart, Point, all_labels, pairs_with_control, synthetic

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts

__all__ = ["Synthetic"]


class Synthetic(BalancedPart):
    """Cells of every generator, as many as real ones, made from one bulk profile per label and dose.

    Attributes
    ----------
    pairs
        The control against each other label, beside all labels; without a control there are none.
    """

    letter: ClassVar = "B"
    name: ClassVar = "synthetic"
    title: ClassVar = "Synthetic cells"
    question: ClassVar = "Can cells made from one bulk profile per condition stand in for real training cells?"

    note: ClassVar = (
        "Generators learn from the single cells that the study gives each of them, the control's or those of all "
        "labels. With equal classes every class has as many training cells, real or synthetic, as the rarest has real "
        "ones; the bulk is that of all training cells in both."
    )

    pairs: bool = True

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return a point for every problem and generator, and the real cells."""
        pairs = pairs_with_control(data) if self.pairs else []
        points = []
        for problem in (each for whole in [*pairs, all_labels(data)] for each in self.balanced(whole, data)):
            points += self.expand(study, data, problem.real_cells, series=ALL_REAL, name=ALL_REAL, problem=problem)
            for name, generator in self.generators_of(study).items():
                cells = synthetic(generator, per_class=problem.per_class)
                points += self.expand(study, data, cells, series=name, name=name, problem=problem)
        return points
