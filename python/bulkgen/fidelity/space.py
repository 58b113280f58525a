"""One comparison of real cells: made once per task and seed, then every method is measured in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bulkgen.errors import LabelError
from bulkgen.fidelity.representation import Representation
from bulkgen.fidelity.view import MIN_CELLS, Undefined, View

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.fidelity.cells import Cells
    from bulkgen.fidelity.view import ClassView

__all__ = ["Space"]


@dataclass(frozen=True, eq=False)
class Space:
    """Real training and test cells, and the representation that the training cells alone decide.

    Attributes
    ----------
    representation
        What is learnt from the training cells.
    training, test
        The real cells. Synthetic ones are compared with the test cells; with the training cells only to find copies.
    labels
        The classes, sorted.
    control
        The class that the others are compared with for effects; ``None``: each with the mean of all others.
    key
        Decides all that is drawn.
    """

    representation: Representation
    training: View
    test: View
    labels: tuple[str, ...]
    control: str | None
    key: int

    @classmethod
    def fit(cls, training: Cells, test: Cells, *, control: str | None = None, key: int) -> Space:
        """Learn the representation from real training cells.

        Parameters
        ----------
        training, test
            Disjoint real cells of the same genes and labels; `group` on both or on neither.
        control
            Label of the control class, if there is one.
        key
            64-bit key (:func:`bulkgen.rng.key_from_rng`); the same key draws the same cells and folds.

        Returns
        -------
        Space

        Raises
        ------
        GeneOverlapError
            If the genes differ.
        LabelError
            If the labels differ, there are fewer than two, or `control` is none of them.
        CountsError
            If the training cells are too few or too much alike.
        ValueError
            If only one of the two has groups.
        """
        training.check_genes(test, this="the real training cells", that="the real test cells")
        labels = training.label_names
        _check_labels(labels, test, what="real test")
        if len(labels) < 2:
            raise LabelError(f"two classes at least are needed, found {', '.join(map(repr, labels)) or 'none'}")
        if control is not None and control not in labels:
            raise LabelError(f"control is {control!r}, but the labels are {', '.join(map(repr, labels))}")
        if (training.group is None) != (test.group is None):
            raise ValueError("either both or neither of the training and the test cells must have a group")
        counts = training.counts
        if not counts.data.all():
            counts = counts.copy()
            counts.eliminate_zeros()
        # one thread: the bits do not depend on their number, and waiting for the others costs more on a busy machine
        with threadpool_limits(limits=1):
            representation = Representation.fit(counts, rng=np.random.default_rng([key, 0]))
        training_view, test_view = (
            View(representation, cells, training_group=training.group, key=key) for cells in (training, test)
        )
        return cls(representation, training_view, test_view, labels, control, key)

    def view(self, synthetic: Cells) -> View:
        """Return synthetic cells as seen in this space.

        Raises
        ------
        GeneOverlapError
            If their genes are not those of the real cells.
        LabelError
            If a class is missing or unknown.
        ValueError
            If a donor is no row of the training cells.
        """
        training = self.training.cells
        training.check_genes(synthetic, this="the real cells", that="the synthetic cells")
        _check_labels(self.labels, synthetic, what="synthetic")
        donor = synthetic.donor
        if donor is not None and len(donor) and (donor.min() < -1 or donor.max() >= len(training)):
            raise ValueError(f"donors are rows of the {len(training)} training cells or -1, got up to {donor.max()}")
        return View(self.representation, synthetic, training_group=training.group, key=self.key)

    def pair(self, synthetic: View, label: str) -> tuple[ClassView, ClassView]:
        """Return the real test cells and the synthetic cells of a class.

        Raises
        ------
        Undefined
            If either are too few for a distribution.
        """
        pair = self.test[label], synthetic[label]
        for kind, cells in zip(("real test", "synthetic"), pair, strict=True):
            if len(cells) < MIN_CELLS:
                raise Undefined(f"{len(cells)} {kind} cells, {MIN_CELLS} are needed")
        return pair

    def rng(self, number: int) -> np.random.Generator:
        """Return a generator of its own for each use within a metric, whatever was drawn before."""
        return np.random.default_rng([self.key, 1, number])

    @cached_property
    def training_directions(self) -> sp.csr_matrix:
        """The training cells as unit vectors of the variable genes, row for row."""
        return self.representation.directions(self.training.cells.counts)


def _check_labels(labels: tuple[str, ...], cells: Cells, *, what: str) -> None:
    missing = [label for label in labels if label not in cells.label_names]
    unknown = [label for label in cells.label_names if label not in labels]
    if missing:
        raise LabelError(
            f"no {what} cell has the label {missing[0]!r}, which real training cells have; make some, or "
            f"take the class out of the real cells"
        )
    if unknown:
        raise LabelError(
            f"{what} cells have the label {unknown[0]!r}, which no real training cell has; drop them, or "
            f"add real cells of it"
        )
