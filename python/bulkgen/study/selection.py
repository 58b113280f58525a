"""Which training cells a run sees, and in which order.

All of it is seeded by the run's seed and by what is drawn, never by where it stands. So for one seed the real cells of
a smaller number are among those of a larger one, and every problem, component and model sees the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from bulkgen.errors import LabelError
from bulkgen.rng import Purpose, key_from_rng
from bulkgen.splits import shuffled
from bulkgen.study.run import RealCells

if TYPE_CHECKING:
    import numpy.typing as npt

    from bulkgen.kernels.protocol import Int64Array
    from bulkgen.study.data import LabelledCells, StudyData
    from bulkgen.study.run import Run

__all__ = ["Selection", "Side", "held_out_of", "n_held_out", "run_rng"]

#: Which training cells: those to train on, those held out, or all.
Side: TypeAlias = Literal["all", "train", "held out"]

#: Every so many cells of a class, one is held out to validate on.
_HELD_OUT = 10


class _Use(IntEnum):
    """What the randomness of a run is for; part of every seed."""

    ORDER = 0
    AGGREGATE = 1
    SYNTHESIZE = 2
    BIAS = 3
    READS = 4
    EQUALISE = 5
    SHUFFLE = 6
    PERMUTE = 7
    VALIDATION = 8
    MODEL = 9


def run_rng(run: Run, use: str, *more: int) -> np.random.SeedSequence:
    """Return the seed of one use of randomness in a run."""
    return np.random.SeedSequence([run.seed, _Use[use], *more])


@dataclass(frozen=True, eq=False)
class Selection:
    """The training cells of a run.

    Attributes
    ----------
    run, data
        The run, and the data that it is of.
    """

    run: Run
    data: StudyData

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of the problem; of one tested at a dose, those that can be learned without it and tested at it.

        Raises
        ------
        LabelError
            If there are fewer than two.
        """
        labels = tuple(self.data.facts.labels) if self.run.labels is None else self.run.labels
        if self.run.test_dose is None:
            return labels
        here = self.cells.doses == self.run.test_dose
        both = {*self.cells.labels[here]} & {*self.cells.labels[~here]} | {self.data.facts.control}
        labels = tuple(label for label in labels if label in both)
        if len(labels) < 2:
            raise LabelError(
                f"no label beside the control has training cells at dose {self.run.test_dose:g} and at another one"
            )
        return labels

    @property
    def cells(self) -> LabelledCells:
        """All training cells of the study."""
        found = self.data.real("train")
        assert found is not None
        return found

    def order(self, label: str) -> Int64Array:
        """Return all training cells of a label in the seed's order, the same in every problem."""
        rows = self.cells.rows([label])
        number = list(self.data.facts.labels).index(label)
        return shuffled(rows, key=key_from_rng(run_rng(self.run, "ORDER")), purpose=Purpose.SPLIT, stratum=number)

    def real_rows(self, settings: RealCells) -> Int64Array:
        """Return the rows of the real cells, those of a class in the seed's order."""
        labels = self.labels if settings.labels is None else settings.labels
        rows = []
        for label in (label for label in labels if label in self.labels):
            order = self.order(label)
            if settings.without_dose is not None:
                order = order[self.cells.doses[order] != settings.without_dose]
            n = max(1, round(settings.share * order.size)) if settings.per_class is None else settings.per_class
            rows.append(order[:n])
        return np.concatenate(rows)

    def own_rows(self) -> Int64Array:
        """Return the rows of all real cells of the training set, each once, ascending."""
        real = [self.real_rows(cells) for cells in self.run.training if isinstance(cells, RealCells)]
        return np.unique(np.concatenate([np.empty(0, np.int64), *real]))

    def divided(self, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Divide cells into those to train on and those held out, if any are."""
        if not self.run.holds_out:
            return rows, rows[:0]
        held = held_out_of(self.cells.labels[rows])
        return rows[~held], rows[held]

    def of_side(self, rows: Int64Array, side: Side) -> Int64Array:
        """Return those of some training cells that are on a side."""
        if side == "all":
            return rows
        ordered = np.concatenate([self.order(label) for label in self.labels])
        train, held = self.divided(ordered)
        return rows[np.isin(rows, held if side == "held out" else train)]


def n_held_out(n: int) -> int:
    """Return how many of n cells of a label are held out."""
    return _held_places(n).size


def held_out_of(labels: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """Mark the cells of each label that are held out."""
    held = np.zeros(labels.size, dtype=bool)
    for label in dict.fromkeys(labels.tolist()):
        rows = np.flatnonzero(labels == label)
        held[rows[_held_places(rows.size)]] = True
    return held


def _held_places(n: int) -> Int64Array:
    """Return which of n cells are held out: every tenth; of fewer than ten the last, unless it is the only one."""
    return np.arange(_HELD_OUT - 1, n, _HELD_OUT) if n >= _HELD_OUT else np.arange(max(n - 1, 1), n)
