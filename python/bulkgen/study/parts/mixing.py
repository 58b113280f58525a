"""C: synthetic cells of some labels beside all real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bulkgen.study.parts.base import ALL_REAL, Part, Point, synthetic
from bulkgen.study.run import RealCells, Seeds

if TYPE_CHECKING:
    from bulkgen.study.config import StudyConfig
    from bulkgen.study.data import DataFacts

__all__ = ["Mixing"]

#: Series of the real cells with some of them repeated.
REPEATED = "+ the same real cells"


class Mixing(Part):
    """Real training cells, alone, with cells of chosen labels repeated, and with synthetic cells of these labels.

    The trials are the seeds.

    Attributes
    ----------
    labels
        Labels that synthetic cells are added to; ``None`` for the control and the rarest other label.
    ratio
        Synthetic, or repeated, cells per real cell of these labels.
    seeds
        Trials, five by default.
    """

    letter: ClassVar = "C"
    name: ClassVar = "mixing"
    title: ClassVar = "Mixing"
    question: ClassVar = "Do synthetic cells of some labels help beside all real training cells?"

    note: ClassVar = (
        "More cells of some labels change the proportions of the classes and the number of training steps, whatever "
        "the cells are. The control of this is the same real cells of these labels once more: what synthetic cells "
        "bring is their difference from it."
    )

    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    ratio: float = Field(default=1.0, gt=0)
    seeds: Seeds | None = (0, 1, 2, 3, 4)

    def points(self, study: StudyConfig, data: DataFacts) -> list[Point]:
        """Return the points of the baseline, of its control and of every generator."""
        labels = self.labels or _control_and_rarest(data)
        unknown = [label for label in labels if label not in data.labels]
        if unknown:
            raise ValueError(f"[parts.mixing] labels: {unknown[0]!r} is none of {', '.join(data.labels)}")
        points = self.expand(study, data, RealCells(), series=ALL_REAL, name=ALL_REAL)
        points += self.expand(
            study,
            data,
            RealCells(),
            *_repeated(labels, self.ratio),
            series=REPEATED,
            name=f"{ALL_REAL} {REPEATED} of {' and '.join(labels)}",
        )
        for name, generator in self.generators_of(study).items():
            points += self.expand(
                study,
                data,
                RealCells(),
                synthetic(generator, labels=labels, ratio=self.ratio),
                series=f"+ {name}",
                name=f"{ALL_REAL} + {name} of {' and '.join(labels)}",
            )
        return points


def _repeated(labels: tuple[str, ...], ratio: float) -> list[RealCells]:
    """Return the real cells of some labels so many times; of what is no whole number, a share of them."""
    times, rest = divmod(ratio, 1.0)
    again = [RealCells(labels=labels)] * int(times)
    return again + ([RealCells(labels=labels, share=rest)] if rest else [])


def _control_and_rarest(data: DataFacts) -> tuple[str, ...]:
    others = {label: n for label, n in data.labels.items() if label != data.control}
    rarest = min(others, key=lambda label: (others[label], label))
    return (rarest,) if data.control is None else (rarest, data.control)
