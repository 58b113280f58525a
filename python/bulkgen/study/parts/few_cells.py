"""F: few real cells, alone and with synthetic ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from bulkgen.study.parts.base import ALL_REAL, Part, Point, synthetic
from bulkgen.study.run import RealCells

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts
    from bulkgen.study.run import TrainingCells

__all__ = ["FewCells"]


class FewCells(Part):
    """A growing number of real cells per class, alone and with each generator's.

    The bulk is that of all training cells, and generators learn from the single cells that the study gives them (all
    of the control's, as a rule): bulk of every condition and cells of the control are what a laboratory has, cells of
    the treated classes are few.

    Attributes
    ----------
    sizes
        Real cells per class; a class with fewer gives all that it has.
    ratios
        Synthetic cells per real cell. Without real cells there are as many as there would be real ones.
    ratios_of_all
        Ratios beside all real cells, where large ones take long.
    """

    letter: ClassVar = "F"
    name: ClassVar = "few_cells"
    title: ClassVar = "Few real cells"
    question: ClassVar = "With how few real cells does bulk help?"
    x_name: ClassVar = "real cells per class"

    sizes: tuple[Annotated[int, Field(ge=0)] | Literal["all"], ...] = Field(
        default=(0, 5, 10, 20, 60, "all"), min_length=1
    )
    ratios: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(1, 3, 10), min_length=1)
    ratios_of_all: tuple[Annotated[float, Field(gt=0)], ...] = (1,)

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return the points of the real cells alone, and of every generator and ratio."""
        points = []
        for size in self.sizes:
            if size != 0:
                points += self.expand(
                    study, data, _real(size), series=ALL_REAL, name=f"{_shown(size)} alone", x=_mean_size(size, data)
                )
        for name, generator in self.generators_of(study).items():
            for ratio in self.ratios:
                for size in self.sizes:
                    if size == "all" and ratio not in self.ratios_of_all:
                        continue
                    training: tuple[TrainingCells, ...] = (synthetic(generator),)
                    if size != 0:
                        training = (_real(size), synthetic(generator, ratio=ratio))
                    points += self.expand(
                        study,
                        data,
                        *training,
                        series=f"+ {name} 1:{ratio:g}",
                        name=f"{_shown(size)} + {name}",
                        x=_mean_size(size, data),
                    )
        return points


def _real(size: int | Literal["all"]) -> RealCells:
    return RealCells(per_class=None if size == "all" else size)


def _shown(size: int | Literal["all"]) -> str:
    return "all real cells" if size == "all" else f"{size} real cells per class"


def _mean_size(size: int | Literal["all"], data: DataFacts) -> float:
    """Return the real cells per class; of all cells their mean over classes."""
    train = data.parts["train"]
    return sum(train.values()) / len(train) if size == "all" else float(size)
