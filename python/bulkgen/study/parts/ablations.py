"""I: what must not matter, and what must."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from bulkgen.study.parts.base import ALL_REAL, Part, Point, synthetic
from bulkgen.study.run import Ablation, RealCells

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts
    from bulkgen.study.run import TrainingCells

__all__ = ["Ablations"]

_SHOWN = {
    "none": "nothing taken away",
    "shuffled_labels": "labels shuffled",
    "permuted_genes": "genes permuted",
    "equal_library_sizes": "equal library sizes",
}


class Ablations(Part):
    """Training sets with something taken away.

    With the labels of the training cells shuffled, and with their genes renamed by one permutation (the test cells keep
    theirs), nothing can be learned: anything but chance would be a leak. With all cells, tested ones too, thinned to
    one library size, depth is no cue.

    Attributes
    ----------
    ablations
        What is taken away of the real cells and of every generator's.
    donors
        Numbers of reference cells that generators may learn from (per label and dose, where they learn from all);
        larger ones than there are cells are left out.
    """

    letter: ClassVar = "I"
    name: ClassVar = "ablations"
    title: ClassVar = "Ablations"
    question: ClassVar = "Does anything work that must not, and what do the generators need?"
    x_name: ClassVar = "reference cells"

    ablations: tuple[Ablation, ...] = ("none", "shuffled_labels", "permuted_genes", "equal_library_sizes")
    donors: tuple[Annotated[int, Field(ge=1)], ...] = (10, 30, 100, 300, 1000)

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return the points of every training set and ablation, and of growing numbers of donors."""
        generators = self.generators_of(study)
        training: dict[str, TrainingCells] = {ALL_REAL: RealCells()}
        training |= {name: synthetic(generator) for name, generator in generators.items()}
        points = []
        for series, cells in training.items():
            for ablation in self.ablations:
                points += self.expand(study, data, cells, series=series, name=_SHOWN[ablation], ablation=ablation)
        for name, generator in generators.items():
            most = max(data.parts["train"].values())
            if generator.reference == "control" and data.control is not None:
                most = data.parts["train"][data.control]
            for donors in self.donors:
                if donors <= most:
                    points += self.expand(
                        study,
                        data,
                        synthetic(generator, donors=donors),
                        series=f"{name}, few reference cells",
                        name=f"{donors} reference cells",
                        x=float(donors),
                    )
        return points
