"""H: a dose of which there is bulk and no cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bulkgen.generators.registry import generator_class
from bulkgen.study.parts.base import ALL_REAL, Part, Point, synthetic
from bulkgen.study.run import RealCells

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts
    from bulkgen.study.run import TrainingCells

__all__ = ["UnseenDose"]


class UnseenDose(Part):
    """Real cells of the other doses, synthetic cells of the unseen one, and both; tested at that dose and the control.

    Generators that are made of single cells of every class take no part.

    Attributes
    ----------
    doses
        The doses to hold out, one after the other; ``None`` for all but the control's.
    """

    letter: ClassVar = "H"
    name: ClassVar = "unseen_dose"
    title: ClassVar = "Unseen dose"
    question: ClassVar = "Does bulk at a dose make up for cells at that dose?"
    note: ClassVar = (
        "No run but that of all real cells has a single cell of the unseen dose to train on or to learn from. The "
        "vocabulary is the exception: it is the study's, and the medians of its genes are of all training cells. "
        "Labels with training cells at that dose alone, or at others alone, take no part, the control excepted."
    )
    x_name: ClassVar = "unseen dose (unit of the data)"

    doses: tuple[float, ...] | None = Field(default=None, min_length=1)

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return the points of the real cells with and without a dose, and of every generator."""
        if not data.doses or data.control is None:
            raise ValueError(
                "[parts.unseen_dose] needs doses and a control: name them with dose= and control= in [data]"
            )
        given = [dose for dose in data.doses if dose != 0]
        if len(given) < 2:
            raise ValueError(
                f"[parts.unseen_dose] needs cells of two doses above 0, one to hold out and one to learn from; found "
                f"{', '.join(f'{dose:g}' for dose in given) or 'none'}: add some to doses= in [data]"
            )
        unknown = [dose for dose in self.doses or () if dose not in given]
        if unknown:
            raise ValueError(f"[parts.unseen_dose] doses: no cell has {unknown[0]:g}; the doses are {given}")
        points = []
        for dose in self.doses or given:
            seen = RealCells(without_dose=dose)
            training: dict[str, tuple[TrainingCells, ...]] = {
                ALL_REAL: (RealCells(),),
                "real cells of the other doses": (seen,),
            }
            for name, generator in self.generators_of(study).items():
                if not generator_class(generator.method).from_cells:
                    made = synthetic(generator, held_dose=dose)
                    training |= {name: (made,), f"real cells of the other doses + {name}": (seen, made)}
            for series, cells in training.items():
                points += self.expand(
                    study, data, *cells, series=series, name=f"{series}, dose {dose:g} unseen", x=dose, test_dose=dose
                )
        return points
