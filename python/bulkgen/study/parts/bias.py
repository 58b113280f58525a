"""G: bulk of another platform than the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from bulkgen.generators.registry import generator_class
from bulkgen.study.parts.base import ALL_REAL, Part, Point, synthetic
from bulkgen.study.run import RealCells

if TYPE_CHECKING:
    from bulkgen.study.config import GeneratorSettings, StudyConfig
    from bulkgen.study.data import DataFacts

__all__ = ["Bias"]


class Bias(Part):
    """Bulk whose genes are measured with log-normal factors, the same in every profile of a seed.

    Generators that can take their means from the bulk itself or from its ratio to the control's bulk do both.

    Attributes
    ----------
    sd
        Standard deviations of the factors' logarithms.
    bulk_reads
        Reads of each profile.
    """

    letter: ClassVar = "G"
    name: ClassVar = "bias"
    title: ClassVar = "Platform bias"
    question: ClassVar = "What do biases between bulk and single-cell platforms cost, and do ratios cancel them?"
    x_name: ClassVar = "platform bias (standard deviation of log factors)"

    sd: tuple[Annotated[float, Field(ge=0)], ...] = Field(default=(0.0, 0.3, 0.7, 1.0), min_length=1)
    bulk_reads: int = Field(default=20_000_000, ge=1)

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return the points of every generator, mean and bias, and the real cells."""
        points = self.expand(study, data, RealCells(), series=ALL_REAL, name=ALL_REAL)
        for name, generator in self.generators_of(study).items():
            for mean in _means(generator, data):
                given = {} if mean is None else {"parameters": {**generator.parameters, "mean": mean}}
                series = name if mean is None else f"{name}, {mean} means"
                for sd in self.sd:
                    cells = synthetic(generator, **given, bias_sd=sd, bulk_reads=self.bulk_reads)
                    points += self.expand(study, data, cells, series=series, name=f"{series}, bias {sd:g}", x=sd)
        return points


def _means(generator: GeneratorSettings, data: DataFacts) -> tuple[str | None, ...]:
    """Return the kinds of means to try; ratios need a control."""
    if "mean" not in generator_class(generator.method).model_fields:
        return (None,)
    return ("absolute",) if data.control is None else ("ratio", "absolute")
