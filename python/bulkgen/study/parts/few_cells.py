"""F: few real cells, alone and with synthetic ones."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from bulkgen.generators.registry import generator_class
from bulkgen.study.parts.base import ALL_REAL, Part, Point, synthetic
from bulkgen.study.run import RealCells

if TYPE_CHECKING:
    from bulkgen.study.config import GeneratorSettings, StudyConfig
    from bulkgen.study.data import DataFacts
    from bulkgen.study.run import TrainingCells

__all__ = ["FewCells"]

Size: TypeAlias = int | Literal["all"]

#: Series of the cells that generators see.
_WITH_CONTROLS = f"{ALL_REAL} + all controls"


class FewCells(Part):
    """A growing number of real cells per class, alone and with each generator's.

    Generators learn from the bulk of all training cells, all single cells of the control and the real cells of the run:
    bulk of every condition and cells of the control are what a laboratory has, cells of the treated classes are few.
    Those that are made of single cells of every class take no part.

    Attributes
    ----------
    sizes
        Real cells per class; a class with fewer gives all that it has. The number of the rarest class, the largest at
        which all classes are equal, joins them.
    ratios
        Synthetic cells per real cell. Without real cells there are as many of each class as the rarest has real ones.
    ratios_of_all
        Ratios beside all real cells, where large ones take long.
    """

    letter: ClassVar = "F"
    name: ClassVar = "few_cells"
    title: ClassVar = "Few real cells"
    question: ClassVar = "With how few real cells does bulk help?"
    note: ClassVar = (
        "Every generator learns from the bulk, all single cells of the control and the real cells of the same run, "
        "and from no other cell. Those cells without the bulk are the series of real cells + all controls, whose "
        "classes are unequal. Up to the number of the rarest class all classes have equal numbers of real and of "
        "synthetic cells; all real cells are in natural proportions."
    )
    x_name: ClassVar = "real cells per class"

    sizes: tuple[Annotated[int, Field(ge=0)] | Literal["all"], ...] = Field(
        default=(0, 5, 10, 20, 60, "all"), min_length=1
    )
    ratios: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(1, 3, 10), min_length=1)
    ratios_of_all: tuple[Annotated[float, Field(gt=0)], ...] = (1,)

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return the points of the real cells alone, with the control's, and with every generator's and ratio."""
        sizes = self._sizes(data)
        points = []
        for size in sizes:
            if size != 0:
                name = f"{_shown(size, data)} alone"
                points += self.expand(study, data, _real(size), series=ALL_REAL, name=name, x=_mean_size(size, data))
        for size in sizes:
            if size not in (0, "all") and data.control is not None:
                points += self.expand(
                    study,
                    data,
                    *_beside_controls(size, data),
                    series=_WITH_CONTROLS,
                    name=f"{_shown(size, data)} + all controls",
                    x=_mean_size(size, data),
                )
        for name, generator in self.generators_of(study).items():
            if generator_class(generator.method).from_cells:
                continue
            # one size after the other: its ratios share a fit
            for size, ratio in product(sizes, self.ratios):
                if (size == 0 and data.control is None) or (size == "all" and ratio not in self.ratios_of_all):
                    continue
                points += self.expand(
                    study,
                    data,
                    *_with_synthetic(size, ratio, generator, data),
                    series=f"+ {name} 1:{ratio:g}",
                    name=f"{_shown(size, data)} + {name}",
                    x=_mean_size(size, data),
                )
        return points

    def _sizes(self, data: DataFacts) -> list[Size]:
        """Return the sizes, ascending, with the largest at which classes are equal."""
        train = data.parts["train"].values()
        numbers = {size for size in self.sizes if size != "all"}
        if max(train) > min(train):
            numbers.add(min(train))
        sizes: list[Size] = [*sorted(numbers)]
        if "all" in self.sizes:
            sizes.append("all")
        return sizes


def _real(size: Size) -> RealCells:
    return RealCells(per_class=None if size == "all" else size)


def _beside_controls(size: Size, data: DataFacts) -> tuple[RealCells, RealCells]:
    """Return all cells of the control and so many of each other class."""
    assert data.control is not None
    others = tuple(label for label in data.labels if label != data.control)
    return RealCells(labels=(data.control,)), _real(size).model_copy(update={"labels": others})


def _with_synthetic(
    size: Size, ratio: float, generator: GeneratorSettings, data: DataFacts
) -> tuple[TrainingCells, ...]:
    """Return real cells and a generator's; the generator's alone where there are no real ones."""
    if size == 0:
        rarest = min(data.parts["train"].values())
        return (synthetic(generator, reference="control", per_class=rarest),)
    return _real(size), synthetic(generator, reference="seen", ratio=ratio)


def _shown(size: Size, data: DataFacts) -> str:
    if size == "all":
        return "all real cells, in natural proportions"
    fewer = ", fewer of rarer ones" if size > min(data.parts["train"].values()) else ""
    return f"{size} real cells per class{fewer}"


def _mean_size(size: Size, data: DataFacts) -> float:
    """Return the real cells per class; of all cells their mean over classes."""
    train = data.parts["train"]
    return sum(train.values()) / len(train) if size == "all" else float(size)
